#!/usr/bin/env bash
# Licences, sources and bans of every dependency (deny.toml), dependencies that nothing uses, and the software bill of
# materials, judged by another's validator. The tools are built at the first run, in about three minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$PWD/target/supply-chain
export PATH=$tools/bin:$PATH
mkdir -p "$tools"

tool() { # NAME VERSION
  grep -qs "^\"$1 $2 " "$tools/.crates.toml" && return
  echo "building $1 $2"
  # Unoptimised: they build in half the time, and run for seconds.
  CARGO_TARGET_DIR=$tools/target cargo install --quiet --locked --debug --root "$tools" "$1" --version "$2"
}
tool cargo-deny 0.20.2
tool cargo-machete 0.9.2
tool cargo-cyclonedx 0.5.9
[ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -c 'import cyclonedx.validation.json' 2>/dev/null ||
  "$tools/venv/bin/pip" install -q --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.0.0'

echo "== licences, sources, bans"
# The advisory database is not to be had in the gate; fetch first, so that this needs no network.
cargo fetch --locked --quiet
cargo deny --offline --locked check licenses sources bans
echo "== unused dependencies"
cargo machete
echo "== bill of materials"
deploy/sbom.sh target/cardhook.cdx.json
"$tools/venv/bin/python" - target/cardhook.cdx.json Cargo.lock <<'PY'
import json, re, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, error
bom = json.loads(text)
assert bom["metadata"]["component"]["name"] == "cardhook"
listed = {(component["name"], component["version"]) for component in bom["components"]}
locked = set(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', open(sys.argv[2]).read()))
assert listed <= locked, listed - locked
for name in ("rdkafka-sys", "libsqlite3-sys", "actix-web", "openssl-sys"):
    assert any(name == found for found, _ in listed), f"{name} is not in the bill of materials"
for component in bom["components"]:
    assert component.get("licenses") and component["purl"].startswith("pkg:cargo/"), component["name"]
print(f"   {len(listed)} components, each with a licence and a package URL")
PY
echo "supply chain: passed"
