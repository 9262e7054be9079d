"""States in RocksDB and their checkpoints: what a snapshot holds, what a lost machine costs, and that nothing newer is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.adapters.rocks import RocksStore
from stream_recon.cli import states as module
from stream_recon.cli.states import RocksStates
from stream_recon.engine.reconciler import Reconciler
from stream_recon.errors import StateError, StorageFull
from stream_recon.ports import Commit, Kept
from stream_recon.service.checkpoints import Checkpointer
from stream_recon.service.reconcile import ReconcileWorker
from tests.laws.world import MemoryLog
from tests.unit.service.fakes import NAMES, Cut, Digests
from tests.unit.service.test_checkpoints import EVERY, LOG, STATES, WANT
from tests.unit.service.test_reconcile import MEGA, Desk, said

FAR = 1 << 40


class Machine:
    """A state directory; what it opened is closed at the end."""

    def __init__(self, place: Path, location: str) -> None:
        self.place = place
        self.states = RocksStates(place, Checkpoints(location, "recon", "LOG", 3))

    def close(self) -> None:
        for store in self.states._open.values():
            store.close()

    def save(self, position: int) -> int:
        return self.states.save(0, self.states.snapshot(0), position, position)

    @property
    def names(self) -> list[str]:
        return sorted(p.name for p in self.place.iterdir())


@pytest.fixture
def machines(tmp_path: Path, location: str) -> Iterator[list[Machine]]:
    machines = [Machine(tmp_path / name, location) for name in ("first", "second")]
    yield machines
    for machine in machines:
        machine.close()


def put(store: RocksStore, *keys: int, value: bytes = b"") -> None:
    store.write([(b"%09d" % k, value or b"%d" % (k * 7919)) for k in keys], [], [])


def everything(store: RocksStore) -> dict[bytes, bytes]:
    return dict(store.scan(b""))


# ---- snapshots ---------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_what_was_written_by_then(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db")
    put(store, *range(1000))
    store.snapshot(tmp_path / "then")
    put(store, *range(1000, 1010))
    put(store, 1, value=b"changed")
    copy = RocksStore(tmp_path / "then")
    assert everything(copy) == {b"%09d" % k: b"%d" % (k * 7919) for k in range(1000)}
    with pytest.raises(StateError, match="exists"):
        store.snapshot(tmp_path / "then")
    copy.close()
    store.close()


def test_tables_are_shared_and_not_copied(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db")
    put(store, *range(1000))
    store.snapshot(tmp_path / "then")
    tables = list((tmp_path / "then").glob("*.sst"))
    assert tables
    assert all(table.stat().st_nlink == 2 for table in tables)
    store.close()


def test_none_is_made_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db", reserve_bytes=2 * shutil.disk_usage(tmp_path).free)
    with pytest.raises(StorageFull, match="must stay free"):
        store.snapshot(tmp_path / "then")
    assert not (tmp_path / "then").exists()
    store.close()


# ---- there and back ----------------------------------------------------------------------------------------------------------


def test_what_was_kept_goes_on_on_another_machine(machines: list[Machine]) -> None:
    first, second = machines
    put(first.states.open(0), *range(20_000))
    whole = first.save(5)
    put(first.states._open[0], 7, value=b"seven")
    assert first.save(6) < whole / 10, "the large table was there"
    assert first.names == ["digests-0", "digests-0.lock"]
    second.states.open(0)
    restored = second.states.restore(0, 1, FAR)
    assert restored is not None
    store, kept = restored
    assert kept == Kept(6, 6)
    assert everything(store) == everything(first.states._open[0])
    assert second.names == ["digests-0", "digests-0.lock"]
    put(store, 8, value=b"eight")
    assert second.save(7) < whole / 10
    put(first.states._open[0], 9, value=b"nine")
    assert first.save(7) == 0, "the other one is as far"


def test_where_there_is_none_the_state_stays_open(machines: list[Machine]) -> None:
    store = machines[0].states.open(0)
    put(store, 1)
    assert machines[0].states.restore(0, 1, FAR) is None
    assert len(everything(store)) == 1


def test_a_state_that_is_held_gets_another_place(machines: list[Machine], location: str) -> None:
    first, _ = machines
    put(first.states.open(0), 1, 2)
    first.save(5)
    beside = Machine(first.place, location)
    assert beside.states.open(0).path.name == "digests-0.1"
    restored = beside.states.restore(0, 1, FAR)
    assert restored is not None
    assert everything(restored[0]) == everything(first.states._open[0])
    assert beside.names == ["digests-0", "digests-0.1", "digests-0.lock"]
    beside.close()


def test_what_killed_workers_left_goes(machines: list[Machine]) -> None:
    first, _ = machines
    for left in ("digests-0.restored", "digests-0.former", "digests-0.checkpoint-xyz/state"):
        (first.place / left).mkdir(parents=True)
        (first.place / left / "000001.sst").write_bytes(b"x")
    put(first.states.open(0), 1)
    assert first.names == ["digests-0", "digests-0.checkpoint-xyz", "digests-0.lock"]
    first.save(5)
    assert first.names == ["digests-0", "digests-0.lock"]


def test_cut_off_between_two_renames_there_is_no_state_and_it_is_restored_again(machines: list[Machine]) -> None:
    first, second = machines
    put(first.states.open(0), 1)
    first.save(5)
    second.states.open(0).close()
    (second.place / "digests-0").rename(second.place / "digests-0.former")
    assert everything(second.states.open(0)) == {}
    assert second.states.restore(0, 1, FAR) is not None
    assert second.names == ["digests-0", "digests-0.lock"]


def test_a_state_that_is_broken_is_refused_wherever_it_is(tmp_path: Path) -> None:
    states = RocksStates(tmp_path / "blocks", None)
    states.open(0).close()
    (tmp_path / "blocks" / "digests-0" / "CURRENT").write_bytes(b"broken")
    with pytest.raises(StateError, match="Corruption"):
        states.open(0)


def test_where_all_places_are_held_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPARES", ("", ".1"))
    first, second, third = (RocksStates(tmp_path, None) for _ in range(3))
    stores = [first.open(0), second.open(0)]
    assert [s.path.name for s in stores] == ["digests-0", "digests-0.1"]
    with pytest.raises(StateError, match=r"digests-0\.1: .*no other run holds"):
        third.open(0)
    for store in stores:
        store.close()


def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="give a directory that can be written"):
        RocksStates(tmp_path / "file", None).open(0)


# ---- the worker --------------------------------------------------------------------------------------------------------------


class RocksDesk(Desk):
    """A desk whose states are in RocksDB, on a machine."""

    def __init__(self, log: MemoryLog, machine: Machine) -> None:
        self.machine = machine
        super().__init__(log)
        self.digests.limit = 1

    def start(self, cache_bytes: int = MEGA) -> None:
        self.digests = Digests(self.log, self.commits)
        self.checkpoints = Checkpointer(self.machine.states, EVERY, self.clock, lambda: round(self.clock.now * 1e6))
        self.worker = ReconcileWorker(
            self.digests, self._outputs, self.machine.states.open, NAMES, self.clock, checkpoints=self.checkpoints
        )

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds * 4)):
            super().run(0.25)
            if self.checkpoints._sending is not None:
                wait([self.checkpoints._sending.sent])


def state(desk: RocksDesk) -> tuple[int, dict[bytes, bytes]]:
    store = desk.machine.states._open[0]
    return Reconciler(0, store).position, everything(store)


@pytest.mark.parametrize("lives", [6, 8, 9])
def test_a_machine_is_lost_and_the_same_is_said_as_if_not(machines: list[Machine], lives: int) -> None:
    lost, new = machines
    desk = RocksDesk(LOG, lost)
    desk.fails += [*[None] * lives, (Cut(), True)]
    desk.digests.give(0)
    with pytest.raises(Cut):
        desk.run(10)
    assert desk.checkpoints.report().made >= 1
    desk.machine = new
    desk.start()
    desk.digests.give(0)
    begun = desk.digests.held[0]
    assert 0 < begun <= desk.commits[0].position
    desk.run(10)
    assert said(desk, 0) == WANT[0]
    assert state(desk) == (desk.entries(0), STATES[-1][0].values)


def test_the_position_of_a_checkpoint_is_that_of_its_state(machines: list[Machine]) -> None:
    desk = RocksDesk(LOG, machines[0])
    desk.digests.give(0)
    desk.run(10)
    for position in range(1, desk.entries(0) + 1):
        new = Machine(machines[1].place / str(position), machines[1].states._checkpoints._location)  # type: ignore[union-attr]
        new.states.open(0)
        restored = new.states.restore(0, position, position)
        if restored is not None:
            assert Reconciler(0, restored[0]).position == restored[1].position == position
        new.close()


def test_a_state_here_that_is_newer_is_never_replaced(machines: list[Machine]) -> None:
    desk = RocksDesk(LOG, machines[0])
    desk.digests.give(0)
    desk.run(EVERY + 1)
    desk.digests.take(0)
    before = desk.commits[0]
    desk.start()
    desk.digests.give(0)
    assert desk.digests.held == {0: before.position}
    desk.digests.take(0)
    desk.commits[0] = Commit(desk.entries(0), b"")
    desk.start()
    desk.digests.give(0)
    assert desk.digests.held == {0: before.position}
