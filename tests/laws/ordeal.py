"""Ways to run a history that must make no difference: crashes at any step, older disks, other rhythms, other paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson

from stream_recon.align.pieces import Mask, Words
from stream_recon.align.side import Side
from stream_recon.engine import closing as closing_module
from stream_recon.engine import pair as pair_module
from stream_recon.engine.pipeline import AUDIT, DIGESTS, DISCREPANCIES
from stream_recon.engine.reconciler import Reconciler
from stream_recon.model.messages import Upstream
from stream_recon.ports import Commit
from stream_recon.sim.disk import MemoryStore
from tests.laws.drive import Answers, Drive
from tests.laws.expect import disagreements
from tests.laws.world import MemoryLog
from tests.oracle.generate import Draw, Rolled
from tests.oracle.history import History
from tests.oracle.oracle import expected
from tests.oracle.strategies import Batch, Sort, delivery_of, seeded


class Crash(Exception):
    """The process dies here."""


@dataclass(slots=True)
class Fuse:
    """Burns down with every write; at zero the process dies, before the write or right after it. None: it does not burn."""

    left: int | None = None
    after: bool = False

    def burn(self) -> bool:
        """Whether this write is the one."""
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


class FragileLog(MemoryLog):
    """A log in whose writer the process may die."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def append(
        self, messages: Iterable[tuple[str, int, int, bytes | None, bytes]], commits: Mapping[tuple[str, str, int], Commit]
    ) -> None:
        dies = self.fuse.burn()
        if dies and not self.fuse.after:
            raise Crash
        super().append(messages, commits)
        if dies:
            raise Crash


class FragileStore(MemoryStore):
    """A store in whose writer the process may die."""

    def __init__(self, fuse: Fuse, values: dict[bytes, bytes] | None = None) -> None:
        super().__init__(values)
        self.fuse = fuse

    def copy(self) -> FragileStore:
        return FragileStore(self.fuse, dict(self.values))

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        dies = self.fuse.burn()
        if dies and not self.fuse.after:
            raise Crash
        super().write(puts, deletes, ranges)
        if dies:
            raise Crash


class Ordeal:
    """A run that dies again and again, and comes back on disks of any age."""

    def __init__(self, history: History, room: Path, d: Draw, **options: Any) -> None:
        self.d = d
        self.fuse = Fuse()
        self.drive = Drive(history, room, **options)
        self.drive.log = FragileLog(self.fuse)
        self.drive.stores = [FragileStore(self.fuse) for _ in self.drive.stores]
        self.drive.die()
        self.disks = [[s.copy()] for s in self.drive.stores]
        self.crashes = 0

    def run(self, delivery: Sequence[Batch]) -> Answers:
        for batch in delivery:
            self._light()
            try:
                self.drive.deliver(batch, drain=self.d.number(0, 3) > 0)
            except Crash:
                self._back()
                self._forget(batch)
                self.drive.deliver(batch)
            self.fuse.left = None
            if self.d.number(0, 4) == 4:
                for disks, store in zip(self.disks, self.drive.stores, strict=True):
                    disks.append(store.copy())
            if self.d.number(0, 6) == 6:
                self._back()
        self._light()
        try:
            return self.drive.finish()
        except Crash:
            self._back()
            return self.drive.finish()

    def _light(self) -> None:
        if self.d.number(0, 2) == 2:
            self.fuse.left, self.fuse.after = self.d.number(0, 6), self.d.number(0, 1) == 1

    def _back(self) -> None:
        """The process starts again; some disks are as they were left, some older than what was said."""
        self.fuse.left = None
        self.crashes += 1
        stores: list[MemoryStore] = []
        for store, disks in zip(self.drive.stores, self.disks, strict=True):
            stores.append(store if self.d.number(0, 1) else self.d.pick(disks).copy())
        self.drive.die(stores)

    def _forget(self, batch: Batch) -> None:
        """Nobody knows how far the batch came: it is delivered once more from its beginning."""
        side = self.drive.history.sides[batch.side]
        partition = side.partitions[batch.partition]
        self.drive.index[Upstream(side.name, partition.topic, partition.number)] = -1


# ---- the same log once more ----------------------------------------------------------------------------------------------


def said_by_chain(log: MemoryLog) -> dict[str, list[bytes]]:
    """Every body that was put out, in order, by chain."""
    out: dict[str, list[bytes]] = {}
    for topic in (DISCREPANCIES, AUDIT):
        for entry in log.read(topic, 0, 0, 1 << 40):
            out.setdefault(f"{topic} {orjson.loads(entry.value)['chain']}", []).append(entry.value)
    return out


def folded_again(log: MemoryLog, homes: int, d: Draw, *, cache_bytes: int = 1 << 28) -> dict[str, list[bytes]]:
    """What fresh reconcilers say of the same digest log, in steps of any size, dying between some of them."""
    out: dict[str, list[bytes]] = {}
    for home in range(homes):
        store = MemoryStore()
        reconciler = Reconciler(home, store, cache_bytes=cache_bytes)
        while entries := log.read(DIGESTS, home, reconciler.position, d.pick([1, 2, 7, 1000])):
            for entry in entries:
                for event in reconciler.fold(entry):
                    chain = orjson.loads(event.body)["chain"]
                    out.setdefault(f"{event.topic} {chain}", []).append(event.body)
            reconciler.commit()
            if d.number(0, 3) == 3:
                reconciler = Reconciler(home, store, cache_bytes=cache_bytes)
    return out


# ---- other paths of the same code ------------------------------------------------------------------------------------------


@contextmanager
def folding(windows: int) -> Iterator[None]:
    """Closed windows that are folded into the base state at once: 1 asks the base state for nearly all, 1000 never."""
    with patch.object(pair_module, "FOLD_WINDOWS", windows):
        yield


@contextmanager
def slicing(octets: int) -> Iterator[None]:
    """What a judgement holds at once: of a window with more, the keys are judged in slices."""
    with patch.object(closing_module, "SLICE_BYTES", octets):
        yield


@contextmanager
def exact() -> Iterator[None]:
    """Every key is folded one by one, from all its rows."""

    def odd(self: Side, high: Words, low: Words, end: int) -> Mask:
        return np.ones(len(high), bool)

    with patch.object(Side, "odd", odd):
        yield


@contextmanager
def some_path(d: Draw) -> Iterator[str]:
    """One of the paths, and its name."""
    windows, slow, slices = d.pick([6, 1, 2, 1000]), d.number(0, 4) == 4, d.pick([1 << 28, 1 << 28, 1 << 28, 600, 2000])
    with ExitStack() as stack:
        stack.enter_context(folding(windows))
        stack.enter_context(slicing(slices))
        if slow:
            stack.enter_context(exact())
        yield f"FOLD_WINDOWS {windows}, SLICE_BYTES {slices}{', exact' if slow else ''}"


# ---- one trial of the soak -------------------------------------------------------------------------------------------------


def trial(seed: int, sort: Sort, room: Path, size: int | None = None) -> list[str]:
    """A seeded history through a seeded run, against the oracle; then its log once more, byte for byte."""
    history, d = seeded(seed, sort, size), Rolled(seed + 1)
    homes, cache = d.number(1, 3), d.pick([None, None, 0, 4000])
    delivery = delivery_of(d, history)
    with some_path(d) as path:
        if d.number(0, 2) == 2:
            ordeal = Ordeal(history, room, d, homes=homes, cache_bytes=cache)
            answers, drive = ordeal.run(delivery), ordeal.drive
            how = f"{ordeal.crashes} crashes"
        else:
            drive = Drive(history, room, homes=homes, cache_bytes=cache)
            for batch in delivery:
                drive.deliver(batch, drain=d.number(0, 3) > 0)
            answers, how = drive.finish(), "no crash"
    wrong = disagreements(history, answers, expected(history), homes=homes)
    with some_path(d) as other:
        again = folded_again(drive.log, homes, d, cache_bytes=d.pick([0, 1 << 28]))
    if again != said_by_chain(drive.log):
        wrong.append(f"the same log folded again ({other}) gives other bytes")
    return [f"seed {seed} {sort} ({homes} digest partitions, cache {cache}, {path}, {how}): {w}" for w in wrong]
