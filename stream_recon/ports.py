"""What the engine needs of the world, as Protocols; ``adapters`` implement them, the simulator too.

May import: ``model, errors, limits``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Place = tuple[str, int]
"""Topic and partition."""


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


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group, and the name under which this worker is a lasting member of it (None: a passing one).

    ``topics``: what it subscribes to, if that may be something else after a restart.
    """

    id: str
    member: str | None = None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as it is now. ``id`` tells a recreated topic from its predecessor."""

    id: str
    partitions: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Messages of one partition in order of offset: int64 offsets and broker times (ms), binary keys and values."""

    place: Place
    offset: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    key: pa.BinaryArray
    value: pa.BinaryArray


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought: messages, partitions that came to their end (and its offset), partitions whose position is no longer
    there, topics that are gone.
    """

    stretches: list[Stretch]
    ends: dict[Place, int]
    lost: list[Place]
    gone: list[str]


class Source(Protocol):
    """The topics of one cluster, of which this worker reads a share (DESIGN section 2, normalise). Errors: ``BrokerError``."""

    name: str
    """Tells clusters apart; the same in every worker."""

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        """Joins the group; from now on ``poll`` calls the listener when partitions come and go."""

    def poll(self, limit: int, seconds: float) -> Polled:
        """Up to ``limit`` messages, or what comes within ``seconds``."""

    def seek(self, place: Place, position: int) -> None:
        """Goes on reading an assigned partition at ``position``."""

    def pause(self, places: Iterable[Place]) -> None:
        """Stops reading partitions for a while."""

    def resume(self, places: Iterable[Place]) -> None:
        """Reads them again."""

    def end_seen(self, place: Place) -> int | None:
        """End of a partition as last told; no request."""

    def ends(self, places: Iterable[Place]) -> Mapping[Place, int]:
        """End of each partition, asked anew."""

    def begins(self, places: Iterable[Place]) -> Mapping[Place, int]:
        """First offset of each partition that is still there."""

    def describe(self, topics: Iterable[str]) -> Mapping[str, TopicInfo]:
        """Topics as they are now; one that is gone is not in the answer."""

    def commit(self, positions: Mapping[Place, Commit], *, wait: bool) -> None:
        """Commits positions with their metadata."""

    def committed(self, places: Iterable[Place]) -> Mapping[Place, Commit]:
        """Committed positions of the group, whoever reads there; a partition without one is not in the answer."""

    def close(self) -> None:
        """Leaves the group; what is still held is revoked first."""


class Listener(Protocol):
    """Who is told when partitions of a group come and go; called from within ``poll`` and ``close``."""

    def assigned(self, source: Source, places: Sequence[Place]) -> Mapping[Place, int]:
        """New partitions; returns the position at which each begins."""

    def revoked(self, source: Source, places: Sequence[Place]) -> None:
        """They are given up in order: what was read can still be written and committed."""

    def lost(self, source: Source, places: Sequence[Place]) -> None:
        """They are somebody else's already: nothing can be committed any more."""


class Writer(Protocol):
    """Appends to topics, each partition in order; told in ``done`` when a message is safe. Errors: ``BrokerError``."""

    def send(self, topic: str, partition: int | None, key: bytes | None, value: bytes, done: Callable[[], None]) -> None:
        """Hands a message over; ``partition`` None: by key."""

    def poll(self, seconds: float) -> None:
        """Lets acknowledgements in; raises what went wrong with a message."""

    def flush(self) -> None:
        """Waits until every message is safe."""

    def now(self) -> int | None:
        """The broker's time in µs, never later than it is there; None: not known before a message is safe."""

    def close(self) -> None:
        """Releases the writer; what is not safe yet may be lost."""


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


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint: the state at a log position. ``created`` in µs."""

    position: int
    created: int


class States(Protocol):
    """The states of the digest partitions that this worker holds, and their checkpoints elsewhere."""

    def open(self, home: int) -> Store:
        """The state on this machine; an empty one, if there is none.

        Raises:
            StateError: it cannot be used.
        """

    def snapshot(self, home: int) -> Path:
        """A copy of an open state as it is now. Quick.

        Raises:
            StateError, StorageFull: that failed.
        """

    def save(self, home: int, snapshot: Path, position: int, created: int) -> int:
        """Makes a snapshot a checkpoint and removes it; returns the octets sent. Slow, and from any thread.

        Raises:
            CheckpointFailed: it is none.
        """

    def restore(self, home: int, low: int, high: int) -> tuple[Store, Kept] | None:
        """Puts the newest checkpoint from ``low`` to ``high`` that can be used in the place of an open state, which is closed.
        None: there is none, and the state is as before.

        Raises:
            CheckpointFailed: the checkpoints cannot be read; the state is as before.
            StateError: the state cannot be used any more.
        """
