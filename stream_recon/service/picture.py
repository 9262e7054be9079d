"""How the service stands at one moment: plain values, for a screen, for Prometheus, for ``status``.

Times and durations are whole µs; null where nothing is known, which is never the same as none. In ``to_json`` times are RFC 3339
in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stream_recon.engine.events import instant
from stream_recon.limits import MICROS
from stream_recon.model.digest import Counts
from stream_recon.service.histogram import Observed
from stream_recon.service.report import Measured

NORMALISE: Final = "normalise"
RECONCILE: Final = "reconcile"
VERDICTS: Final = ("clean", "discrepant", "inconclusive")
STATUSES: Final = ("opened", "updated", "confirmed", "resolved", "dismissed")


@dataclass(frozen=True, slots=True)
class Reading:
    """One upstream partition, and who reads it (null: nobody known)."""

    topic: str
    partition: int
    worker: str | None
    position: int
    end: int | None
    watermark: int | None
    paused: bool
    idle: bool

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**asdict(self), "watermark": shown_time(self.watermark)}


@dataclass(frozen=True, slots=True)
class SidePicture:
    """One side of a topology, by the partitions that are read here.

    ``counts``: messages since the start positions; ``done``: of them, those read since this process began. ``behind``: positions
    still to read (null: an end is not known yet). ``watermark``: that of the slowest partition and view (null: one bounds
    nothing). ``waiting``: rows of the other side that wait while this one is stalled; ``since``: its last time (null: it never
    spoke). ``drift``: columns that appeared after the topology was opened, and are not compared.
    """

    side: str
    readings: tuple[Reading, ...]
    counts: Counts
    done: Counts
    behind: int | None
    watermark: int | None
    lag: int | None
    stalled: bool = False
    since: int | None = None
    waiting: int = 0
    drift: tuple[str, ...] = ()

    @property
    def paused(self) -> int:
        """Partitions that wait for the other side."""
        return sum(r.paused for r in self.readings)

    @property
    def idle(self) -> int:
        """Partitions that are caught up and quiet."""
        return sum(r.idle for r in self.readings)

    @property
    def state(self) -> str:
        """The one word that says most."""
        if not self.readings:
            return "unread"
        if self.stalled:
            return "stalled"
        if self.paused:
            return "paused"
        if self.idle == len(self.readings):
            return "idle"
        return "loading" if self.watermark is None else "ok"

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "side": self.side,
            "state": self.state,
            "event_time_lag_seconds": None if self.lag is None else self.lag / MICROS,
            "watermark": shown_time(self.watermark),
            "behind": self.behind,
            **asdict(self.counts),
            "since_start": asdict(self.done),
            "paused": self.paused,
            "idle": self.idle,
            "stalled": self.stalled,
            "stalled_since": shown_time(self.since),
            "schema_drift": list(self.drift),
            "waiting": self.waiting,
            "partitions": [r.to_json() for r in self.readings],
        }


@dataclass(frozen=True, slots=True)
class PairPicture:
    """A pair, by the digest partitions that are folded here: ``homes`` of ``parts`` that ever were.

    ``closed``: all windows that end by then are closed (null: not known). ``open`` and ``waiting`` (rows in windows still open)
    are null while no digest partition is folded here. ``windows``: certificates by verdict, ``events``: discrepancy events by
    status, both since this process began. ``ended``: all input has ended. ``buffered``: octets of rows that are not folded yet.
    ``suspended``: in how many digest partitions windows are passed over. ``kinds``: of what is open, how much of each;
    ``oldest``: end of the window in which the first of it was opened. ``causes``: those that certificates named, ``keys``: how
    many were judged how, both since this process began.
    """

    target: str
    homes: int
    parts: int
    open: int | None
    source_watermark: int | None
    target_watermark: int | None
    closed: int | None
    waiting: int | None
    ended: bool
    windows: Mapping[str, int]
    events: Mapping[str, int]
    buffered: int | None = None
    suspended: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    oldest: int | None = None
    causes: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> str | None:
        """So far, as far as it is folded here; null: nothing was judged yet."""
        if self.open:
            return "discrepant"
        if self.open is None or self.closed is None:
            return None
        return "inconclusive" if self.windows["inconclusive"] else "clean"

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "target": self.target,
            "verdict": self.verdict,
            "open": self.open,
            "open_by_kind": dict(self.kinds),
            "oldest_open": shown_time(self.oldest),
            "closed_until": shown_time(self.closed),
            "waiting": self.waiting,
            "buffered_bytes": self.buffered,
            "suspended": self.suspended,
            "ended": self.ended,
            "watermarks": {"source": shown_time(self.source_watermark), "target": shown_time(self.target_watermark)},
            "digest_partitions": {"folded": self.homes, "known": self.parts},
            "windows": dict(self.windows),
            "discrepancies": dict(self.events),
            "causes": dict(self.causes),
            "keys": dict(self.keys),
        }


@dataclass(frozen=True, slots=True)
class TopologyPicture:
    """One topology. ``stopped``: why it reads no further."""

    topology: str
    stopped: str | None
    sides: tuple[SidePicture, ...]
    pairs: tuple[PairPicture, ...]

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        sides, pairs = [s.to_json() for s in self.sides], [p.to_json() for p in self.pairs]
        return {"topology": self.topology, "stopped": self.stopped, "sides": sides, "pairs": pairs}


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it at the time ``at``. ``workers`` by stage. ``backlog``: messages of the digest log still to fold, in the digest
    partitions that are folded here (null: none is, or an end is not known). ``checkpoints``: by digest partition, when all of
    its state was last in one. The other numbers are since this process began.
    """

    at: int
    workers: Mapping[str, int]
    topologies: tuple[TopologyPicture, ...]
    transactions: int = 0
    replaced: int = 0
    seconds: float = 0.0
    entries: int = 0
    backlog: int | None = None
    singly: int = 0
    checkpoints: Mapping[int, int] = field(default_factory=dict)
    checkpoints_made: int = 0
    checkpoints_failed: int = 0
    checkpoint_bytes: int = 0
    observed: Mapping[Measured, Observed] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "time": instant(self.at),
            "workers": dict(self.workers),
            "transactions": self.transactions,
            "transaction_seconds": self.seconds,
            "producers_replaced": self.replaced,
            "log_entries": self.entries,
            "log_backlog": self.backlog,
            "decoded_singly": self.singly,
            "checkpoints": {str(home): shown_time(at) for home, at in self.checkpoints.items()},
            "checkpoints_made": self.checkpoints_made,
            "checkpoints_failed": self.checkpoints_failed,
            "checkpoint_bytes": self.checkpoint_bytes,
            "topologies": [t.to_json() for t in self.topologies],
        }


def shown_time(time: int | None) -> str | None:
    """A time in JSON."""
    return None if time is None else instant(time)
