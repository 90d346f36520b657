#!/usr/bin/env bash
# Validates schemas/ with other people's tools: the AsyncAPI parser (Node 20), check-jsonschema and fastavro (Python).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=tests/consumers/venv
schema=schemas/cardhook-events.v1.schema.json
"$venv/bin/check-jsonschema" --check-metaschema "$schema"
"$venv/bin/check-jsonschema" --schemafile "$schema" schemas/examples/*.json
"$venv/bin/python" tests/schemas/avro.py

(cd tests/schemas && npm ci --ignore-scripts --no-audit --no-fund --silent)
node tests/schemas/asyncapi.mjs schemas/cardhook-events.v1.asyncapi.json "$(find schemas/examples -name '*.json' | wc -l)"
