"""Receipts of stages: a log written range by range against an oracle of positions, and one thing wrong at a time."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.receipts import Receipt, Sequence, Shares
from stream_recon.model.digest import Block, Counts, End, Feed, Open, Pair, Partition, Range, digest_schema
from stream_recon.model.messages import Upstream

HERE = Upstream("s", "t", 0, "id")
NO_ROWS = pa.RecordBatch.from_pylist([], schema=digest_schema(0))


def opened(generation: int = 1, start: int = 0) -> Open:
    feeds = (Feed("s", "s", (("t", "id", 0, start),), "log", "complete", ()),)
    return Open("x", "s", 1, 1, 0, 1, 2, "c", feeds, (Pair("a", "s", "a", "r", ("id",), 0),), generation, 0)


def block(start: int, end: int, counts: Counts | None = None, generation: int = 1) -> Block:
    range_ = Range("s", "t", "id", 0, start, end, None, None, None, None, True, None, counts)
    return Block("x", (range_,), NO_ROWS, generation=generation)


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=10))
def test_the_range_rule(start: int, ranges: list[tuple[int, int]]) -> None:
    """By positions: what the ranges hold beyond ``next`` is taken, what lies between is lost."""
    shares, held, at = Shares(), set[int](), start
    shares.take(0, opened(start=start))
    for first, length in ranges:
        shares.take(0, block(first, first + length))
        if first + length > at:
            held |= set(range(max(first, at), first + length))
            at = first + length
    found = shares.held["x", 0].ranges[HERE]
    assert (found.start, found.next, found.gaps) == (start, at, at - start - len(held))


def test_a_newer_generation_begins_anew_and_older_records_are_dropped() -> None:
    shares = Shares()
    for record in (opened(), block(0, 9), opened(2, start=4), block(0, 20), block(4, 7, generation=2), End("x", 2)):
        shares.take(0, record)
    assert shares.held["x", 0].ranges[HERE].next == 7
    shares.take(1, block(0, 9))
    assert ("x", 1) not in shares.held
    later = Partition("x", "s", "t", "id", 1, 3, None, 2)
    shares.take(0, later)
    shares.take(0, later)
    assert shares.held["x", 0].ranges[later.upstream] == Sequence(3, 3)


def receipt(**changed: Any) -> Receipt:
    """Ten positions, all of them everywhere, six of them certified."""
    home = Sequence(0, 10, 1, Counts(5, 1, 1, 2, 0))
    logged = {0: home, 1: Sequence(0, 10)}
    good: dict[str, Any] = {"end": 12, "committed": 10, "logged": logged, "folded": logged, "certified": {"x/a/0": (0, 6)}}
    return Receipt(HERE, **(good | changed))


def test_what_balances_and_where_it_stands() -> None:
    found = receipt(folded={0: Sequence(0, 10), 1: Sequence(0, 8)})
    assert found.wrong == []
    assert found.stages == {"end": 12, "committed": 10, "logged": 10, "folded": 8, "certified": 6}
    nothing = receipt(end=None, committed=None, logged={}, folded={}, certified={})
    assert (nothing.wrong, set(nothing.stages.values())) == ([], {None})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"logged": {0: Sequence(0, 10, 0, Counts(5, 1, 1, 2, 0))}}, "10 positions were normalised, 9 are accounted for"),
        ({"logged": {0: Sequence(0, 10), 1: Sequence(0, 9)}}, "10 is committed, digest partition 1 holds it up to 9 only"),
        ({"end": 9}, "digest partition 0 holds it up to 10, its topic ends at 9"),
        ({"certified": {"x/a/1": (0, 11)}}, "x/a/1 certifies up to 11, its digest partition holds it up to 10"),
        ({"certified": {"x/a/1": (2, 10)}}, "x/a/1 certifies from 2 on, it was read from 0 on"),
        ({"certified": {"x/a/7": (0, 1)}}, "x/a/7 certifies up to 1, its digest partition holds it up to -"),
    ],
)
def test_one_thing_wrong(changed: dict[str, Any], said: str) -> None:
    assert receipt(**changed).wrong[0] == said
