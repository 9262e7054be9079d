"""The versions of one key on one side, in order (DESIGN 3.1, 3.4): which one stands at a time, and which rows a stretch holds.

Exact and slow, one key at a time: for the keys that the sorted pieces cannot answer for, and the measure that they are tested by.

    order: log         by (time, topic, partition, offset); passed over if the current one is from the same partition with a
                       higher offset
    order: event_time  by (t, topic, partition, offset); none is passed over; ``time`` only decides what is seen before v
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stream_recon.model.digest import Flag
from stream_recon.model.versions import State

UNFILLABLE = 1 << 15
"""Set on a version whose predecessor in the log is not its predecessor in order; never in the digest log."""

SEEN = 1 << 14
"""Set on a mark that stands for a key which had a version before it; never in the digest log."""

_STRETCH = int(Flag.MARK | Flag.TOMBSTONE)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key. ``rank`` is the partition's place in (topic, partition) order; ``ident`` has 32 bytes for the row
    and 32 for each large column; bit i of ``holes``: large column i is unknown.
    """

    time: int
    t: int
    rank: int
    part: int
    offset: int
    index: int
    flags: int
    state: State
    ident: bytes
    hash: bytes = b""
    holes: int = 0

    @property
    def stretch(self) -> bool:
        """Not a version but a stretch: from ``time`` to ``t`` the key is unknown, a tombstone somewhere in it."""
        return self.flags & _STRETCH == _STRETCH

    @property
    def known(self) -> bool:
        return self.state != State.UNKNOWN and not self.holes

    def same(self, other: Version) -> bool:
        """Both known, and the same row or both absent."""
        if not (self.known and other.known):
            return False
        if State.PRESENT in (self.state, other.state):
            return self.state == other.state and self.ident == other.ident
        return True


@dataclass(frozen=True, slots=True)
class Truncate:
    """A delete of every key with an earlier version, at its own time."""

    time: int
    t: int
    rank: int
    part: int
    offset: int
    flags: int = 0

    def version(self) -> Version:
        flags = int(Flag.DELETE | Flag.TRUNCATE) | self.flags
        return Version(self.time, self.t, self.rank, self.part, self.offset, 0, flags, State.ABSENT, b"")


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a key in order: the version as it arrived (its unknown large columns filled if it took its turn), and whether
    it was passed over.
    """

    version: Version
    passed: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """Positions ``[start, end)`` of a partition were lost; ``since``: its watermark before them (µs)."""

    part: int
    start: int
    end: int
    since: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What a side knows beside a key's rows.

    ``folded``: up to this time (µs) truncates had their effect in the base state. ``truncates``: those that may fall on the key;
    ``early``: those of them that have an earlier version of it, by offset, among rows that are not given because their time is
    later. ``holes``: positions that were lost.
    """

    event_time: bool
    folded: int
    truncates: Sequence[Truncate] = ()
    early: Sequence[Truncate] = ()
    holes: Sequence[Hole] = ()


def fold(base: Version | None, rows: Sequence[Version], beside: Beside) -> list[Step]:
    """All rows of a key after ``base`` in order, truncates included that fall on an earlier version; ``rows`` in any order."""
    stretches = [row for row in rows if row.stretch]
    ordered = _sequence(base, [_late_after_truncate(row, beside) for row in rows if not row.stretch], beside)
    current, steps = base, list[Step]()
    if beside.event_time and base is not None:
        behind = [v for v in ordered if _older(v, base)]
        ordered = ordered[len(behind) :]
        steps = [Step(v, passed=True) for v in behind]
        current = _refilled(base, behind)
        if current is not base:
            steps.append(Step(current, passed=False))
    for version in ordered:
        passed = current is not None and not beside.event_time and _overtakes(current, version)
        if not passed:
            seen = current is None or not version.holes or _seen_through(version, current, beside, stretches)
            current = _seen(filled(version, current if seen else None), current if seen else None)
        steps.append(Step(current if not passed and current is not None else version, passed))
        if passed and current is not None and current != _seen(current, version):
            current = _seen(current, version)
            steps.append(Step(current, passed=False))
    return steps


def _refilled(base: Version, behind: Sequence[Version]) -> Version:
    """By event time a row may come behind what is folded. A column that was unknown there is filled from the last such row; one
    that was filled from an older row than it may be wrong, so nothing is known of it.
    """
    if not behind or not base.flags & Flag.PARTIAL or base.state != State.PRESENT:
        return base
    if not base.holes:
        return replace(base, state=State.UNKNOWN)
    before: Version | None = None
    for version in behind:
        before = filled(version, before)
    return filled(base, before)


def _seen(version: Version, other: Version | None) -> Version:
    """A mark remembers that its key has another version."""
    if not version.flags & Flag.MARK or other is None or other.flags & (Flag.MARK | SEEN) == Flag.MARK:
        return version
    return replace(version, flags=version.flags | SEEN)


def _seen_through(version: Version, current: Version, beside: Beside, stretches: Sequence[Version]) -> bool:
    """Whether nothing of the key can have been lost or left open between what stood and a row: no gap, no stretch."""
    for hole in beside.holes:
        before = hole.start < version.offset if hole.part == version.part else hole.since < version.time
        if before and hole.part == current.part and current.offset < hole.start:
            return False
    for mark in stretches:
        before = mark.part != version.part or mark.offset < version.offset
        open_ = mark.time < version.time <= mark.t and (beside.event_time or not _overtakes(current, mark))
        if before and open_:
            return False
    return True


def hidden(current: Version | None, rows: Iterable[Version], before: int, *, event_time: bool) -> bool:
    """Whether what stands before a time (µs) lies in a stretch: whatever came in it, unless, in log order, a row behind the
    tombstone in its own partition.
    """
    return any(
        v.time < before <= v.t and (event_time or current is None or not _overtakes(current, v)) for v in rows if v.stretch
    )


def standing(base: Version | None, steps: Iterable[Step]) -> Version | None:
    """The version that stands after these steps."""
    for step in steps:
        base = base if step.passed else step.version
    return base


def filled(version: Version, previous: Version | None) -> Version:
    """The version with its unknown large columns taken from the one before it, as far as that knows them.

    Not if the log has another one in between: a row before it in its partition with a later time (``UNFILLABLE``), or it is
    passed over itself (docs/decisions/0005).
    """
    if not version.holes or version.flags & UNFILLABLE or previous is None or previous.state != State.PRESENT:
        return version
    ident, holes = bytearray(version.ident), version.holes
    for i in range(len(ident) // 32 - 1):
        if holes >> i & 1 and not previous.holes >> i & 1:
            at = 32 * (i + 1)
            ident[at : at + 32] = previous.ident[at : at + 32]
            holes &= ~(1 << i)
    return replace(version, ident=bytes(ident), holes=holes)


def _overtakes(current: Version, version: Version) -> bool:
    return current.part == version.part and (current.offset, current.index) > (version.offset, version.index)


def _older(version: Version, base: Version) -> bool:
    """By event time only the base state can stand after a row that is still to be folded: rows come sorted."""
    if version.t == base.t and base.flags & Flag.TRUNCATE and version.part != base.part:
        return False
    return (version.t, version.rank, version.offset, version.index) < (base.t, base.rank, base.offset, base.index)


def _late_after_truncate(row: Version, beside: Beside) -> Version:
    """A late row whose own time lies before a truncate of another partition is absent."""
    if row.flags & Flag.LATE and any(
        c.part != row.part and row.t < (c.t if beside.event_time else c.time) and c.time <= row.time for c in beside.truncates
    ):
        return replace(row, state=State.ABSENT, ident=bytes(len(row.ident)), hash=b"", holes=0)
    return row


def _sequence(base: Version | None, rows: Sequence[Version], beside: Beside) -> list[Version]:
    """Rows and truncates in order; at equal times a truncate stands before the rows of other partitions."""
    event_time = beside.event_time

    def clock(version: Version) -> int:
        return version.t if event_time else version.time

    known = [v for v in (*rows, *([base] if base is not None else [])) if v.flags & (Flag.MARK | SEEN) != Flag.MARK]
    cuts = [c for c in beside.truncates if base is None or c.time >= beside.folded]
    cuts = _newest(known, cuts) if event_time else [c for c in cuts if c in beside.early or any(_earlier(v, c) for v in known)]
    ordered = sorted(rows, key=lambda v: (clock(v), v.rank, v.offset, v.index, not v.flags & Flag.MARK))
    out: list[Version] = []
    for cut in sorted(cuts, key=lambda c: (clock(c.version()), c.rank, c.offset)):
        time = cut.t if event_time else cut.time
        before = [v for v in ordered if clock(v) < time or (clock(v) == time and v.part == cut.part and v.offset < cut.offset)]
        out += [*before, cut.version()]
        taken = {id(v) for v in before}
        ordered = [v for v in ordered if id(v) not in taken]
    return out + ordered


def _earlier(version: Version, cut: Truncate) -> bool:
    """By offset in the truncate's own partition, by time in others; a mark stands for a version before it, from any."""
    by_offset = version.part == cut.part and not version.flags & Flag.MARK
    return version.offset < cut.offset if by_offset else version.time < cut.time


def _newest(known: Sequence[Version], cuts: Sequence[Truncate]) -> list[Truncate]:
    """By event time: the truncates that are newer than what stands when they take part (docs/decisions/0011)."""
    known, out = list(known), []
    for cut in sorted(cuts, key=lambda c: (c.time, c.rank, c.offset)):
        before = [v for v in known if v.time < cut.time or (v.time == cut.time and _in_front(v, cut))]
        if before and all(v.t < cut.t or (v.t == cut.t and _in_front(v, cut)) for v in before):
            out.append(cut)
            known.append(cut.version())
    return out


def _in_front(version: Version, cut: Truncate) -> bool:
    """Which of two stands first in their partition, where times do not say it."""
    return version.part == cut.part and version.offset < cut.offset and not version.flags & Flag.MARK


def unpack(record: np.void, rank: Sequence[int]) -> Version:
    """A version record as an object; ``rank`` gives each partition number its place in (topic, partition) order."""
    names = record.dtype.names or ()
    large = "hash" in names
    part = int(record["part"])
    return Version(
        int(record["time"]),
        int(record["t"]),
        rank[part] if record["state"] != State.NEVER else 0,
        part,
        int(record["offset"]),
        int(record["index"]),
        int(record["flags"]),
        State(int(record["state"])),
        record["ident"].tobytes(),
        record["hash"].tobytes() if large else b"",
        int(record["holes"]) if large else 0,
    )


def pack(version: Version | None, out: np.ndarray[Any, np.dtype[np.void]]) -> None:
    """Writes a version into the one record of ``out``; None is ``State.NEVER``."""
    if version is None:
        out["state"] = State.NEVER
        return
    for name in ("time", "t", "offset", "part", "index", "flags", "state"):
        out[name] = getattr(version, name)
    size = out["ident"].nbytes
    out["ident"] = np.frombuffer(version.ident.ljust(size, b"\0"), "<u8")
    if "hash" in (out.dtype.names or ()):
        out["hash"] = np.frombuffer(version.hash.ljust(32, b"\0"), "<u8")
        out["holes"] = version.holes
