"""One picture of the whole service, put together from what its workers say of themselves.

    gauges    of workers that are there; where two claim one partition while it moves, the one that is further
    counters  of all that ever reported here: a worker that dies takes nothing back, one that comes anew adds to it

A source whose targets do not share their columns is read once a view: its messages count once, its slowest view tells its
watermark. What the plans name is in the picture though nobody speaks of it, so that nothing is left out in silence.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from stream_recon.engine.causes import KINDS
from stream_recon.engine.pipeline import AUDIT, DISCREPANCIES
from stream_recon.lifecycle.states import Kind
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.picture import (
    NORMALISE,
    RECONCILE,
    STATUSES,
    VERDICTS,
    PairPicture,
    Picture,
    Reading,
    SidePicture,
    TopologyPicture,
)
from stream_recon.service.report import (
    CAUSE,
    JUDGEMENTS,
    KEYS,
    NormaliseReport,
    PairReport,
    PartitionReport,
    ReconcileReport,
    StallReport,
)
from stream_recon.service.totals import Name, Said, Tallies, Totals

Report = NormaliseReport | ReconcileReport
Held = tuple[str, PartitionReport]
"""A worker, and what it says of a partition."""


@dataclass(slots=True)
class _Worker:
    """The last word of a worker. ``there``: it may still speak."""

    incarnation: int
    report: Report
    there: bool = True


class Standing:
    """Takes reports, gives pictures; from any thread.

    ``plans``: what is in the picture even if no worker speaks of it. ``clock``: the time in µs.
    """

    def __init__(self, plans: Sequence[TopologyPlan] = (), clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._clock = clock
        self._lock = Lock()
        self._workers: dict[str, _Worker] = {}
        self._tallies = Tallies()
        self._former = Totals()
        """Of workers that were followed by another incarnation."""
        self._parts: dict[Name, set[int]] = defaultdict(set)
        """Digest partitions of each pair that were ever folded here."""

    def take(self, worker: str, incarnation: int, report: Report) -> None:
        """A report. One of an incarnation that was followed by another changes nothing, one that comes after the worker's end
        no gauge.
        """
        with self._lock:
            known = self._workers.get(worker)
            if known is None or incarnation > known.incarnation:
                if known is not None:
                    self._former = self._former.plus(known.report)
                self._workers[worker] = _Worker(incarnation, report)
            elif incarnation == known.incarnation:
                known.report = report
            else:
                return
            if isinstance(report, NormaliseReport):
                for partition in report.partitions:
                    if partition.view == partition.side:
                        self._tallies.take(partition)
            else:
                for pair in report.pairs:
                    self._parts[pair.topology, pair.target].add(pair.home)

    @property
    def there(self) -> set[str]:
        """Workers that have reported, and may still speak."""
        with self._lock:
            return {name for name, worker in self._workers.items() if worker.there}

    def gone(self, worker: str) -> None:
        """It ended."""
        with self._lock:
            if worker in self._workers:
                self._workers[worker].there = False

    # ---- the picture ---------------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """How all stands now."""
        with self._lock:
            now = self._clock()
            here = [(name, w.report) for name, w in sorted(self._workers.items()) if w.there]
            reading = [(name, report) for name, report in here if isinstance(report, NormaliseReport)]
            folding = [report for _, report in here if isinstance(report, ReconcileReport)]
            totals = self._former
            for worker in self._workers.values():
                totals = totals.plus(worker.report)
            owners = _owners(folding)
            return Picture(
                now,
                {NORMALISE: len(reading), RECONCILE: len(folding)},
                self._topologies(reading, folding, totals.said, now),
                totals.transactions,
                totals.replaced,
                totals.seconds,
                totals.entries,
                _backlog(owners),
                totals.singly,
                {h: owner.checkpoints.newest[h] for h, owner in owners.items() if h in owner.checkpoints.newest},
                totals.checkpoints,
                totals.checkpoints_failed,
                totals.checkpoint_bytes,
                totals.observed,
            )

    def _topologies(
        self,
        reading: Sequence[tuple[str, NormaliseReport]],
        folding: Sequence[ReconcileReport],
        said: Mapping[Said, int],
        now: int,
    ) -> tuple[TopologyPicture, ...]:
        stopped = {name: why for _, report in reading for name, why in report.stopped.items()}
        held: dict[Name, list[Held]] = defaultdict(list)
        for worker, partition in _claims(reading):
            held[partition.topology, partition.side].append((worker, partition))
        views = {(p.topology, p.view): p.side for found in held.values() for _, p in found}
        stalls: dict[Name, list[StallReport]] = defaultdict(list)
        for stall in (s for _, report in reading for s in report.stalls):
            stalls[stall.topology, views.get((stall.topology, stall.side), stall.side)].append(stall)
        drift: dict[Name, set[str]] = defaultdict(set)
        for topology, side, column in (d for _, report in reading for d in report.drift):
            drift[topology, side].add(column)
        pairs: dict[Name, list[PairReport]] = defaultdict(list)
        for home, owner in _owners(folding).items():
            for pair in owner.pairs:
                if pair.home == home:
                    pairs[pair.topology, pair.target].append(pair)
        plans = self._plans.items()
        sides = _named({t: [s.name for s in p.sides] for t, p in plans}, [*held, *stalls, *self._tallies.names])
        targets = _named(
            {t: [s.name for s in p.targets] for t, p in plans}, [*pairs, *self._parts, *(n[:2] for n in said if n[1])]
        )
        return tuple(
            TopologyPicture(
                topology,
                stopped.get(topology),
                tuple(
                    self._side((topology, s), held[topology, s], stalls[topology, s], drift[topology, s], now)
                    for s in sides.get(topology, ())
                ),
                tuple(self._pair((topology, t), pairs[topology, t], said) for t in targets.get(topology, ())),
            )
            for topology in [*self._plans, *sorted({*sides, *targets, *stopped} - set(self._plans))]
        )

    def _side(self, name: Name, held: Sequence[Held], stalls: Sequence[StallReport], drift: set[str], now: int) -> SidePicture:
        watermark = _slowest(p.watermark for _, p in held)
        own = [(worker, p) for worker, p in held if p.view == p.side]
        unknown = not own or any(p.end is None for _, p in own)
        return SidePicture(
            name[1],
            tuple(Reading(p.topic, p.partition, w, p.position, p.end, p.watermark, p.paused, p.idle) for w, p in own),
            self._tallies.state(name),
            self._tallies.done(name),
            None if unknown else sum(p.behind for _, p in own),
            watermark,
            None if watermark is None else now - watermark,
            bool(stalls),
            _slowest(s.since for s in stalls),
            sum(s.waiting for s in stalls),
            tuple(sorted(drift)),
        )

    def _pair(self, name: Name, homes: Sequence[PairReport], said: Mapping[Said, int]) -> PairPicture:
        plan, live = self._plans.get(name[0]), [p for p in homes if not p.ended]
        known = [_closed(p, plan) for p in live]
        return PairPicture(
            name[1],
            len(homes),
            len(self._parts.get(name, ())),
            sum(p.open for p in homes) if homes else None,
            _slowest(p.source_watermark for p in live),
            _slowest(p.target_watermark for p in live),
            _slowest(known) if live else max((p.closed for p in homes if p.closed is not None), default=None),
            sum(p.waiting for p in homes) if homes else None,
            bool(homes) and not live,
            {verdict: said.get((*name, AUDIT, verdict), 0) for verdict in VERDICTS},
            {status: said.get((*name, DISCREPANCIES, status), 0) for status in STATUSES},
            sum(p.buffered for p in homes) if homes else None,
            sum(p.suspended for p in homes),
            {str(kind): sum(p.kinds.get(kind, 0) for p in homes) for kind in Kind} if homes else {},
            min((p.oldest for p in homes if p.oldest is not None), default=None),
            {cause: said.get((*name, CAUSE, cause), 0) for cause in KINDS},
            {judgement: said.get((*name, KEYS, judgement), 0) for judgement in JUDGEMENTS},
        )


def _named(planned: Mapping[str, Sequence[str]], found: Iterable[Name]) -> dict[str, list[str]]:
    """Names by topology: as planned, then those that only reports know."""
    names = {topology: list(known) for topology, known in planned.items()}
    for topology, name in sorted(set(found)):
        if name not in names.setdefault(topology, []):
            names[topology].append(name)
    return names


def _claims(reading: Iterable[tuple[str, NormaliseReport]]) -> list[Held]:
    """Each partition of each view once, in order."""
    found: dict[tuple[str, str, str, int], Held] = {}
    for worker, report in reading:
        for p in report.partitions:
            place = (p.topology, p.view, p.topic, p.partition)
            if place not in found or found[place][1].position < p.position:
                found[place] = worker, p
    return [found[place] for place in sorted(found)]


def _owners(folding: Iterable[ReconcileReport]) -> dict[int, ReconcileReport]:
    """The report that counts for each digest partition, in order."""
    found: dict[int, ReconcileReport] = {}
    for report in folding:
        for home, position in report.positions.items():
            if home not in found or found[home].positions[home] < position:
                found[home] = report
    return dict(sorted(found.items()))


def _backlog(owners: Mapping[int, ReconcileReport]) -> int | None:
    if not owners or any(home not in report.ends for home, report in owners.items()):
        return None
    return sum(max(0, report.ends[home] - report.positions[home]) for home, report in owners.items())


def _closed(pair: PairReport, plan: TopologyPlan | None) -> int | None:
    """Up to when all windows are closed in a digest partition. Windows that hold nothing get their certificate late, many at
    once, and none before the first row: that they are closed is known from the watermarks.
    """
    if plan is None or pair.source_watermark is None or pair.target_watermark is None:
        return pair.closed
    reach = min(pair.source_watermark - plan.settle - plan.clock_skew, pair.target_watermark - plan.settle)
    passed = reach // plan.window * plan.window
    return passed if pair.closed is None else max(pair.closed, passed)


def _slowest(times: Iterable[int | None]) -> int | None:
    """The earliest; null if one is not known, or there is none."""
    known, unknown = [], False
    for at in times:
        unknown = unknown or at is None
        known.append(at or 0)
    return None if unknown or not known else min(known)
