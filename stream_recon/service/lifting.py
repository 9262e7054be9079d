"""Which quiet partitions are lifted to where, and which sides are stalled (DESIGN 3.3).

A lift is a promise that no older row will come. So each needs somebody who vouches for that: another partition of the topic,
the other side, a heartbeat, or the user who said when silence is to be taken for fact. Where nobody does, the watermark stays.

    to = min(idle_as_of - idle_after, max of the bounds that apply)
      same topic      highest watermark in it
      both sides      the instant at which all was quiet, - idle_after
      heartbeat       its commit time - out_of_orderness
      stall_timeout   silence of the whole side: its instant - max(idle_after, stall_timeout)
                      of some partitions: not beyond those that speak
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_recon.normalise.clock import NEVER, ClockState


@dataclass(frozen=True, slots=True)
class Seen:
    """One upstream partition of a feed, as far as it is known now; times in µs.

    ``idle_as_of``: broker time at which it was found caught up, un-paused and quiet for idle_after (null: not idle). ``quiet``:
    how long it had been quiet then (0 if not idle). Clocks and heartbeat are to be taken before ends are asked: a row that was
    sent after its end was asked, but before a row that is let vouch for it, would be overtaken by the lift.
    """

    topic: str
    partition: int
    clock: ClockState
    idle_as_of: int | None
    quiet: int


@dataclass(frozen=True, slots=True)
class SeenFeed:
    """One side as read for one or more pairs. ``idle_after`` null: never lifted; ``stall_timeout`` null: never; ``heartbeat``:
    commit time of the last row of the declared heartbeat table.
    """

    partitions: tuple[Seen, ...]
    out_of_orderness: int
    idle_after: int | None
    stall_timeout: int | None
    heartbeat: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """``lifts``: (feed, topic, partition) -> to, only where that is above the watermark. ``stalled``: feed -> the last time it is
    known to have reached, null if it never spoke.
    """

    lifts: Mapping[tuple[str, str, int], int]
    stalled: Mapping[str, int | None]


def decide(feeds: Mapping[str, SeenFeed], pairs: Sequence[tuple[str, str]], *, settle: int, clock_skew: int) -> Decision:
    """Applies the rules once. Pure: asked again with the same, it says the same, and its lifts do not feed on each other.

    Two sides agree if neither is behind the other. One pair is enough to vouch for a source of several, unless another shows that
    it is behind: a target that moved on proves that the source has rows on their way, whatever a quiet target says.
    """
    last = {name: _last(feed) for name, feed in feeds.items()}
    quiet = {name: [(seen, feed.idle_after) for seen in feed.partitions] for name, feed in feeds.items()}
    behind: dict[str, int] = {}
    agreed: dict[str, int] = {}
    for pair in pairs:
        agree = True
        for own, other in (pair, pair[::-1]):
            reached = _passed_by(last[own], last[other], settle + clock_skew)
            if reached is not None:
                agree = False
                behind[own] = max(behind.get(own, reached), reached)
        instant = _together([*quiet[pair[0]], *quiet[pair[1]]])
        if agree and instant is not None:
            agreed.update({name: max(agreed.get(name, instant), instant) for name in pair})

    lifts: dict[tuple[str, str, int], int] = {}
    stalled: dict[str, int | None] = {}
    for name, feed in feeds.items():
        rules = _Rules.of(feed, None if name in behind else agreed.get(name))
        for seen in feed.partitions:
            to = rules.lift(seen)
            if to is not None and to > seen.clock.watermark:
                lifts[name, seen.topic, seen.partition] = to
        if name in behind and not rules.frees(behind[name]):
            stalled[name] = last[name].time
    return Decision(lifts, stalled)


def spoken(clock: ClockState) -> int:
    """How far a partition without a change is known to have come: to its snapshot reads, or, if a lift came before them and they
    are no reads in front any more, to its latest row. ``NEVER``: nothing was read.
    """
    return clock.latest if clock.loaded == NEVER else clock.loaded


@dataclass(frozen=True, slots=True)
class _Last:
    """The last time of a side. ``time`` null: it never spoke; ``change``: it is that of a change, not of a snapshot read."""

    exists: bool
    time: int | None
    change: bool


def _last(feed: SeenFeed) -> _Last:
    changes = [seen.clock.raw + feed.out_of_orderness for seen in feed.partitions if seen.clock.raw != NEVER]
    reads = [time for seen in feed.partitions if (time := spoken(seen.clock)) != NEVER]
    return _Last(bool(feed.partitions), max(changes or reads, default=None), bool(changes))


def _passed_by(own: _Last, other: _Last, leeway: int) -> int | None:
    """The other side's last time, if it shows that ``own`` is behind.

    A snapshot read says how things stand, not that anything moved: it puts only a side behind that never spoke. From a side
    without partitions nothing can come, and nothing can be missed: its watermark is infinite, and it agrees with everything.
    """
    if not own.exists or other.time is None:
        return None
    passed = own.time is None or (other.change and other.time > own.time + leeway)
    return other.time if passed else None


def _together(silences: Iterable[tuple[Seen, int | None]]) -> int | None:
    """The latest instant at which, as far as is known, each partition had been quiet for as long as it must (null: for ever).

    They were asked at different times, and one may have spoken since: only a common instant shows that all were quiet at once.
    """
    begins, ends = [], []
    for seen, silence in silences:
        if seen.idle_as_of is None or silence is None:
            return None
        begins.append(seen.idle_as_of - seen.quiet + silence)
        ends.append(seen.idle_as_of)
    return min(ends) if ends and max(begins) <= min(ends) else None


@dataclass(frozen=True, slots=True)
class _Rules:
    """What vouches for the partitions of one feed."""

    feed: SeenFeed
    agreed: int | None
    topics: Mapping[str, int]
    heartbeat: int | None
    silence: int | None
    silent: int | None
    speaking: int

    @classmethod
    def of(cls, feed: SeenFeed, agreed: int | None) -> _Rules:
        topics: dict[str, int] = {}
        for seen in feed.partitions:
            topics[seen.topic] = max(topics.get(seen.topic, NEVER), seen.clock.watermark)
        # A heartbeat is a row of the log as any other: what comes after it may be older by out_of_orderness.
        heartbeat = None if feed.heartbeat is None else feed.heartbeat - feed.out_of_orderness
        timed = feed.idle_after is not None and feed.stall_timeout is not None
        silence = max(feed.idle_after or 0, feed.stall_timeout or 0) if timed else None
        silent = _together((seen, silence) for seen in feed.partitions)
        speaking = [s.clock.watermark for s in feed.partitions if silence is None or s.idle_as_of is None or s.quiet < silence]
        return cls(feed, agreed, topics, heartbeat, silence, silent, max(speaking, default=NEVER))

    def lift(self, seen: Seen) -> int | None:
        """Where ``seen`` may be lifted to, which may be below its watermark; null: nobody vouches, or it is not idle."""
        limit = self._limit(seen)
        bound = max(self._bounds(seen), default=None)
        return None if limit is None or bound is None else min(limit, bound)

    def frees(self, passed: int) -> bool:
        """Whether the feed, behind a side whose last time is ``passed``, is not stalled: a partition of it still speaks, or
        heartbeat or stall_timeout take every one past that time. A heartbeat younger than idle_after does it, too: against a side
        that never rests, none could be past its last time.
        """
        limits = [self._limit(seen) for seen in self.feed.partitions]
        idle = [limit for limit in limits if limit is not None]
        if len(idle) < len(limits):
            return True
        if self.heartbeat is not None and (self.heartbeat > passed or self.heartbeat >= max(idle)):
            return True
        # Only as a whole: while a partition spoke more lately than that, nothing takes this one past its own word.
        return self.silence is not None and self.silent is not None and self.silent - self.silence > passed

    def _limit(self, seen: Seen) -> int | None:
        if seen.idle_as_of is None or self.feed.idle_after is None:
            return None
        return seen.idle_as_of - self.feed.idle_after

    def _bounds(self, seen: Seen) -> Iterator[int]:
        # Its own watermark may be the highest of the topic: then it vouches for nothing above itself, as if it were left out.
        if self.topics[seen.topic] != NEVER:
            yield self.topics[seen.topic]
        if self.agreed is not None and self.feed.idle_after is not None:
            yield self.agreed - self.feed.idle_after
        if self.heartbeat is not None:
            yield self.heartbeat
        taken = self._taken_for_fact(seen)
        if taken is not None:
            yield taken

    def _taken_for_fact(self, seen: Seen) -> int | None:
        """By stall_timeout. Where other partitions of the side speak, their times say better than silence how far it has come: a
        side that lags by more than stall_timeout is late everywhere.
        """
        if self.silence is None or seen.idle_as_of is None or seen.quiet < self.silence:
            return None
        if self.silent is not None:
            return self.silent - self.silence
        return None if self.speaking == NEVER else min(self.speaking, seen.idle_as_of - self.silence)
