"""How long a certificate takes: from the row that lets its window close to the moment at which a reader has it, committed.

A window [s, e) may close when every partition of both sides has brought a row that says that it is over: one of a time of at
least ``e + settle + out_of_orderness``, of the source ``clock_skew`` later (DESIGN 3.2, 3.5). The last of them starts the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_recon.bench.data import DISORDER_US, SKEW_US, Ints, Plan, Rows, Workload
from stream_recon.bench.pace import NEVER
from stream_recon.limits import MICROS


@dataclass(frozen=True, slots=True)
class Latency:
    """Of ``count`` certificates, in seconds."""

    count: int
    median: float
    p90: float
    p99: float
    longest: float

    @staticmethod
    def of(micros: Sequence[int]) -> Latency:
        """From one value or more, in µs."""
        values = np.quantile(np.array(micros), (0.5, 0.9, 0.99, 1.0), method="higher") / MICROS
        return Latency(len(micros), *(round(float(value), 3) for value in values))

    def to_json(self) -> dict[str, Any]:
        """Named with its unit."""
        values = {"median": self.median, "p90": self.p90, "p99": self.p99, "longest": self.longest}
        return {"certificates": self.count, **{f"{name}_s": value for name, value in values.items()}}


def allowed(plan: Plan, sent: tuple[Ints, Ints], work: Workload) -> Mapping[int, int]:
    """End of each window -> when its last row was sent that lets it close; both in µs; windows that none did are not in it."""
    window, settle = work.window * MICROS, work.settle * MICROS
    first, last = int(plan.source.time[0]), int(max(plan.source.time[-1], plan.target.time.max()))
    ends = np.arange(first // window * window + window, last, window)
    source = _passed(plan.source, sent[0], ends + settle + SKEW_US, work.partitions)
    target = _passed(plan.target, sent[1], ends + settle, work.partitions)
    at = np.maximum(source, target)
    return {int(end): int(when) for end, when in zip(ends, at, strict=True) if when != NEVER}


def _passed(rows: Rows, sent: Ints, bounds: Ints, partitions: int) -> Ints:
    """When every partition had a row of at least ``bound + out_of_orderness``."""
    reached = np.full(len(bounds), np.iinfo(np.int64).min)
    for partition in range(partitions):
        mine = rows.key % partitions == partition
        highest = np.maximum.accumulate(rows.time[mine]) if mine.any() else rows.time[mine]
        which = np.searchsorted(highest, bounds + DISORDER_US, "left")
        reached = np.maximum(reached, np.append(sent[mine], NEVER)[which])
    return reached


def up_to_date(arrivals: Sequence[tuple[str, int, int]], since: int, within: int) -> int | None:
    """When every chain had again a certificate of a latency of at most ``within``; all in µs. None: one had none.

    ``arrivals``: (chain, when it came, latency) of each certificate.
    """
    chains = {chain for chain, _, _ in arrivals}
    first: dict[str, int] = {}
    for chain, at, late in arrivals:
        if at >= since and late <= within:
            first[chain] = min(first.get(chain, at), at)
    return max(first.values()) if first.keys() >= chains and chains else None
