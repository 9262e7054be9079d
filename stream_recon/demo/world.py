"""The demo's dual write: a service writes its orders to PostgreSQL, then to MariaDB. A pure function of a seed and the faults.

    copy of the table | traffic: inserts, updates, deletes ...            | end
    START             | START + 4 s        stall of the target            | START + 600 s
                        target = source + 50..900 ms     ^ 22 s, inside settle: only lag, no alarm

What comes out are commits, by database; ``envelope`` makes messages of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from stream_recon.demo.faults import FAULTS, Fault, Planted
from stream_recon.lifecycle.states import Kind
from stream_recon.limits import MICROS

SEED = 20_261_121
START = int(datetime(2026, 11, 21, 4, tzinfo=UTC).timestamp()) * MICROS
SECONDS = 600
STALL = (240 * MICROS, 262 * MICROS)
"""When the target stands still, from START."""

TRAFFIC_FROM = 4 * MICROS
"""When the traffic begins, from START: the copy is there by then."""

_SNAPSHOT_ORDERS = 300
_FIRST_ID = 1_001
_STATES = ("placed", "picked", "packed", "shipped", "delivered", "returned")


@dataclass(frozen=True, slots=True)
class Order:
    """A row. ``placed_at`` in µs."""

    id: int
    customer: str
    status: str
    cents: int
    paid: bool
    placed_at: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What a database's log holds of one write: a row before and after it; ``op`` as Debezium names it."""

    time: int
    op: str
    before: Order | None
    after: Order | None

    @property
    def key(self) -> int:
        row = self.after or self.before
        assert row is not None
        return row.id


@dataclass(frozen=True, slots=True)
class World:
    """Commits by database in their order, what was planted, and when it begins."""

    source: tuple[Commit, ...]
    target: tuple[Commit, ...]
    planted: tuple[Planted, ...]
    start: int = START


@dataclass(frozen=True, slots=True)
class _Write:
    """What the service does at ``time``: an order becomes ``source`` there and ``target`` here (None: it is deleted)."""

    time: int
    key: int
    source: Order | None
    target: Order | None
    to_source: bool = True
    to_target: bool = True


@dataclass(frozen=True, slots=True)
class _Step:
    time: int
    number: int
    what: str


class _Service:
    """Makes the writes, in order of time."""

    def __init__(self, seed: int, faults: Sequence[Fault]) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - it shall be the same every time
        self._faults = faults
        self._next_id = _FIRST_ID
        self._rows: dict[int, Order] = {}
        self._free: list[int] = []
        self._key: dict[int, int] = {}
        self.planted: list[Planted] = []

    def writes(self) -> Iterator[_Write]:
        yield from self._snapshot()
        steps = sorted(self._steps(), key=lambda s: s.time)
        time = START + TRAFFIC_FROM
        while time < START + SECONDS * MICROS:
            while steps and steps[0].time <= time:
                yield self._go_wrong(steps.pop(0))
            yield self._ordinary(time)
            time += self._chance.randrange(50_000, 250_000)

    def _snapshot(self) -> Iterator[_Write]:
        """The table as both sides begin with it."""
        for _ in range(_SNAPSHOT_ORDERS):
            row = self._new(START - self._chance.randrange(60, 86_400) * MICROS)
            self._free.append(row.id)
        self._chance.shuffle(self._free)
        left_out = set()
        for number, fault in enumerate(self._faults):
            if fault.copied or fault.kind in (Kind.STALE, Kind.UNDELETED, Kind.MISMATCH):
                self._key[number] = self._free.pop()
            if fault.copied:
                left_out.add(self._key[number])
                self.planted.append(Planted(fault.kind, self._key[number], START, None, fault.story))
        for row in self._rows.values():
            yield _Write(START, row.id, row, row, to_target=row.id not in left_out)

    def _steps(self) -> Iterator[_Step]:
        for number, fault in enumerate(self._faults):
            if fault.copied:
                continue
            at = START + int((fault.at + self._chance.random()) * MICROS)
            yield _Step(at, number, "fault")
            if fault.again is not None:
                yield _Step(at + int(fault.again * MICROS), number, "again")
            if fault.until_healed is not None:
                yield _Step(at + int(fault.until_healed * MICROS), number, "heal")

    # ---- writes --------------------------------------------------------------------------------------------------------

    def _new(self, time: int) -> Order:
        chance = self._chance
        customer = str(UUID(int=chance.getrandbits(128), version=4))
        row = Order(self._next_id, customer, _STATES[0], chance.randrange(500, 50_000) | 1, chance.random() < 0.5, time)
        self._next_id += 1
        self._rows[row.id] = row
        return row

    def _changed(self, key: int) -> Order:
        """The next version, which none before it equals: an order only grows. Its amount is never in whole units."""
        row = self._rows[key]
        state = _STATES[min(_STATES.index(row.status) + 1, len(_STATES) - 1)]
        cents = row.cents + 2 * self._chance.randrange(1, 2_000)
        self._rows[key] = replace(row, status=state, cents=cents, paid=True)
        return self._rows[key]

    def _ordinary(self, time: int) -> _Write:
        """An insert, an update or a delete that reaches both sides."""
        choice = self._chance.random()
        if choice < 0.3 or len(self._free) < 20:
            row = self._new(time)
            self._free.append(row.id)
            return _Write(time, row.id, row, row)
        place = self._chance.randrange(len(self._free))
        key = self._free[place]
        if choice < 0.85:
            row = self._changed(key)
            return _Write(time, key, row, row)
        self._free[place] = self._free[-1]
        self._free.pop()
        del self._rows[key]
        return _Write(time, key, None, None)

    def _go_wrong(self, step: _Step) -> _Write:
        fault = self._faults[step.number]
        if step.what == "heal":
            return self._heal(fault.kind, self._key[step.number], step.time)
        write = self._break(fault, self._key.get(step.number), step.time)
        if step.what == "fault":
            self._key[step.number] = write.key
            healed = None if fault.until_healed is None else step.time + int(fault.until_healed * MICROS)
            self.planted.append(Planted(fault.kind, write.key, step.time, healed, fault.story))
        return write

    def _break(self, fault: Fault, key: int | None, time: int) -> _Write:
        if fault.kind in (Kind.MISSING, Kind.UNEXPECTED):
            row = self._new(time)
            missing = fault.kind == Kind.MISSING
            return _Write(time, row.id, row, row, to_source=missing, to_target=not missing)
        assert key is not None
        if fault.kind == Kind.UNDELETED:
            return _Write(time, key, None, None, to_target=False)
        if fault.kind == Kind.STALE:
            return _Write(time, key, self._changed(key), None, to_target=False)
        row = self._rows[key] if fault.by_hand else self._changed(key)
        return _Write(time, key, row, replace(row, cents=row.cents // 100 * 100), to_source=not fault.by_hand)

    def _heal(self, kind: Kind, key: int, time: int) -> _Write:
        if kind in (Kind.UNDELETED, Kind.UNEXPECTED):
            return _Write(time, key, None, None, to_source=False)
        if kind == Kind.STALE:
            row = self._changed(key)
            return _Write(time, key, row, row)
        return _Write(time, key, None, self._rows[key], to_source=False)


def make(seed: int = SEED, faults: Sequence[Fault] = FAULTS) -> World:
    """The demo's world; without faults both sides agree in the end, and nothing but lag lies between."""
    service = _Service(seed, faults)
    writes = list(service.writes())
    source = _commits((w.time, w.key, w.source) for w in writes if w.to_source)
    target = _commits(_target_times(seed, [w for w in writes if w.to_target]))
    return World(tuple(source), tuple(target), tuple(sorted(service.planted, key=lambda p: (p.at, p.key))))


def moved(world: World, by: int) -> World:
    """The same world, everything in it ``by`` µs later."""

    def order(row: Order | None) -> Order | None:
        return None if row is None else replace(row, placed_at=row.placed_at + by)

    def commit(of: Commit) -> Commit:
        return Commit(of.time + by, of.op, order(of.before), order(of.after))

    def fault(of: Planted) -> Planted:
        return replace(of, at=of.at + by, healed=None if of.healed is None else of.healed + by)

    sides = tuple(map(commit, world.source)), tuple(map(commit, world.target))
    return World(*sides, tuple(map(fault, world.planted)), world.start + by)


def _target_times(seed: int, writes: Sequence[_Write]) -> list[tuple[int, int, Order | None]]:
    """When the target commits: a little later, never past an earlier write to the same order, and not while it stands still."""
    chance = random.Random(seed + 1)  # noqa: S311 - the same every time
    last: dict[int, int] = {}
    out = []
    waiting = 0
    for write in writes:
        time = write.time + chance.randrange(50_000, 900_000)
        if START + STALL[0] <= time < START + STALL[1]:
            waiting += 1
            time = START + STALL[1] + 5_000 * waiting
        time = max(time, last.get(write.key, 0) + 1_000)
        last[write.key] = time
        out.append((time, write.key, write.target))
    return sorted(out, key=lambda w: w[0])


def _commits(writes: Iterator[tuple[int, int, Order | None]] | list[tuple[int, int, Order | None]]) -> Iterator[Commit]:
    """What a database logs of its writes; a delete of nothing leaves no trace."""
    rows: dict[int, Order] = {}
    for time, key, after in writes:
        before = rows.pop(key, None)
        if after is not None:
            rows[key] = after
        elif before is None:
            continue
        op = "d" if after is None else "u" if before is not None else "c" if time >= START + TRAFFIC_FROM else "r"
        yield Commit(time, op, before, after)
