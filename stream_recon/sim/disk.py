"""Disks that lose what was not synced: a store as RocksDB without its own log is one.

Writes reach memory at once and the disk in order, by and by; a crash keeps those that had reached it, each whole.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

from stream_recon.sim.world import World

Write = tuple[list[tuple[bytes, bytes]], list[bytes], list[tuple[bytes, bytes]]]


class Disk:
    """What one machine keeps of one digest partition."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.unsynced: list[Write] = []

    def sync(self, count: int) -> None:
        """The first of the writes that wait reach the disk."""
        for puts, deletes, ranges in self.unsynced[:count]:
            for start, end in ranges:
                for key in [k for k in self.values if start <= k < end]:
                    del self.values[key]
            for key in deletes:
                self.values.pop(key, None)
            self.values.update(puts)
        del self.unsynced[:count]


class MemoryStore:
    """The store port in memory: an ordered map whose writes are atomic. ``copy`` is what an older disk would hold."""

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self.values = {} if values is None else values
        self._keys = sorted(self.values)

    def copy(self) -> MemoryStore:
        """Another store, with what this one holds now."""
        return MemoryStore(dict(self.values))

    def get(self, key: bytes) -> bytes | None:
        """One value."""
        return self.values.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of the keys."""
        return [self.values.get(key) for key in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries under a prefix, in order of their keys."""
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                return
            yield key, self.values[key]

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        """All or nothing; ranges are deleted first."""
        for start, end in ranges:
            for key in self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]:
                self._remove(key)
        for key in deletes:
            if key in self.values:
                self._remove(key)
        for key, value in puts:
            if key not in self.values:
                insort(self._keys, key)
            self.values[key] = value

    def _remove(self, key: bytes) -> None:
        del self.values[key]
        del self._keys[bisect_left(self._keys, key)]

    def close(self) -> None:
        """Nothing is to be done."""


class DiskStore(MemoryStore):
    """A store on a disk. Opening it after a crash finds what had been synced, and perhaps a little more."""

    def __init__(self, world: World, disk: Disk) -> None:
        self._world = world
        self._disk = disk
        disk.sync(world.random.randrange(len(disk.unsynced) + 1))
        if disk.unsynced:
            world.fault("a disk loses writes", f"a disk has lost its last {len(disk.unsynced)} writes")
        disk.unsynced.clear()
        super().__init__(dict(disk.values))

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        """Of memory at once, of the disk by and by."""
        self._world.gate("store")
        write = list(puts), list(deletes), list(ranges)
        super().write(*write)
        self._disk.unsynced.append(write)
        if self._world.random.random() < 0.2:
            self._disk.sync(self._world.random.randrange(len(self._disk.unsynced) + 1))
        self._world.gate("stored")

    def close(self) -> None:
        """All of it reaches the disk."""
        self._world.gate("close store")
        self._disk.sync(len(self._disk.unsynced))
