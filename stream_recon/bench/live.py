"""The service while rows come in real time: how long certificates take, what it uses, how it catches up after it stood still.

Paced, a thread a side ──> topics ──> workers, as ``run`` has them ──> audit topic ──> Certificates, a thread
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import orjson

from stream_recon.adapters.kafka.following import Followed
from stream_recon.bench.data import Plan
from stream_recon.bench.figures import Used
from stream_recon.bench.found import Found, compared, micros_of
from stream_recon.bench.pace import micros
from stream_recon.bench.stages import STAGES, Crew, singly, tasks
from stream_recon.bench.workers import Sample, Workers
from stream_recon.cli import collecting
from stream_recon.cli.deployment import Deployment
from stream_recon.cli.worker import Task
from stream_recon.errors import ReconError
from stream_recon.service.job import Opened
from stream_recon.service.report import NormaliseReport

_TAKE: Final = 1_000
_WAIT_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Certificate:
    """One window of one chain, as a reader of committed messages got it; times in µs. ``windows``: more than one for a run of
    empty ones.
    """

    came: int
    chain: str
    end: int
    windows: int
    body: Mapping[str, Any]


class Outputs(Thread):
    """Follows what is put out, until it is stopped."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(name="reads outputs", daemon=True)
        self.certificates: list[Certificate] = []
        self.discrepancies: list[bytes] = []
        self._names = deployment.names
        self._followed = Followed(deployment.cluster, collecting.output_ends(deployment.cluster, deployment.names))
        self._failed: ReconError | None = None
        self._over = Event()

    def run(self) -> None:
        """The thread."""
        with closing(self._followed):
            while not self._over.is_set():
                try:
                    for (topic, _), message in self._followed.poll(_TAKE, _WAIT_SECONDS):
                        self._take(micros(), topic, message.value() or b"")
                except ReconError as error:
                    self._failed = error
                    return

    def _take(self, came: int, topic: str, value: bytes) -> None:
        if topic == self._names.discrepancies:
            self.discrepancies.append(value)
        elif topic == self._names.audit and (body := orjson.loads(value))["type"] == "window":
            end = micros_of(body["window"]["end"])
            self.certificates.append(Certificate(came, body["chain"], end, body["windows"], body))

    def check(self) -> None:
        """Raises what ended the thread."""
        if self._failed is not None:
            raise self._failed

    def ended(self, last: int, chains: int) -> bool:
        """Whether so many chains are certified up to ``last`` (µs)."""
        reached: dict[str, int] = {}
        for one in list(self.certificates):
            reached[one.chain] = max(reached.get(one.chain, 0), one.end)
        return len(reached) >= chains and min(reached.values()) >= last

    def stop(self) -> None:
        """Returns when it has ended."""
        self._over.set()
        self.join()


class Service:
    """The workers, started and stopped as often as one likes."""

    def __init__(self, deployment: Deployment, opened: Opened, state: Path, crew: Crew) -> None:
        self._deployment = deployment
        self._opened = opened
        self._state = state
        self._crew = crew
        self.workers: Workers[Task] = Workers()

    def start(self) -> None:
        """Starts them."""
        self.workers = Workers()
        for stage, work in STAGES.items():
            for task in tasks(stage, self._deployment, self._opened, self._state, self._crew):
                self.workers.start(task.worker, work, task)

    def wait(self, seconds: float) -> Mapping[str, Sample]:
        """Lets them work so long; returns what they said last."""
        until = time.monotonic() + seconds
        self.workers.until(lambda _: time.monotonic() >= until)
        return self.workers.samples


def used(before: Mapping[str, Sample], after: Mapping[str, Sample]) -> dict[str, Used]:
    """What each worker used between two moments."""
    return {name: Used.between(before[name].now, after[name].now) for name in sorted(before)}


def taken(samples: Mapping[str, Sample]) -> int:
    """Messages that were read."""
    return sum(s.taken for s in samples.values() if isinstance(s.report, NormaliseReport))


def found(
    plan: Plan, discrepancies: Sequence[bytes], certificates: Sequence[Certificate], samples: Mapping[str, Sample]
) -> Found:
    """What was said, against what was planted."""
    counts = [one.body["counts"] for one in certificates]
    rows = {name: sum(c[name] for c in counts) for name in ("source_rows", "target_rows", "late", "dead_letters")}
    doubtful = sum(one.body["verdict"] == "inconclusive" for one in certificates)
    partition = {"rows": rows["source_rows"] + rows["target_rows"], "late": rows["late"], "dead_letters": rows["dead_letters"]}
    return compared(plan, discrepancies, {"partitions": [partition], "windows": {"inconclusive": doubtful}}, singly(samples))
