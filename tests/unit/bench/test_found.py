"""Found against planted: every way in which an answer can be wrong is told."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_recon.bench.data import Fault, Plan, Rows
from stream_recon.bench.found import compared

NONE = np.zeros(0, np.int64)
EMPTY = Rows(NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE.astype(np.bool_))
PLAN = Plan(
    EMPTY, EMPTY, (Fault(1, "missing_in_target", 10_000_000, heals=True), Fault(2, "value_mismatch", 20_000_000, heals=False))
)
SUMMARY: dict[str, Any] = {"partitions": [{"rows": 0, "late": 0, "dead_letters": 0}], "windows": {"inconclusive": 0}}


def event(key: int, status: str, kind: str = "missing_in_target", second: int = 10) -> bytes:
    window = {"start": f"1970-01-01T00:00:{second}.000000Z"}
    return json.dumps({"key": {"id": key}, "status": status, "kind": kind, "window": window}).encode()


RIGHT = [
    event(1, "opened"),
    event(2, "opened", "value_mismatch", 20),
    event(2, "updated", "value_mismatch", 30),
    event(1, "resolved", second=40),
]


def test_right_answers_hold() -> None:
    found = compared(PLAN, RIGHT, SUMMARY)
    assert found.holds(PLAN)
    assert (found.planted, found.found) == (2, 2)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (RIGHT[1:], "missed"),
        ([*RIGHT, event(3, "opened")], "invented"),
        ([event(1, "opened", "stale_in_target"), *RIGHT[1:]], "missed"),
        ([event(1, "opened", second=20), *RIGHT[1:]], "invented"),
        ([RIGHT[0], *RIGHT], "twice"),
        (RIGHT[:-1], "wrong_end"),
        ([*RIGHT, event(2, "resolved", second=40)], "wrong_end"),
    ],
)
def test_wrong_answers_do_not(said: list[bytes], what: str) -> None:
    found = compared(PLAN, said, SUMMARY)
    assert not found.holds(PLAN)
    assert found.to_json()[what] == 1


@pytest.mark.parametrize("what", ["rows", "late", "dead_letters", "inconclusive_windows"])
def test_what_was_not_judged_does_not(what: str) -> None:
    found = compared(PLAN, RIGHT, SUMMARY)
    assert not replace(found, **{what: 1}).holds(PLAN)
