"""The store port on RocksDB: one database a worker and digest partition, WAL off.

The digest log is the truth, so a write needs no log of its own: a batch is all or nothing in the memtable, memtables reach the
disk in order, and what a crash loses is folded again from the position that survived.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rocksdict import BlockBasedOptions, Cache, Checkpoint, Options, Rdict, WriteBatch, WriteOptions

from stream_recon.errors import StateError, StateHeld, StorageFull

_HELD: Final = ("IO error: lock hold by current process", "IO error: While lock file")
"""How RocksDB begins to say that somebody has the database open."""

_LOGS = 4
"""Each opening begins a log of RocksDB's own; of earlier ones so many stay, and not its thousand."""


class RocksStore:
    """One database. Keys and values are bytes; order is the order of octets."""

    def __init__(
        self, path: Path, *, cache_bytes: int = 128 * 1024**2, buffer_bytes: int = 64 * 1024**2, reserve_bytes: int = 0
    ) -> None:
        """Opens or makes the database. ``reserve_bytes``: what stays free on its disk, for what is in memory and for compaction.

        Raises:
            StateHeld: another process holds the database, or another part of this one.
            StateError: the directory cannot be used: not writable, or not a database.
        """
        self.path = path
        self._reserve = reserve_bytes
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._db: Any = Rdict(str(path), _options(cache_bytes, buffer_bytes))
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error
        except Exception as error:
            _only_bare(error)
            raise _unusable(path, _reason(error)) from error
        options: Any = WriteOptions()
        options.disable_wal = True
        self._writes = options

    def get(self, key: bytes) -> bytes | None:
        """One value."""
        return self._db.get(key)  # type: ignore[no-any-return]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of the keys."""
        return self._db.get(list(keys)) if keys else []

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries under a prefix, in order of their keys."""
        for key, value in self._db.items(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key, value

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        """All or nothing; ranges are deleted first.

        Raises:
            StorageFull: the disk is full, or nearly so.
        """
        self._leave_free()
        batch: Any = WriteBatch(raw_mode=True)
        for start, end in ranges:
            batch.delete_range(start, end)
        for key in deletes:
            batch.delete(key)
        for key, value in puts:
            batch.put(key, value)
        self._checked(self._db.write, batch, self._writes)

    def _leave_free(self) -> None:
        """Stops before the disk is full: then nothing is in doubt, and what is in memory still finds its place."""
        if not self._reserve:
            return
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        if free < self._reserve:
            raise StorageFull(
                f"state: {free >> 20} MiB are left on the disk of {self.path}, fewer than the {self._reserve >> 20} MiB that "
                "must stay free; free some, then start again; nothing committed is lost"
            )

    def snapshot(self, path: Path) -> None:
        """Makes ``path``, which must not be there, a database of all that is written: links to files that never change.

        Raises:
            StateError: that failed.
            StorageFull: the disk is full, or nearly so.
        """
        self._leave_free()  # as long as it is there, tables that were merged stay on the disk
        self._checked(Checkpoint(self._db).create_checkpoint, str(path))

    def close(self) -> None:
        """Flushes and releases the directory."""
        self._checked(self._db.close)

    def _checked(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:
            _only_bare(error)
            raise _fault(self.path, _reason(error)) from error


def _only_bare(error: Exception) -> None:
    """RocksDB's errors come as the bare base class; anything else is not ours to explain."""
    if type(error) is not Exception:
        raise error


def _options(cache_bytes: int, buffer_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(buffer_bytes)
    options.set_max_write_buffer_number(3)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(_LOGS)
    table = BlockBasedOptions()
    table.set_block_cache(_cache(cache_bytes))
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options


@functools.cache
def _cache(size: int) -> Cache:
    """One cache for all databases of a process: each takes of it what it needs."""
    return Cache(size)


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0]


def _unusable(path: Path, reason: str) -> StateError:
    kind = StateHeld if reason.startswith(_HELD) else StateError
    return kind(f"state: cannot use {path}: {reason}; give a directory that this user can write to and no other run holds")


def _fault(path: Path, text: str) -> StorageFull | StateError:
    if "No space left" in text or "File too large" in text:
        return StorageFull(
            f"state: no space left for {path}: free some, then run the same command again; nothing committed is lost"
        )
    return StateError(f"state: writing to {path} failed: {text}")
