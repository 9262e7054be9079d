"""The job: two topics of Debezium's Avro, windows of 10 s, and of every closed window the keys whose last rows differ.

The rows are those of ``stream-recon bench``. After them each partition gets two more: a minute later one of the source alone, by
which an engine shows that it has closed what was before; and after another minute one on both sides, which closes that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream_recon.bench.data import SKEW_US, START_US, Plan, Rows, Workload, planned
from stream_recon.limits import MICROS

OUT_OF_ORDER_US: Final = 5 * MICROS
"""How far behind the largest time an engine keeps its watermark."""

IDLE_PARTITION: Final = 3
_APART_US: Final = 60 * MICROS
_EXERCISE: Final = Workload(messages=20_000, rate=60, faults=0.006)
"""Slow rows, so that there are windows enough before the target stalls: 166 s of event time."""
WINDOW_US: Final = _EXERCISE.window * MICROS
_SETTLE_US: Final = _EXERCISE.settle * MICROS
_STALLS_AFTER: Final = 0.6

Verdict = tuple[int, int]
"""Start of the window in ms, key."""


@dataclass(frozen=True, slots=True)
class Job:
    """Both sides, and what may be said of them: whatever is said and not in ``may`` is invented.

    ``must``: to be found; ``last``: those of them that show that everything was compared.
    """

    source: Rows
    target: Rows
    must: frozenset[Verdict]
    may: frozenset[Verdict]
    last: frozenset[Verdict]

    @property
    def messages(self) -> int:
        """Of both sides."""
        return len(self.source) + len(self.target)

    @property
    def plan(self) -> Plan:
        """As what fills topics takes it."""
        return Plan(self.source, self.target, ())


def whole(messages: int) -> Job:
    """The job that is timed, of about so many messages."""
    return _ended(Workload(messages=messages))


def idle() -> Job:
    """One partition of each topic stays empty. The others are as they would be, and so is what is to be found in them."""
    job = _ended(_EXERCISE)
    keeps = [rows.take(rows.key % _EXERCISE.partitions != IDLE_PARTITION) for rows in (job.source, job.target)]
    must, last = (frozenset(v for v in of if v[1] % _EXERCISE.partitions != IDLE_PARTITION) for of in (job.must, job.last))
    return Job(keeps[0], keeps[1], must, must, last)


def stall() -> Job:
    """The target falls silent, and the source goes on to its end. Only of windows that the target has passed may anything be
    said; what must be said leaves an engine the time to settle that it gives to changes.
    """
    job = _ended(_EXERCISE)
    silent = START_US + int(_STALLS_AFTER * _EXERCISE.messages / 2 / _EXERCISE.rate) * MICROS
    target = job.target.take(job.target.written < silent)
    passed = int(target.time.max()) - OUT_OF_ORDER_US
    may = _ending_by(passed, job.must)
    return Job(job.source, target, _ending_by(passed - _SETTLE_US - SKEW_US, may), may, frozenset())


def _ending_by(micros: int, verdicts: Iterable[Verdict]) -> frozenset[Verdict]:
    return frozenset(v for v in verdicts if v[0] * 1000 + WINDOW_US <= micros)


def _ended(work: Workload) -> Job:
    plan = planned(work)
    end = START_US + work.messages // 2 * MICROS // work.rate
    alone, both = (_one_a_partition(work, end + n * _APART_US, n) for n in (1, 2))
    must = frozenset((f.window // 1000, f.key) for f in plan.faults)
    last = frozenset(
        (int(time) // WINDOW_US * WINDOW_US // 1000, int(key)) for key, time in zip(alone.key, alone.time, strict=True)
    )
    target = _joined(plan.target, both)
    return Job(_joined(plan.source, alone, both), target, must | last, must | last, last)


def _one_a_partition(work: Workload, time: int, number: int) -> Rows:
    """Rows of keys that no other row has."""
    key = (number << 40) // work.partitions * work.partitions + np.arange(work.partitions)
    times = np.full(work.partitions, time)
    zeros: npt.NDArray[np.int64] = np.zeros(work.partitions, np.int64)
    return Rows(key, times, times, zeros, zeros + 1, zeros, zeros, np.ones(work.partitions, bool))


def _joined(*parts: Rows) -> Rows:
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__))
