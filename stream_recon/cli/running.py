"""``run``: the service, until it is stopped; ``--once``: to the ends that the topics have at the start, with a log of its own."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from stream_recon import __version__
from stream_recon.adapters.kafka.client import RUN_HEADER
from stream_recon.adapters.kafka.table import Table
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.adapters.kafka.writer import KafkaWriter
from stream_recon.cli import acts, collecting
from stream_recon.cli.clusters import cluster_of
from stream_recon.cli.deployment import Deployment, removed
from stream_recon.cli.live import Screen, logged
from stream_recon.cli.output import EXIT_FAILED, EXIT_FINE, print_json
from stream_recon.cli.stopping import signals
from stream_recon.cli.supervisor import Report, Supervisor
from stream_recon.cli.worker import Task
from stream_recon.config import load_topologies
from stream_recon.errors import BrokerError, ConfigError, StateError, Undelivered, Unreachable
from stream_recon.limits import MEMORY_BYTES
from stream_recon.model.digest import End, encode
from stream_recon.model.memory import Memory
from stream_recon.model.plan import CheckpointPlan, TopologyPlan
from stream_recon.service.job import Names, Opened
from stream_recon.service.report import NormaliseReport, ReconcileReport
from stream_recon.service.spots import Spotted
from stream_recon.service.standing import Standing

logger = logging.getLogger("stream_recon")

OPEN_SECONDS: Final = 10.0
SHOW_SECONDS: Final = 1.0
UNWELL_SECONDS: Final = 180.0
"""A turn lasts a fraction of a second, and as long as a cluster is waited for where topologies are opened."""
STAGES: Final = ("normalise", "reconcile")


@dataclass(frozen=True, slots=True)
class Options:
    """How ``run`` runs."""

    stages: tuple[str, ...] = STAGES
    workers: int = 1
    once: bool = False
    name: str | None = None
    state: Path | None = None
    out: Path | None = None
    digest_partitions: int | None = None
    metrics: str | None = None
    every: float = 10.0
    as_json: bool = False
    prefix: str | None = None
    memory: int = MEMORY_BYTES


def stages(name: str) -> tuple[str, ...]:
    """``all``, or one stage. Raises ``ConfigError``."""
    if name != "all" and name not in STAGES:
        raise ConfigError(f"--stage {name}: expected all, {' or '.join(STAGES)}")
    return STAGES if name == "all" else (name,)


def run(paths: Sequence[Path], options: Options) -> int:
    """Runs topologies and returns the exit code. Raises ``ReconError``."""
    plans = load_topologies(paths, options.prefix)
    prefix = plans[0].prefix
    if options.once and options.stages != STAGES:
        raise ConfigError("--once runs both stages, as it has a log of its own; leave --stage out")
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}" if options.once else None
    names = Names(prefix, run_id)
    deployment = Deployment(plans, names, options.digest_partitions)
    with Screen(as_json=options.as_json and not options.once, every=options.every) as screen, logged(screen, "run"):
        deployment.reach()
        if options.once:
            _not_a_service(plans, deployment)
        partitions = deployment.prepare()
        service = _Service(deployment, options, screen, names)
        if options.once:
            return service.once(partitions, run_id or "")
        return service.forever(partitions)


def _not_a_service(plans: Sequence[TopologyPlan], deployment: Deployment) -> None:
    """What a service puts out must not be mixed with what a run of its own finds.

    Raises:
        ConfigError: the topologies are a service's under this prefix.
    """
    names = Names(plans[0].prefix)
    if names.topologies not in Topics(deployment.cluster).describe([names.topologies]):
        return
    held = Table(deployment.cluster, names.topologies, names.normalise).read()
    for plan in plans:
        if plan.name in held:
            raise ConfigError(
                f"--once: topology {plan.name} is run as a service under the prefix {plan.prefix}; what this run finds would be "
                f"mixed with what that one says: add --prefix {plan.prefix}-once"
            )


def state_base(state: Path | None) -> Path:
    """The directory under which deployments keep state on this machine."""
    return state or Path(".stream-recon")


class _Service:
    """One ``run``: its workers, and what they say."""

    def __init__(self, deployment: Deployment, options: Options, screen: Screen, names: Names) -> None:
        self._deployment = deployment
        self._options = options
        self._screen = screen
        self._names = names
        self._standing = Standing(deployment.plans)
        self._reports: dict[str, Report] = {}
        self._stop = False
        self._looked = self._shown = self._turned = time.monotonic()
        self._stopped: dict[str, str] = {}
        self._checkpoints: tuple[CheckpointPlan, str] | None = None
        self._supervisor = Supervisor(self._heard, screen.log, self._gone, self._revise)

    def _heard(self, worker: str, incarnation: int, report: Report) -> None:
        self._reports[worker] = report
        if isinstance(report, NormaliseReport):
            self._stopped |= report.stopped
        self._standing.take(worker, incarnation, report)

    def _gone(self, worker: str) -> None:
        self._standing.gone(worker)

    def _turn(self) -> None:
        self._turned = time.monotonic()
        self._supervisor.turn()
        if time.monotonic() - self._shown >= SHOW_SECONDS:
            self._shown = time.monotonic()
            self._screen.show(self._standing.picture())

    # ---- until stopped -------------------------------------------------------------------------------------------------

    def forever(self, partitions: int) -> int:
        """The service. A topology that stopped by itself makes the exit code 3 when it ends."""
        log = self._deployment.log_id()
        assert log is not None, "prepare has made it"
        state = self._state_directory(log)
        plan = self._deployment.plans[0].checkpoints
        self._checkpoints = None if plan is None else (plan, log)
        with _held(state):
            opened = self._deployment.open(partitions)
            self._start(opened, state, self._options.stages)
            self._say("started", opened)
            with signals(self.stop), self._metrics():
                try:
                    while not self._stop:
                        self._turn()
                        self._all_stopped()
                        opened = self._open_others(opened, partitions, state)
                    logger.info("stopping: what was read is written and committed first")
                finally:
                    self._supervisor.stop()
                    self._say("stopped", opened)
        return EXIT_FAILED if self._stopped else EXIT_FINE

    def _metrics(self) -> AbstractContextManager[object]:
        if self._options.metrics is None:
            return nullcontext()
        from stream_recon.adapters import cgroup
        from stream_recon.adapters.prometheus import serve
        from stream_recon.service.metrics import families

        checks = {"/healthz": self._unwell, "/readyz": self._unready}
        return closing(
            serve(self._options.metrics, lambda: families(self._standing.picture(), __version__, cgroup.memory()), checks)
        )

    def _unwell(self) -> str | None:
        """Why this process should be started again: it looks after nobody."""
        silent = time.monotonic() - self._turned
        return f"the supervisor has not looked after its workers for {silent:.0f} s" if silent > UNWELL_SECONDS else None

    def _unready(self) -> str | None:
        """Why not all of its work is being done."""
        wanted = {f"{stage}-{n}" for stage in self._options.stages for n in range(self._options.workers)}
        missing = sorted(wanted - self._standing.there)
        return f"no word yet of {', '.join(missing)}" if missing else self._unwell()

    def _start(self, opened: tuple[Opened, ...], state: Path, stages: Sequence[str]) -> None:
        for task in self._tasks(opened, state, None, stages):
            if opened or task.stage == "reconcile":
                self._supervisor.start(task)

    def _open_others(self, opened: tuple[Opened, ...], partitions: int, state: Path) -> tuple[Opened, ...]:
        """Topologies that had no message at the start, once they have: the normalise workers begin anew with all of them."""
        if len(opened) == len(self._deployment.plans) or time.monotonic() - self._looked < OPEN_SECONDS:
            return opened
        self._looked = time.monotonic()
        try:
            now = self._deployment.open(partitions)
        except Unreachable as error:
            logger.warning("%s", error)
            return opened
        before = {share.layout.plan.name for share in opened}
        if len(now) > len(opened) and "normalise" in self._options.stages:
            self._supervisor.stop([n for n in self._supervisor.pids if n.startswith("normalise")])
            self._start(now, state, ["normalise"])
        self._say("started", tuple(share for share in now if share.layout.plan.name not in before))
        return now

    def _say(self, act: str, opened: Sequence[Opened]) -> None:
        """Has it stand in the audit of every topology. Where the log cannot be written now, the service runs all the same."""
        try:
            acts.say(self._deployment.cluster, self._names.digests, act, self._options.stages, opened)
        except (BrokerError, Undelivered) as error:
            logger.warning("the audit will not say that this was %s: %s", act, error)

    def stop(self) -> None:
        """Asks for the end."""
        self._stop = True

    def _revise(self, task: Task) -> Task:
        """A topology that stopped stays so, also where a worker is started again."""
        return replace(task, opened=tuple(o for o in task.opened if o.layout.plan.name not in self._stopped))

    def _all_stopped(self) -> None:
        if len(self._stopped) == len(self._deployment.plans):
            raise StateError("\n".join(self._stopped.values()))

    def _tasks(
        self, opened: tuple[Opened, ...], state: Path, ends: Mapping[Spotted, int] | None, stages: Sequence[str] = STAGES
    ) -> Iterator[Task]:
        options, cluster = self._options, tuple(sorted(self._deployment.cluster.settings.items()))
        memory = Memory.of(options.memory, max((o.parallelism for o in opened), default=1))
        base = options.name or socket.gethostname()
        for stage in stages:
            for number in range(options.workers):
                member = None if options.once else f"{base}-{stage}-{number}"
                yield Task(
                    stage, f"{stage}-{number}", member, self._names, cluster, opened, state, ends, self._checkpoints, memory
                )

    def _state_directory(self, log: str) -> Path:
        """Where the digest partitions' states are: under the id of the log, so that no state meets another log."""
        base = state_base(self._options.state)
        place = base / self._names.prefix / f"{self._options.name or 'state'}-{log}"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"--state {base}: cannot be used: {error.strerror}; give a directory that can be written") from error
        return place

    # ---- once ----------------------------------------------------------------------------------------------------------

    def once(self, partitions: int, run_id: str) -> int:
        """To the ends that the topics have now, as if the input ended there; then the summary, as ``replay`` gives it."""
        import tempfile

        marks = collecting.output_ends(self._deployment.cluster, self._names)
        with tempfile.TemporaryDirectory(prefix="stream-recon-", dir=self._options.state) as state, signals(self.stop):
            try:
                opened = self._deployment.open(partitions)
                ends = self._deployment.ends(opened)
                for task in self._tasks(opened, Path(state), ends):
                    self._supervisor.start(task)
                self._until(lambda: self._read() >= self._wanted(opened))
                logger.info("everything is read; the input ends here")
                self._supervisor.stop([n for n in self._reports if n.startswith("normalise")])
                self._end(opened)
                homes = set(range(max(o.parallelism for o in opened)))
                self._until(lambda: self._folded() >= homes)
            finally:
                self._supervisor.stop()
                if not self._stop:
                    self._clear()
        self._screen.close()
        bodies = collecting.bodies(self._deployment.cluster, self._names, marks, (RUN_HEADER, run_id.encode()))
        summary = collecting.summary(opened, bodies, self._partitions(), self._stopped)
        if self._options.out is not None:
            collecting.write(self._options.out, bodies, summary)
        if self._options.as_json:
            print_json(summary)
        else:
            collecting.show(summary)
        code: int = summary["exit_code"]
        return code

    def _clear(self) -> None:
        """Deletes what only this run used. The verdict is out by now: what cannot be deleted is told, and no more."""
        removed(partial(self._deployment.delete, outputs=False), self._names.digests, logger.warning)
        removed(self._deployment.forget, f"groups {self._names.normalise} and {self._names.reconcile}", logger.warning)

    def _until(self, done: Any) -> None:
        while not done():
            if self._stop:
                raise KeyboardInterrupt
            self._turn()
            self._all_stopped()

    def _partitions(self) -> list[Any]:
        return [p for r in self._last_normalise.values() for p in r.partitions]

    def _wanted(self, opened: Sequence[Opened]) -> set[Spotted]:
        """What is to be read of the topologies that have not stopped."""
        views = [v for o in opened if o.layout.plan.name not in self._stopped for v in o.layout.views]
        return {(cluster_of(v.side.kafka).id, (u.topic, u.partition)) for v in views for u, _ in v.partitions}

    def _read(self) -> set[Spotted]:
        reports = {n: r for n, r in self._reports.items() if isinstance(r, NormaliseReport)}
        self._last_normalise = reports
        return {(source, (topic, partition)) for r in reports.values() for source, topic, partition in r.finished}

    def _folded(self) -> set[int]:
        return {home for r in self._reports.values() if isinstance(r, ReconcileReport) for home in r.finished}

    def _end(self, opened: Sequence[Opened]) -> None:
        """End of input, behind all that was read, in every digest partition of every topology."""
        writer = KafkaWriter(self._deployment.cluster)
        read = {(p.topology, p.view, p.topic, p.partition): p.position for p in self._partitions()}
        for share in opened:
            name = share.layout.plan.name
            upstreams = [u for view in share.layout.views for u, _ in view.partitions]
            ends = tuple(
                (u.side, u.topic, u.topic_id, u.partition, read[place])
                for u in upstreams
                if (place := (name, u.side, u.topic, u.partition)) in read
            )
            message = encode(End(name, share.generation, ends))
            for home in range(share.parallelism):
                writer.send(self._names.digests, home, None, message, lambda: None)
        writer.flush()
        writer.close()


@contextmanager
def _held(state: Path) -> Iterator[None]:
    """One ``run`` a state directory.

    Raises:
        StateError: another one holds it.
    """
    import fcntl

    with (state / "lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(
                f"another run of this deployment holds {state}; stop that one, or give this one a name of its own with --name"
            ) from error
        yield
