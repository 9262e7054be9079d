"""The demo's world on a real broker, read by the service as ``run`` starts it.

    world, moved to now -> envelope -> topics of its own ─> normalise ─> reconcile ─> output topics -> score
                                       Sources              Hosted

A live service has no end of input. When all is sent both sides are quiet and agree: after ``idle_after`` they are lifted, and the
last windows close (DESIGN 3.3 b). A lift reaches no further than the broker's clock, so the world must lie behind that.
"""

from __future__ import annotations

import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from stream_recon.cli.hosting import Hosted, Sources, hosted, sources
from stream_recon.cli.output import print_text, say
from stream_recon.config import load_topology
from stream_recon.demo import files
from stream_recon.demo.drive import Board, Played, SideState
from stream_recon.demo.envelope import CONNECTORS, Message, messages
from stream_recon.demo.score import Certificates, Result, Score
from stream_recon.demo.screen import clock
from stream_recon.demo.world import SECONDS, START, TRAFFIC_FROM, World, make, moved
from stream_recon.engine.pipeline import AUDIT
from stream_recon.errors import BrokerError
from stream_recon.limits import MICROS
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.report import PartitionReport

IDLE_AFTER: Final = "5s"
"""Longer than this process or the broker pauses while the world is played, on a busy machine, too: a silence in the middle of it
would be taken for its end.
"""

AGO: Final = 15 * 60 * MICROS
"""How long ago the world began: its ten minutes, what the last window needs, and clocks that differ by minutes."""

START_SECONDS: Final = 60.0
END_SECONDS: Final = 60.0
"""After the last message, for the last window to close: idle_after, and a machine that is busy with other things."""

_HEAR_SECONDS: Final = 0.05
_MINUTE: Final = 60 * MICROS


def play(place: Path, show: Callable[[Played], None], *, silent: bool) -> Result:
    """The whole world through a service on topics of its own, which are gone afterwards; leaves topology, recordings and results
    in ``place``.

    Raises:
        ReconError: the broker is not there or refuses, or the service failed.
    """
    prefix = f"stream-recon-demo-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    world = moved(make(), (time.time_ns() // 1_000 - AGO) // _MINUTE * _MINUTE - START)
    sent = tuple(replace(m, topic=f"{prefix}.{m.topic}") for m in messages(world))
    plan = load_topology(files.prepare(place, files.on_kafka(prefix, IDLE_AFTER)))
    files.record(place, sent)
    with (
        _terminable(),
        sources({f"{prefix}.{c.topic}": c.partitions for c in CONNECTORS}) as topics,
        tempfile.TemporaryDirectory(prefix=".state-", dir=place, ignore_cleanup_errors=True) as state,
    ):
        if not silent:
            print_text(*_heading(topics.name, prefix, world))
        sender = Sender(topics, sent)
        sender.until(world.start + TRAFFIC_FROM)
        topics.flush()
        with hosted([plan], Path(state), plan.parallelism or 1) as service, _told():
            drive = KafkaDrive(service, sender, world, plan)
            drive.board.place = f" on Kafka at {topics.name}"
            service.run(partial(drive.play, show))
            return _result(drive, service, topics, place)


def _heading(broker: str, prefix: str, world: World) -> list[str]:
    begun, ended = clock(world.start), clock(world.start + SECONDS * MICROS)
    return [
        f"on Kafka at {broker}, topics {prefix}.*, deleted at the end: one normalise and one reconcile worker of `run` read them",
        f"its ten minutes are those from {begun} to {ended}; what is opened and resolved bears the broker's time, which is now",
    ]


def _result(drive: KafkaDrive, service: Hosted, topics: Sources, place: Path) -> Result:
    summary = service.summary()
    service.write(place, summary)
    certificates = Certificates.of(service.found[AUDIT])
    where = f"Kafka at {topics.name}"
    return Result(drive.board.score.lines(), certificates, summary, topics.delivered, where, drive.unfinished)


class Sender:
    """The messages on their way into the topics, in order of their broker timestamps."""

    def __init__(self, topics: Sources, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.at = 0
        self._topics = topics

    def until(self, time: int) -> None:
        """Sends what came to the broker before ``time``, µs."""
        while self.at < len(self.messages) and self.messages[self.at].timestamp * 1_000 < time:
            m = self.messages[self.at]
            self._topics.send(m.topic, m.partition, m.timestamp, m.key, m.value)
            self.at += 1

    def flush(self) -> None:
        """Waits until the broker has all of it."""
        self._topics.flush()


class KafkaDrive:
    """Sends the messages tick by tick, and takes what the service says meanwhile. ``unfinished``: what did not come in time."""

    def __init__(self, service: Hosted, sender: Sender, world: World, plan: TopologyPlan) -> None:
        begun = world.start + TRAFFIC_FROM
        self.board = Board(world.planted, Score(world.planted), begun, world.start, [SideState(c.side) for c in CONNECTORS])
        self.unfinished: str | None = None
        self._service = service
        self._sender = sender
        self._window = plan.window
        self._last = sender.messages[-1].timestamp * 1_000
        self._seen: tuple[PartitionReport, ...] = ()
        self._deadline: float | None = None
        self._closed = False

    @property
    def messages(self) -> int:
        """How many there are in all."""
        return len(self._sender.messages)

    @property
    def done(self) -> bool:
        """Whether all is sent, and every window of it closed, or should have been by now."""
        return self._closed or (self._deadline is not None and time.monotonic() > self._deadline)

    def play(self, show: Callable[[Played], None]) -> None:
        """All of it. The world goes on once the copy of the table is read: in front of a service that runs.

        Raises:
            BrokerError: it is not read.
        """
        deadline = time.monotonic() + START_SECONDS
        while sum(s.read for s in self.board.sides) < self._sender.at:
            self._take()
            if time.monotonic() > deadline:
                raise BrokerError(f"the copy of the table was not read within {START_SECONDS:.0f} s; is the broker well?")
        show(self)

    def tick(self, span: int) -> None:
        """Sends what came to the broker in the next ``span`` µs, and takes what there is to hear."""
        board, sender = self.board, self._sender
        board.said = []
        if self._deadline is None:
            board.now = min(board.now + span, self._last + 1_000)
            sender.until(board.now)
            if sender.at == len(sender.messages):
                sender.flush()
                board.note = f"all is sent; once both sides were quiet for {IDLE_AFTER} the last windows close"
                self._deadline = time.monotonic() + END_SECONDS
        self._take()

    def end(self) -> None:
        """Reads what the service said to the end."""
        self.board.said, self.board.note = [], ""
        if not self._closed:
            self.unfinished = f"not every window closed within {END_SECONDS:.0f} s of the last message"
        self.board.take(self._service.rest())

    def _take(self) -> None:
        self.board.take(self._service.said(_HEAR_SECONDS))
        partitions = self._service.partitions
        if partitions is not self._seen:
            self._seen = partitions
            for side in self.board.sides:
                _look(side, [p for p in partitions if p.side == side.name], self.board.now)
        self._closed = self._deadline is not None and self._is_closed()

    def _is_closed(self) -> bool:
        """Whether every message is accounted for, and every window that holds one is closed."""
        (pair,) = self._service.picture().topologies[0].pairs
        needed = (self._last // self._window + 1) * self._window
        return sum(s.read for s in self.board.sides) == self.messages and pair.closed is not None and pair.closed >= needed


def _look(side: SideState, partitions: Sequence[PartitionReport], now: int) -> None:
    side.at = now
    side.read = sum(p.rows + p.control + p.dead_letters for p in partitions)
    side.newest = max((p.latest for p in partitions if p.latest is not None), default=None)
    marks = [p.watermark for p in partitions]
    side.watermark = min((m for m in marks if m is not None), default=None) if None not in marks else None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does: everything is taken away."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _told() -> Iterator[None]:
    """Answers Ctrl-C at once: what it does then takes some seconds."""
    try:
        yield
    except KeyboardInterrupt:
        say("stopping: the workers end, and its topics are deleted")
        raise
