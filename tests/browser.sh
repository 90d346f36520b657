#!/usr/bin/env bash
# The console in Debian's Chromium, against a real cardhook and a real broker of Apache Kafka. On Debian 12, as root on a cold
# machine; Java 17, Maven and Node.js 20 as for tests/run.sh. Arguments go to node's test runner, e.g. --test-name-pattern=pause.
# The binary is CARDHOOK_BIN, a release build where one is there and current (the gate's soak leaves one), or target/debug/cardhook. Pictures of every tab go to target/browser/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
release=$PWD/target/release/cardhook
if [ -z "${CARDHOOK_BIN:-}" ]; then
  if [ -x "$release" ] && [ -z "$(find src Cargo.toml Cargo.lock -newer "$release" -print -quit)" ]; then
    export CARDHOOK_BIN=$release
  else
    cargo build --locked
  fi
fi
source tests/deploy/lib.sh

stage "Browser: what it needs"
packages chromium fonts-noto-cjk fonts-noto-color-emoji kcat curl python3
if ! cmp -s tests/browser/package-lock.json tests/browser/node_modules/installed; then
  (cd tests/browser && npm ci --silent --ignore-scripts --no-audit --no-fund)
  cp tests/browser/package-lock.json tests/browser/node_modules/installed
fi

stage "Browser: the page is valid HTML and CSS (vnu)"
java -jar tests/browser/node_modules/vnu-jar/build/dist/vnu.jar --Werror src/console/page/index.html
java -jar tests/browser/node_modules/vnu-jar/build/dist/vnu.jar --Werror --css src/console/page/style.css

stage "Browser: Kafka and two cardhooks"
start_kafka
ports=()
for name in open guarded; do
  public=$(free_port) admin=$(free_port)
  configure "$work/$name" "$public" "$admin" "[\"$broker\"]"
  ports+=("$public" "$admin")
done
sed -i '/^\[admin\]/a token = "browserTestToken01"' "$work/guarded/cardhook.toml"
"$binary" topics create --config "$work/open/cardhook.toml" --replication 1 --partitions 1 >/dev/null 2>&1
for name in open guarded; do start "$name" "$binary" serve --config "$work/$name/cardhook.toml"; done
for admin in "${ports[1]}" "${ports[3]}"; do eventually 30 "readiness" curl -sf "http://127.0.0.1:$admin/readyz"; done

stage "Browser: tests"
mkdir -p target/browser
CARDHOOK=$binary CONFIG=$work/open/cardhook.toml PUBLIC=http://127.0.0.1:${ports[0]}/wechat/shop \
  ADMIN=http://127.0.0.1:${ports[1]} GUARDED=http://127.0.0.1:${ports[3]} TOKEN=browserTestToken01 KAFKA_ID=$kafka_id \
  PICTURES=$PWD/target/browser node --test --test-reporter=spec "$@" tests/browser/*.test.mjs
