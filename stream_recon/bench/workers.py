"""The service's stages as they are, each worker in a process of its own that also says what it has used.

A stage is what ``run`` runs: a context that gives ``step`` and ``report``. Around it stands only this: a reading before the
step that brought the first message, and one with every report, ten times a second.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, Generic, TypeVar

from stream_recon.bench.meter import Reading, read
from stream_recon.errors import ReconError, StateError
from stream_recon.service.report import NormaliseReport, ReconcileReport

Report = NormaliseReport | ReconcileReport
T = TypeVar("T")
Stage = Callable[[T], AbstractContextManager[tuple[Callable[[], None], Callable[[], Report]]]]

REPORT_SECONDS: Final = 0.1
STALLED_SECONDS: Final = 300.0
"""So long nothing may move before a measurement is given up."""
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a worker says: its report, the reading before its first message (None: none yet), and the one of now."""

    report: Report
    first: Reading | None
    now: Reading

    @property
    def taken(self) -> int:
        """Messages or log entries so far."""
        return taken(self.report)


def taken(report: Report) -> int:
    """Messages or log entries that a worker has taken."""
    return report.messages if isinstance(report, NormaliseReport) else report.entries


def work(stage: Stage[T], task: T, pipe: Connection) -> None:
    """The process: steps until it is told to stop or nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stage(task) as (step, report):
            _loop(step, report, pipe)
    except (EOFError, BrokenPipeError):
        sys.exit(1)
    except ReconError as error:
        pipe.send(str(error))
        sys.exit(1)
    except Exception:  # noqa: BLE001 - told with its traceback
        pipe.send(traceback.format_exc())
        sys.exit(1)


def _loop(step: Callable[[], None], report: Callable[[], Report], pipe: Connection) -> None:
    first: Reading | None = None
    told = 0.0
    while not (pipe.poll() and pipe.recv() == "stop"):
        before = read() if first is None else None
        step()
        now = time.monotonic()
        if before is not None and taken(report()):
            first = before
        if now - told >= REPORT_SECONDS:
            told = now
            pipe.send(Sample(report(), first, read()))


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    last: Sample | None = None


class Workers(Generic[T]):
    """Workers by name, from start to stop. ``samples``: the last of each that spoke."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[str, _Worker] = {}

    def start(self, name: str, stage: Stage[T], task: T) -> None:
        """Starts one."""
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(stage, task, theirs), name=name, daemon=True)
        process.start()
        theirs.close()
        self._workers[name] = _Worker(process, mine)

    @property
    def samples(self) -> Mapping[str, Sample]:
        """What each said last."""
        return {name: w.last for name, w in self._workers.items() if w.last is not None}

    def until(self, done: Callable[[Mapping[str, Sample]], bool]) -> float:
        """Hears them until it is done; returns when that was (monotonic).

        Raises:
            StateError: one failed, or nothing moves any more.
        """
        moved, deadline = -1, time.monotonic() + STALLED_SECONDS
        while True:
            heard = wait([w.pipe for w in self._workers.values()], 1.0)
            for name, worker in self._workers.items():
                if worker.pipe in heard:
                    self._hear(name, worker)
            samples = self.samples
            if done(samples):
                return time.monotonic()
            total = sum(s.taken for s in samples.values())
            if total > moved:
                moved, deadline = total, time.monotonic() + STALLED_SECONDS
            if time.monotonic() > deadline:
                raise StateError(
                    f"bench: nothing moved for {STALLED_SECONDS:.0f} s, after {moved} messages; look at the broker's log"
                )

    def _hear(self, name: str, worker: _Worker) -> None:
        try:
            message: Any = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1.0)
            raise StateError(f"bench: worker {name} ended by itself (exit {worker.process.exitcode})") from None
        if isinstance(message, str):
            raise StateError(f"bench: worker {name} failed: {message}")
        if isinstance(message, Sample):  # a stage may also speak for itself: that has no reading
            worker.last = message

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Stops some, or all that are left, and waits for them; their last samples stay."""
        mine = [w for n, w in self._workers.items() if names is None or n in names]
        for worker in mine:
            try:
                worker.pipe.send("stop")
            except OSError:
                continue
        for worker in mine:
            worker.process.join(_STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        for name in [n for n, w in self._workers.items() if w in mine]:
            del self._workers[name]
