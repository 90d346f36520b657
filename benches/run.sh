#!/usr/bin/env bash
# Measures cardhook under load on a Debian 12 machine with Rust, Java 17 and Maven: fetches what is missing, builds, runs
# benches/load. Fails when a goal is missed. Arguments go to the program (`--help`); `--save FILE` keeps the table, and
# benches/results/ is ignored by git. About four minutes after the build. Other load on the machine makes it useless.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
for package in wrk kcat libssl-dev pkg-config build-essential; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
tests/kafka/fetch.sh
mkdir -p benches/results
echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) CPUs"
cargo bench --locked --bench load -- "$@"
