"""A second implementation of the log's port, in memory: what a process loses when it dies is what was not committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
