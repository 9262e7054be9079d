"""What goes wrong in the demo, as one table: about a dozen faults of all five kinds, and what heals some of them.

Each fault has an order of its own, which the ordinary traffic leaves alone, so that its fate is known beforehand:

    kind        goes wrong                                     healed by
    missing     the source writes, the target does not         a copy of the row to the target
    stale       the source updates, the target does not        the next update, which reaches both
    undeleted   the source deletes, the target does not        a late delete on the target
    unexpected  the target writes, the source never did        a delete on the target
    mismatch    both write, the target something else          a copy of the row to the target

A fault is healed no sooner than a window and its settle time after it happened: what heals faster than that is lag.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_recon.lifecycle.states import Kind


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Times in seconds of the demo: ``at``, how long ``until_healed`` (None: never), how long until it goes wrong
    ``again`` while it is open. ``copied``: it stands in the copy that the target began with. ``by_hand``: the target alone is
    touched.
    """

    kind: Kind
    at: float
    until_healed: float | None = None
    again: float | None = None
    copied: bool = False
    by_hand: bool = False
    story: str = ""


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault as it happened: the order, when it went wrong and when it was healed (µs; None: never)."""

    kind: Kind
    key: int
    at: int
    healed: int | None
    story: str


FAULTS = (
    Fault(Kind.MISSING, 0, copied=True, story="left out when the table was copied"),
    Fault(Kind.MISSING, 62, 118, story="the second write failed, repaired later"),
    Fault(Kind.STALE, 95, 112, story="an update was lost, the next one arrived"),
    Fault(Kind.UNDELETED, 131, 101, story="a delete was lost, repeated later"),
    Fault(Kind.UNEXPECTED, 155, 141, story="a test wrote to the wrong database, cleaned up later"),
    Fault(Kind.STALE, 181, again=70, story="two updates were lost"),
    Fault(Kind.MISMATCH, 206, 99, story="the amount lost its cents, repaired later"),
    Fault(Kind.MISMATCH, 291, by_hand=True, story="the amount was changed by hand"),
    Fault(Kind.MISSING, 305, story="the second write failed"),
    Fault(Kind.UNDELETED, 346, story="a delete was lost"),
    Fault(Kind.STALE, 402, 91, story="an update was lost, the next one arrived"),
    Fault(Kind.UNEXPECTED, 431, story="a test wrote to the wrong database"),
    Fault(Kind.MISMATCH, 456, 83, story="the amount lost its cents, repaired later"),
)
