"""Validates the Avro schema with fastavro: every example goes through it unchanged, the released schema's data too."""

import io
import json
from pathlib import Path

import fastavro

schemas = Path(__file__).resolve().parents[2] / "schemas"


def schema(name):
    return fastavro.parse_schema(json.loads((schemas / name).read_text(encoding="utf-8")))


today, released = schema("cardhook-events.v1.avsc"), schema("released/cardhook-events.v1.avsc")
examples = sorted((schemas / "examples").glob("*.json"))
assert examples, "no examples"
for path in examples:
    event = json.loads(path.read_text(encoding="utf-8"))
    for writer in (today, released):
        datum = io.BytesIO()
        fastavro.schemaless_writer(datum, writer, event, strict_allow_default=True)
        datum.seek(0)
        read = fastavro.schemaless_reader(datum, writer, today)
        # What the type does not have is null.
        assert {field: value for field, value in read.items() if field in event} == event, path.name
        assert all(value is None for field, value in read.items() if field not in event), path.name
print(f"{len(examples)} examples in Avro")
