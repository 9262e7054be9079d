"""One side of a history: watermarks, effective times, late flags, versions, causes and accounts.

The numbers in brackets are those of the readings listed at the top of `oracle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from .history import (
    Change,
    Control,
    Delete,
    Gap,
    Hole,
    Item,
    KeyChange,
    Lift,
    Params,
    Partial,
    Partition,
    Read,
    Side,
    Tombstone,
    Truncate,
    Undecodable,
    Upsert,
    end_of,
)

Value = tuple[str, str] | None  # (value, large), or absent
Place = tuple[str, int, int]  # topic, partition, offset
EntryKind = Literal["row", "partial", "delete", "tombstone", "truncate", "mark"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the page can be read in two ways: the literal way is the default."""

    tombstone_stretch: bool = True  # [6] unknown on the whole stretch; else a mark at w that any next version ends
    tombstone_adjacent: bool = True  # [8] directly after among all readable keys of the partition; else among those of the key
    unknown_in_range: bool = True  # [12] the source unknown anywhere in (e, e + settle + skew] may hide an equal row


@dataclass(frozen=True, slots=True)
class RowInfo:
    """What one row of a message came to; `t` is None for a tombstone, `w` None where nothing bounds."""

    side: str
    topic: str
    partition: int
    offset: int
    index: int
    t: int | None
    w: int | None
    effective: int
    late: bool


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason for windows to be inconclusive, from the window of `low` to that of `high`; None has no end."""

    kind: Literal["gap", "undecodable", "lift_broken"]
    side: str
    topic: str
    partition: int
    offset: int
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """Law 3 for one partition: [start, to) accounted for position by position; `late` counts rows."""

    side: str
    topic: str
    partition: int
    start: int
    to: int
    rows: int
    control: int
    dead_letters: int
    unused: int
    gaps: int
    late: int
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a key, or a mark from which on it is unknown (which touches no window)."""

    key: int
    kind: EntryKind
    value: Value
    effective: int  # decides the windows, and what S(v) sees
    time: int  # decides the order
    topic: str
    partition: int
    offset: int
    index: int = 0
    t: int = 0
    late: bool = False
    bound: int = 0

    @property
    def place(self) -> Place:
        return (self.topic, self.partition, self.offset)

    def beside(self, topic: str, partition: int) -> bool:
        return (self.topic, self.partition) == (topic, partition)


@dataclass(frozen=True, slots=True)
class LostRange:
    """A gap, with the watermark before it (None: nothing bounds)."""

    topic: str
    partition: int
    offset: int
    w: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time between a tombstone's watermark and the time from which on its key is absent."""

    topic: str
    partition: int
    offset: int
    w: int
    effective: int


@dataclass(slots=True)
class Timeline:
    """Everything that one side says."""

    name: str
    partial_history: bool
    in_log_order: bool
    reading: Reading
    entries: dict[int, list[Entry]] = field(default_factory=dict)  # by key, in order
    stretches: dict[int, list[Stretch]] = field(default_factory=dict)
    gaps: list[LostRange] = field(default_factory=list)
    loaded_at: int | None = None  # L
    rows: list[RowInfo] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)


class _PartitionReader:
    """Reads one partition by offset."""

    def __init__(self, timeline: Timeline, partition: Partition, params: Params) -> None:
        self.out, self.p, self.topic, self.number = timeline, params, partition.topic, partition.number
        self.entries: list[Entry] = []
        self.largest: int | None = None  # t of the changes so far
        self.lift: int | None = None
        self.highest_lift: int | None = None
        self.begun = False  # a change or a lift stood here
        self.open_gaps: list[tuple[int, int | None]] = []
        self.deleted_by_previous: set[int] = set()  # keys after whose delete a tombstone would stand directly
        self.n = dict.fromkeys(("rows", "control", "dead_letters", "unused", "gaps", "late"), 0)
        for item in partition.items:
            self.item(item)
        self.finish(partition)

    def watermark(self) -> int | None:
        bounds = [] if self.largest is None else [self.largest - self.p.out_of_orderness]
        return max(bounds + ([] if self.lift is None else [self.lift]), default=None)

    def standing(self, ts: int) -> int:
        """The watermark at a dead letter or a tombstone [4]."""
        w = self.watermark()
        return ts * 1000 - self.p.out_of_orderness if w is None else w

    def item(self, item: Item) -> None:
        if isinstance(item, Lift):
            self.begun, self.lift = True, item.to
            self.highest_lift = item.to if self.highest_lift is None else max(self.highest_lift, item.to)
        elif isinstance(item, Hole):
            self.n["unused"] += item.to - item.offset
        elif isinstance(item, Gap):
            self.n["gaps"] += item.to - item.offset
            self.out.gaps.append(LostRange(self.topic, self.number, item.offset, self.watermark()))
            self.open_gaps.append((item.offset, self.watermark()))
        elif isinstance(item, Control):
            self.n["control"] += 1
        elif isinstance(item, Undecodable):
            self.undecodable(item)
        elif isinstance(item, Tombstone):
            self.tombstone(item)
        else:
            self.row(item)

    def readable(self, key: int, *, deletes: bool) -> None:
        """A message whose key can be read went by [8]."""
        if self.out.reading.tombstone_adjacent:
            self.deleted_by_previous.clear()
        self.deleted_by_previous.discard(key)
        if deletes:
            self.deleted_by_previous.add(key)

    def undecodable(self, item: Undecodable) -> None:
        self.n["dead_letters"] += 1
        w = self.standing(item.ts)
        self.cause("undecodable", item.offset, w, max(w, item.ts * 1000))
        if item.key is not None:
            self.readable(item.key, deletes=False)
            self.entries.append(Entry(item.key, "mark", None, w, w, self.topic, self.number, item.offset))

    def tombstone(self, item: Tombstone) -> None:
        control = item.key in self.deleted_by_previous
        self.readable(item.key, deletes=False)
        if control:
            self.n["control"] += 1
            return
        self.n["rows"] += 1
        w = self.standing(item.ts)
        at = max(w, item.ts * 1000)
        self.takes_part(item.offset, 0, None, self.watermark(), at, late=False)
        self.entries.append(Entry(item.key, "tombstone", None, at, at, self.topic, self.number, item.offset, index=1))
        if self.out.reading.tombstone_stretch:
            stretch = Stretch(self.topic, self.number, item.offset, w, at)
            self.out.stretches.setdefault(item.key, []).append(stretch)
        else:
            self.entries.append(Entry(item.key, "mark", None, w, w, self.topic, self.number, item.offset))

    def row(self, item: Change | Read) -> None:
        self.n["rows"] += 1
        w, t, bound = self.watermark(), item.t, item.ts * 1000 + self.p.max_future
        late = w is not None and t < w
        time = min(t, bound)
        effective = time if w is None else max(w, time)
        order = effective if self.out.in_log_order else time
        if self.highest_lift is not None and t < self.highest_lift:
            self.cause("lift_broken", item.offset, effective, effective)
        for index, (key, kind, value) in enumerate(_rows_of(item)):
            self.takes_part(item.offset, index, t, w, effective, late=late)
            entry = Entry(key, kind, value, effective, order, self.topic, self.number, item.offset, index, t, late, bound)
            self.entries.append(entry)
        if isinstance(item, KeyChange):
            self.readable(item.old, deletes=False)
            self.readable(item.new, deletes=False)
        elif not isinstance(item, Truncate):
            self.readable(item.key, deletes=isinstance(item, Delete))
        if isinstance(item, Read):
            if not self.begun:
                self.out.loaded_at = effective if self.out.loaded_at is None else max(self.out.loaded_at, effective)
            return
        self.begun = True
        if t <= bound:
            self.largest = t if self.largest is None else max(self.largest, t)

    def takes_part(self, offset: int, index: int, t: int | None, w: int | None, at: int, *, late: bool) -> None:
        self.n["late"] += late
        self.out.rows.append(RowInfo(self.out.name, self.topic, self.number, offset, index, t, w, at, late))
        for gap, low in self.open_gaps:
            self.cause("gap", gap, low, at)
        self.open_gaps.clear()

    def cause(self, kind: Literal["gap", "undecodable", "lift_broken"], offset: int, low: int | None, high: int | None) -> None:
        self.out.causes.append(Cause(kind, self.out.name, self.topic, self.number, offset, low, high))

    def finish(self, partition: Partition) -> None:
        for gap, low in self.open_gaps:
            self.cause("gap", gap, low, None)
        if any(not isinstance(i, Lift) for i in partition.items):
            ends = partition.items[0].offset, end_of(partition.items[-1])
            self.out.accounts.append(Account(self.out.name, self.topic, self.number, *ends, **self.n))


ALL = -1  # the key of a truncate, before it is told apart by key


def _rows_of(item: Change | Read) -> list[tuple[int, EntryKind, Value]]:
    if isinstance(item, Upsert | Read):
        return [(item.key, "row", (item.value, item.large))]
    if isinstance(item, Partial):
        return [(item.key, "partial", (item.value, ""))]
    if isinstance(item, Delete):
        return [(item.key, "delete", None)]
    if isinstance(item, KeyChange):
        return [(item.old, "delete", None), (item.new, "row", (item.value, item.large))]
    return [(ALL, "truncate", None)]


def timeline_of(side: Side, params: Params, reading: Reading) -> Timeline:
    """Reads a side: its partitions one by one, then what the truncates among them do to each other's keys."""
    out = Timeline(side.name, side.history == "partial", params.order == "log", reading)
    entries: list[Entry] = []
    for partition in side.partitions:
        entries += _PartitionReader(out, partition, params).entries
    truncates = [e for e in entries if e.kind == "truncate"]
    rest = [_undone(e, truncates) for e in entries if e.kind != "truncate"]
    for key in sorted({e.key for e in rest}):
        of_key = [e for e in rest if e.key == key]
        if out.in_log_order:
            cuts = [replace(z, key=key) for z in truncates if any(_earlier(e, z) for e in of_key)]
        else:
            cuts = _newest(of_key, [replace(z, key=key) for z in truncates])
        out.entries[key] = sorted(of_key + cuts, key=lambda e: _order(e, truncates))
    return out


def _earlier(entry: Entry, cut: Entry) -> bool:
    """Is this a version that the truncate deletes? [9]"""
    if entry.kind == "mark":
        return False
    if entry.beside(cut.topic, cut.partition):
        return entry.offset < cut.offset
    return entry.time < cut.time and entry.effective < cut.effective


def _newest(of_key: list[Entry], truncates: list[Entry]) -> list[Entry]:
    """In event-time order: the truncates that are newer than all that stood before them when they took part [9]."""
    versions, out = [e for e in of_key if e.kind != "mark"], []
    for cut in sorted(truncates, key=lambda z: (z.effective, z.topic, z.partition, z.offset)):
        before = [e for e in versions if e.effective < cut.effective or (e.effective == cut.effective and _in_front(e, cut))]
        if before and all(e.time < cut.time or (e.time == cut.time and _in_front(e, cut)) for e in before):
            out.append(cut)
            versions.append(cut)
    return out


def _in_front(entry: Entry, cut: Entry) -> bool:
    """Which of two stands first in their partition, where times do not say it."""
    return entry.beside(cut.topic, cut.partition) and entry.offset < cut.offset


def _undone(entry: Entry, truncates: list[Entry]) -> Entry:
    """A late row whose own time is before a truncate of another partition that it comes after is absent [10]."""
    if entry.late and entry.kind in {"row", "partial"}:
        for cut in truncates:
            if (
                not entry.beside(cut.topic, cut.partition)
                and min(entry.t, entry.bound) < cut.time
                and cut.effective <= entry.effective
            ):
                return replace(entry, kind="delete", value=None)
    return entry


def _order(entry: Entry, truncates: list[Entry]) -> tuple[int, bool, str, int, int, int]:
    """(time, topic, partition, offset), but what a truncate follows in its own partition at its own time comes first [11]."""
    here = (z for z in truncates if z.time == entry.time and z.beside(entry.topic, entry.partition))
    last = not any(entry.offset <= z.offset for z in here)
    return (entry.time, last, entry.topic, entry.partition, entry.offset, entry.index)
