"""Reads a topic with confluent-kafka's AvroDeserializer, which asks the schema registry for the schema of each record's id.

Arguments: bootstrap, topic, registry, count. Fails unless there are so many events, each with its id as its ce_id.
"""

import sys

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main(bootstrap, topic, registry, count):
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    types = {}
    for _ in range(int(count)):
        record = consumer.poll(60)
        assert record is not None, f"after a minute only {sum(types.values())} of {count} events"
        assert record.error() is None, record.error()
        event = deserialize(record.value(), SerializationContext(topic, MessageField.VALUE))
        headers = dict(record.headers())
        assert headers["ce_id"].decode() == event["event_id"], headers
        assert record.key().decode() == event["openid"], event["event_type"]
        types[event["event_type"]] = types.get(event["event_type"], 0) + 1
    assert consumer.poll(2) is None, "more events than were sent"
    consumer.close()
    print(f"{count} events: {types}")


main(*sys.argv[1:])
