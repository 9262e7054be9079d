"""Which partitions are paused because their side runs ahead: what waits for the other side must fit in bounds (DESIGN 5).

A partition is paused if its changes are more than max_ahead beyond

* the reach of its counterpart: the furthest partition, for a source that of the furthest target; or
* the lowest reach of those partitions of its own feed that have something to read.

What is paused is measured by its own changes, for only rows fill the buffer: a lift or a snapshot read pauses nobody. What it is
measured against is all that is known: changes, lifts and snapshot reads. So whoever waits for a side that has nothing to read
waits for one that is behind it by the rules of ``lifting``: that side is stalled, and said to be, or a lift sets the other free.
(A paused partition is not idle: were a side paused against one that agrees with it, the lift that both need would never come.)
max_ahead must be at least settle + clock_skew and what the sides differ in out_of_orderness.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_recon.normalise.clock import NEVER, ClockState
from stream_recon.service.lifting import spoken


@dataclass(frozen=True, slots=True)
class Pace:
    """How far one partition has come. ``caught_up``: at its end, nothing more to read now (false until the end was asked)."""

    clock: ClockState
    caught_up: bool

    @property
    def reach(self) -> int:
        """The time that it is known to have reached; ``NEVER``: it has not spoken. The first change does not take it back."""
        clock = self.clock
        return max(clock.watermark, spoken(clock) if clock.raw == NEVER else clock.loaded)


def paused(
    feeds: Mapping[str, Mapping[tuple[str, int], Pace]], pairs: Sequence[tuple[str, str]], max_ahead: int
) -> dict[str, frozenset[tuple[str, int]]]:
    """The partitions of each feed that are not to be read on now, by (topic, partition).

    A counterpart, or a partition with something to read, that has not spoken stands before all times: whatever has a change
    waits for its first word. At start-up nobody has a change, so all are read; a side without partitions holds up nobody.

    No dead-lock: of two sides only the one ahead waits for the other, and in a feed the last one with something to read waits for
    no partition of its own. So where all that is left of a feed is paused, its counterparts can be read, or have nothing left.
    """
    reach = {name: max((pace.reach for pace in partitions.values()), default=None) for name, partitions in feeds.items()}
    fronts: dict[str, list[int | None]] = {name: [] for name in feeds}
    for source, target in pairs:
        fronts[source].append(reach[target])
        fronts[target].append(reach[source])
    result: dict[str, frozenset[tuple[str, int]]] = {}
    for name, partitions in feeds.items():
        bound = min(_bounds(partitions, fronts[name]), default=None)
        ahead = (key for key, pace in partitions.items() if bound is not None and pace.clock.raw > bound + max_ahead)
        result[name] = frozenset(ahead)
    return result


def _bounds(partitions: Mapping[tuple[str, int], Pace], fronts: Sequence[int | None]) -> Iterator[int]:
    known = [front for front in fronts if front is not None]
    if fronts and len(known) == len(fronts):  # one without partitions is infinitely far ahead
        yield max(known)
    left = [pace.reach for pace in partitions.values() if not pace.caught_up]
    if left:
        yield min(left)
