#!/usr/bin/env bash
# Runs every consumer of deploy/consumers/ against a real broker: fetches what they need, then tests/consumers/engines.py.
# Wants Rust, Java 17, Maven, Go and Node; arguments name the consumers to run (`tests/consumers.sh go postgresql`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stage() { printf '\n== %s\n' "$*"; }

stage "Debian's PostgreSQL"
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends postgresql >/dev/null
fi
for tool in cargo java mvn go node npm; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust, Java 17, Maven, Go and Node first" >&2; exit 1; }
done
tests/kafka/fetch.sh

stage "what the consumers need"
tools=$PWD/target/consumers
venv=$tools/venv
mkdir -p "$tools"
if ! cmp -s tests/consumers/requirements-engines.txt "$venv/installed"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/consumers/requirements-engines.txt
  cp tests/consumers/requirements-engines.txt "$venv/installed"
fi
for pom in deploy/consumers/{java,flink}/pom.xml tests/consumers/cloudevents/java/pom.xml; do
  name=$(basename "$(dirname "$pom")")
  [[ $pom != tests/* ]] || name=cloudevents-$name
  if ! cmp -s "$pom" "$tools/$name/installed"; then
    rm -rf "${tools:?}/$name"
    mvn -B -q -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime "-DoutputDirectory=$tools/$name/libs"
    cp "$pom" "$tools/$name/installed"
  fi
done
for node in deploy/consumers/node tests/consumers/cloudevents/node; do
  name=node
  [[ $node != tests/* ]] || name=cloudevents-node
  mkdir -p "$tools/$name"
  cp "$node"/package.json "$node"/package-lock.json "$node"/*.mjs "$tools/$name"
  if ! cmp -s "$node/package-lock.json" "$tools/$name/installed"; then
    npm ci --prefix "$tools/$name" --silent --no-audit --no-fund
    cp "$node/package-lock.json" "$tools/$name/installed"
  fi
done
mkdir -p "$tools/go" "$tools/cloudevents-go"
(cd deploy/consumers/go && go build -o "$tools/go/consumer" .)
(cd tests/consumers/cloudevents/go && go build -o "$tools/cloudevents-go/read" .)
cargo build --locked --bin cardhook --example consumer

stage "consumers"
"$venv/bin/python" tests/consumers/engines.py target/debug/cardhook target/debug/examples/consumer "$tools" "$@"

# A schema registry, and a consumer of Avro: with all the others only.
(($#)) || tests/registry.sh
