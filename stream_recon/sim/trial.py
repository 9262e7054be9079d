"""One seed: a topology's deployment is made, written to, disturbed, left in peace until it is through, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Final

import orjson

from stream_recon.adapters.kafka.digests import KafkaDigests
from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.adapters.kafka.source import KafkaSource
from stream_recon.adapters.kafka.writer import KafkaWriter
from stream_recon.engine.events import instant
from stream_recon.errors import ReconError
from stream_recon.model.digest import Block, decode, encode
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import Format, SidePlan, TopologyPlan
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.ports import Group, Place
from stream_recon.service.job import Job, Names, Opened
from stream_recon.service.normalise import NormaliseWorker
from stream_recon.service.opening import layout, live, positions
from stream_recon.service.reconcile import POLL_SECONDS, ReconcileWorker
from stream_recon.service.watch import Watch
from stream_recon.sim.broker import Broker
from stream_recon.sim.clients import SimCluster
from stream_recon.sim.disk import Disk, DiskStore
from stream_recon.sim.laws import Ending, broken, uncommitted
from stream_recon.sim.rows import Input, Written, dual_write
from stream_recon.sim.world import SECOND, Process, World

COLUMNS: Final = frozenset({"id", "value"})
TRANSACTION_SECONDS: Final = 60.0
_PATIENCE: Final = 40
"""So many times a window, its settling and an idle side's silence may pass until a deployment in peace is through."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what happens, a second of a run; 0: never."""

    kills: float = 0.15
    freezes: float = 0.08
    absences: float = 0.03
    """The brokers do not answer for a while."""
    retentions: float = 0.0
    widenings: float = 0.0
    """A source topic gets a partition more."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tried. ``workers``: of each stage."""

    plan: TopologyPlan
    faults: Faults = Faults()
    partitions: int = 2
    """Of each source topic."""
    homes: int = 2
    workers: int = 2
    changes: int = 40
    seconds: float = 20.0
    poll: float = POLL_SECONDS
    """Of reconcile, in seconds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``broken``: the laws that do not hold, in words; none: all is well. ``log``: what happened. ``faults``: how often what
    went wrong. ``said``: events that were put out; ``outputs``: SHA-256 over them.
    """

    seed: int
    broken: tuple[str, ...]
    log: tuple[str, ...]
    faults: tuple[tuple[str, int], ...]
    said: int
    outputs: str


def small_plan(*, targets: int = 1, idle: bool = True) -> TopologyPlan:
    """A topology whose windows are over soon."""

    def side(name: str) -> SidePlan:
        quiet = 3 * SECOND if idle else None
        return SidePlan(name, (name,), Format.DEBEZIUM_JSON, ("id",), out_of_orderness=SECOND, idle_after=quiet)

    named = tuple(side(f"t{n}" if n else "t") for n in range(targets))
    return TopologyPlan("sim", side("s"), named, window=2 * SECOND, settle=2 * SECOND, clock_skew=0, max_ahead=3600 * SECOND)


def drawn(seed: int, plan: TopologyPlan | None = None) -> Setting:
    """A setting of the seed's choice: of everything some, from undisturbed runs to such that have hardly a second of peace."""
    random = Random(-1 - seed)
    often = random.choice((0.0, 0.5, 1.0, 2.0))
    faults = Faults(
        kills=0.3 * often * random.random(),
        freezes=0.5 * often * random.random(),
        absences=0.1 * often * random.random(),
        widenings=0.05 * (random.random() < 0.2),
        retentions=0.05 * (random.random() < 0.2),
    )
    own = small_plan(targets=random.choice((1, 1, 1, 2))) if plan is None else plan
    unit = (own.window + own.settle) / (4 * SECOND)
    return Setting(
        own,
        faults,
        partitions=random.randrange(1, 4),
        homes=max(random.randrange(1, 4), own.parallelism or 0),
        workers=random.randrange(1, 4),
        changes=random.randrange(1, 60),
        seconds=unit * random.choice((2.0, 10.0, 20.0)),
        poll=random.choice((POLL_SECONDS, 5 * POLL_SECONDS)),
    )


def synthetic(plan: TopologyPlan) -> TopologyPlan:
    """A user's topology with rows of ours: its times, orders and pairs are what is tried. A side that is never taken for idle is
    so after 30 s, for all windows are to close in the end.
    """

    def side(of: SidePlan) -> SidePlan:
        bare = SidePlan(of.name, of.topics, Format.DEBEZIUM_JSON, ("id",))
        kept = {n: getattr(of, n) for n in ("out_of_orderness", "stall_timeout", "max_future", "order")}
        return replace(bare, **kept, idle_after=of.idle_after if of.idle_after is not None else 30 * SECOND)

    targets = tuple(map(side, plan.targets))
    return replace(plan, source=side(plan.source), targets=targets, ignore=(), large=(), tolerance=(), tokens=None)


class Trial:
    """A deployment in a world."""

    def __init__(self, seed: int, setting: Setting) -> None:
        self.world = World(seed)
        self.broker = Broker(self.world)
        self.setting = setting
        self.names = Names("sim")
        self.lost: set[Place] = set()
        self.cluster = SimCluster(self.world, self.broker)
        self._disks: dict[tuple[str, int], Disk] = {}
        self._started = 0
        sides = setting.plan.sides
        partitions = {t: setting.partitions for s in sides for t in s.topics}
        for name, count in partitions.items():
            self.broker.make(name, count)
        self.broker.make(self.names.digests, setting.homes)
        for name in (self.names.discrepancies, self.names.audit, self.names.dead_letters):
            self.broker.make(name, 1)
        self.opened = self._open()
        self.input: Input = dual_write(
            self.world.random, setting.plan, partitions, changes=setting.changes, seconds=setting.seconds
        )

    def _open(self) -> Opened:
        plan = live(self.setting.plan)
        starts = {
            Upstream(s.name, topic, p, self.broker.topics[topic].id): 0
            for s in plan.sides
            for topic in s.topics
            for p in range(self.setting.partitions)
        }
        made = layout(plan, {s.name: COLUMNS for s in plan.sides}, starts)
        opened = Opened(made, plan.parallelism or self.setting.homes, 1)
        for home in range(opened.parallelism):
            self.broker.append(
                (self.names.digests, home), None, encode(made.opened(opened.parallelism, max_buffer=plan.max_buffer))
            )
        group = self.broker.group(self.names.normalise)
        for side in plan.sides:
            group.committed.update(positions(opened, side, group.committed, {}))
        return opened

    # ---- processes -----------------------------------------------------------------------------------------------------

    def _normalise(self) -> None:
        job = Job(self.opened, ReferenceDecoder)
        source = KafkaSource(self.cluster, Group(self.names.normalise))
        writer = KafkaWriter(self.cluster)
        worker = NormaliseWorker([job], lambda _: source, writer, self.names, self.world.monotonic)
        watch = Watch(worker, lambda _: None, self.world.monotonic)
        while True:
            worker.step()
            watch.tend()
            self.world.gate("step")

    def _reconcile(self, machine: str) -> None:
        digests = KafkaDigests(self.cluster, self.names.digests, Group(self.names.reconcile))

        def outputs(home: int) -> KafkaOutputs:
            id_, place = self.names.transactional_id(home), (self.names.digests, home)
            widths = dict.fromkeys((self.names.discrepancies, self.names.audit), 1)
            return KafkaOutputs(self.cluster, id_, place, lambda: digests.committed([home]).get(home), widths)

        store, poll = partial(self._store, machine), self.setting.poll
        worker = ReconcileWorker(digests, outputs, store, self.names, self.world.monotonic, poll_seconds=poll)
        while True:
            worker.step()
            self.world.gate("step")

    def _store(self, machine: str, home: int) -> DiskStore:
        return DiskStore(self.world, self._disks.setdefault((machine, home), Disk()))

    def _start(self, stage: str, machine: str) -> None:
        self._started += 1
        work: Callable[[], None] = self._normalise if stage == "normalise" else partial(self._reconcile, machine)
        self.world.start(f"{stage}-{self._started}", machine, work)

    # ---- what happens --------------------------------------------------------------------------------------------------

    def run(self) -> Verdict:
        """From the first row to the verdict."""
        try:
            broken_laws = tuple(self._run())
        finally:
            self.world.end()
        bodies = [
            r.value or b"" for t in (self.names.discrepancies, self.names.audit) for r in self.broker.read((t, 0), 0, 1 << 40)[0]
        ]
        outputs = hashlib.sha256(b"\n".join(bodies)).hexdigest()
        faults = tuple(sorted(self.world.faults.items()))
        return Verdict(self.world.seed, broken_laws, tuple(self.world.log), faults, len(bodies), outputs)

    def _run(self) -> list[str]:
        world, setting = self.world, self.setting
        for written in self.input.changes:
            world.at(written.arrives, partial(self._write, written))
        places = [(stage, f"machine-{n}") for stage in ("normalise", "reconcile") for n in range(setting.workers)]
        running: dict[tuple[str, str], Process] = {}
        until = self.input.last + 2 * SECOND
        second = world.now
        while world.now < until:
            self._keep_running(places, running)
            world.turn()
            if world.now - second >= SECOND:
                second = world.now
                self._disturb(list(running.values()))
        world.calm = True
        world.say("calm")
        return self._to_the_end(places, running)

    def _write(self, written: Written) -> None:
        self.broker.append(written.place, *written.message())

    def _keep_running(self, places: list[tuple[str, str]], running: dict[tuple[str, str], Process]) -> None:
        """Starts again what was killed or ended for a reason that passes; anything else that ended a worker is a fault."""
        for place in places:
            process = running.get(place)
            if process is not None and not process.ended:
                continue
            if process is not None and process.failed is not None:
                if not isinstance(process.failed, ReconError):
                    raise process.failed
                self.world.say(f"{process.name} ended: {process.failed}")
            self._start(*place)
            running[place] = self.world.processes[-1]

    def _disturb(self, running: list[Process]) -> None:
        world, faults = self.world, self.setting.faults
        random = world.random
        for process in running:
            if random.random() < faults.kills / len(running):
                process.doomed = random.randrange(60)
            elif random.random() < faults.freezes / len(running):
                world.freeze(process, random.choice((0.5, 4.0, 14.0)))
        if random.random() < faults.absences:
            world.fault("the brokers are away")
            self.broker.away_until = world.now + random.randrange(1, 4) * SECOND
        if random.random() < faults.widenings:
            topic = random.choice(sorted({t for s in self.setting.plan.sides for t in s.topics}))
            world.fault("a partition more", f"{topic} gets a partition more")
            self.broker.widen(topic)
        if (
            random.random() < faults.retentions and world.now < self.input.last
        ):  # a side whose last row is lost is stalled, rightly
            self._retain()
        self.broker.expire(TRANSACTION_SECONDS)

    def _retain(self) -> None:
        """Retention takes some of a source partition, read or not."""
        random = self.world.random
        topic = random.choice(sorted({t for s in self.setting.plan.sides for t in s.topics}))
        number = random.randrange(len(self.broker.topics[topic].logs))
        log = self.broker.topics[topic].logs[number]
        if log.end > log.begin:
            begin = random.randrange(log.begin, log.end) + 1
            self.world.fault("retention takes rows", f"retention takes {topic}/{number} up to {begin}")
            self.broker.retain((topic, number), begin)
            self.lost.add((topic, number))

    def _to_the_end(self, places: list[tuple[str, str]], running: dict[tuple[str, str], Process]) -> list[str]:
        """Without faults all must be through: windows closed beyond the last row, positions committed."""
        plan = self.setting.plan
        idle = max(s.idle_after or 0 for s in plan.sides)
        deadline = self.world.now + _PATIENCE * (plan.window + plan.settle + plan.clock_skew + idle + 2 * SECOND)
        second = self.world.now
        while self.world.now < deadline:
            self._keep_running(places, running)
            self.world.turn()
            if self.world.now - second >= SECOND:
                second = self.world.now
                self.broker.expire(TRANSACTION_SECONDS)
                if self._is_through():
                    return list(broken(self._ending()))
        return ["not through after the faults were over", *broken(self._ending())]

    def _ending(self) -> Ending:
        return Ending(self.broker, self.names, self.opened.layout.plan, self.opened.parallelism, self.input, self.lost)

    def _is_through(self) -> bool:
        """Everything is read and committed, and every chain with rows has certified what lies behind the last of them."""
        group = self.broker.group(self.names.normalise)
        places = [(t, p) for s in self.setting.plan.sides for t in s.topics for p in range(len(self.broker.topics[t].logs))]
        if any(self._ends_at(place) != (c.position if (c := group.committed.get(place)) else 0) for place in places):
            return False
        if any(uncommitted(self._ending())):
            return False
        reached: dict[str, str] = {}
        for body in self._bodies(self.names.audit):
            if body["type"] == "window":
                reached[body["chain"]] = body["window"]["end"]
        behind = instant(self.input.last + self.setting.plan.window)
        wanted = {
            f"{self.setting.plan.name}/{t.name}/{home}" for t in self.setting.plan.targets for home in self._homes_with_rows()
        }
        return wanted <= reached.keys() and all(end > behind for end in reached.values())

    def _ends_at(self, place: Place) -> int:
        log = self.broker.log(place)
        return 0 if log is None else log.end

    def _bodies(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(r.value or b"{}") for r in self.broker.read((topic, 0), 0, 1 << 40)[0]]

    def _homes_with_rows(self) -> set[int]:
        found = set()
        for home, log in enumerate(self.broker.topics[self.names.digests].logs):
            records = (decode(r.value) for r in log.records if r.value is not None)
            if any(isinstance(r, Block) and len(r.rows) for r in records):
                found.add(home)
        return found


def tried(seed: int, setting: Setting | None = None) -> Verdict:
    """Runs one seed; without ``setting`` in one of its own choice."""
    return Trial(seed, setting or drawn(seed)).run()
