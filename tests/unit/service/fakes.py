"""Ports by hand, for the loops of the service: nothing happens here that a test did not ask for.

``Cluster`` and ``Source``: topics with offsets, markers, retention, ids; positions of a group; members that come and go.
``Writer``: appends to a ``MemoryLog``; what is stored and what is acknowledged is told by digest partition.
``House``: a deployment; ``Hand``: a worker in it. ``Digests`` and ``Outputs``: the other end of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stream_recon.engine.pipeline import View
from stream_recon.engine.reconciler import Reconciler
from stream_recon.errors import BrokerError, Unreachable
from stream_recon.model.digest import Block, Lift, Open, Partition, Record, Stall, decode, encode
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import Format, SidePlan, TopologyPlan, TypeRule
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.ports import Commit, Entry, Listener, Place, Polled, Stretch, TopicInfo
from stream_recon.service.job import Job, Names, Opened
from stream_recon.service.normalise import NormaliseWorker
from stream_recon.service.opening import layout, live, positions
from stream_recon.service.positions import Saved
from stream_recon.service.spots import Spotted
from stream_recon.service.watch import Watch
from stream_recon.sim.disk import MemoryStore
from tests.laws.world import MemoryLog

S = 1_000_000
BEGAN = 1_795_266_000 * S
"""Broker time (µs) when a clock begins."""
NAMES = Names("recon")
COLUMNS = frozenset({"id", "value", "at"})

Touch = Callable[[str], None]
Json = dict[str, Any]


class Cut(BaseException):
    """The process ends here."""


class Clock:
    """Monotonic seconds that pass by hand, and the broker's time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds

    @property
    def broker(self) -> int:
        return BEGAN + round((self.now - 1000) * S)


# ---- source topics ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Part:
    """One partition: [(offset, ms, key, value)]; offsets without a message are markers."""

    begin: int = 0
    end: int = 0
    messages: list[tuple[int, int, bytes | None, bytes | None]] = field(default_factory=list)

    def put(self, milliseconds: int, key: bytes | None, value: bytes | None) -> None:
        self.messages.append((self.end, milliseconds, key, value))
        self.end += 1

    def mark(self, count: int = 1) -> None:
        """Transaction markers."""
        self.end += count

    def keep_from(self, begin: int) -> None:
        """Retention."""
        self.begin, self.end = begin, max(begin, self.end)
        self.messages = [m for m in self.messages if m[0] >= begin]

    def cut_at(self, end: int) -> None:
        """An unclean leader election."""
        self.end = end
        self.messages = [m for m in self.messages if m[0] < end]


@dataclass(slots=True)
class Topic:
    id: str
    parts: list[Part]


class Cluster:
    """What all workers see: topics, and the group's positions. ``asked`` notes each request, by name."""

    def __init__(self, clock: Clock, name: str = "c") -> None:
        self.clock = clock
        self.name = name
        self.topics: dict[str, Topic] = {}
        self.commits: dict[Place, Commit] = {}
        self.down = False
        self.refuses: BrokerError | None = None
        self.asked: list[str] = []
        self._made = 0

    def make(self, name: str, partitions: int = 1) -> Topic:
        """A topic, or the same name made anew."""
        self._made += 1
        self.topics[name] = Topic(f"id-{name}-{self._made}", [Part() for _ in range(partitions)])
        return self.topics[name]

    def put(self, topic: str, partition: int, *rows: tuple[int, str | None, float]) -> None:
        """Rows (key, value, event time in seconds after the clocks began); value None: not to be understood."""
        for key, value, at in rows:
            body = {"id": key, "value": value, "at": BEGAN + round(at * S)}
            text = b"{" if value is None else orjson.dumps(body)
            self.topics[topic].parts[partition].put(self.clock.broker // 1000, orjson.dumps({"id": key}), text)

    def part(self, place: Place) -> Part:
        return self.topics[place[0]].parts[place[1]]

    def answer(self, request: str) -> None:
        self.asked.append(request)
        if self.down:
            raise Unreachable(f"{self.name} does not answer")

    def saved(self, topic: str, partition: int = 0) -> Saved:
        return Saved.load(self.commits[topic, partition])


def silent(_: str) -> None:
    """Nobody cuts."""


class Source:
    """One member of the group; ``limit``: messages of a partition that a poll brings; ``touch`` is told of every call."""

    def __init__(self, cluster: Cluster, touch: Touch = silent) -> None:
        self.name = cluster.name
        self.cluster = cluster
        self.held: dict[Place, int] = {}
        self.paused: set[Place] = set()
        self.limit = 1 << 30
        self.topics: list[str] = []
        self.commits: list[tuple[dict[Place, Commit], bool]] = []
        self.handed: list[Polled] = []
        """What the next polls bring, before what is there."""
        self._touch = touch
        self._told: dict[Place, int] = {}
        self._listener: Listener | None = None

    # by hand

    def give(self, *places: Place) -> None:
        assert self._listener is not None
        self.held.update(self._listener.assigned(self, places))

    def take(self, *places: Place) -> None:
        assert self._listener is not None
        self._listener.revoked(self, places)
        self._drop(places)

    def lose(self, *places: Place) -> None:
        assert self._listener is not None
        self._listener.lost(self, places)
        self._drop(places)

    def _drop(self, places: Iterable[Place]) -> None:
        for place in places:
            del self.held[place]
            self.paused.discard(place)
            self._told.pop(place, None)

    # the port

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        self.topics, self._listener = list(topics), listener

    def poll(self, limit: int, seconds: float) -> Polled:
        self._touch("poll")
        if self.handed:
            return self.handed.pop(0)
        polled = Polled([], {}, [], [])
        if self.cluster.down:
            return polled
        for place in sorted(set(self.held) - self.paused):
            if place[0] not in self.cluster.topics:
                polled.gone.append(place[0])
                continue
            if place[1] >= len(self.cluster.topics[place[0]].parts):
                continue
            part, at = self.cluster.part(place), self.held[place]
            if not part.begin <= at <= part.end:
                polled.lost.append(place)
                continue
            left = [m for m in part.messages if m[0] >= at]
            taken = left[: min(limit, self.limit)]
            if taken:
                polled.stretches.append(stretch(place, taken))
            self.held[place] = part.end if len(taken) == len(left) else taken[-1][0] + 1
            if self.held[place] == part.end and self._told.get(place) != part.end:
                self._told[place] = polled.ends[place] = part.end
        return polled

    def seek(self, place: Place, position: int) -> None:
        self._touch("seek")
        assert place in self.held
        self.held[place] = position
        self.paused.discard(place)
        self._told.pop(place, None)

    def pause(self, places: Iterable[Place]) -> None:
        self._touch("pause")
        self.paused |= set(places)

    def resume(self, places: Iterable[Place]) -> None:
        self._touch("resume")
        self.paused -= set(places)

    def end_seen(self, place: Place) -> int | None:
        return self._told.get(place)

    def ends(self, places: Iterable[Place]) -> Mapping[Place, int]:
        self._touch("ends")
        self.cluster.answer("ends")
        return {p: self.cluster.part(p).end for p in places}

    def begins(self, places: Iterable[Place]) -> Mapping[Place, int]:
        self.cluster.answer("begins")
        return {p: self.cluster.part(p).begin for p in places}

    def describe(self, topics: Iterable[str]) -> Mapping[str, TopicInfo]:
        self._touch("describe")
        self.cluster.answer("describe")
        there = self.cluster.topics
        return {t: TopicInfo(there[t].id, len(there[t].parts), 1) for t in topics if t in there}

    def commit(self, positions: Mapping[Place, Commit], *, wait: bool) -> None:
        self._touch("commit")
        if wait and self.cluster.refuses is not None:
            raise self.cluster.refuses
        assert set(positions) <= set(self.held), "a member commits what it holds"
        self.commits.append((dict(positions), wait))
        self.cluster.commits.update(positions)
        self._touch("committed")

    def committed(self, places: Iterable[Place]) -> Mapping[Place, Commit]:
        wanted = list(places)
        if wanted:
            self._touch("ask")
            self.cluster.answer("committed")
        return {p: self.cluster.commits[p] for p in wanted if p in self.cluster.commits}

    def close(self) -> None:
        self._touch("close")
        self.take(*self.held)


def stretch(place: Place, messages: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> Stretch:
    offset, time, key, value = zip(*messages, strict=True)
    return Stretch(
        place, np.array(offset, np.int64), np.array(time, np.int64), pa.array(key, pa.binary()), pa.array(value, pa.binary())
    )


# ---- the digest log --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sent:
    topic: str
    partition: int
    value: bytes
    done: Callable[[], None]
    stored: bool = False


class Writer:
    """``willing``: polls acknowledge everything; otherwise ``acknowledge`` does. ``deaf``: digest partitions that take
    nothing, so a flush fails instead of waiting for ever.
    """

    def __init__(self, log: MemoryLog, clock: Clock, touch: Touch = silent) -> None:
        self.waiting: list[Sent] = []
        self.willing = True
        self.deaf: set[int] = set()
        self.timed = True
        self.polls: list[float] = []
        self._known = False
        self._log = log
        self._clock = clock
        self._touch = touch

    # by hand

    def store(self, *homes: int) -> None:
        """What was sent to these digest partitions (none: to all) arrives in the log; nobody hears of it."""
        for sent in self.waiting:
            if not sent.stored and self._meant(sent, homes):
                time = self._clock.broker // 1000
                self._log.append([(sent.topic, sent.partition, time, None, sent.value)], {})
                sent.stored = True

    def acknowledge(self, *homes: int) -> None:
        """What was sent to these digest partitions (none: to all, dead letters, too) is safe."""
        self.store(*homes)
        done = [s for s in self.waiting if s.stored and self._meant(s, homes)]
        self.waiting = [s for s in self.waiting if s not in done]
        for sent in done:
            self._known = True
            sent.done()

    def _meant(self, sent: Sent, homes: Sequence[int]) -> bool:
        digests = sent.topic == NAMES.digests
        return not (digests and sent.partition in self.deaf) and (not homes or (digests and sent.partition in homes))

    # the port

    def send(self, topic: str, partition: int | None, key: bytes | None, value: bytes, done: Callable[[], None]) -> None:
        self._touch("send")
        self.waiting.append(Sent(topic, 0 if partition is None else partition, value, done))

    def poll(self, seconds: float) -> None:
        self._touch("acks")
        self.polls.append(seconds)
        if self.willing:
            self.acknowledge()

    def flush(self) -> None:
        self._touch("flush")
        self.acknowledge()
        if self.waiting:
            raise BrokerError("the log takes nothing")
        self._touch("flushed")

    def now(self) -> int | None:
        return self._clock.broker if self._known and self.timed else None

    def close(self) -> None:
        self.waiting.clear()


# ---- a deployment ----------------------------------------------------------------------------------------------------------


def side(name: str, *topics: str, **more: Any) -> SidePlan:
    """A side whose rows say when they happened; 2 s of disorder."""
    settings: Json = {"out_of_orderness": 2 * S, "event_time": "at", "types": (("at", TypeRule("timestamp", ("us",))),)}
    return SidePlan(name, topics or (name,), Format.JSON, ("id",), **(settings | more))


def plan(name: str = "shop", source: SidePlan | None = None, *targets: SidePlan, **more: Any) -> TopologyPlan:
    """Windows of 10 s."""
    settings: Json = {"settle": 0, "clock_skew": 0, "ignore": ("at",), "max_ahead": 3600 * S}
    return TopologyPlan(name, source or side("s"), targets or (side("t"),), window=10 * S, **(settings | more))


class House:
    """A deployment on one cluster, in memory."""

    def __init__(self, partitions: int = 2, **topics: int) -> None:
        """``partitions`` of the digest log; source topics with their numbers of partitions (default: s and t of one each)."""
        self.clock = Clock()
        self.cluster = Cluster(self.clock)
        self.log = MemoryLog()
        self.partitions = partitions
        for name, count in (topics or {"s": 1, "t": 1}).items():
            self.cluster.make(name, count)

    def open(
        self,
        of: TopologyPlan | None = None,
        *,
        generation: int = 1,
        columns: Mapping[str, frozenset[str]] | None = None,
        filled: Mapping[Place, int] | None = None,
    ) -> Opened:
        """Opens a topology's share as ``run`` does: its record in each digest partition, its start positions."""
        found = live(of or plan())
        starts = {
            Upstream(s.name, topic, p, there.id): part.begin
            for s in found.sides
            for topic in s.topics
            for there in [self.cluster.topics[topic]]
            for p, part in enumerate(there.parts)
        }
        seen = {s.name: (columns or {}).get(s.name, COLUMNS) for s in found.sides}
        opened = Opened(layout(found, seen, starts), self.partitions, generation)
        message = encode(opened.layout.opened(self.partitions, generation))
        now = self.clock.broker // 1000
        self.log.append([(NAMES.digests, home, now, None, message) for home in range(self.partitions)], {})
        for each in found.sides:
            self.cluster.commits.update(positions(opened, each, self.cluster.commits, filled or {}))
        return opened

    def hand(
        self,
        *opened: Opened,
        touch: Touch = silent,
        ends: Mapping[Spotted, int] | None = None,
        beats: Callable[[View], int | None] = lambda _: None,
        hold: bool = True,
    ) -> Hand:
        """A worker; ``hold``: it gets every partition at once."""
        hand = Hand(self, opened, touch, ends, beats)
        if hold:
            hand.source.give(*self.places(hand))
        return hand

    def places(self, hand: Hand) -> list[Place]:
        return [(t, p) for t in hand.source.topics for p in range(len(self.cluster.topics[t].parts))]

    def records(self, home: int) -> list[Record]:
        return [decode(e.value) for e in self.log.read(NAMES.digests, home, 0, 1 << 40)]

    def said(self, home: int, kind: type[Record]) -> list[Any]:
        return [r for r in self.records(home) if isinstance(r, kind)]

    def letters(self) -> list[Json]:
        return [orjson.loads(e.value) for e in self.log.read(NAMES.dead_letters, 0, 0, 1 << 40)]

    def ends(self) -> dict[Spotted, int]:
        return {("c", (t, p)): part.end for t, topic in self.cluster.topics.items() for p, part in enumerate(topic.parts)}

    def reached(self, home: int) -> dict[Upstream, int]:
        """Next position of each partition in a digest partition, as its reader takes ranges; a gap is refused."""
        found: dict[Upstream, int] = {}
        for record in self.records(home):
            if isinstance(record, Open):
                found |= {Upstream(f.id, t, p, i): at for f in record.feeds for t, i, p, at in f.partitions}
            elif isinstance(record, Partition):
                found.setdefault(record.upstream, record.position)
            elif isinstance(record, Block):
                for of in record.ranges:
                    assert of.start <= found[of.upstream], f"{of} leaves a gap after {found[of.upstream]}"
                    found[of.upstream] = max(found[of.upstream], of.end)
        return found

    def safe(self) -> None:
        """No committed position lies beyond what every digest partition has; state of no view is in two minds about it."""
        reached = [self.reached(home) for home in range(self.partitions)]
        for place, commit in self.cluster.commits.items():
            saved = Saved.load(commit)
            assert commit.position == min(k.progress.position for k in saved.views.values())
            for name, kept in saved.views.items():
                upstream = Upstream(name.split("/")[1], *place, saved.topic_id)
                assert all(kept.progress.position <= of[upstream] for of in reached), (place, kept, reached)

    def answer(self) -> tuple[list[Json], Json]:
        """What a reader of the log says in the end, times of writing aside, and where every partition then stands."""
        told: list[Json] = []
        stand: Json = {}
        for home in range(self.partitions):
            reader = Reconciler(home, MemoryStore())
            entries = self.log.read(NAMES.digests, home, 0, 1 << 40)
            for entry in entries:
                told += [told_of(orjson.loads(e.body)) for e in reader.fold(entry)]
            for name, share in reader.shares.items():
                known = {f"{u.side}/{u.topic}/{u.partition}": k for u, k in share.known.items() if not k.retired}
                stand |= {
                    f"{name}/{home}/{u}": (k.next, k.watermark, k.raw, k.loaded, k.latest, k.gaps) for u, k in known.items()
                }
                stand |= {f"{name}/{home}/{u}/counts": k.counts for u, k in known.items() if k.counts.rows}
        return told, stand


def told_of(body: Json) -> Json:
    """An event without what depends on when, and in which pieces, things were written."""
    return {k: v for k, v in body.items() if k not in {"time", "prev", "events_root", "ranges", "watermarks", "idle_assumed"}}


class Hand:
    """A worker with its ports."""

    def __init__(
        self,
        house: House,
        opened: Sequence[Opened],
        touch: Touch,
        ends: Mapping[Spotted, int] | None,
        beats: Callable[[View], int | None],
    ) -> None:
        self.house = house
        self.source = Source(house.cluster, touch)
        self.writer = Writer(house.log, house.clock, touch)
        jobs = [Job(o, ReferenceDecoder) for o in opened]
        self.worker = NormaliseWorker(jobs, lambda _: self.source, self.writer, NAMES, house.clock, ends)
        self.watch = Watch(self.worker, beats, house.clock, lifts=ends is None)

    def run(self, seconds: float = 2.0) -> None:
        """Steps four times a second; nobody looks after what is quiet or ahead."""
        for _ in range(round(seconds * 4)):
            self.worker.step()
            self.house.clock.wait(0.25)

    def live(self, seconds: float = 2.0) -> None:
        """As a worker does: steps, and looks after them."""
        for _ in range(round(seconds * 4)):
            self.worker.step()
            self.watch.tend()
            self.house.clock.wait(0.25)

    def lifts(self, home: int = 0) -> list[Lift]:
        return self.house.said(home, Lift)

    def stalls(self) -> list[Stall]:
        return [s for home in range(self.house.partitions) for s in self.house.said(home, Stall)]


# ---- reconcile's end -------------------------------------------------------------------------------------------------------


class Digests:
    """The digest log as one member of the group reads it. ``limit``: entries of a digest partition that a poll brings."""

    def __init__(self, log: MemoryLog, commits: dict[int, Commit]) -> None:
        self.log = log
        self.commits = commits
        self.held: dict[int, int] = {}
        self.limit = 1 << 30
        self.first = 0
        """What retention has left of every digest partition."""
        self.sought: list[tuple[int, int]] = []
        self.touch: Touch = silent
        self._assigned: Callable[[Sequence[int]], Mapping[int, int]] | None = None
        self._revoked: Callable[[Sequence[int]], None] | None = None

    def give(self, *homes: int) -> None:
        assert self._assigned is not None
        self.held.update(self._assigned(homes))

    def take(self, *homes: int) -> None:
        assert self._revoked is not None
        self._revoked(homes)
        for home in homes:
            del self.held[home]

    def subscribe(self, assigned: Callable[[Sequence[int]], Mapping[int, int]], revoked: Callable[[Sequence[int]], None]) -> None:
        self._assigned, self._revoked = assigned, revoked

    def poll(self, limit: int, seconds: float) -> Mapping[int, Sequence[Entry]]:
        found = {}
        for home, at in self.held.items():
            entries = self.log.read(NAMES.digests, home, at, min(limit, self.limit))
            if entries:
                found[home] = entries
                self.held[home] = entries[-1].offset + 1
        return found

    def seek(self, home: int, position: int) -> None:
        self.sought.append((home, position))
        self.held[home] = position

    def committed(self, homes: Sequence[int]) -> Mapping[int, Commit]:
        self.touch("committed")
        return {h: self.commits[h] for h in homes if h in self.commits}

    def begin(self, home: int) -> int:
        self.touch("begin")
        return self.first

    def ends(self) -> Mapping[int, int]:
        return {h: len(self.log.topics.get((NAMES.digests, h), [])) for h in self.held}

    def membership(self) -> Any:
        return "member"

    def close(self) -> None:
        self.take(*self.held)


@dataclass(slots=True)
class Said:
    """A transaction that went through."""

    home: int
    messages: list[tuple[str, bytes, bytes]]
    commit: Commit


class Outputs:
    """Transactions of one digest partition. ``fails``: what the next transactions meet: (error, whether it went through all the
    same), or None.
    """

    def __init__(
        self,
        home: int,
        said: list[Said],
        commits: dict[int, Commit],
        fails: list[tuple[BaseException, bool] | None],
    ) -> None:
        self.home = home
        self.transactions = self.replaced = 0
        self.seconds = 0.0
        self.closed = False
        self._said, self._commits, self._fails = said, commits, fails

    def say(self, messages: Sequence[tuple[str, bytes, bytes]], commit: Commit, membership: Callable[[], Any]) -> None:
        assert not self.closed
        assert membership() == "member"
        fail = self._fails.pop(0) if self._fails else None
        if fail is None or fail[1]:
            self._said.append(Said(self.home, list(messages), commit))
            self._commits[self.home] = commit
            self.transactions += 1
        if fail is not None:
            raise fail[0]

    def close(self) -> None:
        self.closed = True


def bodies(said: Iterable[Said], home: int | None = None) -> Iterator[bytes]:
    return (body for s in said if home in {None, s.home} for _, _, body in s.messages)
