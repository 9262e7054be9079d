"""The world's messages through the pipeline, one tick of its time after the other.

    world   |--tick--|--tick--|--tick--| ... | end of input

However long the ticks, the same is said; only when it is said (``time``, and the watermarks in certificates) moves by a tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa

from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.resolve import resolve_feeds
from stream_recon.demo.envelope import COLUMNS, CONNECTORS, Message
from stream_recon.demo.faults import Planted
from stream_recon.demo.score import Found, Score
from stream_recon.demo.world import START
from stream_recon.engine.pipeline import DISCREPANCIES, Layout, Pipeline
from stream_recon.engine.summary import Tally
from stream_recon.engine.terms import Event
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import TopologyPlan
from stream_recon.normalise.clock import NEVER

_RANK = {"empty": 0, "clean": 1, "inconclusive": 2, "discrepant": 3}


def layout(plan: TopologyPlan) -> Layout:
    """The demo's topology, resolved: both sides have all columns, every partition starts at 0."""
    (target,) = plan.targets
    feeds = resolve_feeds(plan, COLUMNS, {target.name: COLUMNS})
    starts = {Upstream(c.side, c.topic, number): 0 for c in CONNECTORS for number in range(c.partitions)}
    return Layout.make(plan, feeds, [rules_id(pair) for pair in feeds], configuration_hash(plan), starts)


@dataclass(slots=True)
class SideState:
    """How far a side is: messages read, its newest commit and its watermark (µs; None: there is none yet); ``at``: when, by the
    world's clock, that was said.
    """

    name: str
    read: int = 0
    newest: int | None = None
    watermark: int | None = None
    at: int = START


@dataclass(frozen=True, slots=True)
class Said:
    """One discrepancy event: when, its status, and the discrepancy after it."""

    time: str
    status: str
    found: Found


@dataclass(slots=True)
class Board:
    """What there is to show. ``now``: the world's clock, µs, which began at ``start``; ``strip``: windows closed, by number, the
    worst verdict of all digest partitions; ``said``: what this tick said; ``place``: where it runs, if that is to be told;
    ``note``: what is waited for.
    """

    planted: Sequence[Planted]
    score: Score
    now: int = START
    start: int = START
    sides: list[SideState] = field(default_factory=lambda: [SideState(c.side) for c in CONNECTORS])
    strip: dict[int, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    said: list[Said] = field(default_factory=list)
    place: str = ""
    note: str = ""

    def take(self, events: Sequence[Event]) -> None:
        """A part of what a tick said."""
        for event in events:
            if event.topic == DISCREPANCIES:
                self.tally.discrepancy(event.body)
                body = orjson.loads(event.body)
                self.said.append(Said(body["time"], body["status"], self.score.take(event.body)))
            else:
                self.tally.certificate(event.body)
                self._window(orjson.loads(event.body))

    def _window(self, body: dict[str, Any]) -> None:
        if body["type"] != "window":
            return
        verdict = "empty" if body["verdict"] == "clean" and not body["counts"]["keys"] else body["verdict"]
        for number in range(body["number"], body["number"] + body["windows"]):
            self.strip[number] = max(self.strip.get(number, "empty"), verdict, key=_RANK.__getitem__)


class Played(Protocol):
    """A world that is played: here, or on Kafka."""

    board: Board

    @property
    def messages(self) -> int:
        """How many there are in all."""

    @property
    def done(self) -> bool:
        """Whether all that can be shown was shown, the end aside."""

    def tick(self, span: int) -> None:
        """The next ``span`` µs of the world."""

    def end(self) -> None:
        """What is said at the end."""


class Drive:
    """Steps through the messages, given in order of their broker timestamps."""

    def __init__(self, pipeline: Pipeline, messages: Sequence[Message], planted: Sequence[Planted]) -> None:
        self.board = Board(planted, Score(planted))
        self._pipeline = pipeline
        self._messages = messages
        self._at = 0
        self._appended = 0

    @property
    def messages(self) -> int:
        """How many there are in all."""
        return len(self._messages)

    @property
    def done(self) -> bool:
        """Whether every message was pushed."""
        return self._at == len(self._messages)

    def tick(self, span: int) -> None:
        """Pushes what came to the broker in the next ``span`` µs, and folds it."""
        board = self.board
        board.now += span
        board.said = []
        start = self._at
        while not self.done and self._messages[self._at].timestamp * 1_000 < board.now:
            self._at += 1
        batch = self._messages[start : self._at]
        if batch:
            self._appended = batch[-1].timestamp
            self._pipeline.push(_stretches(batch), self._appended)
        self._pipeline.drain(board.take)
        for side in board.sides:
            self._look(side, batch)

    def end(self) -> None:
        """End of input: what is still open in time is judged as it stands."""
        self.board.said = []
        self._pipeline.end(self._appended)
        self._pipeline.drain(self.board.take)

    def _look(self, side: SideState, batch: Sequence[Message]) -> None:
        side.at = self.board.now
        side.read += sum(m.side == side.name for m in batch)
        clocks = [p.clock for p in self._pipeline.normalisers[side.name].progress.values()]
        lowest = min(c.watermark for c in clocks)
        side.watermark = None if lowest == NEVER else lowest
        plan = next(s for s in self._pipeline.layout.plan.sides if s.name == side.name)
        highest = max(c.raw for c in clocks)
        side.newest = None if highest == NEVER else highest + plan.out_of_orderness


def _stretches(batch: Sequence[Message]) -> Iterator[tuple[Messages, int, int]]:
    """The messages by partition: what ``Pipeline.push`` takes."""
    by_partition = sorted(batch, key=lambda m: (m.side, m.partition, m.offset))
    for (side, topic, partition), group in groupby(by_partition, key=lambda m: (m.side, m.topic, m.partition)):
        held = list(group)
        messages = Messages(
            Upstream(side, topic, partition),
            np.array([m.offset for m in held], np.int64),
            np.array([m.timestamp for m in held], np.int64),
            pa.array([m.key for m in held], pa.binary()),
            pa.array([m.value for m in held], pa.binary()),
        )
        yield messages, held[-1].offset + 1, 0
