"""The benchmark's dual write: the same for the same seed, of the size it says, with faults that must be seen."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from stream_recon.bench.data import (
    MISMATCH,
    MISSING,
    SKEW_US,
    STALE,
    UNEXPECTED,
    Plan,
    Rows,
    Workload,
    planned,
    shifted,
)
from stream_recon.limits import MICROS

WORK = Workload(messages=60_000, keys=10_000, faults=0.004, rate=200)
SHORT = replace(WORK, window=1, settle=3)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(WORK)


def same(left: Rows, right: Rows) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in Rows.__slots__)


def test_the_same_seed_gives_the_same_rows(plan: Plan) -> None:
    again, other = planned(WORK), planned(replace(WORK, seed=2))
    assert same(again.source, plan.source)
    assert same(again.target, plan.target)
    assert again.faults == plan.faults
    assert not same(other.source, plan.source)


def test_it_is_as_large_and_as_fast_as_asked(plan: Plan) -> None:
    kinds = Counter(f.kind for f in plan.faults)
    assert len(plan.source) == WORK.messages // 2
    assert len(plan.target) == len(plan.source) + kinds[UNEXPECTED] - kinds[MISSING] - kinds[STALE]
    assert len(plan.faults) == round(WORK.faults * len(plan.source))
    assert int(plan.source.time[-1] - plan.source.time[0]) == (len(plan.source) - 1) * 1_000_000 // WORK.rate
    assert plan.source.key.max() < WORK.keys


def test_all_kinds_are_planted_some_healed_some_not(plan: Plan) -> None:
    assert set(Counter(f.kind for f in plan.faults)) == {MISSING, STALE, MISMATCH, UNEXPECTED}
    assert {f.heals for f in plan.faults} == {True, False}
    assert len({f.key for f in plan.faults}) == len(plan.faults)


def test_the_target_is_written_later_and_keeps_each_key_in_order(plan: Plan) -> None:
    target = plan.target
    late = target.written - target.time
    assert late.min() >= 50_000
    assert late.max() < 2_000_000
    assert np.all(np.diff(target.written) >= 0)
    assert np.any(np.diff(target.time) < 0), "the log of the target is not in order of event time"
    order = np.argsort(target.key, kind="stable")
    same_key = np.diff(target.key[order]) == 0
    assert np.all(np.diff(target.time[order])[same_key] >= 0)


@pytest.mark.parametrize(("work", "by"), [(WORK, 0), (SHORT, 0), (SHORT, 987_654 * MICROS)])
def test_what_differs_window_by_window_is_what_was_planted(work: Workload, by: int) -> None:
    """The rule of DESIGN 3.5, key by key: T(e + settle) is S(e) or a row of S in [e, e + settle + clock_skew)."""
    plan, window, settle = shifted(planned(work), by), work.window * MICROS, work.settle * MICROS
    sides = [histories(plan.source), histories(plan.target)]
    found: dict[int, int] = {}
    differs: dict[int, bool] = {}
    windows = {(time // window * window, key) for side in sides for key, rows in side.items() for time, _ in rows}
    for start, key in sorted(windows):
        end = start + window
        source, target = (side.get(key, []) for side in sides)
        stands = standing(target, end + settle)
        ahead = [row for time, row in source if end <= time < end + settle + SKEW_US]
        differs[key] = stands not in [standing(source, end), *ahead]
        if differs[key]:
            found.setdefault(key, start)
    assert found == {f.key: f.window for f in plan.faults}
    assert {f.key for f in plan.faults if f.heals} == {key for key in found if not differs[key]}


def histories(rows: Rows) -> dict[int, list[tuple[int, tuple[int, ...]]]]:
    out: dict[int, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    values = zip(rows.time.tolist(), rows.customer.tolist(), rows.cents.tolist(), rows.status.tolist(), strict=True)
    for key, (time, *rest) in zip(rows.key.tolist(), values, strict=True):
        out[key].append((time, (time, *rest)))
    return out


def standing(history: list[tuple[int, tuple[int, ...]]], before: int) -> tuple[int, ...] | None:
    return next((row for time, row in reversed(history) if time < before), None)


@pytest.mark.parametrize(
    "work", [Workload(10_000, keys=10), Workload(10_000, faults=0.0), Workload(10_000, keys=1_000_000, faults=0.3)]
)
def test_odd_workloads_can_be_made(work: Workload) -> None:
    assert len(planned(work).faults) == round(work.faults * work.messages // 2)
