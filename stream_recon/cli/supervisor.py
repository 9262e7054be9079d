"""The process tree of ``run``: starts workers, hears them, starts a crashed one again, and stops them in order.

A worker that ends with an error of ours (configuration, refused by the broker) ends the run; one that crashes or is killed is
started again, later each time; what it had not committed is done again by whoever takes its partitions. So is one whose place
another worker holds, a few times: a broker that is lost while a worker joins its group can make it take its own place away.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from stream_recon.cli.output import EXIT_FAILED
from stream_recon.cli.worker import EXIT_FENCED, Failure, Task, work
from stream_recon.errors import StateError, Undelivered
from stream_recon.service.report import NormaliseReport, ReconcileReport

logger = logging.getLogger("stream_recon")

Report = NormaliseReport | ReconcileReport

WAIT_SECONDS: Final = 0.5
STOP_SECONDS: Final = 30.0
_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS: Final = 60.0
"""A worker that ran so long is started again at once when it crashes."""
_FENCED_TIMES: Final = 3
"""A worker whose place was held by another one so often meanwhile shares its name with that one, and ends the run."""


@dataclass(slots=True)
class _Worker:
    task: Task
    process: SpawnProcess
    pipe: Connection
    incarnation: int
    since: float
    crashes: int
    failure: Failure | None = None
    stopping: bool = False


class Supervisor:
    """Runs tasks, from the main thread only (it looks after signals).

    ``heard`` gets each report, ``log`` each log record of a worker, ``gone`` the name of one that ended; ``revise`` says what
    one that is started again is to do now.
    """

    def __init__(
        self,
        heard: Callable[[str, int, Report], None],
        log: Callable[[logging.LogRecord, str], None],
        gone: Callable[[str], None],
        revise: Callable[[Task], Task] = lambda task: task,
    ) -> None:
        self._heard = heard
        self._log = log
        self._gone = gone
        self._revise = revise
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[str, _Worker] = {}
        self._again: dict[str, tuple[float, Task, int]] = {}
        self._incarnations: Counter[str] = Counter()
        self._fenced: Counter[str] = Counter()

    def start(self, task: Task, crashes: int = 0) -> None:
        """Starts one worker. Each one of a name that follows another is a further incarnation, whatever ended that."""
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(task, theirs), name=task.worker, daemon=True)
        held = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C while a worker still loads is for the supervisor
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, held)
        theirs.close()
        self._workers[task.worker] = _Worker(task, process, mine, self._incarnations[task.worker], time.monotonic(), crashes)
        self._incarnations[task.worker] += 1

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by worker."""
        return {name: w.process.pid for name, w in self._workers.items() if w.process.pid is not None}

    def turn(self) -> None:
        """Hears what there is, for at most ``WAIT_SECONDS``; starts crashed workers again.

        Raises:
            ReconError: a worker failed for good.
        """
        waiting: list[Any] = [w.pipe for w in self._workers.values()] + [w.process.sentinel for w in self._workers.values()]
        ready = wait(waiting, WAIT_SECONDS)
        if not waiting:
            time.sleep(WAIT_SECONDS)
        for name, worker in list(self._workers.items()):
            if worker.pipe in ready or worker.process.sentinel in ready:
                self._hear(worker)
            if not worker.process.is_alive():
                self._hear(worker)
                self._ended(name, worker)
        for name, (due, task, crashes) in list(self._again.items()):
            if time.monotonic() >= due:
                del self._again[name]
                self.start(self._revise(task), crashes)

    def _hear(self, worker: _Worker) -> None:
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv()
                if isinstance(message, logging.LogRecord):
                    self._log(message, worker.task.worker)
                elif isinstance(message, Failure):
                    worker.failure = message
                else:
                    self._heard(worker.task.worker, worker.incarnation, message)
        except (EOFError, OSError):  # it ended: its exit code says how
            return

    def _ended(self, name: str, worker: _Worker) -> None:
        del self._workers[name]
        worker.pipe.close()
        worker.process.join()
        code, failure = worker.process.exitcode, worker.failure
        self._gone(name)
        if worker.stopping or code == 0:
            return
        steady = time.monotonic() - worker.since > _STEADY_SECONDS
        self._fenced[name] = (0 if steady else self._fenced[name]) + (code == EXIT_FENCED)
        if failure is not None and (code == EXIT_FAILED or self._fenced[name] >= _FENCED_TIMES):
            raise (Undelivered if failure.code != EXIT_FAILED else StateError)(f"{name}: {failure.text}")
        crashes = 1 if steady else worker.crashes + 1
        pause = _BACKOFF[0 if code == EXIT_FENCED else min(crashes, len(_BACKOFF)) - 1]
        why = (
            failure.text.strip()
            if failure is not None
            else f"signal {-code}"
            if code is not None and code < 0
            else f"exit {code}"
        )
        logger.error("%s ended (%s); started again in %.0f s", name, why, pause)
        self._again[name] = time.monotonic() + pause, worker.task, crashes

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Stops workers in order and waits for them; what does not stop in ``STOP_SECONDS`` is killed."""
        mine = [w for n, w in self._workers.items() if names is None or n in names]
        for name in list(self._again):
            if names is None or name in names:
                del self._again[name]
        for worker in mine:
            worker.stopping = True
            try:
                worker.pipe.send("stop")
            except OSError:  # it has ended already
                continue
        deadline = time.monotonic() + STOP_SECONDS
        for worker in mine:
            while worker.process.is_alive() and time.monotonic() < deadline:
                self.turn()
            if worker.process.is_alive():
                logger.error("%s did not stop in %.0f s: killed; nothing committed is lost", worker.task.worker, STOP_SECONDS)
                worker.process.kill()
                worker.process.join()
            self._hear_last(worker)

    def _hear_last(self, worker: _Worker) -> None:
        if worker.task.worker in self._workers:
            self._hear(worker)
            self._ended(worker.task.worker, worker)
