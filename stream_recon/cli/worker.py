"""One worker process: what a task says, wired to Kafka and RocksDB, until it is told to stop or its supervisor is gone.

Talks to the supervisor over a pipe: reports and log records up, "stop" down. Ends by itself when the pipe does, so no worker
outlives its supervisor. Exit codes as everywhere; any other is a crash, after which the supervisor starts a new one.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Final, NoReturn

import pyarrow as pa

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.adapters.kafka import cloudevents
from stream_recon.adapters.kafka.client import Settings
from stream_recon.adapters.kafka.digests import KafkaDigests
from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.adapters.kafka.peek import LastMessages
from stream_recon.adapters.kafka.source import KafkaSource
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.adapters.kafka.writer import KafkaWriter
from stream_recon.cli.clusters import cluster_of
from stream_recon.cli.output import EXIT_FAILED, EXIT_UNDELIVERED
from stream_recon.cli.schemas import book_of, ids_in_headers
from stream_recon.cli.states import RocksStates
from stream_recon.cli.wire import decoder
from stream_recon.engine.pipeline import View
from stream_recon.errors import Fenced, ReconError, Undelivered, Unreachable
from stream_recon.limits import MICROS
from stream_recon.model.memory import USUAL, Memory
from stream_recon.model.plan import CheckpointPlan, SidePlan
from stream_recon.normalise.formats.heartbeat import commit_time
from stream_recon.ports import Group, Source
from stream_recon.service.checkpoints import Checkpointer
from stream_recon.service.job import Job, Names, Opened
from stream_recon.service.normalise import NormaliseWorker
from stream_recon.service.reconcile import ReconcileWorker
from stream_recon.service.report import NormaliseReport, ReconcileReport
from stream_recon.service.spots import Spotted
from stream_recon.service.watch import Watch

EXIT_AGAIN: Final = 75
"""A worker that found a cluster away: started again a little later."""

EXIT_FENCED: Final = 76
"""A worker whose place in the group another one holds."""

REPORT_SECONDS: Final = 1.0

ORPHANED_SECONDS: Final = 30.0
"""How long a worker whose supervisor is gone may take to end: as long as a supervisor waits for one that it stops."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker does. Goes to another process."""

    stage: str
    worker: str
    member: str | None
    """Its name in the consumer group, kept over restarts; none for a passing one."""
    names: Names
    cluster: Settings
    opened: tuple[Opened, ...]
    state: Path
    ends: Mapping[Spotted, int] | None = None
    checkpoints: tuple[CheckpointPlan, str] | None = None
    """With the id of the digest log's topic."""
    memory: Memory = USUAL


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker ended."""

    text: str
    code: int


_COLLECT_AFTER: Final = 200_000
"""New objects between two looks for cycles: a batch is 10,000 messages or records, each looked at, and in no cycle."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2
"""For ``mallopt``. Smaller blocks than the first come from the heap, of which so much stays when it is free, and which grows by
so much: every page that is asked for anew is cleared by the system first.
"""
_MMAP_MOST: Final = 32 * 1024**2
"""More, glibc does not take."""

Report = NormaliseReport | ReconcileReport
Stage = tuple[Callable[[], None], Callable[[], Report]]
Tell = Callable[[Report], None]


def _silent(_: Report) -> None:
    """Nobody listens."""


def work(task: Task, pipe: Connection) -> None:
    """The process. After a failure it ends while that is still being handled: the destructor of a consumer that was not closed
    may wait for ever, and a worker that neither works nor ends is never started again.
    """
    try:
        _work(task, pipe)
    except Unreachable as error:
        _end(pipe, Failure(str(error), EXIT_AGAIN), EXIT_AGAIN)
    except Fenced as error:
        _end(pipe, Failure(str(error), EXIT_FAILED), EXIT_FENCED)
    except ReconError as error:
        _end(pipe, Failure(str(error), EXIT_UNDELIVERED if isinstance(error, Undelivered) else EXIT_FAILED), EXIT_FAILED)
    except BaseException:  # noqa: BLE001 - a panic of a library is no Exception; or a bug of ours: told with its traceback, then the process ends as a crash
        _end(pipe, Failure(traceback.format_exc(), 1), 1)
    os._exit(0)


def _end(pipe: Connection, failure: Failure, code: int) -> NoReturn:
    _send(pipe, failure)
    pipe.close()
    os._exit(code)


def _end_with_the_supervisor() -> None:
    """Blocks on their way are waited for as long as a cluster is away; nobody is there any more to end a worker that does."""
    supervisor = parent_process()
    assert supervisor is not None
    supervisor.join()
    time.sleep(ORPHANED_SECONDS)
    os._exit(EXIT_AGAIN)


def _work(task: Task, pipe: Connection) -> None:
    Thread(target=_end_with_the_supervisor, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the supervisor decides
    logging.getLogger("stream_recon").handlers[:] = [_Forward(pipe)]
    logging.getLogger("stream_recon").setLevel(logging.INFO)
    with _Stop(pipe) as stop:
        stage = normalising if task.stage == "normalise" else reconciling
        with stage(task, partial(_send, pipe)) as (step, report):
            _loop(step, report, pipe, stop)


def _loop(step: Callable[[], None], report: Callable[[], Report], pipe: Connection, stop: Callable[[], bool]) -> None:
    told = 0.0
    while not stop():
        step()
        if time.monotonic() - told >= REPORT_SECONDS:
            told = time.monotonic()
            _send(pipe, report())


class _Stop:
    """Says when to stop: by SIGTERM, a word of the supervisor, or because that is gone."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._told = False

    def __enter__(self) -> Callable[[], bool]:
        signal.signal(signal.SIGTERM, self._on_signal)
        return self._asked

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _on_signal(self, *_: object) -> None:
        self._told = True

    def _asked(self) -> bool:
        try:
            self._told = self._told or (self._pipe.poll() and self._pipe.recv() == "stop")
        except (EOFError, OSError):
            self._told = True
        return self._told


class _Forward(logging.Handler):
    """Log records to the supervisor, which shows them."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        _send(self._pipe, record)


def _send(pipe: Connection, message: object) -> None:
    try:
        pipe.send(message)
    except OSError:  # the supervisor is gone: this worker is about to notice
        return


# ---- stages ------------------------------------------------------------------------------------------------------------


@contextmanager
def normalising(task: Task, tell: Tell = _silent) -> Iterator[Stage]:
    """A normalise worker as a step and a report; ``tell`` gets a report whenever partitions were taken."""
    sources: dict[str, KafkaSource] = {}
    sides = [side for opened in task.opened for side in opened.layout.plan.sides]

    def source_of(view: View) -> Source:
        cluster = cluster_of(view.side.kafka)
        if cluster.id not in sources:
            member = task.member and f"{task.member}-{len(sources)}"
            topics = {t for s in sides if cluster_of(s.kafka).id == cluster.id for t in s.topics}
            headed = {t: ids for s in sides if (ids := ids_in_headers(s)) is not None for t in s.topics}
            sources[cluster.id] = KafkaSource(
                cluster, Group(task.names.normalise, member, tuple(sorted(topics))), headed, fetched=task.memory.fetched
            )
        return sources[cluster.id]

    jobs = [Job(opened, decoder) for opened in task.opened]
    beats = _Heartbeats(sides)
    writer = KafkaWriter(cluster_of(task.cluster), task.names.once)
    worker = NormaliseWorker(jobs, source_of, writer, task.names, time.monotonic, task.ends, pending_bytes=task.memory.pending)
    watch = Watch(worker, beats.last, time.monotonic, lifts=task.ends is None)
    worker.holding.moved = lambda: tell(watch.report(messages))
    messages = 0
    settle_memory(task.memory.free)

    def step() -> None:
        nonlocal messages
        messages += worker.step()
        watch.tend()

    yield step, lambda: watch.report(messages)
    worker.close()


def settle_memory(free: int) -> None:
    """Looks for cycles rarely, and keeps memory that batches come back to rather than ask the system for it each time anew:
    ``free`` octets.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    if platform.libc_ver()[0] == "glibc":
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_MMAP_THRESHOLD, min(free // 8, _MMAP_MOST))
        allocator.mallopt(_TRIM_THRESHOLD, min(free, 2**31 - 1))
        allocator.mallopt(_TOP_PAD, min(free // 4, 2**31 - 1))
        pa.set_memory_pool(pa.system_memory_pool())


class _Heartbeats:
    """The last commit time that each side's heartbeat table brought."""

    def __init__(self, sides: list[SidePlan]) -> None:
        self._readers: dict[Settings, LastMessages] = {}
        beating = [s for s in sides if s.heartbeat is not None]
        for settings in {s.kafka for s in beating}:
            topics = [s.heartbeat for s in beating if s.kafka == settings and s.heartbeat is not None]
            self._readers[settings] = LastMessages(cluster_of(settings), topics)

    def last(self, view: View) -> int | None:
        side = view.side
        if side.heartbeat is None:
            return None
        times = (
            commit_time(side.format, value, book_of(side)) for value in self._readers[side.kafka].newest(side.heartbeat).values()
        )
        return max((t for t in times if t is not None), default=None)


@contextmanager
def reconciling(task: Task, _: Tell = _silent) -> Iterator[Stage]:
    """A reconcile worker as a step and a report."""
    cluster, names = cluster_of(task.cluster), task.names
    digests = KafkaDigests(cluster, names.digests, Group(names.reconcile, task.member), fetched=task.memory.fetched)

    def outputs(home: int) -> KafkaOutputs:
        id_, place = names.transactional_id(home), (names.digests, home)
        there = Topics(cluster).describe([names.discrepancies, names.audit])
        widths = {name: info.partitions for name, info in there.items()}
        return KafkaOutputs(
            cluster, id_, place, lambda: digests.committed([home]).get(home), widths, names.once, cloudevents.headers
        )

    states, checkpoints = _states(task)
    held = task.memory.rows
    worker = ReconcileWorker(
        digests,
        outputs,
        states.open,
        names,
        time.monotonic,
        cache_bytes=held,
        slice_bytes=held,
        checkpoints=checkpoints,
    )
    settle_memory(task.memory.free)

    def step() -> None:
        worker.step()

    yield step, worker.report
    worker.close()


def _states(task: Task) -> tuple[RocksStates, Checkpointer | None]:
    if task.checkpoints is None:
        return RocksStates(task.state, None, task.memory), None
    plan, log = task.checkpoints
    states = RocksStates(task.state, Checkpoints(plan.location, task.names.prefix, log, plan.keep), task.memory)
    return states, Checkpointer(states, plan.every / MICROS, time.monotonic, lambda: time.time_ns() // 1000)
