"""Histories in which the engine and the oracle once disagreed, each named for what is right."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial as partial_
from pathlib import Path

import pytest

from tests.laws.drive import answer
from tests.laws.expect import disagreements
from tests.laws.hand import EVENT_TIME, P, S, cut, garbled, gone, history, lift, lost, partial, read, up
from tests.laws.ordeal import exact, folding
from tests.oracle.history import History, Params
from tests.oracle.strategies import Batch

FINE = Params(6 * S, 6 * S, 6 * S, 6 * S, 24 * S, "event_time")

AGREED: dict[str, History] = {
    "a gap that nothing follows stays open when rows before it come again": history(
        [[up(14), up(20, key=2), lost(1), garbled(30, 2)]], [[up(13), up(60, key=2)]]
    ),
    "a gap that begins a partition lies in the window of the row that ends it, though a truncate of nothing": history(
        [[up(20), up(40)], [lost(3), cut(5), up(21, key=2)]], [[up(21), up(41)], [up(22, key=2)]]
    ),
    "a key never seen behind a gap has no message to name": history(
        [[up(68, key=6)], [up(50, key=3), lost(1)]],
        [[up(66, key=6, ts=30), up(67, key=6)], [read(10, key=6)]],
        partial_history="target",
    ),
    "in event-time order a truncate undoes late rows before its own time, not before the time it takes part": history(
        [], [[lift(66), partial(61, key=2)], [lift(65), cut(60)]], params=FINE
    ),
    "in event-time order a truncate of the look-ahead leaves an older partial row unknown": history(
        [[up(177, key=3, large="y"), partial(186, key=3)], [up(205.000_001, "c", key=2), cut(186)]],
        [[up(192, key=3)]],
        params=EVENT_TIME,
    ),
    "a gap without an end reaches its own beginning, though every row lies before": history(
        [], [[lift(28), lost(1)], [garbled(10, 1)]], params=P
    ),
    "a gap in an empty input makes the run inconclusive": history([], [[lost(3)]]),
    "a late row beyond max_future is undone by a truncate before its own time only": history(
        [[up(111), up(104, "b", ts=32)], [cut(100)]], [[up(300, key=2)]]
    ),
    "a truncate finds the version that a newer one has replaced in event-time order": history(
        [[gone(0, key=2), cut(21), up(15, "b", key=2)]], [[up(58.999_999, "b", key=2)]], params=EVENT_TIME
    ),
    "a snapshot and a truncate whose partition goes on with an older time": history(
        [[read(0, key=6), cut(8), up(3, key=6)]], [[up(-3, key=6)], [], [cut(30.000_001)]], params=FINE
    ),
    "a truncate of a row that lies ahead in time is known when its own window has long been folded": history(
        [[up(5, key=2), up(15, key=3), up(25), up(35, key=4), up(36, key=5)]], [[read(45), cut(3)]]
    ),
    "a truncate of a row that lies ahead in time is not counted where its key was not known": history(
        [[up(5, key=2), up(15, key=3), up(25), up(35, key=4)]], [[up(45), up(44, key=3), cut(42.5), up(60, key=2), up(80, key=2)]]
    ),
    "in event-time order a truncate falls on a row of its own time that stands before it in its partition": history(
        [[up(5), cut(5), up(5, key=2)], [up(5, key=3)]], [[up(5), gone(5), up(5, key=2), up(5, key=3)]], params=EVENT_TIME
    ),
    "in event-time order a truncate of a row's own time undoes none that takes part before it with a later time": history(
        [[up(5), up(6, "b"), cut(5), up(30, key=2)]], [[up(5), up(30, key=2)]], params=EVENT_TIME
    ),
}


EVERY: tuple[Callable[[], AbstractContextManager[object]], ...] = (*(partial_(folding, n) for n in (6, 1, 1000)), exact)


def differences(it: History, room: Path) -> list[str]:
    """In one piece, with what came last delivered again, item by item, and on every path of the code."""
    places = [(s, q, len(p.items)) for s, side in enumerate(it.sides) for q, p in enumerate(side.partitions)]
    once = [Batch(s, q, 0, n) for s, q, n in places if n]
    again = [Batch(s, q, max(0, n - back), n) for back in (1000, 2, 3) for s, q, n in places if n]
    single = [Batch(s, q, i, i + 1) for s, q, n in places for i in range(n)]
    for delivery in (once, again, single, single + again):
        for path in EVERY:
            for homes in (1, 2):
                with path():
                    if wrong := disagreements(it, answer(it, room, delivery, homes=homes), homes=homes):
                        return wrong
    return []


@pytest.mark.parametrize("name", AGREED)
def test_this_is_answered_as_the_page_has_it(tmp_path: Path, name: str) -> None:
    assert differences(AGREED[name], tmp_path) == []
