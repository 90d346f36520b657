"""Writes each event of the topic once into PostgreSQL. Killed at any moment and started again, or reading everything again, it
changes nothing that is there.

Arguments: brokers, group, topic, and the database as libpq writes it (host=… dbname=…).
"""

import json
import sys
from pathlib import Path

import psycopg
from confluent_kafka import Consumer, KafkaException

COLUMNS = ["event_id", "event_type", "event_time", "received_at", "account", "openid", "card_id", "code", "outer_str"]
INSERT = (
    f"INSERT INTO card_events ({', '.join(COLUMNS)}, value) VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))})"
    " ON CONFLICT (event_id) DO NOTHING"
)


def row(value):
    event = json.loads(value)
    return [event.get(column) for column in COLUMNS] + [value.decode()]


def main(brokers, group, topic, database):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,  # how long the partitions of a sink that was killed wait for the next one
        }
    )
    consumer.subscribe([topic])
    with psycopg.connect(database) as connection:
        connection.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
        connection.commit()
        records = 0
        while True:
            batch = consumer.consume(500, timeout=1.0)
            for record in batch:
                if record.error():
                    raise KafkaException(record.error())
            rows = [row(record.value()) for record in batch if record.value() is not None]
            with connection.cursor() as cursor:
                cursor.executemany(INSERT, rows)
            connection.commit()
            if batch:
                # After the rows: killed in between, the batch comes again and its ids are there already.
                consumer.commit(asynchronous=False)
            records += len(batch)
            print(records, flush=True)


main(*sys.argv[1:])
