"""Histories on which the engine and the oracle are known to differ, until that is decided; ``test_scenarios`` holds one of each.

Whoever settles one of them takes it out here, and the search covers it from then on.
"""

from __future__ import annotations

from tests.oracle.history import History, Message, Side, Truncate, messages
from tests.oracle.timeline import Reading, timeline_of


def forgotten(history: History) -> bool:
    """Truncates in event-time order: the base state keeps one version of a key and forgets that an older one was replaced.

    Without a fold in between there is no difference.
    """
    return history.params.order == "event_time" and any(isinstance(item, Truncate) for _, _, item in messages(history))


def two_times(history: History) -> bool:
    """A late row that lies beyond max_future, too, and a truncate between the time at which that cuts it and its own time."""
    return any(_two_times(history, side) for side in history.sides)


def _two_times(history: History, side: Side) -> bool:
    rows = {(r.topic, r.partition, r.offset): r for r in timeline_of(side, history.params, Reading()).rows}
    here = [(rows.get((p.topic, p.number, item.offset)), item) for of, p, item in messages(history) if of is side]
    by_log = history.params.order == "log"
    cuts = [row.effective if by_log else min(i.t, _bound(i, history)) for row, i in here if row and isinstance(i, Truncate)]
    late = [(_bound(item, history), row.t) for row, item in here if row and row.late and row.t is not None]
    return any(bound < cut <= t for bound, t in late for cut in cuts)


def _bound(item: Message, history: History) -> int:
    return item.ts * 1000 + history.params.max_future
