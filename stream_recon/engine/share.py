"""One topology's share of one digest partition: records of the log in, in order; events of its pairs out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.align.fold import Hole
from stream_recon.align.pieces import Rows
from stream_recon.align.side import FOREVER, NEVER
from stream_recon.engine.causes import Cause
from stream_recon.engine.keep import PairStore
from stream_recon.engine.pair import Pair
from stream_recon.engine.pending import Pending
from stream_recon.engine.terms import Event, Marks, Rules
from stream_recon.engine.upstream import Known
from stream_recon.errors import LogError
from stream_recon.model.digest import Block, End, Feed, Flag, Lift, Open, Partition, Range
from stream_recon.model.messages import Upstream
from stream_recon.model.versions import from_digest, key_halves


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a feed sits in a pair: 0 as source, 1 as target."""

    pair: Pair
    which: int


class Share:
    """Folds the records of one topology. ``first_pair`` numbers its pairs in the store."""

    def __init__(self, opened: Open, home: int, store: Pending, first_pair: int) -> None:
        self.opened = opened
        self.ended = False
        self.announced: list[Partition] = []
        self.sides = {f.id: f.side for f in opened.feeds}
        self.known = {u: k for feed in opened.feeds for u, k in _partitions(feed)}
        self.parts = {f.id: [u for u in self.known if u.side == f.id] for f in opened.feeds}
        feeds = {f.id: f for f in opened.feeds}
        self.pairs = []
        for n, pair in enumerate(opened.pairs):
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
        self.seats = {f: list(self._seats(f)) for f in feeds}
        for feed, seats in self.seats.items():
            for seat in seats:
                self._seat(seat, feed)

    def _seats(self, feed: str) -> Iterator[Seat]:
        for pair, declared in zip(self.pairs, self.opened.pairs, strict=True):
            if declared.source_feed == feed:
                yield Seat(pair, 0)
            if declared.target_feed == feed:
                yield Seat(pair, 1)

    def _seat(self, seat: Seat, feed: str) -> None:
        """Tells a pair the partitions of a side, and their order."""
        parts = self.parts[feed]
        by_name = sorted(range(len(parts)), key=lambda i: (parts[i].topic, parts[i].partition, parts[i].topic_id))
        rank = [0] * len(parts)
        for place, i in enumerate(by_name):
            rank[i] = place
        side = (seat.pair.source, seat.pair.target)[seat.which]
        side.ranked(rank)
        seat.pair.parts[seat.which][:] = [(u.topic, u.partition) for u in parts]

    # ---- records -------------------------------------------------------------------------------------------------------

    def fold(self, record: Block | Lift | Partition | End, appended: int) -> Iterator[Event]:
        """One record; ``appended`` is its append time (ms). What follows from it is worked out as it is taken, to its end.

        Raises:
            LogError: the record speaks of a partition that the share was not opened with.
        """
        if isinstance(record, Block):
            self._block(record)
        elif isinstance(record, Lift):
            if not self._of(record.upstream).lift(record.to, record.position):
                return iter(())
        elif isinstance(record, Partition):
            self.announce(record)
        else:
            self.ended = True
        return (event for n in range(len(self.pairs)) for event in self._advance(n, appended))

    def announce(self, record: Partition) -> None:
        """A partition that appears later; announced again it changes nothing."""
        upstream = record.upstream
        if upstream in self.known:
            return
        place = record.feed, self.sides[record.feed], record.topic, record.topic_id, record.partition
        mark = record.watermark
        self.known[upstream] = Known(*place, record.position, record.position, mark, mark, leading=False)
        self.parts[record.feed].append(upstream)
        self.announced.append(record)
        for seat in self.seats[record.feed]:
            self._seat(seat, record.feed)

    def _of(self, upstream: Upstream) -> Known:
        if upstream not in self.known:
            raise LogError(
                f"digest log: topology {self.opened.topology} was opened without {upstream.topic}/{upstream.partition} of feed "
                f"{upstream.side}; run stream-recon rebuild"
            )
        return self.known[upstream]

    def _block(self, block: Block) -> None:
        new = np.empty(len(block.ranges), np.int64)
        for i, range_ in enumerate(block.ranges):
            known = self._of(range_.upstream)
            before = known.watermark
            new[i], lost = known.accept(range_)
            if lost:
                self._gap(range_, known, before, lost)
            elif range_.first is not None and range_.end > new[i]:
                self._gap_ends(range_, known)
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
        places = {u: i for i, u in enumerate(self.parts[feed])}
        part = np.array([places.get(r.upstream, 0) for r in ranges], np.uint16)[which]
        high, low = key_halves(rows.column("key"))
        text = rows.column("key_text")
        text = pc.fill_null(text, b"") if text.null_count else text
        for seat in self.seats[feed]:
            version = from_digest(rows, part, seat.pair.rules.large)
            seat.pair.add(seat.which, Rows(high, low, version, text))
        broken = rows.column("flags").to_numpy() & Flag.LIFT_BROKEN
        for i in np.flatnonzero(broken):
            known = self.known[self.parts[feed][int(part[i])]]
            time, offset = rows.column("time")[i].as_py(), rows.column("offset")[i].as_py()
            self._cause(feed, Cause("lift_broken", known.side, known.topic, known.partition, offset, time, time))

    # ---- what cannot be conclusive -------------------------------------------------------------------------------------

    def _cause(self, feed: str, cause: Cause) -> None:
        for seat in self.seats[feed]:
            seat.pair.memory.causes.append(cause)

    def _undecodable(self, range_: Range, known: Known, new: int) -> None:
        for letter in range_.undecodable:
            if letter.offset >= new:
                cause = Cause("undecodable", known.side, known.topic, known.partition, letter.offset, letter.since, letter.until)
                self._cause(range_.feed, cause)

    def _gap(self, range_: Range, known: Known, before: int | None, lost: int) -> None:
        """Rows were lost: keys may be unknown, and windows from the watermark before to the first time after."""
        start = range_.start - lost
        part = self.parts[range_.feed].index(range_.upstream)
        for seat in self.seats[range_.feed]:
            side = (seat.pair.source, seat.pair.target)[seat.which]
            side.holes.append(Hole(part, start, range_.start, NEVER if before is None else before))
        self._cause(range_.feed, Cause("gap", known.side, known.topic, known.partition, start, before, range_.first))

    def _gap_ends(self, range_: Range, known: Known) -> None:
        """A gap that was the last thing seen of a partition ends with the first row after it."""
        for seat in self.seats[range_.feed]:
            causes = seat.pair.memory.causes
            for i, cause in enumerate(causes):
                if cause.kind == "gap" and cause.until is None and cause.label == known.label:
                    causes[i] = cause.ending(range_.first)

    def _loading(self) -> None:
        for feed, seats in self.seats.items():
            times = [t for t in (self.known[u].loaded for u in self.parts[feed]) if t is not None]
            for seat in seats:
                (seat.pair.source, seat.pair.target)[seat.which].loaded = max(times) if times else None

    # ---- time ----------------------------------------------------------------------------------------------------------

    def _advance(self, number: int, appended: int) -> Iterator[Event]:
        pair, declared = self.pairs[number], self.opened.pairs[number]
        source, target = ([self.known[u] for u in self.parts[f]] for f in (declared.source_feed, declared.target_feed))
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
            max((k.latest for k in (*source, *target) if k.latest is not None), default=NEVER),
            appended,
            {
                k.label: ({"side": k.side, "topic": k.topic, "partition": k.partition}, k.start, k.next)
                for k in (*source, *target)
            },
        )
        return pair.advance(marks)

    def _watermark(self, known: Sequence[Known]) -> int:
        if self.ended:
            return FOREVER
        return min((NEVER if k.watermark is None else k.watermark for k in known), default=FOREVER)


def _reach(watermark: int | None, allowance: int, ended: bool) -> int:
    if ended:
        return FOREVER
    return NEVER if watermark is None else watermark - allowance


def _partitions(feed: Feed) -> Iterator[tuple[Upstream, Known]]:
    for topic, topic_id, partition, start in feed.partitions:
        yield Upstream(feed.id, topic, partition, topic_id), Known(feed.id, feed.side, topic, topic_id, partition, start, start)
