"""Builds histories out of small decisions, which Hypothesis (it shrinks them) or a seeded generator takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from .history import (
    Completeness,
    Control,
    Delete,
    Gap,
    History,
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
    check,
    end_of,
)

T = TypeVar("T")
SECOND = 1_000_000
EPOCH_2026 = 1_767_225_600 * SECOND
Make = Callable[[int], list[Item]]  # from the first offset

# window, settle, clock_skew, out_of_orderness, max_future, in seconds
PRESETS = [(10, 5, 2, 3, 20), (7, 3, 1, 2, 15), (10, 30, 1, 5, 60), (5, 12, 0, 4, 30), (4, 0, 0, 0, 8), (6, 6, 6, 6, 24)]


class Draw(Protocol):
    """Takes decisions; the first of a sequence and the lowest number are the simplest."""

    def number(self, low: int, high: int) -> int: ...

    def pick(self, options: Sequence[T]) -> T: ...


class Rolled:
    """Decisions by a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options)


def params_of(d: Draw, *, orders: bool = True) -> Params:
    """One of the presets."""
    window, settle, skew, disorder, future = (s * SECOND for s in d.pick(PRESETS))
    return Params(window, settle, skew, disorder, future, d.pick(["log", "log", "event_time"]) if orders else "log")


def first_window(params: Params) -> int:
    """The start of the first window of 2026."""
    return -(-EPOCH_2026 // params.window) * params.window


def moment(d: Draw, p: Params, windows: int) -> int:
    """A time, preferably at or beside a window's end or an edge of the allowance."""
    start = first_window(p) + d.number(0, windows) * p.window
    anchor = d.pick([0, p.settle, p.settle + p.clock_skew, p.out_of_orderness, p.window // 2, p.window - p.clock_skew])
    return start + anchor + d.pick([0, 0, -1, 1, SECOND, -SECOND])


@dataclass(slots=True)
class Log:
    """A partition while it is being written: units of messages, sorted by position time, then by when they were added."""

    topic: str
    number: int
    units: list[tuple[int, int, Make]] = field(default_factory=list)

    def add(self, position: int, make: Make) -> None:
        self.units.append((position, len(self.units), make))

    def partition(self, first: int) -> Partition:
        items: list[Item] = []
        offset, lifted = first, 0
        for _, _, make in sorted(self.units, key=lambda u: u[:2]):
            for item in make(offset):
                if isinstance(item, Lift):
                    lifted = max(lifted, item.to)
                    items.append(Lift(item.offset, lifted))
                else:
                    items.append(item)
                offset = end_of(items[-1])
        while items and isinstance(items[-1], Hole):
            items.pop()
        while items and isinstance(items[0], Hole):
            items.pop(0)
        return Partition(self.topic, self.number, tuple(items))


def logs_of(d: Draw, side: str) -> list[Log]:
    """The partitions of a side: one or two topics."""
    return [Log(f"{side}.{t}", n) for t in "ab"[: d.pick([1, 1, 1, 2])] for n in range(d.pick([1, 2, 3]))]


def side_of(d: Draw, name: str, logs: list[Log], history: Completeness = "complete") -> Side:
    """The finished side."""
    return Side(name, tuple(log.partition(d.pick([0, 0, 7])) for log in logs), history)


@dataclass(frozen=True, slots=True)
class Op:
    """A change of the source, before it becomes messages."""

    what: str
    t: int
    key: int
    other: int
    value: str
    large: str


def op_of(d: Draw, whats: Sequence[str], t: int, keys: int) -> Op:
    """Some change."""
    key = d.number(1, keys)
    other = key % max(keys, 2) + 1
    return Op(d.pick(whats), t, key, other, d.pick("abc"), d.pick("xy"))


WILD_OPS = [*["upsert"] * 7, *["delete"] * 2, *["partial"] * 2, "delete+tombstone", "tombstone", "key_change", "truncate", "read"]
CUT_OPS = [*["upsert"] * 4, *["truncate"] * 3, *["read"] * 2, "delete", "partial"]
"""Truncates fall on what stands in front of them, also on reads of a snapshot that lie far ahead in time."""
HEALTHY_OPS = ["upsert", "upsert", "upsert", "delete", "delete+tombstone", "partial", "key_change", "truncate"]


def make_of(op: Op, t: int, ts: int, value: str) -> Make:
    """The messages of a change as they stand in a log."""

    def make(o: int) -> list[Item]:
        row = (ts, t, op.key, value, op.large)
        one: dict[str, Callable[[], list[Item]]] = {
            "upsert": lambda: [Upsert(o, *row)],
            "read": lambda: [Read(o, *row)],
            "partial": lambda: [Partial(o, ts, t, op.key, value)],
            "delete": lambda: [Delete(o, ts, t, op.key)],
            "delete+tombstone": lambda: [Delete(o, ts, t, op.key), Tombstone(o + 1, ts, op.key)],
            "tombstone": lambda: [Tombstone(o, ts, op.key)],
            "key_change": lambda: [KeyChange(o, ts, t, op.key, op.other, value, op.large)],
            "truncate": lambda: [Truncate(o, ts, t)],
        }
        return one[op.what]()

    return make


def wild_of(d: Draw, size: int, *, replayable: bool = False) -> History:
    """Everything that can go wrong, in a tiny key space."""
    p = params_of(d)
    keys, windows = d.number(1, 6), 2 + size // 4
    names = ["source", "target", "target2"][: d.pick([2, 2, 2, 3])]
    sides = {name: logs_of(d, name) for name in names}
    for logs in sides.values():
        for _ in range(d.pick([0, 0, 0, 1, 2])):
            op = Op("read", moment(d, p, d.pick([1, 1, windows])), d.number(1, keys), 1, d.pick("abc"), d.pick("xy"))
            d.pick(logs).add(0, make_of(op, op.t, op.t // 1000, op.value))
    whats = d.pick([WILD_OPS, WILD_OPS, CUT_OPS])
    for t in sorted(moment(d, p, windows) for _ in range(d.number(1, size))):
        op = op_of(d, whats, t, keys)
        _write(d, p, sides[names[0]], op, t=t, value=op.value)
        for name in names[1:]:
            _derive(d, p, sides[name], op)
    for name in names:
        for _ in range(d.pick([0, 0, 1, 1, 2, 3]) * max(1, size // 20)):
            _disturb(d, p, d.pick(sides[name]), keys, windows, replayable=replayable)
    done = [side_of(d, name, logs, d.pick(["complete", "complete", "complete", "partial"])) for name, logs in sides.items()]
    return check(History(p, done[0], tuple(done[1:])))


def _derive(d: Draw, p: Params, logs: list[Log], op: Op) -> None:
    """What becomes of a change on a target."""
    fate = d.pick(["applied"] * 6 + ["lost", "altered", "twice", "alone"])
    if fate == "lost":
        return
    if fate == "alone":
        op = op_of(d, WILD_OPS, op.t, op.key + 1)
    value = d.pick("abc") if fate == "altered" else op.value
    for _ in range(2 if fate == "twice" else 1):
        edges = [0, p.settle, -p.clock_skew, p.settle + 1, -p.clock_skew - 1, p.settle // 2, p.window, p.settle + p.window]
        _write(d, p, logs, op, t=op.t + d.pick(edges), value=value)


def _write(d: Draw, p: Params, logs: list[Log], op: Op, *, t: int, value: str) -> None:
    log = logs[op.key % len(logs)] if d.number(0, 4) < 4 else d.pick(logs)
    position = t + d.pick([0, 0, 0, p.out_of_orderness // 2, p.out_of_orderness, p.out_of_orderness + 1, 2 * p.window])
    lag = d.pick([0, 0, 0, 0, 300_000, 2 * SECOND, -SECOND, -p.max_future, -p.max_future - SECOND, -p.max_future - p.window])
    log.add(position, make_of(op, t, (t + lag) // 1000, value))


def _disturb(d: Draw, p: Params, log: Log, keys: int, windows: int, *, replayable: bool) -> None:
    at = moment(d, p, windows)
    near = at + d.pick([0, p.out_of_orderness, -p.out_of_orderness, p.window, -p.window])
    whats = ["undecodable", "undecodable", "nobody", "control", "hole"]
    what = d.pick(whats if replayable else [*whats, "gap", "lift", "lift"])
    key, width, ts = d.number(1, keys), d.number(1, 3), near // 1000
    made: dict[str, Make] = {
        "undecodable": lambda o: [Undecodable(o, ts, key)],
        "nobody": lambda o: [Undecodable(o, ts)],
        "control": lambda o: [Control(o, ts)],
        "hole": lambda o: [Hole(o, o + width)],
        "gap": lambda o: [Gap(o, o + width)],
        "lift": lambda o: [Lift(o, near)],
    }
    log.add(at, made[what])


@dataclass(slots=True)
class _HealthySide:
    """A side that applies every change in order per key."""

    logs: list[Log]
    disorder: int
    key_t: dict[int, int] = field(default_factory=dict)
    key_log: dict[int, Log] = field(default_factory=dict)
    key_position: dict[int, int] = field(default_factory=dict)
    barrier: int = 0  # the last truncate
    last_t: int = 0
    last_position: int = 0
    floor: int = 0  # the position of the last truncate

    def log_for(self, d: Draw, key: int) -> Log:
        """Mostly where the key was; it may move."""
        if key not in self.key_log or d.number(0, 5) == 5:
            return d.pick(self.logs)
        return self.key_log[key]

    def earliest(self, keys: Sequence[int], log: Log) -> int:
        """The first time at which the next version of these keys may stand in that partition."""
        times = [self.key_t[k] + (self.key_log[k] is not log) for k in keys if k in self.key_t]
        return max([self.barrier, *times])

    def write(self, d: Draw, keys: Sequence[int], log: Log, t: int, make: Make, *, front: bool = False) -> None:
        position = 0 if front else t + d.pick([0, 0, self.disorder, self.disorder // 2])
        position = max([position, self.floor] + [self.key_position.get(k, 0) for k in keys])
        log.add(position, make)
        for k in keys:
            self.key_t[k], self.key_log[k], self.key_position[k] = t, log, position
        self.last_t, self.last_position = max(self.last_t, t), max(self.last_position, position)

    def truncate(self, log: Log, t: int, make: Make) -> None:
        """Behind everything, and everything to come behind it."""
        log.add(max(t, self.last_position), make)
        for k in self.key_t:
            self.key_t[k], self.key_log[k], self.key_position[k] = t, log, max(t, self.last_position)
        self.barrier, self.last_t, self.floor = t + 1, t, max(t, self.last_position)


def healthy_of(d: Draw, size: int) -> History:
    """Law 2's conditions hold by construction."""
    p = params_of(d)
    names = ["source", "target", "target2"][: d.pick([2, 2, 3])]
    sides = [_HealthySide(logs_of(d, name), p.out_of_orderness) for name in names]
    keys, ops = d.number(1, 6), d.number(1, size)
    present: dict[int, str] = {}  # the large value of every key that is there
    reads = d.pick([0, 0, 1, 2])
    for i, t in enumerate(sorted(moment(d, p, 2 + size // 4) for _ in range(ops))):
        whats = ["read"] if i < reads else HEALTHY_OPS
        op = op_of(d, whats, max(t, sides[0].barrier), keys)
        op = _sensible(op, sides[0], present)
        for side in sides:
            _apply(d, p, side, op, target=side is not sides[0])
        if op.what == "truncate":
            present.clear()
        elif op.what in {"delete", "delete+tombstone", "key_change"}:
            present.pop(op.key, None)
        if op.what in {"upsert", "partial", "read"}:
            present[op.key] = op.large
        elif op.what == "key_change":
            present[op.other] = op.large
    for side in sides:
        for log in side.logs:
            if d.number(0, 3) == 3:
                log.add(moment(d, p, 2), lambda o: [Hole(o, o + 2), Control(o + 2, EPOCH_2026 // 1000)])
    done = [side_of(d, name, side.logs) for name, side in zip(names, sides, strict=True)]
    return check(History(p, done[0], tuple(done[1:])))


def _sensible(op: Op, source: _HealthySide, present: dict[int, str]) -> Op:
    """A change that a database could make: no partial update of nothing, no truncate in the middle of an instant."""
    what, t, large = op.what, op.t, op.large
    if what == "partial":
        what, large = ("partial", present[op.key]) if op.key in present else ("upsert", large)
    if what == "truncate":
        t = max(t, source.last_t + 1)
    return Op(what, t, op.key, op.other, op.value, large)


def _apply(d: Draw, p: Params, side: _HealthySide, op: Op, *, target: bool) -> None:
    ts_lag = d.pick([0, 0, 300_000, -min(SECOND, p.max_future)])
    low, high = (op.t - p.clock_skew, op.t + p.settle) if target else (op.t, op.t)
    if op.what == "truncate":
        low = max(low, side.last_t + 1)
        t = max(low, min(high, d.pick([op.t, low, high])))
        side.truncate(d.pick(side.logs), t, make_of(op, t, (t + ts_lag) // 1000 + 1, op.value))
        return
    keys = [op.key, op.other] if op.what == "key_change" else [op.key]
    log = side.log_for(d, keys[-1])
    if side.earliest(keys, log) > high:
        log = side.key_log.get(keys[-1], log)
    low = max(low, side.earliest(keys, log))
    if low > high or (target and len(keys) == 2 and d.number(0, 3) == 3):  # the two rows of a key change on their own
        parts = [Op("delete", op.t, op.key, 0, "", ""), Op("upsert", op.t, op.other, 0, op.value, op.large)]
        for part in parts:
            _apply(d, p, side, part, target=target)
        return
    t = max(low, min(high, d.pick([op.t, low, high, (low + high) // 2])))
    what = "upsert" if op.what == "partial" and d.number(0, 1) else op.what
    sent = Op(what, t, op.key, op.other, op.value, op.large)
    side.write(d, keys, log, t, make_of(sent, t, (t + ts_lag) // 1000 + 1, op.value), front=op.what == "read")
