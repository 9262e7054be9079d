"""What Prometheus is told: a picture of the service as families of samples. Base units; no label holds what messages could name.

Counters count what this process's workers did since it began, so that they add up over processes and a restart is seen as one.
What is not known has no sample: a rule that must notice that asks for ``absent``, or for ``stream_recon_partitions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Literal

from stream_recon.limits import MICROS
from stream_recon.service.histogram import DELAYS, TURNS, Observed
from stream_recon.service.picture import PairPicture, Picture, SidePicture
from stream_recon.service.report import CLOSED, CONVERGED, DETECTED, TRANSACTION

Kind = Literal["gauge", "counter", "histogram"]
Sample = tuple[tuple[str, ...], float]
"""Values of the labels, in their order, and the number."""
Buckets = tuple[tuple[str, ...], tuple[tuple[float, int], ...], float]
"""Values of the labels, how many were at most each bound (the last one is infinite), and their sum."""

_SIDE = ("topology", "side")
_PAIR = ("topology", "target")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``labels``: their names."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    samples: Sequence[Sample] = ()
    buckets: Sequence[Buckets] = ()


def families(picture: Picture, version: str, memory: tuple[int, int | None] | None = None) -> list[Family]:
    """Every metric, each once, in a fixed order. ``version``: of the program. ``memory``: octets that its container uses, and may
    use, if they are known.
    """
    return [*_sides(picture), *_pairs(picture), *_times(picture), *_service(picture, version), *_container(memory)]


def _sides(picture: Picture) -> Iterator[Family]:
    sides = [((t.topology, s.side), s) for t in picture.topologies for s in t.sides]

    def family(name: str, kind: Kind, text: str, value: Callable[[SidePicture], float | None]) -> Family:
        return Family(f"stream_recon_{name}", kind, text, _SIDE, _samples((labels, value(s)) for labels, s in sides))

    def here(value: Callable[[SidePicture], float]) -> Callable[[SidePicture], float | None]:
        return lambda s: value(s) if s.readings else None

    yield family("partitions", "gauge", "Source partitions that are read here.", lambda s: len(s.readings))
    yield family("paused_partitions", "gauge", "Partitions paused until the other side is nearer.", here(lambda s: s.paused))
    yield family("idle_partitions", "gauge", "Partitions that are caught up and quiet.", here(lambda s: s.idle))
    yield family(
        "event_time_lag_seconds", "gauge", "Time since the watermark of the side's slowest partition.", lambda s: _seconds(s.lag)
    )
    yield family(
        "watermark_timestamp_seconds", "gauge", "Watermark of the side's slowest partition.", lambda s: _seconds(s.watermark)
    )
    yield family("messages_behind", "gauge", "Positions still to read, up to the ends as last told.", lambda s: s.behind)
    yield family("rows_total", "counter", "Rows read.", lambda s: s.done.rows)
    yield family("late_rows_total", "counter", "Rows older than their partition's watermark.", lambda s: s.done.late)
    yield family("dead_letters_total", "counter", "Messages that could not be understood.", lambda s: s.done.dead_letters)
    yield family(
        "control_records_total", "counter", "Transaction, heartbeat and schema-change messages.", lambda s: s.done.control
    )
    yield family(
        "schema_drift_columns",
        "gauge",
        "Columns that appeared after the topology was opened, and are not compared.",
        here(lambda s: len(s.drift)),
    )
    yield family("side_stalled", "gauge", "1 while the side is quiet and the other one moves.", here(lambda s: s.stalled))
    yield family("stalled_since_timestamp_seconds", "gauge", "Last time of a side that is stalled.", lambda s: _seconds(s.since))


def _pairs(picture: Picture) -> Iterator[Family]:
    pairs = [((t.topology, p.target), p) for t in picture.topologies for p in t.pairs]

    def family(name: str, text: str, value: Callable[[PairPicture], float | None]) -> Family:
        return Family(f"stream_recon_{name}", "gauge", text, _PAIR, _samples((labels, value(p)) for labels, p in pairs))

    def counted(name: str, text: str, label: str, counts: Callable[[PairPicture], Iterable[tuple[str, int]]]) -> Family:
        samples = (((*labels, word), count) for labels, p in pairs for word, count in counts(p))
        return Family(f"stream_recon_{name}", "counter", text, (*_PAIR, label), _samples(samples))

    yield family("waiting_rows", "Rows of either side in windows still open.", lambda p: p.waiting)
    yield family("buffered_bytes", "Octets of rows of either side that are not folded yet.", lambda p: p.buffered)
    yield family(
        "suspended_digest_partitions",
        "Digest partitions in which windows of the pair are passed over: more waits than max_buffer.",
        lambda p: p.suspended if p.homes else None,
    )
    open_: list[Sample] = [((*labels, kind), float(count)) for labels, p in pairs for kind, count in p.kinds.items()]
    yield Family("stream_recon_open_discrepancies", "gauge", "Discrepancies that are open.", (*_PAIR, "kind"), open_)
    yield family(
        "oldest_open_timestamp_seconds",
        "End of the window in which the oldest open discrepancy was found.",
        lambda p: _seconds(p.oldest),
    )
    yield family(
        "closed_until_timestamp_seconds",
        "End of the last window that is closed in every digest partition folded here.",
        lambda p: _seconds(p.closed),
    )
    yield counted(
        "keys_total", "Judged keys: one that several windows touch counts in each.", "judgement", lambda p: p.keys.items()
    )
    yield counted(
        "windows_total",
        "Certificates of closed windows: one for each digest partition, runs of empty windows in one.",
        "verdict",
        lambda p: p.windows.items(),
    )
    yield counted("discrepancies_total", "Discrepancy events.", "status", lambda p: p.events.items())
    yield counted(
        "causes_total", "Why windows could not be conclusive, once for each certificate.", "cause", lambda p: p.causes.items()
    )


def _times(picture: Picture) -> Iterator[Family]:
    def family(what: str, name: str, text: str, labels: tuple[str, ...], bounds: Sequence[float]) -> Family:
        of = {
            place: one for (measured, *place_), one in picture.observed.items() if measured == what for place in [tuple(place_)]
        }
        buckets = [(place[: len(labels)], _cumulative(bounds, one), one.total) for place, one in sorted(of.items())]
        return Family(f"stream_recon_{name}", "histogram", text, labels, buckets=buckets)

    yield family(CLOSED, "window_close_delay_seconds", "From a window's end to its certificate, put out.", _PAIR, DELAYS)
    yield family(
        DETECTED, "time_to_detect_seconds", "From the start of the window with a difference to its event, put out.", _PAIR, DELAYS
    )
    yield family(CONVERGED, "time_to_converge_seconds", "How long what is resolved was open, by event time.", _PAIR, DELAYS)
    yield family(TRANSACTION, "transaction_duration_seconds", "Of transactions of outputs and log position.", (), TURNS)


def _cumulative(bounds: Sequence[float], one: Observed) -> tuple[tuple[float, int], ...]:
    return tuple(zip((*bounds, inf), accumulate(one.counts), strict=True))


def _service(picture: Picture, version: str) -> Iterator[Family]:
    def single(name: str, kind: Kind, text: str, value: float | None) -> Family:
        return Family(f"stream_recon_{name}", kind, text, (), _samples([((), value)]))

    yield single("transactions_total", "counter", "Transactions of outputs and log position.", picture.transactions)
    yield single("producers_replaced_total", "counter", "Producers replaced as a transaction ended in doubt.", picture.replaced)
    yield single(
        "messages_decoded_singly_total", "counter", "Messages that took the slow path: decoded one by one.", picture.singly
    )
    yield single("log_entries_total", "counter", "Messages of the digest log that were folded.", picture.entries)
    yield single("log_backlog", "gauge", "Messages of the digest log still to fold, where it is folded here.", picture.backlog)
    ages: list[Sample] = [((str(home),), (picture.at - at) / MICROS) for home, at in picture.checkpoints.items()]
    text = "Time since all of a digest partition's state was in a checkpoint."
    yield Family("stream_recon_checkpoint_age_seconds", "gauge", text, ("digest_partition",), ages)
    yield single("checkpoints_total", "counter", "Checkpoints that were made.", picture.checkpoints_made)
    yield single("checkpoint_failures_total", "counter", "Checkpoints that failed.", picture.checkpoints_failed)
    yield single("checkpoint_bytes_total", "counter", "Octets of state sent for checkpoints.", picture.checkpoint_bytes)
    stopped: list[Sample] = [((t.topology,), float(t.stopped is not None)) for t in picture.topologies]
    yield Family("stream_recon_topology_stopped", "gauge", "1 if the topology reads no further.", ("topology",), stopped)
    workers: list[Sample] = [((stage,), float(count)) for stage, count in picture.workers.items()]
    yield Family("stream_recon_workers", "gauge", "Worker processes of this process.", ("stage",), workers)
    yield Family("stream_recon_build_info", "gauge", "1; the version of the program.", ("version",), [((version,), 1.0)])


def _container(memory: tuple[int, int | None] | None) -> Iterator[Family]:
    used, limit = (None, None) if memory is None else memory
    for name, text, value in (
        ("cgroup_memory_bytes", "Memory that this container uses, without page cache that can be dropped.", used),
        ("cgroup_memory_limit_bytes", "Memory that this container may use.", limit),
    ):
        yield Family(f"stream_recon_{name}", "gauge", text, (), _samples([((), value)]))


def _samples(values: Iterable[tuple[tuple[str, ...], float | None]]) -> list[Sample]:
    return [(labels, float(value)) for labels, value in values if value is not None]


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS
