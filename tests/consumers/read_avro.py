"""Reads a whole topic of registry-framed Avro with fastavro and a Kafka client that is not librdkafka.

Arguments: bootstrap, topic, schema file. Prints a JSON line for each record.
"""

import io
import json
import sys

import fastavro
from kafka import KafkaConsumer, TopicPartition


def main(bootstrap, topic, schema_file):
    with open(schema_file, encoding="utf-8") as file:
        schema = fastavro.parse_schema(json.load(file))
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                datum = io.BytesIO(record.value[5:])
                value = fastavro.schemaless_reader(datum, schema)
                assert datum.read() == b"", "bytes behind the datum"
                headers = {name: content.decode() for name, content in record.headers}
                framing = list(record.value[:5])
                print(json.dumps({"framing": framing, "value": value, "headers": headers}))


main(*sys.argv[1:])
