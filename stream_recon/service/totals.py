"""What is counted since this process began, over workers that come and go: it never goes back.

Rows of a partition are counted from its state, which another worker takes up again: its last second may be read twice, and is
counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stream_recon.model.digest import Counts
from stream_recon.service.histogram import Observed
from stream_recon.service.report import Measured, NormaliseReport, PartitionReport, ReconcileReport

Said = tuple[str, str, str, str]
"""Topology, target, kind of output, detail."""

Name = tuple[str, str]
"""Topology and side, or topology and target."""

_Numbers = tuple[int, ...]
"""The fields of ``Counts``."""

_NONE: _Numbers = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """What workers count since they began, added up."""

    said: Counter[Said] = field(default_factory=Counter)
    transactions: int = 0
    replaced: int = 0
    seconds: float = 0.0
    entries: int = 0
    singly: int = 0
    checkpoints: int = 0
    checkpoints_failed: int = 0
    checkpoint_bytes: int = 0
    observed: Mapping[Measured, Observed] = field(default_factory=dict)

    def plus(self, report: ReconcileReport | NormaliseReport) -> Totals:
        """With those of one more worker."""
        if isinstance(report, NormaliseReport):
            return replace(self, singly=self.singly + report.singly)
        return Totals(
            self.said + Counter(report.said),
            self.transactions + report.transactions,
            self.replaced + report.replaced,
            self.seconds + report.seconds,
            self.entries + report.entries,
            self.singly,
            self.checkpoints + report.checkpoints.made,
            self.checkpoints_failed + report.checkpoints.failed,
            self.checkpoint_bytes + report.checkpoints.sent,
            {**self.observed}
            | {what: one.plus(self.observed[what]) if what in self.observed else one for what, one in report.observed.items()},
        )


class Tallies:
    """Messages of each partition: since its start position, as far as it was ever read, and since it was first seen here."""

    def __init__(self) -> None:
        self._state: dict[Name, dict[tuple[str, int], _Numbers]] = {}
        self._done: dict[Name, _Numbers] = {}

    def take(self, report: PartitionReport) -> None:
        """What a worker says of a partition."""
        now = (report.rows, report.control, report.dead_letters, report.unused, report.late)
        name, place = (report.topology, report.side), (report.topic, report.partition)
        states = self._state.setdefault(name, {})
        before = states.setdefault(place, now)
        if now == before:
            return
        if 2 * sum(now) < sum(before):  # far more than is ever read twice: the topic was made anew
            states[place], before = now, _NONE
        else:
            states[place] = tuple(map(max, now, before))
        done = self._done.get(name, _NONE)
        self._done[name] = tuple(d + after - b for d, after, b in zip(done, states[place], before, strict=True))

    @property
    def names(self) -> list[Name]:
        """Topologies and sides of which anything was heard."""
        return list(self._state)

    def state(self, name: Name) -> Counts:
        """Of a side, since the start positions of its partitions."""
        return Counts(*map(sum, zip(*self._state.get(name, {}).values(), strict=True)))

    def done(self, name: Name) -> Counts:
        """Of a side, since this process began."""
        return Counts(*self._done.get(name, _NONE))
