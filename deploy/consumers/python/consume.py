"""Reads the topic, counts each event once, and prints the totals as JSON after every batch.

Arguments: brokers, group, topic.
"""

import json
import sys
from collections import Counter

from confluent_kafka import Consumer, KafkaException

REMEMBERED = 1_000_000  # ids; in production a table with a unique key
KNOWN = {"card.received", "card.viewed", "card.consumed", "card.deleted"}

brokers, group, topic = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe([topic])
seen, totals, received = {}, Counter(records=0, skipped=0, events=0, unknown=0), Counter()
while True:
    for record in consumer.consume(500, timeout=1.0):
        if record.error():
            raise KafkaException(record.error())
        totals["records"] += 1
        if record.value() is None:  # a tombstone
            totals["skipped"] += 1
            continue
        event = json.loads(record.value())
        if event["event_id"] in seen:
            continue
        seen[event["event_id"]] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        totals["events"] += 1
        if event["event_type"] not in KNOWN:  # never an error: new types come without notice
            totals["unknown"] += 1
        elif event["event_type"] == "card.received":
            received[event["outer_str"] or "-"] += 1
    if totals["records"]:
        consumer.commit(asynchronous=False)  # after the work: at least once
    print(json.dumps({**totals, "received": received}), flush=True)
