"""One digest log of its own and the workers on it, measured: normalise alone, reconcile alone on what it wrote, or both.

    normalise   both sides -> digest log            reconcile   digest log -> discrepancies and certificates

CPU counts from the first message on and ends with the last commit: what a process needs to start, and what it does while it
waits to be stopped, is not the work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream_recon.adapters.kafka.client import RUN_HEADER
from stream_recon.adapters.kafka.writer import KafkaWriter
from stream_recon.bench.data import Plan
from stream_recon.bench.figures import Measured, Used
from stream_recon.bench.found import Found, compared
from stream_recon.bench.workers import Sample, Stage, Workers
from stream_recon.cli import collecting
from stream_recon.cli.deployment import Deployment
from stream_recon.cli.worker import Task, normalising, reconciling
from stream_recon.engine.pipeline import DISCREPANCIES
from stream_recon.limits import MEMORY_BYTES
from stream_recon.model.digest import End, encode
from stream_recon.model.memory import Memory
from stream_recon.service.job import Opened
from stream_recon.service.report import NormaliseReport, ReconcileReport
from stream_recon.service.spots import Spotted

Samples = Mapping[str, Sample]
NORMALISE, RECONCILE = "normalise", "reconcile"
STAGES: Final[Mapping[str, Stage[Task]]] = {NORMALISE: normalising, RECONCILE: reconciling}


@dataclass(frozen=True, slots=True)
class Crew:
    """Worker processes of each stage, and what each may hold, in octets."""

    workers: int = 1
    memory: int = MEMORY_BYTES


USUAL: Final = Crew()


def tasks(
    stage: str, deployment: Deployment, opened: Opened, state: Path, crew: Crew, ends: Mapping[Spotted, int] | None = None
) -> Iterator[Task]:
    """What each worker of a stage is to do. ``ends``: where the input ends, if it does."""
    names, settings = deployment.names, tuple(sorted(deployment.cluster.settings.items()))
    memory = Memory.of(crew.memory, opened.parallelism)
    for number in range(crew.workers):
        yield Task(stage, f"{stage}-{number}", None, names, settings, (opened,), state, ends, memory=memory)


def singly(samples: Samples) -> int:
    """Messages that took the slow path."""
    return sum(s.report.singly for s in samples.values() if isinstance(s.report, NormaliseReport))


class Share:
    """A topology's share of a digest log."""

    def __init__(self, deployment: Deployment, opened: Opened, state: Path, crew: Crew) -> None:
        self._deployment = deployment
        self._opened = opened
        self._state = state
        self._crew = crew
        self._ends: dict[Spotted, int] = deployment.ends([opened])
        self._marks = collecting.output_ends(deployment.cluster, deployment.names)
        self._read: Samples = {}
        self.messages = sum(self._ends.values())
        self.workers: Workers[Task] = Workers()

    # ---- stages --------------------------------------------------------------------------------------------------------

    def normalise(self) -> Measured:
        """Both sides into the log. The rate is that of taking messages: the last commit may come a second later."""
        self._start(NORMALISE)
        self.workers.until(lambda samples: sum(s.taken for s in samples.values()) >= self.messages)
        last = max(s.now.wall for s in self.workers.samples.values())
        self._await_read()
        self.workers.stop()
        self._end()
        return Measured(self.messages, last - _began(self._read), _used(self._read))

    def reconcile(self) -> Measured:
        """The log, which ``normalise`` filled, into discrepancies and certificates."""
        self._start(RECONCILE)
        folded = self._await_folded()
        self.workers.stop()
        return Measured(self.messages, _ended(folded) - _began(folded), _used(folded))

    def both(self) -> Measured:
        """All of it at once, from the first message to the last certificate."""
        self._start(NORMALISE)
        self._start(RECONCILE)
        self._await_read()
        self._end()
        folded = self._await_folded()
        self.workers.stop()
        return Measured(self.messages, _ended(folded) - _began(self._read), _used({**self._read, **folded}))

    def found(self, plan: Plan) -> Found:
        """What was said, against what was planted."""
        names = self._deployment.names
        bodies = collecting.bodies(self._deployment.cluster, names, self._marks, (RUN_HEADER, (names.once or "").encode()))
        lines = [p for s in self._read.values() if isinstance(s.report, NormaliseReport) for p in s.report.partitions]
        return compared(plan, bodies[DISCREPANCIES], collecting.summary([self._opened], bodies, lines, {}), singly(self._read))

    # ---- steps ---------------------------------------------------------------------------------------------------------

    def _start(self, stage: str) -> None:
        for task in tasks(stage, self._deployment, self._opened, self._state, self._crew, self._ends):
            self.workers.start(task.worker, STAGES[stage], task)

    def _await_read(self) -> None:
        def done(samples: Samples) -> bool:
            reports = (s.report for s in samples.values() if isinstance(s.report, NormaliseReport))
            return {(source, (topic, part)) for r in reports for source, topic, part in r.finished} >= set(self._ends)

        self.workers.until(done)
        self._read = {n: s for n, s in self.workers.samples.items() if isinstance(s.report, NormaliseReport)}

    def _await_folded(self) -> Samples:
        def done(samples: Samples) -> bool:
            reports = (s.report for s in samples.values() if isinstance(s.report, ReconcileReport))
            return {home for r in reports for home in r.finished} >= set(range(self._opened.parallelism))

        self.workers.until(done)
        return {n: s for n, s in self.workers.samples.items() if isinstance(s.report, ReconcileReport)}

    def _end(self) -> None:
        """The input ends, behind all that was read."""
        writer = KafkaWriter(self._deployment.cluster)
        message = encode(End(self._opened.layout.plan.name, self._opened.generation))
        for home in range(self._opened.parallelism):
            writer.send(self._deployment.names.digests, home, None, message, lambda: None)
        writer.flush()
        writer.close()


@contextmanager
def share(deployment: Deployment, crew: Crew) -> Iterator[Share]:
    """Opens a share; stops its workers in the end. Its topics stay: whoever made the deployment removes it.

    Raises:
        ReconError: it cannot be opened.
    """
    (opened,) = deployment.open(deployment.prepare())
    with tempfile.TemporaryDirectory(prefix="stream-recon-") as state:
        made = Share(deployment, opened, Path(state), crew)
        try:
            yield made
        finally:
            made.workers.stop()


def _began(samples: Samples) -> float:
    return min(s.first.wall for s in samples.values() if s.first is not None)


def _ended(samples: Samples) -> float:
    return max(s.now.wall for s in samples.values())


def _used(samples: Samples) -> dict[str, Used]:
    """A worker that got no partition used nothing that counts."""
    return {name: Used.between(s.first, s.now) for name, s in sorted(samples.items()) if s.first is not None}
