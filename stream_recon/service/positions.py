"""What the metadata of a committed position holds: all that normalise must remember of an upstream partition.

    {"id": topic id, "idle": [as_of, quiet] | null, "views": {"topology/view": [generation, progress]}}

Several views (topologies, or targets with columns of their own) may read one partition; the committed position is the lowest of
theirs. Workers read each other's entries to know all watermarks and who is idle (DESIGN 3.3). Kafka bounds it: 4096 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from stream_recon.engine.progress import Progress
from stream_recon.errors import StateError
from stream_recon.ports import Commit

METADATA_BYTES = 4096
"""Kafka's default bound on a position's metadata (``offset.metadata.max.bytes``)."""


@dataclass(frozen=True, slots=True)
class Idle:
    """As of which broker time (µs) a partition was found idle, and how long it had been quiet then (µs)."""

    as_of: int
    quiet: int


@dataclass(frozen=True, slots=True)
class Kept:
    """How far one view had got, in which generation of its topology's share."""

    generation: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of one upstream partition. ``views`` by "topology/view"."""

    topic_id: str
    idle: Idle | None = None
    views: Mapping[str, Kept] = field(default_factory=dict)

    def commit(self) -> Commit:
        """The position with this as its metadata.

        Raises:
            StateError: too many views read the partition for Kafka to keep their state.
        """
        views = {name: [k.generation, orjson.Fragment(k.progress.dump())] for name, k in self.views.items()}
        idle = None if self.idle is None else [self.idle.as_of, self.idle.quiet]
        metadata = orjson.dumps({"id": self.topic_id, "idle": idle, "views": views})
        if len(metadata) > METADATA_BYTES:
            raise StateError(
                f"{len(self.views)} topologies and targets read one topic: their positions need {len(metadata)} bytes, Kafka "
                f"keeps {METADATA_BYTES}; give some of the topologies another outputs.prefix"
            )
        return Commit(min(k.progress.position for k in self.views.values()), metadata)

    @staticmethod
    def load(commit: Commit) -> Saved:
        """Inverse of ``commit``.

        Raises:
            StateError: the position was not committed by this program.
        """
        try:
            values = orjson.loads(commit.metadata)
            idle = None if values["idle"] is None else Idle(*values["idle"])
            views = {n: Kept(generation, Progress.of(progress)) for n, (generation, progress) in values["views"].items()}
            return Saved(values["id"], idle, views)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"position {commit.position} was committed by another program: no two programs may share a consumer group; "
                "give another outputs.prefix"
            ) from error
