"""A second implementation of the ports, in memory: what a process loses when it dies is what was not committed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence

from stream_recon.ports import Commit, Entry


class MemoryLog:
    """A log whose appends are atomic."""

    def __init__(self) -> None:
        self.topics: dict[tuple[str, int], list[Entry]] = {}
        self.commits: dict[tuple[str, str, int], Commit] = {}

    def append(
        self, messages: Iterable[tuple[str, int, int, bytes | None, bytes]], commits: Mapping[tuple[str, str, int], Commit]
    ) -> None:
        for topic, partition, timestamp, key, value in messages:
            entries = self.topics.setdefault((topic, partition), [])
            entries.append(Entry(len(entries), timestamp, key, value))
        self.commits.update(commits)

    def read(self, topic: str, partition: int, position: int, limit: int) -> Sequence[Entry]:
        return self.topics.get((topic, partition), [])[position : position + limit]

    def committed(self, group: str) -> Mapping[tuple[str, int], Commit]:
        return {(topic, partition): c for (g, topic, partition), c in self.commits.items() if g == group}

    def close(self) -> None:
        pass


class MemoryStore:
    """A store whose writes are atomic; ``copy`` is what an older disk would hold."""

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self.values = values if values is not None else {}
        self._keys = sorted(self.values)

    def copy(self) -> MemoryStore:
        return MemoryStore(dict(self.values))

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.values.get(key) for key in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                return
            yield key, self.values[key]

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], ranges: Iterable[tuple[bytes, bytes]]) -> None:
        for start, end in ranges:
            for key in self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]:
                self._remove(key)
        for key in list(deletes):
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
        pass
