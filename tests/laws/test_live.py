"""What only a service meets, by hand and at large: rebuilds, zombies, recreated topics, late partitions, stalled sides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.summary import Tally
from stream_recon.engine.terms import Event
from stream_recon.errors import LogError
from stream_recon.model.digest import Act, Block, By, End, Flag, Lift, Open, Partition, Range, Record, Stall
from stream_recon.sim.disk import MemoryStore
from tests.laws.drive import Drive
from tests.laws.expect import tree
from tests.laws.following import complaints
from tests.laws.live import FIRST, LIVE
from tests.laws.ordeal import some_path
from tests.laws.records import (
    Json,
    Row,
    S,
    Timed,
    announced,
    block,
    entries_of,
    log_of,
    of_generation,
    of_type,
    opened,
    survived,
    timed,
    told,
)
from tests.oracle.generate import Rolled
from tests.oracle.history import Gap
from tests.oracle.strategies import delivery_of, seeded


@pytest.mark.parametrize("name", LIVE)
def test_this_is_answered_as_the_page_has_it(tmp_path: Path, name: str) -> None:
    assert LIVE[name](tmp_path) == []


# ---- what breaks the log's rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([*FIRST, opened(configuration="other")], "opened with other settings, .* run stream-recon rebuild"),
        ([*FIRST, End("hand", 2)], "generation 2, stands before its open record"),
        ([End("hand")], "generation 1, stands before its open record"),
        ([*FIRST, block("s", 0, [], topic_id="unknown")], "opened without s/0 of feed s; run stream-recon rebuild"),
        ([*FIRST, announced("nobody")], "opened without feed nobody; run stream-recon rebuild"),
        ([*FIRST, End("hand"), announced("s", partition=1)], "announced where topology hand waits for none"),
        ([opened(source=[]), announced("s")], "announced where topology hand waits for none"),
    ],
)
def test_a_record_that_cannot_stand_where_it_stands_stops_the_fold(records: list[Record], says: str) -> None:
    with pytest.raises(LogError, match=says):
        told(timed(records))


def test_the_same_open_record_again_changes_nothing() -> None:
    again: list[Record] = [opened(), *FIRST[1:], opened(), End("hand")]
    assert told([(0, r) for r in again]) == told([(0, r) for r in [*FIRST, End("hand")]])


# ---- rebuilt shares at large ---------------------------------------------------------------------------------------------


def logs_of(seed: int, room: Path, homes: int) -> list[list[Timed]]:
    """The digest log of a seeded history, by digest partition."""
    history = seeded(seed, "wild", 12)
    drive = Drive(history, room, homes=homes)
    for batch in delivery_of(Rolled(seed), history):
        drive.deliver(batch, drain=False)
    drive.finish()
    return [log_of(drive.log, home) for home in range(homes)]


def mixed(first: Sequence[Timed], second: Sequence[Timed], d: Rolled) -> list[Timed]:
    """Some of the first log; then the second as the next generation, with a zombie that still writes the first."""
    cut = d.number(1, len(first))
    out = [*first[:cut]]
    for record in of_generation(second, 2):
        out.append(record)
        out += [d.pick(first) for _ in range(d.pick([0, 0, 1, 2]))]
    return out


def bare(events: Iterable[Event]) -> list[Json]:
    """Without the place in the chain."""
    return [{k: v for k, v in orjson.loads(e.body).items() if k not in {"seq", "prev"}} for e in events]


@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_a_rebuilt_share_answers_as_one_that_was_never_there(tmp_path: Path, seed: int) -> None:
    d = Rolled(seed)
    homes = d.number(1, 2)
    for home, (first, second) in enumerate(zip(logs_of(seed, tmp_path, homes), logs_of(seed + 1, tmp_path, homes), strict=True)):
        log = mixed(first, second, d)
        events = told(log, home=home)
        bodies = [orjson.loads(e.body) for e in events]
        last = max(n for n, body in enumerate(bodies) if body["type"] == "rebuilt")
        assert bare(events[last + 1 :]) == bare(told(of_generation(second, 2), home=home))
        _dismissed_what_was_open(events[: last + 1])
        assert not complaints(e.body for e in events)
        with some_path(d):
            assert told(log, home=home, restart=d.number(1, 4), cache_bytes=0) == events
        assert survived(log, d, home=home) == events


def _dismissed_what_was_open(events: Sequence[Event]) -> None:
    """Once each, in order of key id by pair, and as the chain's record says."""
    open_: dict[str, Json] = {}
    for event in events:
        body = orjson.loads(event.body)
        if body.get("status") in {"opened", "updated", "resolved"}:
            open_[body["id"]] = body
    left = {id_: e for id_, e in open_.items() if e["status"] != "resolved"}
    dismissed: dict[str, list[bytes]] = {}
    for event in events:
        body = orjson.loads(event.body)
        if body.get("status") == "dismissed":
            before = left.pop(body["id"])
            assert [body[n] for n in ("key", "kind", "first_seen")] == [before[n] for n in ("key", "kind", "first_seen")]
            assert body["occurrences"] >= before["occurrences"]
            assert event.key == body["id"]
            dismissed.setdefault(body["chain"], []).append(event.body)
        elif body["type"] == "rebuilt":
            mine = dismissed.pop(body["chain"], [])
            assert (body["dismissed"], body["events_root"]) == (len(mine), tree(mine).hex())
    assert (left, dismissed) == ({}, {})


def test_nothing_of_an_old_generation_stays_in_the_store() -> None:
    store = MemoryStore()
    reconciler = Reconciler(0, store)
    for entry in entries_of(timed([*FIRST, opened(generation=2)])):
        list(reconciler.fold(entry))
        reconciler.commit()
        if entry.offset == 2:
            assert any(key.startswith(b"P\0\0\0\0") for key in store.values)
    assert not [key for key in store.values if key.startswith(b"P")]
    assert Reconciler(0, store).shares["hand"].pairs[0].store.number == 1


def test_what_is_dismissed_is_said_piece_by_piece() -> None:
    """The first event is there before the others are made, and the share stands until all are."""
    rows = [Row(n, 1, "a") for n in range(50)]
    records: list[Record] = [
        opened(),
        block("s", 0, rows, watermark=20),
        block("t", 0, [], end=1, watermark=20),
        opened(generation=2),
    ]
    reconciler = Reconciler(0, MemoryStore())
    *before, last = entries_of(timed(records))
    for entry in before:
        list(reconciler.fold(entry))
    events = reconciler.fold(last)
    next(events)
    assert reconciler.shares["hand"].opened.generation == 1
    assert len(list(events)) == 50
    assert reconciler.shares["hand"].opened.generation == 2


def test_a_tally_counts_windows_only() -> None:
    tally = Tally()
    for event in told(timed([*FIRST, opened(generation=2), *of_second(FIRST[1:]), End("hand", 2)])):
        (tally.certificate if event.topic == "audit" else tally.discrepancy)(event.body)
    assert (tally.open, tally.statuses["dismissed"], tally.statuses["opened"]) == (2, 2, 4)
    tally.certificate(orjson.dumps({"type": "stalled", "chain": "hand/t/0", "since": None}))
    assert tally.windows() == {"clean": 1, "inconclusive": 0, "discrepant": 1}


def of_second(records: Iterable[Record]) -> list[Record]:
    return [replace(record, generation=2) for record in records]


# ---- recreated topics at large -------------------------------------------------------------------------------------------


class Recreated:
    """A log in which each gap became a recreated topic: what was written for the old topic stays under its id."""

    def __init__(self, log: Iterable[Timed]) -> None:
        self.next: dict[tuple[str, str, int], int] = {}
        self.mark: dict[tuple[str, str, int], int | None] = {}
        self.ids: dict[tuple[str, str, int], list[tuple[int, str]]] = {}
        """By partition: from which position on it has which topic id."""
        self.loaded: dict[tuple[str, str, int], int | None] = {}
        """By partition: up to where reads of the topic before went, which are none of the new one's."""
        self.reads: dict[tuple[str, str, int], int | None] = {}
        self.count = 0
        self.log: list[Timed] = []
        for time, record in log:
            self.log += [(time, r) for r in self.records(record)]

    def records(self, record: Record) -> list[Record]:
        if isinstance(record, Open):
            for feed in record.feeds:
                for topic, _, number, start in feed.partitions:
                    place = feed.id, topic, number
                    self.next[place], self.mark[place], self.ids[place] = start, None, [(-1, "")]
        if isinstance(record, Lift):
            place = record.feed, record.topic, record.partition
            if record.position == self.next[place]:
                self.mark[place] = max(record.to, self.mark[place] or record.to)
            return [replace(record, topic_id=self.id_of(place, record.position + 1))]
        if not isinstance(record, Block):
            return [record]
        before: list[Record] = []
        ranges = []
        for range_ in record.ranges:
            place = range_.feed, range_.topic, range_.partition
            if range_.start > self.next[place]:
                self.count += 1
                self.ids[place].append((range_.start, f"id{self.count}"))
                self.loaded[place] = self.reads.get(place)
                before.append(Partition(record.topology, *place[:2], f"id{self.count}", place[2], range_.start, self.mark[place]))
            if range_.end > self.next[place]:
                self.next[place] = range_.end
                marks = [m for m in (self.mark[place], range_.watermark) if m is not None]
                self.mark[place] = max(marks, default=None)
                self.reads[place] = range_.loaded
            loaded = None if self.loaded.get(place) == range_.loaded else range_.loaded
            ranges.append(replace(range_, topic_id=self.id_of(place, max(range_.end, range_.start + 1)), loaded=loaded))
        return [*before, replace(record, ranges=tuple(ranges))]

    def id_of(self, place: tuple[str, str, int], end: int) -> str:
        return [id_ for start, id_ in self.ids[place] if start < end][-1]


def shape(events: Iterable[Event]) -> tuple[list[Any], list[Any]]:
    """Discrepancies and windows, a recreated topic taken for a gap."""
    bodies = [orjson.loads(e.body) for e in events]
    found = [
        [e[n] for n in ("id", "status", "kind", "window", "occurrences", "source_ref", "target_ref", "target")]
        for e in of_type(bodies, "discrepancy")
    ]
    causes = {"recreated": "gap"}
    closed = [  # of each pair in order: which pair is first hangs on when its last partition spoke
        [
            *(e[n] for n in ("target", "window", "verdict", "counts", "open")),
            [(causes.get(c["kind"], c["kind"]), c["topic"], c["partition"], c["offset"]) for c in e["causes"]],
        ]
        for e in of_type(bodies, "window")
    ]
    return sorted(found, key=lambda e: e[-1]), sorted(closed, key=lambda e: str(e[0]))


def test_a_recreated_topic_is_answered_for_as_a_gap_is(tmp_path: Path) -> None:
    found = 0
    for seed in range(120):
        if not any(isinstance(i, Gap) for s in seeded(seed, "wild", 12).sides for p in s.partitions for i in p.items):
            continue
        (log,) = logs_of(seed, tmp_path, 1)
        other = Recreated(log)
        said = told(other.log)
        assert shape(said) == shape(told(log)), seed
        assert told(other.log, restart=1 + seed % 4, cache_bytes=0) == said
        found += other.count > 0
    assert found >= 25


# ---- announced partitions at large ---------------------------------------------------------------------------------------

Place = tuple[str, str, int]


def held_back(seed: int, room: Path) -> tuple[list[Timed], Place] | None:
    """The log of a history in which one of several partitions of a side comes late, and that partition."""
    history, d = seeded(seed, "wild", 12), Rolled(seed)
    several = [s for s, side in enumerate(history.sides) if sum(bool(p.items) for p in side.partitions) > 1]
    if not several:
        return None
    at = d.pick(several)
    side = history.sides[at]
    number = d.pick([n for n, p in enumerate(side.partitions) if p.items])
    delivery = delivery_of(d, history)
    others = [b for b in delivery if (b.side, b.partition) != (at, number)]
    cut = 2 * len(others) // 3
    drive = Drive(history, room)
    for batch in [*others[:cut], *(b for b in delivery if (b.side, b.partition) == (at, number)), *others[cut:]]:
        drive.deliver(batch, drain=False)
    drive.finish()
    return log_of(drive.log, 0), (side.name, side.partitions[number].topic, side.partitions[number].number)


def later(log: Sequence[Timed], place: Place) -> tuple[list[Timed], list[Timed]]:
    """A partition that was not there in the beginning: announced, with an old watermark, before its first range; and the same log
    as if it had been there, but had been lifted to where its side stood.
    """

    def mine(r: Range | Lift) -> bool:
        return (r.feed, r.topic, r.partition) == place

    opened_ = log[0][1]
    assert isinstance(opened_, Open)
    at = next(
        n
        for n, (_, r) in enumerate(log)
        if any(map(mine, r.ranges if isinstance(r, Block) else [r] if isinstance(r, Lift) else []))
    )
    feeds = {f.id: f for f in opened_.feeds}
    feed = feeds[place[0]]
    ((start,),) = ([p[3]] for p in feed.partitions if (p[0], p[2]) == place[1:])
    feeds[feed.id] = replace(feed, partitions=tuple(p for p in feed.partitions if (p[0], p[2]) != place[1:]))
    time, topology = log[at][0], opened_.topology
    before = [(log[0][0], replace(opened_, feeds=tuple(feeds.values()))), *log[1:at]]
    announced_ = [*before, (time, Partition(topology, place[0], place[1], "", place[2], start, None)), *log[at:]]
    reconciler = Reconciler(0, MemoryStore())
    for entry in entries_of(before):
        list(reconciler.fold(entry))
    stands = {p.source_feed: s.source for s, p in zip(reconciler.standing, opened_.pairs, strict=True)}
    stands |= {p.target_feed: s.target for s, p in zip(reconciler.standing, opened_.pairs, strict=True)}
    floor = stands[place[0]]
    if floor is None:
        return announced_, [*log]
    lifted = (time, Lift(topology, place[0], place[1], "", place[2], start, floor))
    return announced_, [*log[:at], lifted, *((t, raised(r, mine, floor)) for t, r in log[at:])]


def raised(record: Record, mine: Any, floor: int) -> Record:
    """What normalise would have written behind a lift, but for saying that it was broken."""
    if not isinstance(record, Block) or not any(mine(r) for r in record.ranges):
        return record
    ranges = []
    for r in record.ranges:
        times = {n: max(t, floor) for n in ("first", "latest", "loaded") if mine(r) and (t := getattr(r, n)) is not None}
        letters = (replace(u, since=max(u.since, floor), until=max(u.until, floor)) if mine(r) else u for u in r.undecodable)
        ranges.append(replace(r, undecodable=tuple(letters), **times))
    rows = record.rows.to_pylist()
    for row in rows:
        if mine(record.ranges[row["range"]]) and row["time"] < floor:
            row["time"] = floor
            row["flags"] |= 0 if row["flags"] & (Flag.MARK | Flag.TOMBSTONE) else Flag.LATE
    return replace(record, ranges=tuple(ranges), rows=type(record.rows).from_pylist(rows, schema=record.rows.schema))


def test_an_announced_partition_is_answered_for_as_one_that_was_lifted(tmp_path: Path) -> None:
    moved = 0
    for seed in range(30):
        found = held_back(seed, tmp_path)
        if found is None:
            continue
        log, place = found
        announced_, lifted = later(log, place)
        said = told(announced_)
        assert shape(said) == shape(told(lifted)), seed
        assert told(announced_, restart=1 + seed % 4, cache_bytes=0) == said
        moved += rows_of(lifted) != rows_of(log)
    assert moved >= 5


def rows_of(log: Iterable[Timed]) -> list[Any]:
    return [r.rows for _, r in log if isinstance(r, Block)]


def test_a_floor_is_where_the_side_stood_and_the_partition_begins_there_or_later() -> None:
    first: list[Record] = [opened(), block("s", 0, [Row(1, 31, "a")]), block("t", 0, [Row(1, 31, "a")])]
    for watermark, stands in ((None, 31), (5, 31), (40, 40)):
        reconciler = Reconciler(0, MemoryStore())
        for entry in entries_of(timed([*first, announced("s", partition=1, watermark=watermark)])):
            list(reconciler.fold(entry))
        (new,) = [k for k in reconciler.shares["hand"].known.values() if k.partition == 1]
        assert (new.floor, new.watermark) == (31 * S, stands * S)


def test_the_page_names_what_a_chain_says_beside_certificates() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/spec/verdicts.md").read_text(encoding="utf-8")
    section = page.split("\n## 7. ")[1]
    stall = Stall("hand", "t", None, 1, False, 2)
    act = Act("hand", "started", ("reconcile",), By("u", "h", None, "1"), 2)
    records = [*FIRST, opened(generation=2), stall, replace(stall, resumed=True), act]
    said = [orjson.loads(e.body) for e in told(timed(records))]
    for types in (["rebuilt"], ["stalled", "resumed"], ["started"]):
        table = section.split(f"**`{types[0]}`")[1].split("|---|---|\n")[1]
        lines = table.split("\n\n", maxsplit=1)[0].splitlines()
        documented = [name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
        bodies = of_type(said, *types)
        assert [e["type"] for e in bodies] == types
        assert all(list(e) == documented for e in bodies)
    dismissed = next(e for e in said if e.get("status") == "dismissed")
    assert list(dismissed)[-1] == "reason"
    assert "`reason` instead: `rebuilt`" in page
