"""One topology's share of one digest partition, in one generation: records of the log in, in order; events of its pairs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.align.fold import Hole
from stream_recon.align.pieces import Rows, Versions
from stream_recon.align.side import FOREVER, NEVER, Side
from stream_recon.audit.chain import Head
from stream_recon.engine.causes import Cause
from stream_recon.engine.keep import PairStore
from stream_recon.engine.pair import Pair
from stream_recon.engine.pending import Pending
from stream_recon.engine.saying import Part
from stream_recon.engine.terms import Event, Marks, Rules, Standing
from stream_recon.engine.upstream import Known
from stream_recon.errors import LogError
from stream_recon.model.digest import Act, Block, Drift, End, Feed, Flag, Lift, Open, Partition, Range, Stall
from stream_recon.model.digest import Pair as PairRecord
from stream_recon.model.messages import Upstream
from stream_recon.model.versions import from_digest, key_halves


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a feed sits in a pair: 0 as source, 1 as target."""

    pair: Pair
    which: int

    @property
    def side(self) -> Side:
        """The pair's side."""
        return (self.pair.source, self.pair.target)[self.which]


class Share:
    """Folds the records of one topology.

    ``first_pair`` numbers its pairs in the store. ``heads``: where chains stand that an older generation began; those of its own
    pairs go on there, the others are kept for a generation to come. A digest partition beyond the topology's parallelism has a
    share without pairs, which has ended: nothing is sent there.
    """

    def __init__(self, opened: Open, home: int, store: Pending, first_pair: int, heads: Mapping[str, Head] | None = None) -> None:
        self.opened = opened
        self.home = home
        self.first_pair = first_pair
        self.heads = dict(heads or {})
        self.ended = not _here(opened, home)
        self.stalled: dict[str, int | None] = {}
        """Feeds that are stalled, and since when (µs; None: they never spoke)."""
        self.drifted: dict[str, list[str]] = {}
        """Columns that appeared, by feed; sorted."""
        self.announced: list[Partition] = []
        self.sides = {f.id: f.side for f in opened.feeds}
        self.known = {u: k for feed in opened.feeds for u, k in _partitions(feed)}
        self.upstreams = {f.id: [u for u in self.known if u.side == f.id] for f in opened.feeds}
        feeds = {f.id: f for f in opened.feeds}
        self.pairs = []
        for n, pair in enumerate(_here(opened, home)):
            sides = feeds[pair.source_feed], feeds[pair.target_feed]
            rules = Rules(
                opened.topology,
                opened.source,
                pair.target,
                f"{opened.topology}/{pair.target}/{home}",
                opened.window,
                opened.settle,
                opened.clock_skew,
                opened.forget_deleted,
                pair.rules,
                opened.configuration,
                pair.keys,
                pair.large,
                (sides[0].order == "event_time", sides[1].order == "event_time"),
                (sides[0].history == "partial", sides[1].history == "partial"),
            )
            self.pairs.append(Pair(rules, PairStore(store, first_pair + n, pair.large)))
            self.pairs[-1].memory.head = self.heads.pop(rules.chain, Head())
        self.bound(opened)
        self.seats = {f: list(self._seats(f)) for f in feeds}
        for of_feed in self.upstreams.values():
            for n, upstream in enumerate(of_feed):
                self.known[upstream].part = n
        self.take_seats()

    def bound(self, opened: Open) -> None:
        """Takes what each pair may keep here: its share of what it may in all digest partitions."""
        self.opened = opened
        for pair in self.pairs:
            pair.max_buffer = -(-opened.max_buffer // opened.parallelism)

    def _seats(self, feed: str) -> Iterator[Seat]:
        for pair, declared in zip(self.pairs, _here(self.opened, self.home), strict=True):
            if declared.source_feed == feed:
                yield Seat(pair, 0)
            if declared.target_feed == feed:
                yield Seat(pair, 1)

    def take_seats(self) -> None:
        """Tells every pair the partitions of its sides, and their order."""
        for feed, seats in self.seats.items():
            known = [self.known[u] for u in self.upstreams[feed]]
            names = {k.part: (k.topic, k.partition) for k in known}
            rank = [0] * len(names)
            for place, number in enumerate(sorted(names, key=lambda n: names[n])):
                rank[number] = place
            parts = [Part(*names[n], tuple(k.base for k in known if k.part == n)) for n in range(len(names))]
            for seat in seats:
                seat.side.ranked(rank)
                seat.pair.parts[seat.which][:] = parts

    # ---- records -------------------------------------------------------------------------------------------------------

    def fold(self, record: Block | Lift | Partition | Stall | Drift | Act | End, appended: int) -> Iterator[Event]:
        """One record; ``appended`` is its append time (ms). What follows from it is worked out as it is taken, to its end.

        Raises:
            LogError: the record speaks of a partition that the share was not opened with.
        """
        if not self.pairs:
            return iter(())
        if isinstance(record, Stall):
            return self._stall(record, appended)
        if isinstance(record, Drift):
            return self._drift(record, appended)
        if isinstance(record, Act):
            return self._act(record, appended)
        if isinstance(record, Block):
            self._block(record)
        elif isinstance(record, Lift):
            known = self._of(record.upstream)
            if known.retired or not known.lift(record.to, record.position):
                return iter(())
        elif isinstance(record, Partition):
            self.announce(record)
        else:
            self._end(record)
        return (event for n in range(len(self.pairs)) for event in self._advance(n, appended))

    def announce(self, record: Partition) -> None:
        """A partition that appears later; announced again it changes nothing.

        It begins where its side stands, so that none of its rows can fall into a window that was closed without it. If its topic
        was recreated, it takes the place of the partition of that name.
        """
        if record.upstream in self.known:
            return
        feed, mark = self._feed(record.feed), self._watermark(self._live(record.feed))
        if mark == FOREVER:
            raise LogError(
                f"digest log: partition {record.topic}/{record.partition} of feed {feed} is announced where topology "
                f"{self.opened.topology} waits for none of that feed; run stream-recon rebuild"
            )
        name = record.topic, record.partition
        old = next((k for k in self._live(feed) if (k.topic, k.partition) == name), None)
        known = self.appear(record)
        known.begin(record.watermark, None if mark == NEVER else mark)
        if old is not None:
            known.take_place(old)
            self._recreated(old, known)
        self.take_seats()

    def appear(self, record: Partition) -> Known:
        """Takes a partition in, as the last of its feed; what is known of it is not told here."""
        feed, upstream = record.feed, record.upstream
        place = feed, self.sides[feed], record.topic, record.topic_id, record.partition
        part = 1 + max((self.known[u].part for u in self.upstreams[feed]), default=-1)
        known = self.known[upstream] = Known(*place, record.position, record.position, part=part)
        self.upstreams[feed].append(upstream)
        self.announced.append(record)
        return known

    def _live(self, feed: str) -> list[Known]:
        return [k for k in (self.known[u] for u in self.upstreams[feed]) if not k.retired]

    def _feed(self, feed: str) -> str:
        if feed not in self.sides:
            raise LogError(
                f"digest log: topology {self.opened.topology} was opened without feed {feed}; run stream-recon rebuild"
            )
        return feed

    def _of(self, upstream: Upstream) -> Known:
        if upstream not in self.known:
            raise LogError(
                f"digest log: topology {self.opened.topology} was opened without {upstream.topic}/{upstream.partition} of feed "
                f"{upstream.side}; run stream-recon rebuild"
            )
        return self.known[upstream]

    def _block(self, block: Block) -> None:
        new = np.empty(len(block.ranges), np.int64)
        for i, sent in enumerate(block.ranges):
            known = self._of(sent.upstream)
            if known.retired:
                new[i] = FOREVER
                continue
            range_, before = known.raised(sent), known.watermark
            new[i], lost = known.accept(range_)
            if lost:
                self._gap(range_, known, before, lost)
            if range_.first is not None and range_.end > new[i]:
                self._gap_ends(range_.first, known)
            self._undecodable(range_, known, int(new[i]))
            for seat in self.seats[range_.feed]:
                seat.pair.memory.repeated += range_.repeated
        self._loading()
        rows = block.rows
        if not len(rows):
            return
        which = rows.column("range").to_numpy()
        fresh = rows.column("offset").to_numpy() >= new[which]
        if not fresh.all():
            rows, which = rows.filter(pa.array(fresh)), which[fresh]
        for feed in self.seats:
            mine = np.array([r.feed == feed for r in block.ranges])[which]
            if mine.any():
                self._rows(feed, rows if mine.all() else rows.filter(pa.array(mine)), which[mine], block.ranges)

    def _rows(self, feed: str, rows: pa.RecordBatch, which: npt.NDArray[np.uint16], ranges: Sequence[Range]) -> None:
        """Rows of one feed. What lies below the floor of its partition is late: it takes part there."""
        known = [self.known[r.upstream] for r in ranges]
        part = np.array([k.part for k in known], np.uint16)[which]
        base = np.array([k.base for k in known], np.int64)[which]
        floor = np.array([NEVER if k.floor is None else k.floor for k in known], np.int64)[which]
        high, low = key_halves(rows.column("key"))
        text = rows.column("key_text")
        text = pc.fill_null(text, b"") if text.null_count else text
        for seat in self.seats[feed]:
            version = from_digest(rows, part, seat.pair.rules.large)
            version["offset"] += base
            _raise(version, floor)
            seat.pair.add(seat.which, Rows(high, low, version, text))
        broken = rows.column("flags").to_numpy() & Flag.LIFT_BROKEN
        for i in np.flatnonzero(broken):
            time, offset = max(rows.column("time")[i].as_py(), int(floor[i])), rows.column("offset")[i].as_py()
            self._cause(feed, _cause("lift_broken", known[which[i]], offset, time, time))

    # ---- what cannot be conclusive -------------------------------------------------------------------------------------

    def _cause(self, feed: str, cause: Cause) -> None:
        for seat in self.seats[feed]:
            seat.pair.memory.causes.append(cause)

    def _undecodable(self, range_: Range, known: Known, new: int) -> None:
        for letter in range_.undecodable:
            if letter.offset >= new:
                self._cause(range_.feed, _cause("undecodable", known, letter.offset, letter.since, letter.until))

    def _gap(self, range_: Range, known: Known, before: int | None, lost: int) -> None:
        """Rows were lost: keys may be unknown, and windows from the watermark before to the first time after."""
        start = range_.start - lost
        self._hole(known, start, range_.start, before)
        self._cause(range_.feed, _cause("gap", known, start, before, range_.first))

    def _end(self, record: End) -> None:
        """The input ends where it says: what is not here up to there was lost."""
        for feed, topic, topic_id, partition, position in record.ends:
            known = self._of(Upstream(feed, topic, partition, topic_id))
            if not known.retired and position > known.next:
                before, lost = known.watermark, position - known.next
                times = known.watermark, known.raw, known.loaded, known.latest, known.leading
                known.accept(nothing := Range(feed, topic, topic_id, partition, position, position, *times, None))
                self._gap(nothing, known, before, lost)
        self.ended = True

    def _recreated(self, old: Known, known: Known) -> None:
        """What the old partition still held is lost; what comes of it from now on is a zombie's."""
        self._hole(old, old.next, known.base - old.base, old.watermark)
        self._cause(old.feed, _cause("recreated", old, old.next, old.watermark, None))

    def _hole(self, known: Known, start: int, end: int, before: int | None) -> None:
        since = NEVER if before is None else before
        for seat in self.seats[known.feed]:
            seat.side.holes.append(Hole(known.part, known.base + start, known.base + end, since))

    def _gap_ends(self, first: int, known: Known) -> None:
        """What was lost last of a partition, or with the one whose place it took, ends with the first row after it."""
        for seat in self.seats[known.feed]:
            causes = seat.pair.memory.causes
            for i, cause in enumerate(causes):
                if cause.open_at(known.side, known.topic, known.partition):
                    causes[i] = cause.ending(first)

    def _loading(self) -> None:
        for feed, seats in self.seats.items():
            times = [t for t in (self.known[u].loaded for u in self.upstreams[feed]) if t is not None]
            for seat in seats:
                seat.side.loaded = max(times) if times else None

    # ---- time ----------------------------------------------------------------------------------------------------------

    def _advance(self, number: int, appended: int) -> Iterator[Event]:
        pair, declared = self.pairs[number], self.opened.pairs[number]
        feeds = declared.source_feed, declared.target_feed
        source, target = (self._live(f) for f in feeds)
        every = [self.known[u] for f in feeds for u in self.upstreams[f]]
        allowances = pair.rules.settle + pair.rules.clock_skew, pair.rules.settle
        reach = [
            (k.label, _reach(k.watermark, a, self.ended), _reach(k.raw, a, self.ended))
            for known, a in zip((source, target), allowances, strict=True)
            for k in known
        ]
        marks = Marks(
            self._watermark(source),
            self._watermark(target),
            min((raw for _, _, raw in reach), default=FOREVER),
            {label: raw for label, lifted, raw in reach if lifted > raw},
            max((k.latest for k in every if k.latest is not None), default=NEVER),
            appended,
            {k.label: (k.place, k.start, k.next, k.schemas) for k in every},
        )
        return pair.advance(marks)

    def _watermark(self, known: Sequence[Known]) -> int:
        if self.ended:
            return FOREVER
        return min((NEVER if k.watermark is None else k.watermark for k in known), default=FOREVER)

    # ---- beside the comparison -----------------------------------------------------------------------------------------

    def _stall(self, record: Stall, appended: int) -> Iterator[Event]:
        """Said once, in the chain of the feed's first pair; what is said already changes nothing."""
        feed = self._feed(record.feed)
        if record.resumed:
            if feed not in self.stalled:
                return
            since = self.stalled.pop(feed)
        else:
            if feed in self.stalled and self.stalled[feed] == record.since:
                return
            since = self.stalled[feed] = record.since
        pair, said = self.seats[feed][0].pair, "resumed" if record.resumed else "stalled"
        yield pair.saying.stall(pair.memory, said, self.sides[feed], since, record.waiting, appended)

    def _drift(self, record: Drift, appended: int) -> Iterator[Event]:
        """Each column is said once, in the chain of the feed's first pair."""
        feed = self._feed(record.feed)
        said = self.drifted.get(feed, [])
        new = sorted(set(record.columns) - set(said))
        if new:
            self.drifted[feed] = sorted([*said, *new])
            pair = self.seats[feed][0].pair
            yield pair.saying.drift(pair.memory, self.sides[feed], new, appended)

    def _act(self, record: Act, appended: int) -> Iterator[Event]:
        """Said in the chain of the topology's first pair."""
        pair = self.pairs[0]
        yield pair.saying.act(pair.memory, record, appended)

    def rebuilt(self, opened: Open, appended: int) -> Iterator[Event]:
        """What is said when a newer generation begins: pair by pair what is open is dismissed, and the chain says so."""
        after = {pair.target: pair.rules for pair in _here(opened, self.home)}
        for pair in self.pairs:
            yield from pair.rebuilt(self.opened.generation, opened, after.get(pair.rules.target), appended)

    @property
    def chains(self) -> dict[str, Head]:
        """Where every chain stands that this or an older generation began."""
        return self.heads | {pair.rules.chain: pair.memory.head for pair in self.pairs}

    @property
    def standing(self) -> list[Standing]:
        """How each pair stands, for metrics."""
        out = []
        for pair, declared in zip(self.pairs, _here(self.opened, self.home), strict=True):
            rules = pair.rules
            marks = (self._watermark(self._live(f)) for f in (declared.source_feed, declared.target_feed))
            source, target = (None if m == NEVER else m for m in marks)
            place = rules.topology, rules.target, rules.chain
            held, suspended = pair.source.size + pair.target.size, pair.memory.suspended is not None
            found, times = pair.open, (source, target, pair.closed)
            out.append(Standing(*place, len(found), *times, pair.waiting, held, suspended, dict(found.kinds), found.oldest))
        return out


def _here(opened: Open, home: int) -> tuple[PairRecord, ...]:
    """The pairs that have rows in a digest partition."""
    return opened.pairs if home < opened.parallelism else ()


def _cause(kind: str, known: Known, offset: int, since: int | None, until: int | None) -> Cause:
    return Cause(kind, known.side, known.topic, known.partition, offset, since, until, known.topic_id)


def _raise(version: Versions, floor: npt.NDArray[np.int64]) -> None:
    """Lifts rows to the floor of their partition, in place. A row (not a tombstone, whose time is a guess) is late by that."""
    below = version["time"] < floor
    if below.any():
        version["time"] = np.maximum(version["time"], floor)
        version["flags"][below & ((version["flags"] & (Flag.MARK | Flag.TOMBSTONE)) == 0)] |= np.uint16(Flag.LATE)


def _reach(watermark: int | None, allowance: int, ended: bool) -> int:
    if ended:
        return FOREVER
    return NEVER if watermark is None else watermark - allowance


def _partitions(feed: Feed) -> Iterator[tuple[Upstream, Known]]:
    for topic, topic_id, partition, start in feed.partitions:
        yield Upstream(feed.id, topic, partition, topic_id), Known(feed.id, feed.side, topic, topic_id, partition, start, start)
