"""Drives the engine through a history of ``tests.oracle`` and reads its answers back in the oracle's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.load import load_topology
from stream_recon.config.resolve import resolve_feeds
from stream_recon.engine.pipeline import AUDIT, DISCREPANCIES, Layout, Pipeline
from stream_recon.engine.progress import Progress
from stream_recon.engine.replay import summarise
from stream_recon.engine.summary import Summary
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import FeedPlan, TopologyPlan
from stream_recon.normalise.decoder import Decoder
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.sim.disk import MemoryStore
from tests.laws.world import MemoryLog
from tests.oracle.history import Gap, History, Hole, Lift, Side, end_of
from tests.oracle.render import message, topology
from tests.oracle.strategies import Batch

COLUMNS = frozenset({"id", "value", "note"})


@dataclass(frozen=True, slots=True)
class Answers:
    """What the engine said."""

    summary: Summary
    discrepancies: list[dict[str, Any]]
    certificates: list[dict[str, Any]]
    bodies: list[bytes]


def plan_of(history: History, directory: Path) -> TopologyPlan:
    """The history's topology, read as a user's would be."""
    path = directory / "oracle.yaml"
    path.write_text(json.dumps(topology(history, "debezium-json")))
    return load_topology(path)


class Drive:
    """One run: a pipeline on a world in memory, which may die and come back at any step."""

    def __init__(
        self,
        history: History,
        directory: Path,
        *,
        homes: int = 1,
        decoder: Callable[[FeedPlan], Decoder] = ReferenceDecoder,
        cache_bytes: int | None = None,
        max_buffer: int = 0,
    ) -> None:
        self.history = history
        self.max_buffer = max_buffer
        self.log = MemoryLog()
        self.stores = [MemoryStore() for _ in range(homes)]
        self.cache_bytes = cache_bytes
        self.decoder = decoder
        plan = plan_of(history, directory)
        feeds = resolve_feeds(plan, COLUMNS, {t.name: COLUMNS for t in plan.targets})
        starts = {u: p.items[0].offset for u, p in self._partitions() if p.items}
        self.layout = Layout.make(plan, feeds, [rules_id(f) for f in feeds], configuration_hash(plan), starts)
        self.pipeline = self._pipeline()
        self.index: dict[Upstream, int] = {}
        self.now = 0

    def _partitions(self) -> list[tuple[Upstream, Any]]:
        return [(Upstream(s.name, p.topic, p.number), p) for s in self.history.sides for p in s.partitions]

    def _pipeline(self) -> Pipeline:
        return Pipeline(
            self.layout, self.log, self.stores, self.decoder, cache_bytes=self.cache_bytes, max_buffer=self.max_buffer
        )

    def die(self, stores: Sequence[MemoryStore] | None = None) -> None:
        """Loses what is in memory, and with ``stores`` everything that was not yet on disk there."""
        if stores is not None:
            self.stores = list(stores)
        self.pipeline = self._pipeline()

    def deliver(self, batch: Batch, *, drain: bool = True) -> None:
        """Items ``[start, stop)`` of a partition; a step back is a restart from an older committed position."""
        side = self.history.sides[batch.side]
        partition = side.partitions[batch.partition]
        upstream = Upstream(side.name, partition.topic, partition.number)
        normaliser = self.pipeline.normalisers[side.name]
        if (upstream, batch.start) != (upstream, self.index.get(upstream, 0)):
            normaliser.assign(upstream, self._progress_at(batch, upstream, partition))
        items: list[Any] = list(partition.items[batch.start : batch.stop])
        index = batch.start
        while items:
            if isinstance(items[0], Lift):
                lift = items.pop(0)
                self.pipeline.lift(upstream, lift.to, self.now)
                index += 1
            elif isinstance(items[0], Gap):
                self.pipeline.skip(upstream, items.pop(0).to, self.now)
                index += 1
            else:
                run: list[Any] = []
                while items and not isinstance(items[0], Lift | Gap):
                    run.append(items.pop(0))
                self._push(side, partition, upstream, run)
                index += len(run)
        self.index[upstream] = index
        if drain:
            self.pipeline.drain()

    def _progress_at(self, batch: Batch, upstream: Upstream, partition: Any) -> Progress:
        """What had been committed when the partition stood before item ``batch.start``."""
        alone = Drive.__new__(Drive)
        alone.__dict__.update(self.__dict__ | {"log": MemoryLog(), "stores": [MemoryStore()], "index": {}})
        alone.pipeline = alone._pipeline()
        if batch.start:
            alone.deliver(replace(batch, start=0, stop=batch.start), drain=False)
        return alone.pipeline.normalisers[upstream.side].progress[upstream]

    def _push(self, side: Side, partition: Any, upstream: Upstream, run: list[Any]) -> None:
        shown = [i for i in run if not isinstance(i, Hole)]
        pairs = [message(side, partition, i, "debezium-json") for i in shown]
        octets = [[None if v is None else v.encode() for v in column] for column in zip(*pairs, strict=True)] or [[], []]
        messages = Messages(
            upstream,
            np.array([i.offset for i in shown], np.int64),
            np.array([i.ts for i in shown], np.int64),
            pa.array(octets[0], pa.binary()),
            pa.array(octets[1], pa.binary()),
        )
        self.now = max([self.now, *(i.ts for i in shown)])
        self.pipeline.push([(messages, end_of(run[-1]), 0)], self.now)

    def finish(self) -> Answers:
        """End of input, and what was said."""
        self.pipeline.end(self.now)
        self.pipeline.drain()
        bodies = [e.value for t in (DISCREPANCIES, AUDIT) for e in self.log.read(t, 0, 0, 1 << 40)]
        events = [orjson.loads(b) for b in bodies]
        return Answers(
            summarise(self.pipeline, []),
            [e for e in events if e["type"] == "discrepancy"],
            [e for e in events if e["type"] == "window"],
            bodies,
        )


def whole(history: History) -> list[Batch]:
    """Every partition at once, one after the other."""
    return [
        Batch(s, q, 0, len(p.items)) for s, side in enumerate(history.sides) for q, p in enumerate(side.partitions) if p.items
    ]


def answer(history: History, directory: Path, delivery: Sequence[Batch] | None = None, **options: Any) -> Answers:
    """A run from beginning to end."""
    drive = Drive(history, directory, **options)
    for batch in delivery if delivery is not None else whole(history):
        drive.deliver(batch)
    return drive.finish()


def said(answers: Answers) -> set[tuple[Any, ...]]:
    """Discrepancy events as the oracle has them, without hashes."""
    out = set()
    for e in answers.discrepancies:
        refs = tuple(None if r is None else (r["topic"], r["partition"], r["offset"]) for r in (e["source_ref"], e["target_ref"]))
        out.add(
            (e["target"], e["key"]["id"], e["status"], e["kind"], e["window"]["end"], e["first_seen"], e["occurrences"], *refs)
        )
    return out
