#!/usr/bin/env bash
# Runs what is in deploy/ for real: chart, container, compose file, package, proxies, alerts, traces. As root on Debian 12; needs no container
# engine's daemon and no systemd of its own. Arguments name the parts to run: kubernetes strimzi container compose proxies monitoring telemetry package bare.
# The binary is target/debug/cardhook, or CARDHOOK_BIN.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parts=("$@")
((${#parts[@]})) || parts=(kubernetes strimzi container compose proxies monitoring telemetry package bare)
[ -n "${CARDHOOK_BIN:-}" ] || cargo build --locked
for part in "${parts[@]}"; do
  begin=$SECONDS
  "tests/deploy/$part.sh"
  echo "   $part: $((SECONDS - begin)) s"
done
echo "${#parts[@]} passed, 0 failed"
