"""Worker processes end when they should, and those that follow are told apart. The workers here read nothing."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stream_recon.cli import supervisor, worker
from stream_recon.cli.output import EXIT_FAILED
from stream_recon.cli.supervisor import Report, Supervisor
from stream_recon.cli.worker import Failure, Task
from stream_recon.errors import BrokerError, Fenced, StateError
from stream_recon.service.job import Names
from stream_recon.service.report import NormaliseReport

TASK = Task("normalise", "normalise-0", None, Names("recon"), (("bootstrap.servers", "127.0.0.1:1"),), (), Path("state"))
REPORT = NormaliseReport((), (), {}, 0, 0)
WITHIN_S = 120.0


class Clings:
    """As a consumer that was not closed: its destructor waits for what never comes."""

    def __del__(self) -> None:
        time.sleep(3600)


@contextmanager
def failing(task: Task, tell: worker.Tell = print) -> Iterator[worker.Stage]:
    held = Clings()
    if held.__class__ is Clings:
        raise BrokerError("it is refused")
    yield lambda: None, lambda: REPORT


@contextmanager
def reporting(task: Task, tell: worker.Tell = print) -> Iterator[worker.Stage]:
    yield lambda: time.sleep(0.01), lambda: REPORT


@contextmanager
def fenced(task: Task, tell: worker.Tell = print) -> Iterator[worker.Stage]:
    if task.worker:
        raise Fenced("another worker holds this place now")
    yield lambda: None, lambda: REPORT


@contextmanager
def lingering(task: Task, tell: worker.Tell = print) -> Iterator[worker.Stage]:
    """As one that waits for a cluster that is gone, with blocks on their way."""
    yield lambda: time.sleep(0.01), lambda: REPORT
    time.sleep(3600)


def lingers(task: Task, pipe: Connection) -> None:
    worker.normalising = lingering
    worker.ORPHANED_SECONDS = 0.5  # type: ignore[misc]
    worker.work(task, pipe)


def supervises(tell: Connection) -> None:
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=lingers, args=(TASK, theirs), daemon=True)
    process.start()
    assert mine.recv() == REPORT
    tell.send(process.pid)
    time.sleep(3600)


def is_fenced(task: Task, pipe: Connection) -> None:
    worker.normalising = fenced
    worker.work(task, pipe)


def fails(task: Task, pipe: Connection) -> None:
    worker.normalising = failing
    worker.work(task, pipe)


def reports(task: Task, pipe: Connection) -> None:
    worker.normalising = reporting
    worker.work(task, pipe)


def test_a_worker_that_cannot_stop_ends_a_while_after_its_supervisor() -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=supervises, args=(theirs,))
    process.start()
    try:
        assert mine.poll(WITHIN_S)
        pid = mine.recv()
    finally:
        process.kill()
        process.join()
    deadline = time.monotonic() + WITHIN_S
    try:
        while pid in alive():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive() -> set[int]:
    """Processes that have not ended, whether somebody has asked for their exit codes or not."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, _, rest = stat.read_text(encoding="utf-8", errors="replace").partition(" ")
            found |= {int(pid)} if rest.rpartition(")")[2].split()[0] != "Z" else set()
    return found


def test_a_worker_that_failed_ends_although_what_it_leaves_behind_does_not() -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=fails, args=(TASK, theirs), daemon=True)
    process.start()
    theirs.close()
    process.join(WITHIN_S)
    try:
        assert process.exitcode == EXIT_FAILED
        assert mine.recv() == Failure("it is refused", EXIT_FAILED)
    finally:
        process.kill()
        process.join()


def test_a_worker_that_is_started_again_in_order_is_heard_as_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "work", reports)
    heard: list[tuple[str, int]] = []

    def hear(name: str, incarnation: int, _: Report) -> None:
        heard.append((name, incarnation))

    def nothing(*_: object) -> None: ...

    tree = Supervisor(hear, nothing, nothing)
    deadline = time.monotonic() + WITHIN_S
    try:
        for incarnation in (0, 1):
            tree.start(TASK)
            while ("normalise-0", incarnation) not in heard:
                assert time.monotonic() < deadline
                tree.turn()
            tree.stop()
    finally:
        tree.stop()
    assert {incarnation for _, incarnation in heard} == {0, 1}


def test_a_worker_whose_place_is_taken_tries_to_get_it_back_and_ends_the_run_if_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "work", is_fenced)
    monkeypatch.setattr(supervisor, "_BACKOFF", (0.01,))
    gone: list[str] = []
    tree = Supervisor(lambda *_: None, lambda *_: None, gone.append)
    tree.start(TASK)

    def run() -> None:
        while True:
            tree.turn()

    with pytest.raises(StateError, match="another worker holds this place now"):
        run()
    assert gone == ["normalise-0"] * supervisor._FENCED_TIMES
