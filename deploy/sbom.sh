#!/usr/bin/env bash
# Writes the software bill of materials of the release into FILE: CycloneDX 1.5 as JSON, every crate that is linked or takes
# part in the build, with version, licence and package URL. Needs cargo-cyclonedx 0.5.9.
#
#   deploy/sbom.sh target/cardhook.cdx.json
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=$(realpath -m "${1:?name the file to write}")
# It writes beside Cargo.toml.
made=$project/cardhook-sbom-$$
trap 'rm -f "$made.json"' EXIT
cargo cyclonedx --quiet --manifest-path "$project/Cargo.toml" --format json --spec-version 1.5 --override-filename "$(basename "$made")"
mkdir -p "$(dirname "$file")"
mv "$made.json" "$file"
