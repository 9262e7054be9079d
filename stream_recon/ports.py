"""What the engine needs of the world, as Protocols; ``adapters`` implement them, the simulator too.

May import: ``model, errors, limits``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the log. ``timestamp``: append time, ms since the epoch."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed position with its metadata."""

    position: int
    metadata: bytes


class Log(Protocol):
    """Partitioned topics of messages with committed positions (DESIGN section 2). Appends are atomic by transaction."""

    def append(
        self,
        messages: Iterable[tuple[str, int, int, bytes | None, bytes]],
        commits: Mapping[tuple[str, str, int], Commit],
    ) -> None:
        """Appends (topic, partition, timestamp ms, key, value) and moves committed positions of (group, topic, partition), all
        or nothing, durable on return.

        Raises:
            StorageFull: nothing was written.
        """

    def read(self, topic: str, partition: int, position: int, limit: int) -> Sequence[Entry]:
        """Up to ``limit`` messages from ``position`` on."""

    def committed(self, group: str) -> Mapping[tuple[str, int], Commit]:
        """The group's positions by (topic, partition)."""

    def close(self) -> None:
        """Releases the log."""


class Store(Protocol):
    """An ordered map of bytes: state that can be made again from the log."""

    def get(self, key: bytes) -> bytes | None:
        """One value."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of the keys."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries under a prefix, in order of their keys."""

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        """All or nothing; ranges ``[from, to)`` are deleted first.

        Raises:
            StorageFull: the disk is full.
        """

    def close(self) -> None:
        """Releases the store."""
