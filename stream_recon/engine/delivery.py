"""Events of some log entries on their way out: some at a time, each time together with the log position, then the state.

A long step is cut over several transactions: the position stays at its entry, with the number of its events that are out as
metadata. So a run that was cut off anywhere goes on without saying anything twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.terms import Event
from stream_recon.limits import EVENTS_A_TRANSACTION
from stream_recon.ports import Commit, Entry

Say = Callable[[Sequence[tuple[int, Event]], Commit], None]
"""Puts events (append time in ms, event) and the log position out together, durable on return."""


def deliver(reconciler: Reconciler, entries: Sequence[Entry], done: Commit, say: Say) -> Commit:
    """Folds entries, says what follows, then keeps the state; returns the position up to which all is said.

    What lies before ``done`` was put out although the state was lost: it is folded without a word.
    """
    events: list[tuple[int, Event]] = []
    for entry in entries:
        skip = int(done.metadata or 0) if entry.offset == done.position else 0
        for number, event in enumerate(reconciler.fold(entry), 1):
            if entry.offset >= done.position and number > skip:
                events.append((entry.timestamp, event))
                if len(events) == EVENTS_A_TRANSACTION:
                    say(events, Commit(entry.offset, b"%d" % number))
                    events = []
    if reconciler.position > done.position:
        done = Commit(reconciler.position, b"")
        say(events, done)
    reconciler.commit()
    return done
