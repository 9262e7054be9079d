"""Checkpoints of the worker: made beside its work, taken where its own state is gone, and the same is said as if it never was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag

import pytest

from stream_recon.engine.reconciler import Reconciler
from stream_recon.errors import CheckpointFailed, Fenced, LogError, StateError, StorageFull
from stream_recon.ports import Commit, Kept
from stream_recon.service import checkpoints
from stream_recon.service.checkpoints import Checkpointed, Checkpointer
from stream_recon.service.reconcile import ReconcileWorker
from stream_recon.sim.disk import MemoryStore
from tests.laws.world import MemoryLog
from tests.unit.service.fakes import NAMES, Cut, Digests
from tests.unit.service.test_reconcile import HOMES, MEGA, Desk, Disk, filled, folded, said, silent_log, states

LOG = filled(limit=1)
WANT = {home: folded(LOG, home) for home in HOMES}
STATES = list(states(0, LOG))
EVERY = 1.5
NOW = 1_795_266_000_000_000


@dataclass
class Shelf:
    """Where checkpoints are, whoever reads and writes them; ``gate`` holds up what is written while it is not set."""

    kept: dict[int, dict[int, tuple[Kept, dict[bytes, bytes]]]] = field(default_factory=dict)
    gate: Flag = field(default_factory=Flag)
    fails: list[Exception] = field(default_factory=list)
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def positions(self) -> dict[int, list[int]]:
        return {home: sorted(of) for home, of in sorted(self.kept.items())}


class MemoryStates:
    """States of a desk, and their checkpoints on a shelf. ``full``: what the next snapshots meet."""

    def __init__(self, desk: ShelfDesk) -> None:
        self._desk = desk
        self._snapshots: dict[Path, dict[bytes, bytes]] = {}

    def open(self, home: int) -> Disk:
        return self._desk._store(home)

    def snapshot(self, home: int) -> Path:
        if self._desk.full:
            raise self._desk.full.pop()
        path = Path(f"{home}-{len(self._snapshots)}")
        self._snapshots[path] = dict(self._desk.disks[home].values)
        return path

    def save(self, home: int, snapshot: Path, position: int, created: int) -> int:
        shelf = self._desk.shelf
        assert shelf.gate.wait(20)
        if shelf.fails:
            raise shelf.fails.pop(0)
        shelf.kept.setdefault(home, {})[position] = Kept(position, created), self._snapshots[snapshot]
        return 100

    def restore(self, home: int, low: int, high: int) -> tuple[Disk, Kept] | None:
        shelf = self._desk.shelf
        shelf.asked.append((home, low, high))
        if shelf.fails:
            raise shelf.fails.pop(0)
        found = [p for p in shelf.positions.get(home, []) if low <= p <= high]
        if not found:
            return None
        kept, values = shelf.kept[home][found[-1]]
        self._desk.disks[home].close()
        self._desk.disks[home] = Disk(dict(values))
        return self._desk.disks[home], kept


class ShelfDesk(Desk):
    """A desk whose worker makes checkpoints."""

    def __init__(self, log: MemoryLog, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self.full: list[Exception] = []
        super().__init__(log)

    def start(self, cache_bytes: int = MEGA) -> None:
        self.digests = Digests(self.log, self.commits)
        states = MemoryStates(self)
        self.checkpoints = Checkpointer(states, EVERY, self.clock, lambda: NOW + round(self.clock.now * 1e6))
        self.worker = ReconcileWorker(
            self.digests, self._outputs, states.open, NAMES, self.clock, cache_bytes=cache_bytes, checkpoints=self.checkpoints
        )

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds * 4)):
            self.arrive()
            super().run(0.25)
        self.arrive()

    def arrive(self) -> None:
        """What is on its way is there, unless it is held up."""
        if self.checkpoints._sending is not None and self.shelf.gate.is_set():
            wait([self.checkpoints._sending.sent])

    def told(self) -> Checkpointed:
        self.arrive()
        return self.worker.report().checkpoints


@pytest.fixture
def desk() -> Iterator[ShelfDesk]:
    desk = ShelfDesk(LOG)
    yield desk
    desk.shelf.gate.set()


def slow(desk: ShelfDesk) -> ShelfDesk:
    """One entry a step."""
    desk.digests.limit = 1
    return desk


# ---- when they are made ------------------------------------------------------------------------------------------------------


def test_one_after_the_other_every_so_often(desk: ShelfDesk) -> None:
    slow(desk).digests.give(*HOMES)
    desk.run(EVERY - 0.25)
    assert desk.shelf.positions == {}
    desk.run(0.75)
    assert {home: len(of) for home, of in desk.shelf.positions.items()} == {0: 1, 1: 1}
    desk.run(EVERY)
    assert {home: len(of) for home, of in desk.shelf.positions.items()} == {0: 2, 1: 2}
    told = desk.told()
    assert (told.made, told.failed, told.sent) == (4, 0, 400)


def test_each_is_the_state_at_its_position_and_nothing_of_it_is_unsaid(desk: ShelfDesk) -> None:
    slow(desk).digests.give(0)
    for _ in range(40):
        desk.run(0.25)
        for position, (_, values) in desk.shelf.kept.get(0, {}).items():
            assert values == STATES[position][0].values
            assert position <= desk.commits[0].position
    assert len(desk.shelf.kept[0]) > 1


def test_a_position_is_committed_before_its_state_is_kept() -> None:
    desk = slow(ShelfDesk(silent_log()))
    desk.digests.give(0)
    for _ in range(40):
        desk.run(0.25)
        for position in desk.shelf.kept.get(0, {}):
            assert position <= desk.commits[0].position
    assert len(desk.shelf.kept[0]) > 1


def test_a_state_that_is_ahead_of_the_group_is_not_kept_and_holds_no_other_up() -> None:
    desk = ShelfDesk(silent_log(3))
    reader = Reconciler(0, store := MemoryStore())
    for entry in desk.log.read(NAMES.digests, 0, 0, 100):
        assert list(reader.fold(entry)) == []
    reader.commit()
    desk.disks[0] = Disk(dict(store.values))
    desk.digests.give(*HOMES)
    desk.run(3 * EVERY)
    assert reader.position > 0
    assert desk.worker.report().positions[0] == reader.position
    assert list(desk.shelf.kept) == [1]


def test_fenced_at_that_there_is_none() -> None:
    desk = slow(ShelfDesk(silent_log()))
    desk.digests.give(0)
    desk.run(EVERY - 0.25)
    desk.worker.seats[0].kept = desk.clock.now  # so that the turn is not that of a position alone
    desk.fails.append((Fenced("another worker"), False))
    desk.clock.wait(0.25)
    desk.worker.seats[0].kept = desk.clock.now
    desk.worker.step()
    assert 0 not in desk.worker.seats
    assert desk.shelf.kept == {}


def test_what_does_not_move_is_kept_once_and_does_not_grow_old(desk: ShelfDesk) -> None:
    desk.digests.give(0)
    desk.run(EVERY + 1)
    first = desk.told()
    assert first.newest == {0: NOW + round((1000 + EVERY) * 1e6)}
    desk.run(EVERY)
    assert desk.told() == Checkpointed({0: first.newest[0] + round(EVERY * 1e6)}, 1, 0, 100)


def test_the_work_goes_on_meanwhile(desk: ShelfDesk) -> None:
    slow(desk).digests.give(*HOMES)
    desk.shelf.gate.clear()
    desk.run(20)
    assert all(said(desk, home) == WANT[home] for home in HOMES)
    assert desk.told() == Checkpointed()
    desk.shelf.gate.set()
    desk.run(1)
    told = desk.told()
    assert told.made >= 2
    assert desk.shelf.positions[0][0] < desk.entries(0), "the state as it was"


def test_one_that_fails_is_told_and_tried_again_a_turn_later(desk: ShelfDesk, caplog: pytest.LogCaptureFixture) -> None:
    slow(desk).digests.give(0)
    desk.shelf.fails.append(CheckpointFailed("the bucket is away"))
    with caplog.at_level(logging.WARNING):
        desk.run(EVERY + 0.5)
    assert [r.getMessage() for r in caplog.records] == ["the bucket is away"]
    assert desk.told() == Checkpointed({}, 0, 1, 0)
    desk.run(EVERY)
    assert (desk.told().made, desk.told().failed) == (1, 1)


@pytest.mark.parametrize("error", [StateError("no snapshot"), StorageFull("the disk is full")])
def test_nor_does_a_snapshot_that_fails_end_the_worker(desk: ShelfDesk, error: Exception) -> None:
    desk.full.append(error)
    slow(desk).digests.give(0)
    desk.run(2 * EVERY + 0.5)
    assert (desk.told().made, desk.told().failed) == (1, 1)


def test_what_is_given_up_is_not_kept(desk: ShelfDesk) -> None:
    desk.digests.give(*HOMES)
    desk.run(1)
    desk.digests.take(0)
    desk.run(EVERY)
    assert list(desk.shelf.kept) == [1]
    assert list(desk.told().newest) == [1]


def test_one_on_its_way_when_its_digest_partition_goes_may_arrive(desk: ShelfDesk) -> None:
    slow(desk).digests.give(0)
    desk.shelf.gate.clear()
    desk.run(EVERY + 0.5)
    desk.digests.take(0)
    desk.shelf.gate.set()
    assert desk.told() == Checkpointed({}, 1, 0, 100)


def test_one_on_its_way_makes_what_was_restored_meanwhile_no_older(desk: ShelfDesk) -> None:
    slow(desk).digests.give(0)
    desk.shelf.gate.clear()
    desk.run(EVERY + 0.5)
    desk.digests.take(0)
    further = len(STATES) - 1
    desk.disks[0], desk.commits[0] = Disk(), Commit(further, b"")
    desk.shelf.kept[0] = {further: kept(further)}
    desk.digests.give(0)
    desk.shelf.gate.set()
    assert desk.told() == Checkpointed({0: NOW + further}, 1, 0, 100)


def test_closing_waits_a_little(desk: ShelfDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.digests.give(0)
    desk.shelf.gate.clear()
    desk.run(EVERY + 0.5)
    monkeypatch.setattr(checkpoints, "CLOSE_SECONDS", 0.01)
    desk.worker.close()
    assert desk.shelf.kept == {}


# ---- when they are taken -----------------------------------------------------------------------------------------------------


def kept(position: int) -> tuple[Kept, dict[bytes, bytes]]:
    return Kept(position, NOW + position), dict(STATES[position][0].values)


def on_shelf(*positions: int) -> Shelf:
    return Shelf({0: {p: kept(p) for p in positions}})


@pytest.mark.parametrize("position", range(1, len(STATES), 5))
@pytest.mark.parametrize("further", [0, 1, 4])
def test_a_new_machine_goes_on_from_the_newest_and_says_the_same(position: int, further: int) -> None:
    done = min(position + further, len(STATES) - 1)
    desk = ShelfDesk(LOG, on_shelf(*{1, position}))
    desk.commits[0] = Commit(done, b"")
    desk.digests.give(0)
    assert desk.digests.held == {0: position}
    desk.run(1)
    assert said(desk, 0) == WANT[0][STATES[done][1] :]
    assert desk.disks[0].values == STATES[-1][0].values


def test_its_age_is_that_of_what_was_restored() -> None:
    desk = ShelfDesk(LOG, on_shelf(3))
    desk.commits[0] = Commit(5, b"")
    desk.digests.give(0)
    assert desk.told().newest == {0: NOW + 3}


def test_one_ahead_of_the_group_is_not_taken() -> None:
    desk = ShelfDesk(LOG, on_shelf(3, 6))
    desk.commits[0] = Commit(5, b"")
    desk.digests.give(0)
    assert desk.digests.held == {0: 3}
    fresh = ShelfDesk(LOG, on_shelf(3, 6))
    fresh.digests.give(0)
    assert fresh.digests.held == {0: 0}
    assert fresh.shelf.asked == [], "where nothing is committed none can be right"
    fresh.run(1)
    assert said(fresh, 0) == WANT[0]


@pytest.mark.parametrize("here", [2, 5, 7])
def test_a_state_that_the_log_goes_on_from_is_never_replaced(here: int) -> None:
    desk = ShelfDesk(LOG, on_shelf(3, 6))
    desk.disks[0] = Disk(dict(STATES[here][0].values))
    desk.commits[0] = Commit(8, b"")
    desk.digests.give(0)
    assert desk.digests.held == {0: here}
    assert desk.shelf.asked == []


def test_a_state_that_the_log_does_not_go_on_from_is(desk: ShelfDesk) -> None:
    desk = ShelfDesk(LOG, on_shelf(1, 3, 6))
    desk.disks[0] = Disk(dict(STATES[2][0].values))
    desk.commits[0] = Commit(8, b"")
    desk.digests.first = 5
    desk.digests.give(0)
    assert desk.digests.held == {0: 6}
    assert desk.shelf.asked == [(0, 5, 8)]
    desk.run(1)
    assert said(desk, 0) == WANT[0][STATES[8][1] :]


@pytest.mark.parametrize("here", [0, 2])
def test_where_the_log_goes_on_from_nothing_it_is_refused_with_what_to_do(here: int) -> None:
    desk = ShelfDesk(LOG, on_shelf(1, 3))
    desk.disks[0] = Disk(dict(STATES[here][0].values))
    desk.commits[0] = Commit(8, b"")
    desk.digests.first = 5
    with pytest.raises(LogError, match=rf"partition 0 begins at 5 by now, the state here ends at {here}, .* stream-recon reset"):
        desk.digests.give(0)
    assert desk.disks[0].closed


def test_checkpoints_that_cannot_be_read_cost_time_only(caplog: pytest.LogCaptureFixture) -> None:
    desk = ShelfDesk(LOG, on_shelf(6))
    desk.shelf.fails.append(CheckpointFailed("the bucket is away"))
    desk.commits[0] = Commit(8, b"")
    with caplog.at_level(logging.WARNING):
        desk.digests.give(0)
    assert "the bucket is away" in caplog.text
    assert desk.digests.held == {0: 0}
    desk.run(1)
    assert said(desk, 0) == WANT[0][STATES[8][1] :]


@pytest.mark.parametrize("limit", [1, 3])
def test_whenever_the_machine_is_lost_the_next_one_says_the_rest(limit: int) -> None:
    at = 0
    while True:
        desk = ShelfDesk(LOG)
        desk.digests.limit = limit
        desk.fails += [*[None] * at, (Cut(), bool(at % 2))]
        desk.digests.give(0)
        try:
            desk.run(10)
        except Cut:
            desk.arrive()
            desk.disks.clear()
            desk.die()
            desk.digests.give(0)
            desk.run(10)
            assert said(desk, 0) == WANT[0], at
            assert desk.disks[0].values == STATES[-1][0].values
        else:
            break
        at += 1
    assert at > 3
