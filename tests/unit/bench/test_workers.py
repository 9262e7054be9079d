"""The processes around the stages: what they say, when they count, and how a failure comes out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stream_recon.bench.workers import Sample, Workers
from stream_recon.errors import InputError, StateError
from stream_recon.service.report import NormaliseReport

Stage = tuple[Callable[[], None], Callable[[], NormaliseReport]]
QUIET_STEPS = 3
MESSAGES = 5


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@contextmanager
def stage(task: float) -> Iterator[Stage]:
    """Needs CPU to start, then takes nothing for some steps, then a message a step at a cost of ``task`` seconds."""
    burn(0.3)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps > QUIET_STEPS + MESSAGES:
            time.sleep(0.01)
        elif steps > QUIET_STEPS:
            burn(task)

    yield step, lambda: NormaliseReport((), (), {}, max(0, min(steps - QUIET_STEPS, MESSAGES)), 0)


@contextmanager
def refused(task: float) -> Iterator[Stage]:
    if task <= 0:
        raise InputError("cannot read that")
    yield lambda: None, lambda: NormaliseReport((), (), {}, 0, 0)


@contextmanager
def broken(task: float) -> Iterator[Stage]:
    yield lambda: burn(1 / task), lambda: NormaliseReport((), (), {}, 0, 0)


def test_cpu_counts_from_the_first_message_on() -> None:
    workers: Workers[float] = Workers()
    workers.start("one", stage, 0.05)
    try:
        workers.until(lambda samples: sum(s.taken for s in samples.values()) >= MESSAGES)
        sample = workers.samples["one"]
    finally:
        workers.stop()
    assert sample.first is not None
    assert sample.first.cpu >= 0.3
    assert MESSAGES * 0.05 <= sample.now.cpu - sample.first.cpu < 0.3 + MESSAGES * 0.05
    assert not workers.samples


@pytest.mark.parametrize(("made", "text"), [(refused, "one failed: cannot read that"), (broken, "ZeroDivisionError")])
def test_a_worker_that_fails_ends_the_measurement(made: Callable[[float], Iterator[Stage]], text: str) -> None:
    workers: Workers[float] = Workers()
    workers.start("one", made, 0.0)  # type: ignore[arg-type]
    try:
        with pytest.raises(StateError, match=text):
            workers.until(lambda _: False)
    finally:
        workers.stop()


def test_nothing_that_moves_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_recon.bench.workers.STALLED_SECONDS", 0.5)
    workers: Workers[float] = Workers()
    workers.start("one", stage, 0.0)
    seen: list[Sample] = []

    def never(samples: object) -> bool:
        seen.extend(workers.samples.values())
        return False

    try:
        with pytest.raises(StateError, match="nothing moved"):
            workers.until(never)
    finally:
        workers.stop()
