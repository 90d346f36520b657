#!/usr/bin/env bash
# Runs every test on a fresh Debian 12 machine with Rust, Java 17, Maven and Node 20: fetches what is missing, then `cargo test`.
# Arguments go to `cargo test`, e.g. `tests/run.sh duplicates`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stage() { printf '\n== %s\n' "$*"; }

stage "Debian packages"
packages=(kcat nginx zbar-tools libssl-dev pkg-config build-essential python3-venv)
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
for tool in cargo java mvn node npm; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust, Java 17, Maven and Node.js 20 first" >&2; exit 1; }
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

stage "Applications behind cardhook (tests/upstream)"
venv=tests/upstream/venv
if ! cmp -s tests/upstream/requirements.txt "$venv/installed"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/upstream/requirements.txt
  cp tests/upstream/requirements.txt "$venv/installed"
fi
"$venv/bin/pip" freeze --disable-pip-version-check
if ! cmp -s tests/upstream/package-lock.json tests/upstream/node_modules/installed; then
  (cd tests/upstream && npm ci --silent --ignore-scripts --no-audit --no-fund)
  cp tests/upstream/package-lock.json tests/upstream/node_modules/installed
fi

stage "Apache Kafka's jars (tests/kafka/pom.xml)"
tests/kafka/fetch.sh

stage "The library without the server"
RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --lib --no-default-features
cargo test --locked --no-default-features --doc
typed=$(for example in schemas/examples/*.json; do tr -d '\n' <"$example"; echo; done |
  cargo run --locked --quiet --no-default-features --example typed)
for line in "received pInventedCard0000000000000001 spring_poster" "redeemed pInventedCard0000000000000001 Invented store"; do
  [[ $typed == *"$line"* ]] || { echo "examples/typed.rs does not say \"$line\": $typed" >&2; exit 1; }
done

stage "Schemas, by other people's tools (tests/schemas/check.sh)"
tests/schemas/check.sh

stage "cargo test"
# A test that finds nothing of what stands above fails; in CI one that finds no right, limit or sample of the machine's too.
if [[ ${CI:-} == true ]]; then
  export TESTS_STRICT=all
else
  export TESTS_STRICT=installed
  [[ -e ../shared || -n ${CARDHOOK_SHARED:-} ]] || echo "no ../shared: the tests of the public samples say \"skipped\" and pass"
fi
cargo test --locked "$@"
