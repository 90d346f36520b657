"""Runs every consumer of deploy/consumers/ against a real broker, and compares what each has at the end with the topic.

10,000 records: events that the real cardhook published, records that came twice, a type and fields of a later release, events
without an outer_str, and tombstones. Beside them the CloudEvents SDKs read what cardhook writes, in both modes.
Arguments: the cardhook binary, the Rust consumer's, a folder for what is installed, and the names of the consumers to run (all
when there are none).
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import Counter
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "deploy/consumers"
TOPIC = "wechat.card.events"
RECORDS = 10_000
PATIENCE = 120  # seconds: how long a consumer may need
JOURNEY = ["card.received", "card.viewed", "card.consumed", "card.deleted"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, check):
    """What `check` returns as soon as it is something. It asks ten times a second."""
    deadline = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def kafka(folder):
    ports = free_port(), free_port()
    listeners = f"PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}"
    settings = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports[1]}",
        "log.dirs": folder / "data",
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.listener.names": "CONTROLLER",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
    }
    properties = folder / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{ROOT}/tests/kafka/libs/*"]
    java.insert(1, f"-Dlog4j2.configurationFile={ROOT}/tests/kafka/log4j2.properties")
    tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", properties]
    subprocess.run([*java, *map(str, tool)], check=True, stdout=subprocess.DEVNULL)
    with running([*java, "kafka.Kafka", properties], stdout=subprocess.DEVNULL):
        brokers = f"127.0.0.1:{ports[0]}"
        admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
        until("the broker answers", lambda: brokers_of(admin))
        yield brokers


def brokers_of(admin):
    with contextlib.suppress(Exception):
        return admin.list_topics(timeout=2).brokers


def create(brokers, *topics):
    admin = AdminClient({"bootstrap.servers": brokers})
    settings = {"retention.ms": "-1"}
    for created in admin.create_topics([NewTopic(name, 12, 1, config=settings) for name in topics]).values():
        created.result()


def ends(admin, topic, isolation):
    """The end of each of a topic's partitions; with READ_COMMITTED, that of what is committed."""
    places = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(12)}
    found = admin.list_offsets(places, isolation_level=isolation)
    return {place.partition: end.result().offset for place, end in found.items()}


def has_open_transaction(admin, topic):
    """Asked in milliseconds: reading the topic takes longer than a transaction lasts."""
    written = ends(admin, topic, IsolationLevel.READ_UNCOMMITTED)
    committed = ends(admin, topic, IsolationLevel.READ_COMMITTED)
    return any(written[partition] > committed[partition] for partition in written)


def read(brokers, topic, isolation="read_committed"):
    """Every record of a topic, the committed ones as a rule."""
    settings = {"bootstrap.servers": brokers, "group.id": str(uuid.uuid4()), "enable.partition.eof": True}
    settings |= {"isolation.level": isolation, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    records, ended = [], 0
    while ended < len(partitions):
        for record in consumer.consume(1000, timeout=0.2):
            if record.error():
                ended += 1
            else:
                records.append(record)
    consumer.close()
    return records


@contextlib.contextmanager
def serving(brokers, cardhook, folder, kafka=""):
    """A cardhook that publishes to the broker, with further lines of its section [kafka]; gives the command that sends to it."""
    folder.mkdir(exist_ok=True)
    (folder / "shop.token").write_text("consumersToken01\n")
    (folder / "shop.aes_key").write_text("cardhookCARDHOOK0123456789cardhookCARDHOOKx\n")
    ports = free_port(), free_port()
    config = folder / "cardhook.toml"
    config.write_text(
        f"""
        [server]
        listen = "127.0.0.1:{ports[0]}"
        [admin]
        listen = "127.0.0.1:{ports[1]}"
        [[account]]
        name = "shop"
        app_id = "wx0123456789abcdef"
        token_file = "{folder}/shop.token"
        aes_key_file = "{folder}/shop.aes_key"
        mode = "secure"
        [kafka]
        brokers = ["{brokers}"]
        {kafka}
        [spool]
        path = "{folder}/spool"
        """
    )
    with running([cardhook, "serve", "--config", config], stderr=(folder / "serve.log").open("w")) as service:
        until("cardhook is ready", lambda: answers(ports[1]))

        def send(*events):
            command = [cardhook, "send", "--config", config, "--keep-alive", "--connections", "8", *events]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        yield send
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0


def fill(brokers, cardhook, folder):
    """Puts the 10,000 records on the topic: what cardhook publishes, and then what a topic has after some years."""
    create(brokers, TOPIC, "wechat.card.dlq")
    with serving(brokers, cardhook, folder / "cardhook") as send:
        for channel in range(5):
            send(*JOURNEY, "--count", "400", "--outer-str", f"poster-{channel}")
        send("card.received", "--count", "500", "--set", "OuterStr=")
        send("card.received", "--count", "300", "--set", "Event=user_lend_card")
    records = read(brokers, TOPIC)
    assert len(records) == 5 * 400 * 4 + 500 + 300, len(records)
    grow(brokers, records)


def answers(port):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200


def grow(brokers, records):
    chance = random.Random(17)
    producer = Producer({"bootstrap.servers": brokers, "compression.type": "lz4", "partitioner": "murmur2_random"})

    def put(record, key, value):
        producer.produce(TOPIC, value, key, headers=record.headers(), timestamp=record.timestamp()[1])
        producer.poll(0)

    for record in chance.sample(records, 100):
        event = json.loads(record.value())
        event |= {"event_id": str(uuid.uuid4()), "event_type": "card.shared", "shared_with": ["a", None], "depth": 2.5}
        put(record, record.key(), json.dumps(event).encode())
    for record in chance.sample(records, 30):
        put(record, record.key(), None)
    for record in chance.choices(records, k=RECORDS - len(records) - 130):
        put(record, record.key(), record.value())
    assert producer.flush(PATIENCE) == 0


def expected(records):
    """What a consumer must have at the end, from the topic itself."""
    events = {}
    for record in records:
        if record.value() is not None:
            event = json.loads(record.value())
            events.setdefault(event["event_id"], event)
    received = Counter(e["outer_str"] or "-" for e in events.values() if e["event_type"] == "card.received")
    totals = {
        "records": len(records),
        "skipped": sum(record.value() is None for record in records),
        "events": len(events),
        "unknown": sum(event["event_type"] not in JOURNEY for event in events.values()),
        "received": dict(received),
    }
    assert (totals["records"], totals["skipped"], totals["events"], totals["unknown"]) == (RECORDS, 30, 8900, 400), totals
    assert received == {**{f"poster-{n}": 400 for n in range(5)}, "-": 500}, received
    return totals


class World:
    """What the consumers are run with."""

    def __init__(self, brokers, cardhook, rust, tools, folder, totals):
        self.brokers, self.cardhook, self.rust = brokers, cardhook, rust
        self.tools, self.folder, self.totals = tools, folder, totals

    def counts(self, *command, **options):
        """A program that prints its totals after each batch."""
        command = [*command, self.brokers, f"group-{uuid.uuid4()}", TOPIC]
        with running(command, stdout=subprocess.PIPE, text=True, **options) as process:
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            last = None
            for line in process.stdout:
                last = json.loads(line)
                if last["records"] >= self.totals["records"]:
                    break
            watchdog.cancel()
        assert last == self.totals, (last, self.totals)

    def funnel(self, rows):
        """Rows of outer_str, received, viewed, consumed, deleted."""
        wanted = {("poster-%d" % n, 400, 400, 400, 400) for n in range(5)} | {("-", 500, 0, 0, 0)}
        found = {(row[0] or "-", *row[1:5]) for row in rows}
        assert found == wanted, found

    def tail(self, *flags):
        where = ["--brokers", self.brokers, "--topic", TOPIC, "--from-beginning", "--until-end"]
        return subprocess.run([self.cardhook, "tail", *where, *flags], check=True, text=True, capture_output=True)


def python(world):
    world.counts(sys.executable, SAMPLES / "python/consume.py")


def java(world):
    world.counts("java", "-cp", f"{world.tools}/java/libs/*", SAMPLES / "java/Consume.java")


def go(world):
    world.counts(world.tools / "go/consumer")


def node(world):
    world.counts("node", world.tools / "node/consume.mjs", env={**os.environ, "KAFKAJS_NO_PARTITIONER_WARNING": "1"})


def rust(world):
    world.counts(world.rust)


def tail(world):
    rows = [json.loads(line) for line in world.tail("--funnel", "--format", "json").stdout.splitlines()]
    world.funnel([row[name] for name in ("outer_str", "received", "viewed", "consumed", "deleted")] for row in rows)
    for channel in [row for row in rows if row["outer_str"]]:
        assert channel["consumed_rate"] == 1.0 and channel["median_seconds_to_consumed"] is not None, channel
    table = world.tail("--funnel").stdout
    assert table.splitlines()[1].split()[0] == "500" and "poster-4" in table, table
    values = [json.loads(line) for line in world.tail("--json").stdout.splitlines()]
    assert len({value["event_id"] for value in values}) == world.totals["events"]
    one = world.tail("--format", "csv", "--type", "card.rec*", "--outer-str", "poster-3", "--account", "shop").stdout
    received = [line.split(",") for line in one.splitlines()[1:]]
    assert len({row[0] for row in received}) == 400 and {row[8] for row in received} == {"poster-3"}
    assert all("***" in row[5] and "***" in row[7] for row in received)
    openid = next(value["openid"] for value in values if value["event_type"] == "card.viewed")
    his = world.tail("--openid", openid, "--json").stdout.splitlines()
    ids = {value["event_id"] for value in values if value["openid"] == openid}
    assert {json.loads(line)["event_id"] for line in his} == ids
    late = world.tail_from("--since", "2100-01-01T00:00:00Z")
    assert late == "", late
    assert len(world.tail_from("--since", "24h", "--json").splitlines()) == RECORDS - world.totals["skipped"]
    some = [json.loads(line) for line in world.tail_from("--offset", "3:100", "--json").splitlines()]
    in_three = [record for record in read(world.brokers, TOPIC) if record.partition() == 3 and record.offset() >= 100]
    assert [value["event_id"] for value in some] == [
        json.loads(record.value())["event_id"] for record in in_three if record.value() is not None
    ]


def tail_from(world, *flags):
    where = ["--brokers", world.brokers, "--topic", TOPIC, "--until-end"]
    return subprocess.run([world.cardhook, "tail", *where, *flags], check=True, text=True, capture_output=True).stdout


World.tail_from = tail_from


def duck(world):
    lines = world.tail("--format", "json", "--unmasked").stdout
    (world.folder / "events.jsonl").write_text(lines)
    sql = (SAMPLES / "duckdb/funnel.sql").read_text().replace("events.jsonl", str(world.folder / "events.jsonl"))
    world.funnel(duckdb.connect().execute(sql).fetchall())


@contextlib.contextmanager
def postgres(folder):
    found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    assert found, "PostgreSQL is missing: Debian's package postgresql"
    programs, data, port = Path(found).resolve().parent, folder / "postgresql", free_port()
    data.mkdir()
    # PostgreSQL refuses to run as root.
    other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if other:
        shutil.chown(data, "postgres", "postgres")
        folder.chmod(0o755)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*other, programs / "initdb", "-D", data, "-A", "trust", "-U", "cardhook"], check=True, **quiet)
    command = [*other, programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", data, "-F"]
    with running(command, **quiet) as server:
        database = f"host=127.0.0.1 port={port} user=cardhook dbname=postgres"

        def connects():
            with contextlib.suppress(psycopg.OperationalError):
                return psycopg.connect(database, autocommit=True)

        with until("PostgreSQL answers", connects) as connection:
            yield database, connection
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE)


def postgresql(world):
    with postgres(world.folder) as (database, connection):

        def stored():
            with contextlib.suppress(psycopg.errors.UndefinedTable):
                return connection.execute("SELECT count(*) FROM card_events").fetchone()[0]
            return 0

        def sink(group):
            command = [sys.executable, SAMPLES / "postgresql/sink.py", world.brokers, group, TOPIC, database]
            return running(command, stdout=subprocess.PIPE, text=True)

        # kill -9, between two batches or within one; the group's coordinator notices after session.timeout.ms.
        for _ in range(2):
            before = stored()
            with sink("sink") as process:
                until("rows come", lambda: stored() > before)
                process.kill()
            assert stored() < world.totals["events"]
        with sink("sink"):
            until("every event is there", lambda: stored() >= world.totals["events"])
        # Everything again, as after a reset of the group's offsets.
        with sink("again") as process:
            assert any(int(line) >= RECORDS for line in process.stdout)
        assert stored() == world.totals["events"], stored()
        world.funnel(
            connection.execute("SELECT outer_str, received, viewed, consumed, deleted FROM card_funnel").fetchall()
        )
        newer = connection.execute("SELECT count(*) FROM card_events WHERE value->'shared_with' IS NOT NULL")
        assert newer.fetchone()[0] == 100


def flink(world, file):
    """As a user starts it, but for the broker's address, and it ends at the topic's end."""
    sql = (SAMPLES / "flink" / file).read_text().replace("127.0.0.1:9092", world.brokers)
    start = "'scan.startup.mode' = 'earliest-offset'"
    assert sql.count(start) == 1
    placed = world.folder / file
    placed.write_text(sql.replace(start, f"{start}, 'scan.bounded.mode' = 'latest-offset'"))
    log = (world.folder / f"{file}.log").open("w")
    command = ["java", "-Xmx1g", "-cp", f"{world.tools}/flink/libs/*", SAMPLES / "flink/Run.java", placed]
    ended = subprocess.run(command, stdout=log, stderr=log, timeout=2 * PATIENCE, check=False)
    assert ended.returncode == 0, Path(log.name).read_text()[-3000:]


def flink_unique(world):
    """unique.sql as a user starts it, killed in the middle of a transaction, and started again as its README says."""
    source, target = "wechat.card.killed", "wechat.card.killed.unique"
    create(world.brokers, source, target)
    records = read(world.brokers, TOPIC)
    half = len(records) // 2
    copy(world.brokers, source, records[:half])
    checkpoints = world.folder / "checkpoints"
    sql = (SAMPLES / "flink/unique.sql").read_text().replace("127.0.0.1:9092", world.brokers)
    sql = sql.replace(f"'{TOPIC}.unique'", f"'{target}'").replace(f"'{TOPIC}'", f"'{source}'").replace("'10 s'", "'2 s'")
    sql = f"SET 'execution.checkpointing.dir' = 'file://{checkpoints}';\n{sql}"

    def job(name, statements):
        (world.folder / name).write_text(statements)
        log = (world.folder / f"{name}.log").open("w")
        command = ["java", "-Xmx1g", "-cp", f"{world.tools}/flink/libs/*", SAMPLES / "flink/Run.java", world.folder / name]
        return running(command, stdout=log, stderr=log)

    def written():
        return Counter(event_id(record) for record in read(world.brokers, target))

    admin = AdminClient({"bootstrap.servers": world.brokers})

    with job("before.sql", sql) as process:
        wanted = {event_id(record) for record in records[:half]} - {None}
        until("the first half is committed", lambda: len(written()) >= len(wanted))
        copy(world.brokers, source, records[half:])
        until("records of an open transaction", lambda: has_open_transaction(admin, target))
        process.kill()
    latest = max(checkpoints.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime).parent
    with job("after.sql", f"SET 'execution.state-recovery.path' = 'file://{latest}';\n{sql}"):
        until("every event is there", lambda: len(written()) >= world.totals["events"])
        # Each checkpoint commits all that was read before it: what comes twice comes at the latest with this one.
        for partition in range(12):
            copy(world.brokers, source, records[:100], partition)
        last = json.dumps(json.loads(records[0].value() or records[1].value()) | {"event_id": str(uuid.uuid4())}).encode()
        copy(world.brokers, source, records[:1], value=last)
        until("the last event is there", lambda: json.loads(last)["event_id"] in written())
    unique = [record for record in read(world.brokers, target) if record.value() != last]
    ids = {event_id(record) for record in unique}
    assert len(unique) == len(ids) == world.totals["events"], (len(unique), len(ids))
    first = {}
    for record in read(world.brokers, source):
        first.setdefault(event_id(record), record)
    for record in unique:
        origin = first[event_id(record)]
        assert (record.key(), record.value(), record.timestamp()[1]) == (origin.key(), origin.value(), origin.timestamp()[1])
        assert sorted(record.headers() or []) == sorted(origin.headers() or [])


def event_id(record):
    """None for a tombstone."""
    return record.value() and json.loads(record.value())["event_id"]


def copy(brokers, topic, records, partition=-1, value=None):
    """As they are, or with another value."""
    producer = Producer({"bootstrap.servers": brokers, "compression.type": "lz4", "partitioner": "murmur2_random"})
    for record in records:
        headers, at = record.headers(), record.timestamp()[1]
        producer.produce(topic, value or record.value(), record.key(), partition, headers=headers, timestamp=at)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0


def flink_funnel(world):
    create(world.brokers, "wechat.card.funnel")
    flink(world, "funnel.sql")
    rows = {}
    for record in read(world.brokers, "wechat.card.funnel"):
        rows[record.key()] = record.value() and json.loads(record.value())
    sums = {}
    for row in filter(None, rows.values()):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:00", row["received_hour"]), row
        sums.setdefault(row["outer_str"], Counter()).update({k: row[k] for k in ("received", "viewed", "consumed", "deleted")})
    world.funnel([(name, s["received"], s["viewed"], s["consumed"], s["deleted"]) for name, s in sums.items()])


def cloudevents(world):
    """The CloudEvents SDKs of Java, Go and JavaScript on what cardhook writes: binary mode and structured mode."""
    readers = {
        "Java": ["java", "-cp", f"{world.tools}/cloudevents-java/libs/*", ROOT / "tests/consumers/cloudevents/java/Read.java"],
        "Go": [world.tools / "cloudevents-go/read"],
        "JavaScript": ["node", world.tools / "cloudevents-node/read.mjs"],
    }
    types = ["card.received", "card.consumed", "card.approved", "card.coin_order", "gift_card.paid", "member_card.updated"]
    for mode, written in [("binary", "json"), ("structured", "cloudevents")]:
        topic = f"wechat.card.{mode}"
        create(world.brokers, topic)
        lines = f'format = "{written}"\ntopic = "{topic}"'
        with serving(world.brokers, world.cardhook, world.folder / mode, lines) as send:
            send(*types, "--count", "20", "--set", "LocationName=上海店 & <1>")
        wanted = sorted(map(cloud_event, read(world.brokers, topic)), key=lambda event: event["id"])
        assert len(wanted) == 20 * len(types) == len({event["id"] for event in wanted}), len(wanted)
        assert all(event["id"] == event["data"]["event_id"] for event in wanted)
        for language, command in readers.items():
            where = [world.brokers, topic, len(wanted)]
            done = subprocess.run([*map(str, [*command, *where])], check=True, text=True, capture_output=True, timeout=PATIENCE)
            found = [json.loads(line) for line in done.stdout.splitlines()]
            for event in found:
                event["time"] = datetime.fromisoformat(event["time"])
            found.sort(key=lambda event: event["id"])
            assert found == wanted, (language, mode, found[:1], wanted[:1])


def cloud_event(record):
    """A record's CloudEvent, read by hand: the attributes from the headers, or all from the value."""
    headers = {name: value.decode() for name, value in record.headers()}
    value = json.loads(record.value())
    if headers["content-type"].startswith("application/cloudevents+json"):
        event = value
    else:
        event = {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")}
        event |= {"datacontenttype": headers["content-type"], "data": value}
    assert event.pop("specversion") == "1.0"
    return {"subject": None, **event, "time": datetime.fromisoformat(event["time"])}


CONSUMERS = [python, java, go, node, rust, tail, duck, postgresql, flink_unique, flink_funnel, cloudevents]


def main(cardhook, rust_consumer, tools, *names):
    unknown = set(names) - {consumer.__name__ for consumer in CONSUMERS}
    assert not unknown, f"no such consumers: {unknown}"
    with tempfile.TemporaryDirectory(prefix="cardhook-consumers") as folder:
        folder = Path(folder)
        with kafka(folder) as brokers:
            fill(brokers, cardhook, folder)
            world = World(brokers, cardhook, rust_consumer, Path(tools), folder, expected(read(brokers, TOPIC)))
            failed = []
            for consumer in CONSUMERS:
                if names and consumer.__name__ not in names:
                    continue
                started = time.monotonic()
                try:
                    consumer(world)
                    verdict = "right"
                except Exception as error:  # the others are run all the same
                    failed.append(consumer.__name__)
                    verdict = f"WRONG: {type(error).__name__} {error}"
                print(f"{consumer.__name__:<14} {time.monotonic() - started:6.1f} s  {verdict}", flush=True)
    sys.exit(f"wrong: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    # Ended from outside, it ends what it started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    main(*sys.argv[1:])
