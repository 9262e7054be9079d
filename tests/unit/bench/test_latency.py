"""When a window may close, by the rule said once more row by row; and when a service is up to date again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.bench.data import DISORDER_US, SKEW_US, Plan, Rows, Workload, planned, shifted
from stream_recon.bench.latency import Latency, allowed, up_to_date
from stream_recon.bench.pace import NEVER
from stream_recon.limits import MICROS

WORK = Workload(messages=4_000, keys=50, partitions=3, rate=50, window=2, settle=3)


def closes(plan: Plan, sent: list[np.ndarray], work: Workload, end: int) -> int | None:
    """Row by row, in the order in which they were sent."""
    marks = {(side, p): -1 for side in (0, 1) for p in range(work.partitions)}
    wanted = {0: end + work.settle * MICROS + SKEW_US, 1: end + work.settle * MICROS}
    rows = [
        (int(at), side, int(key) % work.partitions, int(time))
        for side, of in enumerate((plan.source, plan.target))
        for at, key, time in zip(sent[side], of.key, of.time, strict=True)
        if at != NEVER
    ]
    for at, side, partition, time in sorted(rows):
        marks[side, partition] = max(marks[side, partition], time - DISORDER_US)
        if all(mark >= wanted[which] for (which, _), mark in marks.items()):
            return at
    return None


@given(st.integers(0, 1_000), st.integers(0, 1_999))
def test_a_window_may_close_with_the_last_row_that_says_so(seed: int, kept: int) -> None:
    work = Workload(400, 20, 3, 0.0, 20, 1, 2, seed)
    plan = planned(work)
    sent = [of.written + 7 for of in (plan.source, plan.target)]
    for one in sent:
        one[min(kept, len(one)) :] = NEVER  # not sent yet
    found = allowed(plan, (sent[0], sent[1]), work)
    first = int(plan.source.time[0]) // MICROS * MICROS + MICROS
    last = int(max(plan.source.time[-1], plan.target.time.max()))
    for end in range(first, last, MICROS):
        assert found.get(end) == closes(plan, sent, work, end)


def test_with_a_partition_without_rows_nothing_may_close() -> None:
    plan = planned(WORK)
    other = Rows(*(getattr(plan.source, name) for name in Rows.__slots__))
    other.key[:] = other.key // 3 * 3
    none = allowed(Plan(other, plan.target, ()), (other.written, plan.target.written), WORK)
    assert none == {}


def test_another_time_moves_all_of_it() -> None:
    plan = planned(WORK)
    by = 100 * WORK.window * MICROS
    later = shifted(plan, by)
    before = allowed(plan, (plan.source.written, plan.target.written), WORK)
    after = allowed(later, (later.source.written, later.target.written), WORK)
    assert before
    assert after == {end + by: at + by for end, at in before.items()}


def test_a_service_is_up_to_date_when_its_last_chain_is() -> None:
    came = [("a", 10, 1), ("b", 11, 1), ("a", 50, 30), ("a", 60, 2), ("b", 65, 9), ("b", 80, 3), ("a", 90, 40)]
    assert up_to_date(came, 40, 5) == 80
    assert up_to_date(came, 85, 5) is None
    assert up_to_date([], 0, 5) is None


@pytest.mark.parametrize(("values", "p99"), [([1_000_000], 1.0), (list(range(0, 100_000_000, 1_000_000)), 99.0)])
def test_a_percentile_is_a_value_that_was_measured(values: list[int], p99: float) -> None:
    found = Latency.of(values)
    assert (found.count, found.p99) == (len(values), p99)
