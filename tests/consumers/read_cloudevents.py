"""Reads a whole topic as CloudEvents, with the CloudEvents SDK and a Kafka client that is not librdkafka.

Arguments: bootstrap, topic. Prints a JSON line for each record.
"""

import json
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner import murmur2


def main(bootstrap, topic):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                print(json.dumps(read(record, len(partitions))))


def read(record, partitions):
    event = from_kafka_event(KafkaMessage(dict(record.headers), record.key, record.value))
    key = record.key
    return {
        "attributes": {name: str(value) for name, value in event.get_attributes().items()},
        "time": event.get_time().isoformat(),
        "data": event.get_data(),
        "key": None if key is None else key.decode(),
        "partition": record.partition,
        "java_partition": None if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions,
    }


main(*sys.argv[1:])
