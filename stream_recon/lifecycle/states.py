"""The life of a discrepancy as one table.

    state    judgement                            event      next
    closed   differs                              opened     open
    closed   equal, inconclusive                  -          closed
    open     differs, kind or a hash changed      updated    open
    open     differs, all the same                -          open      (counted)
    open     equal                                resolved   closed
    open     inconclusive                         -          open

The id is the same wherever it is computed: topology, target, key and the end of the window in which it opened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """How the sides differ (DESIGN 3.5)."""

    MISSING = "missing_in_target"
    UNEXPECTED = "unexpected_in_target"
    UNDELETED = "undeleted_in_target"
    STALE = "stale_in_target"
    MISMATCH = "value_mismatch"


class Status(StrEnum):
    """What an event says."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A judgement that differs: kind, and what tells the rows of both sides apart (32 bytes; None: absent)."""

    kind: Kind
    source: bytes | None
    target: bytes | None


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """An open discrepancy. ``first_seen``: end of the window that opened it (µs); ``occurrences``: windows that found it."""

    id: str
    first_seen: int
    occurrences: int
    difference: Difference


def discrepancy_id(topology: str, target: str, key: bytes, window_end: int) -> str:
    """Hex of the first 16 bytes of SHA-256 over the parts, each with its length before it."""
    parts = (topology.encode(), target.encode(), key, str(window_end).encode())
    return hashlib.sha256(b"".join(b"%d:%b" % (len(p), p) for p in parts)).hexdigest()[:32]


def differs(
    before: Discrepancy | None, now: Difference, *, topology: str, target: str, key: bytes, window_end: int
) -> tuple[Discrepancy, Status | None]:
    """The key differs in a window: the discrepancy after it, and what to say."""
    if before is None:
        id_ = discrepancy_id(topology, target, key, window_end)
        return Discrepancy(id_, window_end, 1, now), Status.OPENED
    after = replace(before, occurrences=before.occurrences + 1, difference=now)
    return after, Status.UPDATED if now != before.difference else None
