#!/usr/bin/env bash
# The soak: run.sh [--seconds N] [--seed S]. It drives the release binary; CARDHOOK_BIN names another one.
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
if [[ -z ${CARDHOOK_BIN:-} ]]; then
  cargo build --locked --release --bin cardhook
  CARDHOOK_BIN=$PWD/target/release/cardhook
fi
export CARDHOOK_BIN

# In namespaces of its own no broker and no mount outlives the run, however it ends. Containers often forbid them.
apart=(unshare --mount --pid --fork --kill-child --mount-proc)
"${apart[@]}" true 2>/dev/null || apart=()
CARDHOOK_SOAK_SECONDS=$seconds CARDHOOK_SOAK_SEED=$seed exec "${apart[@]}" \
  cargo test --locked --test soak -- --nocapture --test-threads=1
