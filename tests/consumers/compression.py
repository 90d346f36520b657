"""CPU seconds that PostgreSQL's sink, `cardhook tail` (for DuckDB) and Flink take for 50,000 records in each compression.

Not part of a stage: `tests/consumers.sh duck` fetches what it needs, then
`target/consumers/venv/bin/python tests/consumers/compression.py target/debug/cardhook target/consumers`.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from confluent_kafka import Producer

import engines

ROUNDS = 5  # of 10,000 records
CODECS = ["none", "gzip", "lz4", "zstd"]


def cpu():
    """Of the processes that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fill(brokers, codec, records):
    topic = f"compressed.{codec}"
    engines.create(brokers, topic)
    producer = Producer({"bootstrap.servers": brokers, "compression.type": codec, "partitioner": "murmur2_random"})
    for record in records * ROUNDS:
        producer.produce(topic, record.value(), record.key(), headers=record.headers(), timestamp=record.timestamp()[1])
        producer.poll(0)
    assert producer.flush(engines.PATIENCE) == 0
    return topic


def sink(world, topic, database):
    command = [sys.executable, engines.SAMPLES / "postgresql/sink.py", world.brokers, f"of-{topic}", topic, database]
    with engines.running(command, stdout=subprocess.PIPE, text=True) as process:
        assert any(int(line) >= ROUNDS * engines.RECORDS for line in process.stdout)
        process.kill()


def tail(world, topic):
    where = ["--brokers", world.brokers, "--topic", topic, "--from-beginning", "--until-end", "--json"]
    subprocess.run([world.cardhook, "tail", *where], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def flink(world, topic):
    sql = (engines.SAMPLES / "flink/funnel.sql").read_text().replace("127.0.0.1:9092", world.brokers)
    sql = sql.replace(f"'{engines.TOPIC}'", f"'{topic}'")
    start = "'scan.startup.mode' = 'earliest-offset'"
    placed = world.folder / f"{topic}.sql"
    placed.write_text(sql.replace(start, f"{start}, 'scan.bounded.mode' = 'latest-offset'"))
    command = ["java", "-Xmx1g", "-cp", f"{world.tools}/flink/libs/*", engines.SAMPLES / "flink/Run.java", placed]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(cardhook, tools):
    with tempfile.TemporaryDirectory(prefix="cardhook-compression") as folder:
        folder = Path(folder)
        with engines.kafka(folder) as brokers, engines.postgres(folder) as (database, _):
            engines.fill(brokers, cardhook, folder)
            engines.create(brokers, "wechat.card.funnel")
            records = engines.read(brokers, engines.TOPIC)
            world = engines.World(brokers, cardhook, None, Path(tools), folder, {})
            runs = {"sink": lambda topic: sink(world, topic, database), "tail": lambda topic: tail(world, topic)}
            runs["flink"] = lambda topic: flink(world, topic)
            for codec in CODECS:
                topic = fill(brokers, codec, records)
                for name, run in runs.items():
                    before = cpu()
                    run(topic)
                    print(f"{codec:<5} {name:<6} {cpu() - before:6.2f}", flush=True)


main(*sys.argv[1:])
