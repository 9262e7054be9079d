"""The rows of the benchmark: one dual write, made from a seed, and the fate of every row that the target does not get as it is.

    source   --rate rows a second of event time, each a change of a random key
    target   the same rows with the same event time, written 50 ms to 2 s later (the same for one key)

A fault is planted where it must be seen, and in one window only: on a change after which its key rests until the target's time
to settle is over, an altered value also after such a rest. One fault a key. It is the same work as of the engines that the
documentation compares with: 154-byte values in 4 partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from stream_recon.limits import MICROS

Ints = npt.NDArray[np.int64]

START_US: Final = 1_750_000_000 * MICROS
"""Event time of the first row. Fixed, so that the same seed is the same bytes; in the past, as a broker refuses the future."""

SKEW_US: Final = MICROS
DISORDER_US: Final = 5 * MICROS
LEAST_SETTLE: Final = 2
"""Seconds: no row of the target is written later than that."""

MISSING, STALE, MISMATCH, UNEXPECTED = "missing_in_target", "stale_in_target", "value_mismatch", "unexpected_in_target"


@dataclass(frozen=True, slots=True)
class Workload:
    """What is made. ``messages``: of both sides. ``faults``: share of the source's rows. ``rate``: rows a second and side.
    ``window``, ``settle``: of the topology, seconds.
    """

    messages: int = 400_000
    keys: int = 100_000
    partitions: int = 4
    faults: float = 0.001
    rate: int = 2_000
    window: int = 10
    settle: int = 30
    seed: int = 1

    @property
    def seconds(self) -> float:
        """How long it takes in event time."""
        return self.messages / 2 / self.rate


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one side, in the order in which they are written. Times in µs; ``first``: no earlier row of the key."""

    key: Ints
    time: Ints
    written: Ints
    customer: Ints
    cents: Ints
    status: Ints
    note: Ints
    first: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.key)

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Rows:
        """Some of the rows, in the order of ``which``."""
        return Rows(*(getattr(self, name)[which] for name in Rows.__slots__))


@dataclass(frozen=True, slots=True)
class Fault:
    """What must be found: (key, kind, start of its window in µs); whether a later change of the key heals it."""

    key: int
    kind: str
    window: int
    heals: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Both sides, and what the service must find."""

    source: Rows
    target: Rows
    faults: tuple[Fault, ...]

    def __len__(self) -> int:
        return len(self.source) + len(self.target)


def planned(work: Workload) -> Plan:
    """The same for the same workload, on every machine."""
    window, settle = work.window * MICROS, work.settle * MICROS
    random = np.random.default_rng(work.seed)
    count = work.messages // 2
    key = random.integers(0, work.keys, count)
    time = START_US + np.arange(count) * MICROS // work.rate
    before, after = _neighbours(key)
    customer, cents = random.integers(0, 20_000, count), random.integers(1, 10**9, count)
    status, note = random.integers(0, 5, count), random.integers(0, 4, count)
    source = Rows(key, time, time, customer, cents, status, note, before < 0)

    end = time // window * window + window
    heals = after < count
    rests = ~heals | (time[np.minimum(after, count - 1)] >= end + settle + SKEW_US)
    alone = rests & ((before < 0) | (end[before] + settle <= time))  # else an earlier window sees the altered value, too
    wanted = round(work.faults * count)
    altered = _one_a_key(key, random.permutation(np.flatnonzero(alone)))[: wanted // 3]
    rests &= ~np.isin(key, key[altered])
    missing = _one_a_key(key, random.permutation(np.flatnonzero(rests)))[: wanted // 3]
    altered, missing = np.sort(altered), np.sort(missing)
    extra = np.sort(random.choice(count, wanted - len(altered) - len(missing), replace=False))

    other = cents.copy()
    other[altered] += 1
    changed = Rows(key, time, time + _delay(key), customer, other, status, note, before < 0)
    kept = np.ones(count, bool)
    kept[missing] = False
    invented = changed.take(extra)
    invented.key[:] = work.keys + np.arange(len(extra))
    invented.first[:] = True
    target = _joined(changed.take(kept), invented)

    start = end - window
    kinds = [(i, MISSING if before[i] < 0 else STALE) for i in missing] + [(i, MISMATCH) for i in altered]
    faults = [Fault(int(key[i]), kind, int(start[i]), bool(heals[i])) for i, kind in kinds]
    faults += [Fault(work.keys + n, UNEXPECTED, int(start[i]), heals=False) for n, i in enumerate(extra)]
    return Plan(source, target.take(np.argsort(target.written, kind="stable")), tuple(faults))


def shifted(plan: Plan, by: int) -> Plan:
    """The same at another time; ``by`` (µs) is a multiple of the window, so that no row changes its place in one."""
    source, target = (replace(rows, time=rows.time + by, written=rows.written + by) for rows in (plan.source, plan.target))
    return Plan(source, target, tuple(replace(fault, window=fault.window + by) for fault in plan.faults))


def _neighbours(key: Ints) -> tuple[Ints, Ints]:
    """For each row the one of the same key before it (-1: none) and after it (their number: none)."""
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    before, after = np.full(len(key), -1), np.full(len(key), len(key))
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def _one_a_key(key: Ints, rows: Ints) -> Ints:
    """The first of each key among ``rows``, in their order."""
    _, first = np.unique(key[rows], return_index=True)
    return rows[np.sort(first)]


def _delay(key: Ints) -> Ints:
    """How much later the target's row is written, µs: by key, so that a key's rows stay in order."""
    mixed = key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    return (50_000 + mixed % np.uint64(1_950_000)).astype(np.int64)


def _joined(a: Rows, b: Rows) -> Rows:
    return Rows(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in Rows.__slots__))
