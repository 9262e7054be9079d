"""Commits as Debezium would publish them: JSON without schema, a tombstone behind each delete, partitions by key.

    PostgreSQL  commit times in µs; the image before a change holds the key alone (REPLICA IDENTITY DEFAULT)
    MariaDB     commit times cut to whole seconds; booleans are 0 and 1, times are µs since 1970

The broker's timestamp is the commit's time and what the connector took: it only grows within a partition.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from stream_recon.demo.world import START, Commit, Order, World
from stream_recon.limits import MICROS

_COLUMNS = ("id", "customer", "status", "amount", "paid", "placed_at")
COLUMNS = frozenset(_COLUMNS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic; ``timestamp`` is the broker's, in ms."""

    side: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Connector:
    """One side: its topic, and how its rows and its place in the database's log are written."""

    side: str
    topic: str
    partitions: int
    row: Callable[[Order], dict[str, Any]]
    before: Callable[[Commit], dict[str, Any] | None]
    time: Callable[[int], int]
    place: Callable[[int], dict[str, Any]]


def messages(world: World) -> tuple[Message, ...]:
    """All messages of both sides, in the order in which they come to the broker."""
    out = [*_published(POSTGRES, world.source, 1), *_published(MARIADB, world.target, 2)]
    return tuple(sorted(out, key=lambda m: (m.timestamp, m.side != POSTGRES.side, m.partition, m.offset)))


def _published(connector: Connector, commits: Sequence[Commit], seed: int) -> Iterator[Message]:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    offsets, newest = [0] * connector.partitions, [0] * connector.partitions
    reads = 0
    for number, commit in enumerate(commits):
        key = orjson.dumps({"id": commit.key})
        partition = zlib.crc32(key) % connector.partitions
        arrived = commit.time // 1_000 + chance.randrange(20, 250)
        if commit.op == "r":  # the copy takes its time: a few hundred rows a second
            arrived, reads = arrived + 8 * reads, reads + 1
        newest[partition] = max(newest[partition], arrived)
        values = [_value(connector, commit, number, arrived)]
        if commit.op == "d":
            values.append(None)
        for value in values:
            yield Message(connector.side, connector.topic, partition, offsets[partition], newest[partition], key, value)
            offsets[partition] += 1


def _value(connector: Connector, commit: Commit, number: int, processed: int) -> bytes | None:
    time = connector.time(commit.time)
    source = {
        "version": "3.5.0.Final",
        "name": connector.topic.partition(".")[0],
        "ts_ms": time // 1_000,
        "snapshot": "true" if commit.op == "r" else "false",
        "ts_us": time,
        "ts_ns": time * 1_000,
        **connector.place(number),
    }
    return orjson.dumps(
        {
            "before": connector.before(commit),
            "after": None if commit.after is None else connector.row(commit.after),
            "source": source,
            "transaction": None,
            "op": commit.op,
            "ts_ms": processed,
        }
    )


def _amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _postgres_row(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "customer": order.customer,
        "status": order.status,
        "amount": _amount(order.cents),
        "paid": order.paid,
        "placed_at": (_EPOCH + timedelta(microseconds=order.placed_at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def _postgres_before(commit: Commit) -> dict[str, Any] | None:
    return dict.fromkeys(_COLUMNS) | {"id": commit.key} if commit.op == "d" else None


def _mariadb_row(order: Order) -> dict[str, Any]:
    return _postgres_row(order) | {"paid": int(order.paid), "placed_at": order.placed_at}


def _mariadb_before(commit: Commit) -> dict[str, Any] | None:
    return None if commit.before is None else _mariadb_row(commit.before)


def _whole_second(time: int) -> int:
    return time // MICROS * MICROS


POSTGRES = Connector(
    "postgres",
    "pg.public.orders",
    3,
    _postgres_row,
    _postgres_before,
    lambda time: time,
    lambda number: (
        {"connector": "postgresql", "db": "shop", "schema": "public", "table": "orders", "txId": 700 + number}
        | {"lsn": 26_600_000 + 96 * number}
    ),
)
MARIADB = Connector(
    "mariadb",
    "maria.shop.orders",
    2,
    _mariadb_row,
    _mariadb_before,
    _whole_second,
    lambda number: (
        {"connector": "mariadb", "db": "shop", "table": "orders", "server_id": 1, "gtid": f"0-1-{number}"}
        | {"file": "binlog.000001", "pos": 400 + 310 * number}
    ),
)
CONNECTORS = (POSTGRES, MARIADB)

assert START % MICROS == 0, "the copy's times are whole seconds, so that both databases tell them alike"
