"""Recorded topics through the whole engine: chunks in the order of the broker's time, then end of input (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.engine.pipeline import AUDIT, DISCREPANCIES, Pipeline
from stream_recon.engine.progress import home_partition
from stream_recon.engine.summary import EXIT, FAILED, Summary, Tally, accounting
from stream_recon.engine.upstream import Known
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import TopologyPlan
from stream_recon.ports import Log

Report = Callable[[str, int, int], None]
_READ_EVENTS = 4_096


@dataclass(frozen=True, slots=True)
class Recorded:
    """One upstream partition as recorded; ``repeated_at``: offsets of further readings, ascending."""

    messages: Messages
    repeated_at: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Stretches of partitions (rows ``[start, stop)`` of the recording) that are normalised together; ``appended``: the largest
    broker timestamp so far, ms.
    """

    stretches: tuple[tuple[Upstream, int, int], ...]
    appended: int
    done: int


def chunks(plan: TopologyPlan, recorded: Mapping[Upstream, Recorded], size: int) -> Iterator[Chunk]:
    """All messages, ``size`` at a time: by broker time but never against the offsets of a partition; ties by side order, then
    partition and offset.
    """
    upstreams = sorted(recorded, key=lambda u: ([s.name for s in plan.sides].index(u.side), u.topic, u.partition))
    if not upstreams:
        return
    times = [np.maximum.accumulate(recorded[u].messages.timestamp) for u in upstreams]
    owner = np.repeat(np.arange(len(upstreams)), [len(t) for t in times])
    time = np.concatenate(times)
    order = np.argsort(time, kind="stable")
    at = [0] * len(upstreams)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        counts = np.bincount(owner[part], minlength=len(upstreams))
        stretches = tuple((u, at[i], at[i] + int(counts[i])) for i, u in enumerate(upstreams) if counts[i])
        at = [a + int(c) for a, c in zip(at, counts, strict=True)]
        yield Chunk(stretches, int(time[part].max()), min(start + size, len(order)))


def run(pipeline: Pipeline, recorded: Mapping[Upstream, Recorded], size: int, report: Report) -> None:
    """Everything in, everything folded. A run that was cut off goes on where it was."""
    plan = pipeline.layout.plan
    total, appended = sum(len(r.messages) for r in recorded.values()), 0
    for chunk in chunks(plan, recorded, size):
        appended = chunk.appended
        stretches = [s for u, start, stop in chunk.stretches for s in _stretches(pipeline, recorded[u], u, start, stop)]
        pipeline.push(stretches, appended)
        pipeline.drain()
        report("replay", chunk.done, total)
    pipeline.drain()
    if not all(r.shares[plan.name].ended for r in pipeline.reconcilers):
        pipeline.end(appended)
    pipeline.drain()


def _stretches(
    pipeline: Pipeline, recorded: Recorded, upstream: Upstream, start: int, stop: int
) -> Iterator[tuple[Messages, int, int]]:
    """What every view of the side still has to read of a stretch."""
    messages = recorded.messages
    for view in pipeline.layout.views:
        if view.side.name != upstream.side:
            continue
        mine = replace(upstream, side=view.id)
        position = pipeline.position(mine)
        first = start + int(np.searchsorted(messages.offset[start:stop], position))
        if first >= stop:
            continue
        end = int(messages.offset[stop - 1]) + 1
        again = recorded.repeated_at
        repeated = int(((again >= messages.offset[first]) & (again < end)).sum())
        yield part_of(messages, mine, first, stop), end, repeated


def part_of(messages: Messages, upstream: Upstream, start: int, stop: int) -> Messages:
    """Rows ``[start, stop)`` of a stretch, under another upstream partition's name."""
    part = slice(start, stop)
    key, value = messages.key[part], messages.value[part]
    assert isinstance(key, pa.BinaryArray)
    return Messages(upstream, messages.offset[part], messages.timestamp[part], key, value)


def summarise(pipeline: Pipeline, warnings: Sequence[str]) -> Summary:
    """The run's summary, from what its log holds."""
    tally = Tally()
    for body in bodies(pipeline.log, DISCREPANCIES):
        tally.discrepancy(body)
    for body in bodies(pipeline.log, AUDIT):
        tally.certificate(body)
    partitions = accounting(_accounted(pipeline))
    verdict = tally.verdict()
    if verdict == "clean" and any(p["gaps"] for p in partitions):
        verdict = "inconclusive"
    told = [*warnings, *_unheard(pipeline.layout.plan, partitions)]
    code = EXIT[verdict]
    if _too_many(pipeline.layout.plan, partitions):
        dead = sum(p["dead_letters"] for p in partitions)
        told.append(
            f"{dead} messages could not be understood, more than dead_letters.max_share allows; see dead_letters.jsonl: "
            "what is said of the rest stands, but the topology does not fit these topics"
        )
        code = FAILED
    heads = {chain: head.seq for r in pipeline.reconcilers for chain, head in r.shares[pipeline.layout.plan.name].chains.items()}
    return Summary(verdict, code, tally.windows(), tally.open, tally.statuses, partitions, told, dict(sorted(heads.items())))


def _unheard(plan: TopologyPlan, partitions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Topics of which there is no message: empty ones, as far as anybody can know, and maybe recordings that were forgotten."""
    heard = {(p["side"], p["topic"]) for p in partitions if p["to"] > p["from"]}
    for side in plan.sides:
        for topic in side.topics:
            if (side.name, topic) not in heard:
                yield f"side {side.name}: no recording has a message of topic {topic}, which is taken for empty"


def _accounted(pipeline: Pipeline) -> Iterator[Known]:
    """Every upstream partition once, as its home digest partition counted it; further views of a side count the same messages."""
    name = pipeline.layout.plan.name
    for upstream, known in pipeline.reconcilers[0].shares[name].known.items():
        if known.feed == known.side:
            yield pipeline.reconcilers[home_partition(upstream, pipeline.parallelism)].shares[name].known[upstream]


def _too_many(plan: TopologyPlan, partitions: Sequence[Mapping[str, int]]) -> bool:
    dead = sum(p["dead_letters"] for p in partitions)
    read = sum(p["rows"] + p["control"] + p["dead_letters"] for p in partitions)
    return dead >= 10 and dead > plan.dead_letters_max_share * read


def bodies(log: Log, topic: str) -> Iterator[bytes]:
    """All messages of an output topic, in order."""
    position = 0
    while entries := log.read(topic, 0, position, _READ_EVENTS):
        yield from (e.value for e in entries)
        position = entries[-1].offset + 1
