"""Generated histories in real topics, and what the page says of them once a service has read them there.

A live service closes windows by lifts, and where they stand depends on when a partition was quiet. So they are read back from
the digest log; given these, the answers are the oracle's (law 4). From the log and the outputs only, never from the service.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stream_recon.engine.progress import home_partition
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.summary import accounting
from stream_recon.model.digest import Block, Lift, Open, decode
from stream_recon.ports import Entry
from stream_recon.sim.disk import MemoryStore
from tests.kafka.loading import Json, Message, Output
from tests.laws.expect import _event, _shown_hash, _windows, key_id_of, sha
from tests.oracle import history as h
from tests.oracle.oracle import Event, Expected, expected, folders
from tests.oracle.render import message, stamp, topology
from tests.oracle.strategies import Sort, seeded

SECOND = 1_000_000
AGO = 60 * SECOND
"""The last times of a history lie so long before now: longer than its windows stay open."""
HOMES = 4
"""Digest partitions of these deployments."""

Where = tuple[str, str, int]
"""Side, topic, partition."""
Lifts = Mapping[Where, Sequence[tuple[int, int]]]
"""(position, to) by partition, in order."""


# ---- a history that can be lived through ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lived:
    """A history under topics of its own, with times shortly before now; its sides end with the same rows."""

    name: str
    history: h.History

    def messages(self) -> list[Message]:
        out = []
        for side, partition, item in h.messages(self.history):
            key, value = (None if v is None else v.encode() for v in message(side, partition, item, "debezium-json"))
            out.append(Message(partition.topic, partition.number, item.offset, item.ts, key, value))
        return out

    def partitions(self) -> dict[str, int]:
        """How many each topic has; some hold nothing."""
        found: dict[str, int] = {}
        for side in self.history.sides:
            for p in side.partitions:
                found[p.topic] = max(found.get(p.topic, 0), p.number + 1)
        return found

    def topology(self, prefix: str, **settings: Any) -> Json:
        plan = topology(self.history, "debezium-json", self.name)
        for side in (plan["source"], *plan["targets"]):
            side["columns"] = {"value": "value", "note": "note"}
        return plan | {"outputs": {"prefix": prefix}} | settings


def lived(name: str, prefix: str, seed: int, sort: Sort = "replayable", size: int = 30) -> Lived:
    """A seeded history, moved to ``AGO``."""
    it = seeded(seed, sort, size)
    window = it.params.window
    now = time.time_ns() // 1000
    by = (now - AGO - max(_times(it))) // window * window
    moved = replace(it, source=_moved(it.source, by, prefix), targets=tuple(_moved(t, by, prefix) for t in it.targets))
    last = max(_times(moved)) + window
    assert last + window + it.params.settle + it.params.clock_skew < now, "its last window would not be closed yet"
    sides = [_ended(side, last) for side in moved.sides]
    return Lived(name, h.check(replace(moved, source=sides[0], targets=tuple(sides[1:]))))


def by_hand(name: str, prefix: str, source: Sequence[tuple[int, int]], target: Sequence[tuple[int, int]]) -> Lived:
    """One partition a side, windows of 4 s, no allowance; rows are (second, key), and the same row is alike on both sides."""
    start = (time.time_ns() // 1000 - AGO) // (4 * SECOND) * 4 * SECOND

    def side(of: str, rows: Sequence[tuple[int, int]]) -> h.Side:
        times = [(start + second * SECOND, second, key) for second, key in rows]
        items = [h.Upsert(n, t // 1000, t, key, "abc"[second % 3], "x") for n, (t, second, key) in enumerate(times)]
        return h.Side(of, (h.Partition(f"{prefix}{name}-{of}", 0, tuple(items)),))

    params = h.Params(4 * SECOND, 0, 0, 0, 60 * SECOND)
    return Lived(name, h.check(h.History(params, side("source", source), (side("target", target),))))


def _times(it: h.History) -> Iterator[int]:
    for _, _, item in h.messages(it):
        yield max(getattr(item, "t", 0), item.ts * 1000)


def _moved(side: h.Side, by: int, prefix: str) -> h.Side:
    def moved(item: h.Item) -> h.Item:
        changes: Any = {"t": by, "ts": by // 1000}
        return replace(item, **{name: getattr(item, name) + more for name, more in changes.items() if hasattr(item, name)})

    return replace(
        side, partitions=tuple(h.Partition(prefix + p.topic, p.number, tuple(map(moved, p.items))) for p in side.partitions)
    )


def _ended(side: h.Side, last: int) -> h.Side:
    first, *others = side.partitions
    offset = h.end_of(first.items[-1]) if first.items else 0
    rows = (h.Upsert(offset + n, last // 1000 + 1, last, key, "a", "x") for n, key in enumerate(LAST_KEYS))
    return replace(side, partitions=(replace(first, items=(*first.items, *rows)), *others))


def home_of(key: int) -> int:
    """The digest partition of a key."""
    return int.from_bytes(key_id_of(key)[:8], "big") % HOMES


LAST_KEYS = [next(key for key in range(1_000, 2_000) if home_of(key) == home) for home in range(HOMES)]
"""Whatever else a chain holds: a certificate of its last window, in which one of these is compared."""


# ---- the digest log ------------------------------------------------------------------------------------------------------


def lifts_taken(log: Iterable[Output], name: str) -> Lifts:
    """The lifts that stand at the next position of their partition, as a reader of any digest partition finds them.

    One that its giver remembered but never wrote shows in the next range: its watermark is higher than its rows make it.
    """
    nexts: dict[tuple[int, Where], int] = {}
    found: dict[Where, set[tuple[int, int]]] = {}
    for entry in log:
        record = decode(entry.value)
        if record.topology != name:
            continue
        if isinstance(record, Open):
            for feed in record.feeds:
                for topic, _, partition, start in feed.partitions:
                    nexts[entry.partition, (feed.id, topic, partition)] = start
        elif isinstance(record, Block):
            for r in record.ranges:
                where = r.feed, r.topic, r.partition
                if r.start == nexts[entry.partition, where] and r.watermark is not None and r.watermark != r.raw:
                    found.setdefault(where, set()).add((r.start, r.watermark))
                nexts[entry.partition, where] = max(nexts[entry.partition, where], r.end)
        elif isinstance(record, Lift):
            where = record.feed, record.topic, record.partition
            if nexts[entry.partition, where] == record.position:
                found.setdefault(where, set()).add((record.position, record.to))
    return {where: sorted(of) for where, of in found.items()}


def with_lifts(it: h.History, lifts: Lifts) -> h.History:
    """The history, and the lifts where they stood."""

    def side_of(side: h.Side) -> h.Side:
        return replace(side, partitions=tuple(_lifted(p, lifts.get((side.name, p.topic, p.number), ())) for p in side.partitions))

    return h.check(replace(it, source=side_of(it.source), targets=tuple(side_of(t) for t in it.targets)))


def _lifted(partition: h.Partition, lifts: Sequence[tuple[int, int]]) -> h.Partition:
    """Those behind its last item can move no row of it, and stay away."""
    items: list[h.Item] = []
    waiting, reached = list(lifts), 0
    for item in partition.items:
        while waiting and waiting[0][0] < h.end_of(item):
            position, to = waiting.pop(0)
            reached = max(reached, to)
            if position > item.offset:
                assert isinstance(item, h.Hole), f"a lift inside {item}"
                items.append(h.Hole(item.offset, position))
                item = h.Hole(position, item.to)  # noqa: PLW2901
            items.append(h.Lift(item.offset, reached))
        items.append(item)
    return replace(partition, items=tuple(items))


def awaited(log: Iterable[Output], it: Lived, stops: Mapping[tuple[str, int], int]) -> dict[str, int] | None:
    """By chain: the number of the window before which all must be closed; None while something of the input is to be read.

    A late row takes part at a lift, which may be long after the history's own end.
    """
    window = it.history.params.window
    targets = [side.name for side in it.history.targets]
    chains = {f"{it.name}/{target}/{home}": 0 for target in targets for home in range(HOMES)}
    reached: dict[tuple[int, tuple[str, int]], int] = {}
    for entry in log:
        record = decode(entry.value)
        if record.topology != it.name or not isinstance(record, Block):
            continue
        for r in record.ranges:
            at = entry.partition, (r.topic, r.partition)
            reached[at] = max(reached.get(at, 0), r.end)
        for feed, moment in zip(record.rows.column("range").to_pylist(), record.rows.column("time").to_pylist(), strict=True):
            side = record.ranges[feed].feed
            for target in targets if side == it.history.source.name else [side]:
                chain = f"{it.name}/{target}/{entry.partition}"
                chains[chain] = max(chains[chain], moment // window + 1)
    read = all(reached.get((home, place), 0) >= stop for home in range(HOMES) for place, stop in stops.items())
    return chains if read else None


@dataclass(frozen=True, slots=True)
class Folded:
    """What fresh readers of the log say, by output topic, and where they stand at its end, by digest partition."""

    said: Mapping[str, Sequence[bytes]]
    readers: Mapping[int, Reconciler]


def folded_again(log: Iterable[Output], prefix: str) -> Folded:
    said: dict[str, list[bytes]] = {}
    readers: dict[int, Reconciler] = {}
    for entry in log:
        reader = readers.setdefault(entry.partition, Reconciler(entry.partition, MemoryStore()))
        for event in reader.fold(Entry(entry.offset, entry.time, entry.key, entry.value)):
            said.setdefault(f"{prefix}.{event.topic}", []).append(event.body)
        reader.commit()
    return Folded(said, readers)


# ---- what must hold ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What one topology said, in the words of ``tests.laws.expect``."""

    discrepancies: list[Json]
    certificates: list[Json]
    window: int

    def certified(self, target: str) -> int:
        """Up to where every chain has its certificates: those of a run of windows without a row come with the next row."""
        ends: dict[str, int] = {}
        for c in self.of(target):
            ends[c["chain"]] = (c["number"] + c["windows"]) * self.window
        return min(ends.values(), default=0)

    def of(self, target: str) -> list[Json]:
        return [c for c in self.certificates if c["target"] == target]


def told(outputs: Iterable[Output], it: Lived) -> Told:
    mine = [body for o in outputs if (body := o.body)["topology"] == it.name]
    discrepancies, certificates = ([b for b in mine if b["type"] == kind] for kind in ("discrepancy", "window"))
    certificates.sort(key=lambda c: (c["chain"], c["seq"]))
    return Told(discrepancies, certificates, it.history.params.window)


def events_wanted(it: Lived, truth: Expected, history: h.History) -> Counter[tuple[Any, ...]]:
    """The oracle's events with ids and hashes, computed here anew."""
    source, *targets = folders(history)
    by_name = {t.timeline.name: t for t in targets}
    out: Counter[tuple[Any, ...]] = Counter()
    for pair in truth.pairs:
        for e in pair.events:
            left = _shown_hash(source, e.key, e.source_value, e.source_place)
            right = _shown_hash(by_name[pair.target], e.key, e.target_value, e.target_place)
            hashes = (None if x is None else x.hex() for x in (left, right))
            out[(*_wanted(it.name, pair.target, e), *hashes)] += 1
    return out


def _wanted(name: str, target: str, e: Event) -> tuple[Any, ...]:
    parts = (name.encode(), target.encode(), key_id_of(e.key), b"%d" % e.first_seen)
    id_ = sha(b"".join(b"%d:%b" % (len(p), p) for p in parts))[:16].hex()
    times = stamp(e.window_start), stamp(e.window_end), stamp(e.first_seen)
    took = e.window_end - e.first_seen if e.status == "resolved" else None
    return (id_, target, e.key, e.status, e.kind, *times, e.occurrences, took, e.source_place, e.target_place)


def events_told(of: Told) -> Counter[tuple[Any, ...]]:
    return Counter((*_event(e), e["source_hash"], e["target_hash"]) for e in of.discrepancies)


def disagreements(it: Lived, outputs: Sequence[Output], lifts: Lifts) -> Iterator[str]:
    """All in which the service differs from the oracle: events, windows, counts and causes."""
    history = with_lifts(it.history, lifts)
    truth, said = expected(history), told(outputs, it)
    got, want = events_told(said), events_wanted(it, truth, history)
    yield from (f"{it.name}: not said {event}" for event in (want - got))
    yield from (f"{it.name}: said {event}" for event in (got - want))
    for pair in truth.pairs:
        certified = replace(pair, windows=tuple(w for w in pair.windows if w.end <= said.certified(pair.target)))
        yield from (f"{it.name}: {wrong}" for wrong in _windows(certified, _Said(said)))  # type: ignore[arg-type]


class _Said:
    """What ``expect._windows`` asks, as far as all chains have their certificates."""

    def __init__(self, of: Told) -> None:
        self.window = of.window
        self._told = of

    def certificates(self, target: str) -> list[Json]:
        end = self._told.certified(target) // self.window
        return [c for c in self._told.of(target) if c["number"] + c["windows"] <= end]

    def covering(self, target: str, number: int) -> list[Json]:
        return [c for c in self._told.of(target) if c["number"] <= number < c["number"] + c["windows"]]

    def open_after(self, target: str, number: int) -> int:
        last = {c["chain"]: c["open"] for c in self._told.of(target) if c["number"] <= number}
        return sum(last.values())


def chains_broken(outputs: Iterable[Output], audit: str) -> Iterator[str]:
    """Where a chain is not dense, or a body does not carry the hash of the one before."""
    heads: dict[str, tuple[int, str | None]] = {}
    for o in outputs:
        if o.topic != audit:
            continue
        body = o.body
        want = heads.get(body["chain"], (0, None))
        if (body["seq"], body["prev"]) != want:
            yield f"{body['chain']} at {o.partition}/{o.offset}: expected {want}, got {body['seq']}, {body['prev']}"
        heads[body["chain"]] = body["seq"] + 1, hashlib.sha256(o.value).hexdigest()


def accounts_broken(it: Lived, readers: Mapping[int, Reconciler], lifts: Lifts) -> Iterator[str]:
    """Law 3 from what the log counts: every position of every partition, by what stood there."""
    shares = {home: reader.shares[it.name].known for home, reader in readers.items()}
    for account in expected(with_lifts(it.history, lifts)).accounts:
        (upstream,) = (u for u in shares[0] if (u.side, u.topic, u.partition) == (account.side, account.topic, account.partition))
        (got,) = accounting([shares[home_partition(upstream, HOMES)][upstream]])
        want = asdict(account) | {"from": account.start, "repeated": got["repeated"]}
        if any(want[name] != value for name, value in got.items() if name in want):
            yield f"{it.name}: expected {want}, got {got}"


def ranges_broken(said: Told) -> Iterator[str]:
    """Where a certificate does not go on at the position at which the one before it in its chain ended."""
    at: dict[tuple[str, str, int], int] = {}
    for c in said.certificates:
        for r in c["ranges"]:
            place = c["chain"], r["topic"], r["partition"]
            if r["from"] != at.get(place, r["from"]) or r["to"] < r["from"]:
                yield f"{c['chain']} {c['seq']}: {place[1:]} from {r['from']} to {r['to']}, expected from {at[place]}"
            at[place] = r["to"]
