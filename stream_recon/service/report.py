"""What a worker says of itself each second: plain values, one line a partition, so that several workers add up.

Positions and counts of a partition come from its state, not from this process: they go on where another worker left off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_recon.service.checkpoints import Checkpointed
from stream_recon.service.histogram import Observed


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One upstream partition as one view reads it. Times in µs; ``end`` as last told (null: not known yet)."""

    topology: str
    side: str
    view: str
    topic: str
    partition: int
    position: int
    end: int | None
    watermark: int | None
    latest: int | None
    rows: int
    control: int
    dead_letters: int
    unused: int
    late: int
    paused: bool
    idle: bool

    @property
    def behind(self) -> int:
        """Positions still to read, as far as the end is known."""
        return max(0, (self.end or 0) - self.position)


@dataclass(frozen=True, slots=True)
class StallReport:
    """A side that is quiet while the other moved. ``since`` in µs (null: it never spoke); ``waiting``: rows of the other side."""

    topology: str
    side: str
    since: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class NormaliseReport:
    """A normalise worker. ``stopped``: topologies that read no further, and why."""

    partitions: tuple[PartitionReport, ...]
    stalls: tuple[StallReport, ...]
    stopped: Mapping[str, str]
    messages: int
    commits: int
    drift: tuple[tuple[str, str, str], ...] = ()
    """(topology, side, column) that appeared after the topology was opened."""
    singly: int = 0
    """Of the messages, those that were decoded one by one: the slow path. A message counts for each topology that reads it."""
    finished: frozenset[tuple[str, str, int]] = frozenset()
    """``run --once``: (source, topic, partition) read and written to the end."""


@dataclass(frozen=True, slots=True)
class PairReport:
    """A pair in one digest partition. Watermarks and ``closed`` (end of the last closed window) in µs, null where none is yet."""

    topology: str
    target: str
    home: int
    open: int
    source_watermark: int | None
    target_watermark: int | None
    closed: int | None
    waiting: int
    ended: bool
    buffered: int = 0
    suspended: bool = False
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Of those that are open, how many of each."""
    oldest: int | None = None
    """End of the window in which the first of them was opened."""


CAUSE, KEYS = "cause", "keys"
"""Kinds of what is said, beside the topics: why a window could not be conclusive, and judged keys."""

JUDGEMENTS = ("equal", "different", "inconclusive")

CLOSED, DETECTED, CONVERGED, TRANSACTION = "closed", "detected", "converged", "transaction"
"""What is measured: from a window's end to its certificate, from the start of a window to a difference in it being said, from the
end of that window to that of the difference by event time, and transactions."""

Measured = tuple[str, str, str]
"""What was measured, topology, target; the names are empty where it is of neither."""


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """A reconcile worker. ``said`` counts what it put out since it began, by (topology, target, kind of output, detail): windows
    by verdict, discrepancies by status.
    """

    pairs: tuple[PairReport, ...]
    positions: Mapping[int, int]
    ends: Mapping[int, int]
    said: Mapping[tuple[str, str, str, str], int]
    transactions: int
    replaced: int
    seconds: float
    entries: int
    finished: frozenset[int] = field(default_factory=frozenset)
    """``run --once``: digest partitions of which every topology's input has ended."""
    checkpoints: Checkpointed = field(default_factory=Checkpointed)
    observed: Mapping[Measured, Observed] = field(default_factory=dict)
