#!/usr/bin/env bash
# The alert rules by promtool; then a real Prometheus and Alertmanager that scrape a running cardhook while its broker is
# stopped: the alert fires, arrives, resolves. Every expression of the dashboard returns data there.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "monitoring: packages, static checks"
packages prometheus prometheus-alertmanager kcat curl
[ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -c 'import promql_parser, yaml' 2>/dev/null || "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$project/tests/deploy/requirements.txt"
promtool check rules --lint=all --lint-fatal "$project/deploy/prometheus/rules.yaml"
promtool test rules "$project/deploy/prometheus/rules.test.yaml"
"$tools/venv/bin/python" - "$project" <<'PY'
import pathlib, sys, yaml
project = pathlib.Path(sys.argv[1])
rules = yaml.safe_load((project / "deploy/prometheus/rules.yaml").read_text())["groups"][0]["rules"]
for page in ("docs/alerts.md", "docs/alerts.zh-CN.md"):
    told = [line[3:] for line in (project / page).read_text().splitlines() if line.startswith("## ")]
    assert told == [rule["alert"] for rule in rules], f"{page} does not explain each alert in the order of the rules"
for rule in rules:
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
    assert rule["annotations"]["runbook_url"] == "docs/alerts.md#" + rule["alert"].lower(), rule["alert"]
PY

stage "monitoring: a broker, two cardhooks, Prometheus, Alertmanager"
start_kafka
public=$(free_port) admin=$(free_port) lost_public=$(free_port) lost_admin=$(free_port)
configure "$work/shop" "$public" "$admin" "[\"$broker\"]"
# The second one's topic is missing: it shows how Kafka's refusals look.
configure "$work/lost" "$lost_public" "$lost_admin" "[\"$broker\"]"
sed -i '/^\[kafka\]/a topic = "no.such.topic"' "$work/lost/cardhook.toml"
"$binary" topics create --config "$work/shop/cardhook.toml" --partitions 3 --replication 1 >/dev/null
start shop "$binary" serve --config "$work/shop/cardhook.toml"
start lost "$binary" serve --config "$work/lost/cardhook.toml"
eventually 30 "cardhook is ready" curl -sf "http://127.0.0.1:$admin/readyz"

prometheus=$(free_port) alertmanager=$(free_port) receiver=$(free_port)
# The shipped rules; only how long they wait is shorter.
sed -E 's/for: [0-9]+m/for: 4s/' "$project/deploy/prometheus/rules.yaml" >"$work/rules.yaml"
cat >"$work/prometheus.yaml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$work/rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:$alertmanager"]}]}]}
scrape_configs:
  - job_name: cardhook
    static_configs: [{targets: ["127.0.0.1:$admin", "127.0.0.1:$lost_admin"]}]
YAML
cat >"$work/alertmanager.yaml" <<YAML
route: {receiver: test, group_wait: 1s, group_interval: 1s, repeat_interval: 1h, group_by: [alertname, instance]}
receivers: [{name: test, webhook_configs: [{url: "http://127.0.0.1:$receiver/", send_resolved: true}]}]
YAML
promtool check config "$work/prometheus.yaml" >/dev/null
cat >"$work/receiver.py" <<'PY'
import http.server, json, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            print(alert["status"], alert["labels"]["alertname"], alert["labels"].get("instance", "-"), flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
PY
start receiver python3 "$work/receiver.py" "$receiver"
start alertmanager prometheus-alertmanager --config.file="$work/alertmanager.yaml" --storage.path="$work/alertmanager" \
  --web.listen-address="127.0.0.1:$alertmanager" --cluster.listen-address=
start prometheus prometheus --config.file="$work/prometheus.yaml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$prometheus"
eventually 30 "Prometheus is ready" curl -sf "http://127.0.0.1:$prometheus/-/ready"
send() { "$binary" send "$@" --app-id wx0123456789abcdef --token-file "$work/shop/shop.token" --aes-key-file "$work/shop/shop.aes_key"; }
start traffic send card.received card.consumed --count 4000 --rate 40 --url "http://127.0.0.1:$public/wechat/shop"
start lost-traffic send card.received --count 2000 --rate 20 --url "http://127.0.0.1:$lost_public/wechat/shop"
told() { grep -q "^$1\$" "$work/receiver.log"; }
eventually 60 "CardhookKafkaRefuses arrives for the missing topic" told "firing CardhookKafkaRefuses 127.0.0.1:$lost_admin"
! told "firing CardhookKafkaAway 127.0.0.1:$admin" || fail "an alert fires although all is well"

stage "monitoring: every expression of the dashboard returns data"
"$tools/venv/bin/python" "$project/tests/deploy/expressions.py" "$project/deploy/grafana/cardhook.json" \
  "$project/deploy/prometheus/rules.yaml" "http://127.0.0.1:$prometheus"

stage "monitoring: the broker is stopped and comes back"
kill -STOP "$kafka_id"
eventually 60 "CardhookKafkaAway fires and arrives" told "firing CardhookKafkaAway 127.0.0.1:$admin"
kill -CONT "$kafka_id"
eventually 60 "CardhookKafkaAway resolves" told "resolved CardhookKafkaAway 127.0.0.1:$admin"
sort "$work/receiver.log" | uniq -c
note "ok"
