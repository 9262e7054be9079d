"""The digest log by hand: records made here or taken from a drive and changed, folded in any rhythm and through any crash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import orjson
import pyarrow as pa

from stream_recon.engine import delivery
from stream_recon.engine.delivery import deliver
from stream_recon.engine.pipeline import DIGESTS
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.terms import Event
from stream_recon.model.digest import (
    Block,
    Counts,
    Feed,
    Flag,
    Lift,
    Open,
    Pair,
    Partition,
    Range,
    Record,
    Undecodable,
    decode,
    digest_schema,
    encode,
)
from stream_recon.ports import Commit, Entry
from stream_recon.sim.disk import MemoryStore
from tests.laws.expect import framed, key_id_of
from tests.laws.following import complaints
from tests.laws.ordeal import exact, folding
from tests.laws.world import MemoryLog
from tests.oracle.generate import Draw, Rolled

S = 1_000_000
Json = dict[str, Any]
Timed = tuple[int, Record]
"""A record and its append time (ms)."""


NONE = Flag(0)


# ---- records -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One digest row; seconds. ``value`` None: a delete. ``large``: hash byte of the large column, "?" if it did not come."""

    key: int
    t: float
    value: str | None
    time: float | None = None
    flags: Flag = NONE
    large: str | None = None


def opened(
    source: Sequence[tuple[str, int]] = (("", 0),), target: Sequence[tuple[str, int]] = (("", 0),), **changes: Any
) -> Open:
    """A topology ``hand`` with windows of 10 s and nothing else allowed; partitions by topic id and number, from position 0."""
    feeds = tuple(
        Feed(name, name, tuple((name, id_, n, 0) for id_, n in of), "log", "complete")
        for name, of in (("s", source), ("t", target))
    )
    whole = Open("hand", "s", 10 * S, 0, 0, 1 << 60, 1, "c", feeds, (Pair("t", "s", "t", "r", ("id",), changes.pop("large", 0)),))
    return replace(whole, **changes)


def block(
    feed: str,
    start: int,
    rows: Sequence[Row],
    *,
    end: int | None = None,
    watermark: float | None = None,
    topic_id: str = "",
    partition: int = 0,
    undecodable: tuple[Undecodable, ...] = (),
    large: int = 0,
    generation: int = 1,
) -> Block:
    """One range of a partition: one row a position, then nothing up to ``end``. The watermark is the last time unless given."""
    offsets = [start + n for n in range(len(rows))]
    end = start + len(rows) if end is None else end
    times = [micros(r.t if r.time is None else r.time) for r in rows]
    flags = [int(r.flags | (Flag.DELETE if r.value is None and not r.flags & Flag.MARK else NONE)) for r in rows]
    hashes = [None if r.value is None or r.large == "?" else (r.value + (r.large or "")).encode().ljust(32, b".") for r in rows]
    columns: Json = {
        "range": [0] * len(rows),
        "key": [None if r.flags & Flag.TRUNCATE else key_id_of(r.key) for r in rows],
        "key_text": [None if r.flags & Flag.TRUNCATE else framed("n", b"%d" % r.key) for r in rows],
        "hash": hashes,
        "t": [micros(r.t) for r in rows],
        "time": times,
        "offset": offsets,
        "index": [0] * len(rows),
        "flags": flags,
        "rest": [None if r.value is None else r.value.encode().ljust(32, b".") for r in rows],
        "large_0": [None if r.value is None or r.large == "?" else (r.large or "x").encode().ljust(32, b".") for r in rows],
    }
    schema = digest_schema(large)
    batch = pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    mark = micros(watermark) if watermark is not None else max(times, default=None)
    counts = Counts(rows=end - len(undecodable), dead_letters=len(undecodable))
    range_ = Range(
        feed,
        feed,
        topic_id,
        partition,
        start,
        end,
        mark,
        mark,
        None,
        max(times, default=None),
        mark is None,
        times[0] if times else None,
        counts,
        0,
        undecodable,
    )
    return Block("hand", (range_,), batch, generation=generation)


def announced(
    feed: str, *, topic_id: str = "", partition: int = 0, position: int = 0, watermark: float | None = None, generation: int = 1
) -> Partition:
    mark = None if watermark is None else micros(watermark)
    return Partition("hand", feed, feed, topic_id, partition, position, mark, generation)


def lift(feed: str, position: int, to: float, *, topic_id: str = "", partition: int = 0) -> Lift:
    return Lift("hand", feed, feed, topic_id, partition, position, micros(to))


def micros(seconds: float) -> int:
    return round(seconds * S)


def timed(records: Iterable[Record]) -> list[Timed]:
    """Records appended a second apart."""
    return [(1000 * n, record) for n, record in enumerate(records)]


def log_of(log: MemoryLog, home: int) -> list[Timed]:
    """The records of a digest partition."""
    return [(e.timestamp, decode(e.value)) for e in log.read(DIGESTS, home, 0, 1 << 40)]


def of_generation(records: Iterable[Timed], number: int) -> list[Timed]:
    return [(time, replace(record, generation=number)) for time, record in records]


# ---- folded --------------------------------------------------------------------------------------------------------------


def entries_of(records: Iterable[Timed]) -> list[Entry]:
    return [Entry(n, time, None, encode(record)) for n, (time, record) in enumerate(records)]


def told(records: Sequence[Timed], *, home: int = 0, restart: int = 0, cache_bytes: int = 1 << 20) -> list[Event]:
    """What is said; the state is kept after each record, and taken up again from there after every ``restart`` of them."""
    store = MemoryStore()
    reconciler = Reconciler(home, store, cache_bytes=cache_bytes)
    out: list[Event] = []
    for entry in entries_of(records):
        out += reconciler.fold(entry)
        reconciler.commit()
        if restart and entry.offset % restart == 0:
            reconciler = Reconciler(home, store, cache_bytes=cache_bytes)
    return out


class Dead(Exception):
    """The process dies here."""


class Desk:
    """One digest partition worked through by a process that dies again and again, and comes back on disks of any age."""

    def __init__(self, records: Sequence[Timed], d: Draw, home: int) -> None:
        self.entries = entries_of(records)
        self.d = d
        self.home = home
        self.events: list[Event] = []
        self.done = Commit(0, b"")
        self.disks = [MemoryStore()]
        self.deaths = 0

    def say(self, events: Sequence[tuple[int, Event]], commit: Commit) -> None:
        dies = self.deaths < 40 and self.d.number(0, 3) == 3
        if dies and self.d.number(0, 1):
            raise Dead
        self.events += [event for _, event in events]
        self.done = commit
        if dies:
            raise Dead

    def work(self) -> list[Event]:
        store = self.disks[0].copy()
        reconciler = Reconciler(self.home, store)
        while reconciler.position < len(self.entries):
            step = self.entries[reconciler.position :][: self.d.pick([1, 2, 5, 100])]
            try:
                deliver(reconciler, step, self.done, self.say)
            except Dead:
                self.deaths += 1
                store = self.d.pick([store, *self.disks]).copy()
                reconciler = Reconciler(self.home, store)
                continue
            if self.d.number(0, 2) == 2:
                self.disks.append(store.copy())
        return self.events


def survived(records: Sequence[Timed], d: Draw, *, home: int = 0) -> list[Event]:
    """What is said when the process dies again and again, and puts out few events at once."""
    with patch.object(delivery, "EVENTS_A_TRANSACTION", d.pick([1, 2, 5])):
        return Desk(records, d, home).work()


def everyway(records: Sequence[Timed], *, home: int = 0) -> list[Json]:
    """What is said, the same bytes on every path: restarts, crashes, little memory, early and late folding, key by key."""
    plain = told(records, home=home)
    others = [told(records, home=home, restart=1), told(records, home=home, restart=3, cache_bytes=0)]
    for path in (folding(1), folding(1000), exact()):
        with path:
            others.append(told(records, home=home))
            others.append(told(records, home=home, restart=2))
    others += [survived(records, Rolled(seed), home=home) for seed in range(4)]
    assert all(other == plain for other in others), "the same log gives other bytes"
    assert not complaints(e.body for e in plain)
    return [orjson.loads(e.body) for e in plain]


def of_type(events: Iterable[Json], *types: str) -> list[Json]:
    return [e for e in events if e["type"] in types]


def windows(events: Iterable[Json]) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Verdict and kinds of causes of each window, by its start in seconds."""
    out = {}
    for e in of_type(events, "window"):
        for number in range(e["number"], e["number"] + e["windows"]):
            out[10 * number] = e["verdict"], tuple(c["kind"] for c in e["causes"])
    return out
