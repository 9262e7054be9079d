"""Stretches against sets of instants."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.stretches import Stretch, joined, length, within, without

STRETCHES = st.lists(st.tuples(st.integers(-5, 15), st.integers(-5, 15)), max_size=6)


def instants(stretches: list[Stretch]) -> set[int]:
    return {instant for start, end in stretches for instant in range(start, end)}


def in_order(stretches: list[Stretch]) -> bool:
    """None is empty, none touches the next."""
    return all(start < end for start, end in stretches) and all(a[1] < b[0] for a, b in pairwise(stretches))


@given(STRETCHES)
def test_joined(stretches: list[Stretch]) -> None:
    assert instants(joined(stretches)) == instants(stretches)
    assert in_order(joined(stretches))
    assert length(stretches) == len(instants(stretches))


@given(STRETCHES, STRETCHES)
def test_without(stretches: list[Stretch], taken: list[Stretch]) -> None:
    left = without(stretches, taken)
    assert instants(left) == instants(stretches) - instants(taken)
    assert in_order(left)


@given(STRETCHES, st.integers(-5, 15), st.integers(-5, 15))
def test_within(stretches: list[Stretch], start: int, end: int) -> None:
    assert instants(within(stretches, start, end)) == instants(stretches) & set(range(start, end))
