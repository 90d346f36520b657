#!/usr/bin/env bash
# The soak: run.sh [--seconds N] [--seed S]. CARDHOOK_BIN names another binary than the debug one, e.g. a release build.
# Needs what tests/run.sh fetches. As root the spool gets a small file system of its own, which the plan fills.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=180 seed=$RANDOM
while (($#)); do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) echo "usage: tests/soak/run.sh [--seconds N] [--seed S]" >&2; exit 2 ;;
  esac
done
[[ -e tests/kafka/libs ]] || tests/run.sh --no-run

# In namespaces of its own no broker and no mount outlives the run, however it ends.
apart=()
((EUID == 0)) && apart=(unshare --mount --pid --fork --kill-child --mount-proc)
CARDHOOK_SOAK_SECONDS=$seconds CARDHOOK_SOAK_SEED=$seed exec "${apart[@]}" \
  cargo test --locked --test soak -- --nocapture --test-threads=1
