"""A fresh capture: two real databases, through real Debezium, into recordings.

    PostgreSQL --> pg_json, pg_avro        MariaDB --> maria_json, maria_avro        the topics' prefixes, one connector each
                   and those of ``modes``: pg_modes, pg_structured, maria_modes

Every table has a topic of one partition, and its last row, written last, has the id ``MARKER``: who has read that has read all.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stream_recon.model.messages import Messages, Upstream
from tests.capture import modes
from tests.capture.events import BEFORE, DURING
from tests.capture.tables import MARKER, SNAPSHOT_FROM, STREAM_FROM, Table
from tests.capture.tables_mariadb import MARIADB as MARIADB_TABLES
from tests.capture.tables_postgres import POSTGRES as POSTGRES_TABLES
from tools.connect.apicurio import Apicurio
from tools.connect.connect import JSON, MARIADB, POSTGRES, Connect
from tools.connect.fetch import everything
from tools.databases import MariaDb, Postgres, Server
from tools.databases.fetch import mariadb_programs, postgres_programs
from tools.kafka.broker import Broker

TABLES: Mapping[str, tuple[Table, ...]] = {"pg": POSTGRES_TABLES, "maria": MARIADB_TABLES}
SIDES = tuple(TABLES)
FORMATS = ("json", "avro", "modes", "structured")
CAPTURED = tuple(
    (side, format_) for side in SIDES for format_ in FORMATS if format_ in {"json", "avro"} or (side, format_) in modes.READ
)
"""Each has a connector of its own."""
PREFIXES = tuple(f"{side}_{format_}" for side, format_ in CAPTURED)
WAIT_S = 90.0
SCHEMAS = "schemas-by-id.json"

Line = dict[str, Any]

_COMMON: Mapping[str, str] = {
    "tasks.max": "1",
    "poll.interval.ms": "20",
    "heartbeat.interval.ms": "500",
    "provide.transaction.metadata": "true",
    "skipped.operations": "none",  # a truncate is an event
}


def names(side: str, format_: str = "json") -> tuple[str, ...]:
    """The tables of a side that are captured in a format: maybe none."""
    if format_ in {"json", "avro"}:
        return (*(table.name for table in TABLES[side]), "life", "wiped")
    return modes.READ.get((side, format_), ())


def schema(side: str) -> str:
    """What stands between prefix and table in a topic's name."""
    return {"pg": "public", "maria": "recon"}[side]


def data_topics() -> dict[str, str]:
    """The topics of tables, each with its side."""
    places = [(side, format_, table) for side, format_ in CAPTURED for table in names(side, format_)]
    return {f"{side}_{format_}.{schema(side)}.{table}": side for side, format_, table in places}


def control_topics(format_: str) -> list[str]:
    """Heartbeats, transactions, and MariaDB's schema changes: no rows in them."""
    prefixes = [f"{side}_{format_}" for side in SIDES if (side, format_) in CAPTURED]
    changes = [prefix for prefix in prefixes if prefix.startswith("maria")]
    return [*(f"__debezium-heartbeat.{p}" for p in prefixes), *(f"{p}.transaction" for p in prefixes), *changes]


@dataclass(frozen=True)
class Capture:
    """What was captured: a directory with ``<topic>.jsonl`` for each topic, in the shape of ``kcat -J`` that ``replay`` takes,
    and the registry's schemas by id, ``{"<id>": {"schema": "..."}}``.
    """

    home: Path

    def recording(self, topic: str) -> Path:
        return self.home / f"{topic}.jsonl"

    @property
    def schemas(self) -> Path:
        return self.home / SCHEMAS

    def topic(self, side: str, format_: str, table: str) -> str:
        return f"{side}_{format_}.{schema(side)}.{table}"

    def lines(self, topic: str) -> list[Line]:
        with self.recording(topic).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def messages(self, topic: str) -> Messages:
        """All of a topic, which has one partition, as normalise takes it."""
        lines = self.lines(topic)

        def octets(field: str) -> pa.Array:
            return pa.array([None if line[field] is None else base64.b64decode(line[field]) for line in lines], pa.binary())

        offset, timestamp = (np.array([line[field] for line in lines], np.int64) for field in ("offset", "ts"))
        return Messages(Upstream(topic, topic, 0), offset, timestamp, octets("key_b64"), octets("payload_b64"))


def capture(home: Path) -> Capture:
    """Brings everything up, writes, reads all topics into ``home``, and ends everything."""
    everything()
    mariadb_programs()
    postgres_programs()
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:  # side by side: each waits for a process of its own
            postgres, maria = pool.submit(_database, stack, Postgres, "pg"), pool.submit(_database, stack, MariaDb, "maria")
            registry, worker = pool.submit(lambda: stack.enter_context(Apicurio())), pool.submit(_worker, stack)
        connect, topics = worker.result()
        databases = {"pg": postgres.result(), "maria": maria.result()}
        with ThreadPoolExecutor() as pool:
            all(pool.map(lambda each: connect.create(*each), _connectors(databases, registry.result()).items()))
        topics.read(_snapshots_are_read, connect)
        with ThreadPoolExecutor() as pool:
            all(pool.map(lambda side: databases[side].run(_changes(side)), SIDES))
        topics.read(_markers_are_read, connect)
        topics.write(home)
        _write_schemas(home, topics, registry.result())
    return Capture(home)


def _database(stack: ExitStack, make: Callable[[], Server], side: str) -> Server:
    database = stack.enter_context(make())
    tables = "".join(table.create() + table.insert(SNAPSHOT_FROM) for table in TABLES[side])
    database.run(BEFORE[side] + tables)
    return database


def _changes(side: str) -> str:
    rows = "".join(table.insert(STREAM_FROM) for table in TABLES[side])
    return DURING[side] + rows + "".join(f"INSERT INTO {name} (id) VALUES ({MARKER});\n" for name in names(side))


def _worker(stack: ExitStack) -> tuple[Connect, Topics]:
    broker = stack.enter_context(Broker())
    topics = stack.enter_context(Topics(broker.bootstrap))
    return stack.enter_context(Connect(broker.bootstrap)), topics


def _connectors(databases: Mapping[str, Server], registry: Apicurio) -> dict[str, dict[str, str]]:
    converters = {"json": JSON, "avro": registry.converter(), "modes": JSON, "structured": JSON}
    kinds = {"pg": _postgres_connector, "maria": _maria_connector}
    found = {}
    for number, (side, format_) in enumerate(CAPTURED):
        database, name = databases[side], f"{side}_{format_}"
        login = {
            "database.hostname": database.host,
            "database.port": str(database.port),
            "database.user": database.user,
            "database.password": database.password,
            "topic.prefix": name,
        }
        found[name] = {**_COMMON, **login, **converters[format_], **kinds[side](database.database, name, number)}
        if (side, format_) in modes.READ:
            tables = ",".join(f"{schema(side)}.{table}" for table in names(side, format_))
            found[name] |= {**modes.SETTINGS[side, format_], "table.include.list": tables}
    return found


def _postgres_connector(database: str, name: str, _: int) -> dict[str, str]:
    return {
        "connector.class": POSTGRES,
        "database.dbname": database,
        "plugin.name": "pgoutput",
        "slot.name": name,
        "publication.name": name,
        "interval.handling.mode": "string",  # the other way averages months
    }


def _maria_connector(database: str, _: str, number: int) -> dict[str, str]:
    return {
        "connector.class": MARIADB,
        "database.include.list": database,
        "database.server.id": str(1000 + number),
        "database.ssl.mode": "disable",
        "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
        "include.schema.changes": "true",
    }


class Topics:
    """All topics of the capture: made at the start, read side by side with what fills them."""

    def __init__(self, bootstrap: str) -> None:
        self._names = [*data_topics(), *(topic for format_ in FORMATS for topic in control_topics(format_))]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        for made in admin.create_topics([NewTopic(name, 1, 1) for name in self._names]).values():
            made.result()
        settings = {"group.id": "capture", "enable.auto.commit": False, "fetch.wait.max.ms": 50, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
        self._consumer.assign([TopicPartition(name, 0, 0) for name in self._names])
        self.lines: dict[str, list[Line]] = {name: [] for name in self._names}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, is_enough: Callable[[Topics], Sequence[str]], connect: Connect) -> None:
        """Reads on until ``is_enough`` names no topic that is still waited for."""
        deadline = time.monotonic() + WAIT_S
        while missing := is_enough(self):
            for prefix in PREFIXES:
                connect.check(prefix)
            assert time.monotonic() < deadline, f"not complete after {WAIT_S:.0f} s: {', '.join(missing)}"
            for message in self._consumer.consume(1000, timeout=0.3):
                self._keep(message)

    def _keep(self, message: Message) -> None:
        if message.error() is not None:
            raise KafkaException(message.error())
        topic = message.topic()
        assert topic is not None
        headers: Iterable[tuple[str, bytes | None]] = message.headers() or ()  # type: ignore[assignment]  # stubs: any mapping too
        self.lines[topic].append(
            {
                "topic": topic,
                "partition": message.partition(),
                "offset": message.offset(),
                "ts": message.timestamp()[1],
                "headers": [{"key": name, "value_b64": _text(value)} for name, value in headers],
                "key_b64": _text(message.key()),
                "payload_b64": _text(message.value()),
            }
        )

    def write(self, home: Path) -> None:
        for name, lines in self.lines.items():
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (home / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _text(octets: object) -> str | None:
    assert octets is None or isinstance(octets, bytes)
    return None if octets is None else base64.b64encode(octets).decode("ascii")


def _snapshots_are_read(topics: Topics) -> list[str]:
    heights = {(side, table.name): table.height for side in SIDES for table in TABLES[side]}
    heights.update(((side, name), height) for side in SIDES for name, height in (("life", 4), ("wiped", 1)))
    return [topic for topic, side in data_topics().items() if len(topics.lines[topic]) < heights[side, topic.rpartition(".")[2]]]


def _markers_are_read(topics: Topics) -> list[str]:
    return [topic for topic in data_topics() if not _is_marker(topics.lines[topic][-1]["key_b64"])]


def _is_marker(key: str | None) -> bool:
    octets = b"" if key is None else base64.b64decode(key)
    if octets[:1] == b"\0":  # Avro: magic, 4 bytes of id, the long as zigzag varint
        return octets[5:] == bytes([(2 * MARKER & 0x7F) | 0x80, 2 * MARKER >> 7])
    return octets != b"" and bool(json.loads(octets)["payload"]["id"] == MARKER)


def _write_schemas(home: Path, topics: Topics, registry: Apicurio) -> None:
    found: set[int] = set()
    for topic, lines in topics.lines.items():
        if "_avro" in topic:
            octets = (base64.b64decode(line[field]) for line in lines for field in ("key_b64", "payload_b64") if line[field])
            found |= {int.from_bytes(each[1:5], "big") for each in octets}
    schemas = {str(number): registry.schema(number) for number in sorted(found)}
    (home / SCHEMAS).write_text(json.dumps(schemas, indent=1), encoding="utf-8")
