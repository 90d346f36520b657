#!/usr/bin/env bash
# Runs every test on a fresh Debian 12 machine with Rust, Java 17 and Maven: fetches what is missing, then `cargo test`.
# Arguments go to `cargo test`, e.g. `tests/run.sh duplicates`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stage() { printf '\n== %s\n' "$*"; }

stage "Debian packages"
packages=(kcat nginx libssl-dev pkg-config build-essential python3-venv)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "all there: ${packages[*]}"
fi
for tool in cargo java mvn; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust, Java 17 and Maven first" >&2; exit 1; }
done

stage "Python consumers (tests/consumers/requirements.txt)"
venv=tests/consumers/venv
if ! cmp -s tests/consumers/requirements.txt "$venv/installed"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/consumers/requirements.txt
  cp tests/consumers/requirements.txt "$venv/installed"
fi
"$venv/bin/pip" freeze --disable-pip-version-check

stage "Apache Kafka's jars (tests/kafka/pom.xml)"
tests/kafka/fetch.sh

stage "cargo test"
# A test that finds nothing of what stands above fails; in CI one that finds no right, limit or sample of the machine's too.
if [[ ${CI:-} == true ]]; then
  export TESTS_STRICT=all
else
  export TESTS_STRICT=installed
  [[ -e ../shared || -n ${CARDHOOK_SHARED:-} ]] || echo "no ../shared: the tests of the public samples say \"skipped\" and pass"
fi
cargo test --locked "$@"
