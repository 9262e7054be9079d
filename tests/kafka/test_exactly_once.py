"""A live service is killed wherever it can be, and still says everything once: laws 1, 3 and 4 end to end on a real broker."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_recon.limits import EVENTS_A_TRANSACTION
from stream_recon.model.digest import Block, Lift, decode
from tests.cli.harness import COMMAND, ROOT
from tests.kafka.histories import (
    HOMES,
    Folded,
    Lived,
    accounts_broken,
    awaited,
    by_hand,
    chains_broken,
    disagreements,
    folded_again,
    lifts_taken,
    lived,
    ranges_broken,
    told,
    with_lifts,
)
from tests.kafka.loading import Loader, Output, Place, children, consumer, ends, held, output, positions, read, there, until
from tests.oracle.laws import differing

IDLE = "4s"
WITHIN_S = 120.0


# ---- a service and its processes -----------------------------------------------------------------------------------------


class Service:
    """One ``run``, with all its processes in a group of their own."""

    def __init__(self, bootstrap: str, place: Path, topologies: Sequence[Path], name: str, *, workers: int = 2) -> None:
        self.place = place / name
        self.place.mkdir(parents=True, exist_ok=True)
        self.state = self.place / "state"
        self._command = [*COMMAND, "run", *map(str, topologies), "--name", name, "--workers", str(workers)]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, state: str = "state") -> Self:
        """``state``: the directory that it takes up, beside earlier ones."""
        self.state = self.place / state
        options = ["--state", str(self.state), "--digest-partitions", str(HOMES), "--every", "5"]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *options], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def told(self) -> str:
        """The log without the lines that only say how far it is."""
        return "\n".join(line for line in self.log.splitlines() if " lag " not in line)

    @property
    def log(self) -> str:
        return (self.place / "log").read_text(encoding="utf-8")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def workers(self) -> dict[str, list[int]]:
        """Processes by stage: those of reconcile hold the states of digest partitions open."""
        assert self._process is not None
        found: dict[str, list[int]] = {"normalise": [], "reconcile": []}
        for pid in children(self._process.pid):
            found["reconcile" if held(pid, self.state) else "normalise"].append(pid)
        return found

    @property
    def held(self) -> set[int]:
        """The digest partitions that its workers hold."""
        return {home for pid in self.workers()["reconcile"] for home in held(pid, self.state)}

    def settled(self) -> dict[str, list[int]]:
        """The workers, once all are there and those of reconcile have taken something."""
        until(lambda: all(len(pids) == self._workers for pids in self.workers().values()))
        return self.workers()

    def kill(self) -> None:
        """The whole tree, at one instant."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """In order; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(WITHIN_S)


# ---- who watches ---------------------------------------------------------------------------------------------------------


class Reader:
    """Follows topics from their beginning, while they are written; keeps what it was ever shown."""

    def __init__(self, bootstrap: str, topics: Sequence[str], *, committed: bool = True) -> None:
        self.seen: list[Output] = []
        self.woken = threading.Event()
        self._bootstrap, self._topics, self._committed = bootstrap, topics, committed
        self._over = threading.Event()
        self._ends: dict[tuple[str, int], int] = {}
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        places: list[tuple[str, int]] = []
        while len({topic for topic, _ in places}) < len(self._topics):
            if self._over.wait(0.1):
                return
            places = there(admin, self._topics)
        reader = consumer(self._bootstrap, committed=self._committed)
        reader.assign([TopicPartition(*place, 0) for place in places])
        ended: dict[tuple[str, int], int] = {}
        while not self._over.is_set() or any(ended.get(place, 0) < end for place, end in self._ends.items()):
            for message in reader.consume(500, 0.05):
                error = message.error()
                if error is None:
                    self.seen.append(output(message))
                    self.woken.set()
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended[message.topic() or "", message.partition() or 0] = message.offset() or 0
        reader.close()

    def shown(self, kind: str) -> list[Output]:
        return [o for o in list(self.seen) if o.topic.endswith(f".{kind}")]

    def closed(self) -> dict[str, int]:
        """By chain: the number of the first window that is not closed yet."""
        bodies = (o.body for o in self.shown("audit"))
        return {body["chain"]: body["number"] + body["windows"] for body in bodies if body["type"] == "window"}

    def await_more(self, count: int) -> None:
        """Until so many messages more were seen."""
        wanted = len(self.seen) + count
        until(lambda: len(self.seen) >= wanted, every=0.001)

    def finish(self) -> list[Output]:
        """All that was seen, once it has come to the end."""
        self._ends = ends(self._bootstrap, self._topics, committed=True)
        self._over.set()
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()
        return sorted(self.seen, key=lambda o: (o.topic, o.partition, o.offset))


class Feeder:
    """Puts what waits into the topics, a few messages here and a few there."""

    def __init__(self, loader: Loader, dice: random.Random) -> None:
        self._loader, self._dice = loader, dice
        self.all = sum(loader.waiting.values())

    @property
    def share(self) -> float:
        """Of all messages, those that wait."""
        return sum(self._loader.waiting.values()) / self.all

    def feed(self, share: float, pause: float = 0.05) -> None:
        """Until no more than a share is left."""
        while self.share > max(share, 0):
            self._loader.put(self._dice.choice(sorted(self._loader.waiting)), self._dice.choice([1, 2, 4, 8]))
            time.sleep(pause * self._dice.random())


# ---- what must hold whatever happened --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aftermath:
    """A deployment after it was stopped: its histories, its log up to where that was folded, its outputs and what was seen of
    them on the way.
    """

    bootstrap: str
    prefix: str
    histories: Sequence[Lived]
    log: Sequence[Output]
    outputs: Sequence[Output]
    seen: Sequence[Output]

    @cached_property
    def folded(self) -> Folded:
        return folded_again(self.log, self.prefix)

    def of(self, kind: str) -> list[Output]:
        return [o for o in self.outputs if o.topic == f"{self.prefix}.{kind}"]

    def nothing_twice(self) -> None:
        assert not [body for body, n in Counter(o.value for o in self.of("discrepancies")).items() if n > 1]
        assert not list(chains_broken(self.outputs, f"{self.prefix}.audit"))

    def what_the_log_says(self) -> None:
        """The same digest log gives the same bytes: none is missing, none more, certificates in the order of their chains."""
        for kind in ("discrepancies", "audit"):
            assert Counter(o.value for o in self.of(kind)) == Counter(self.folded.said.get(f"{self.prefix}.{kind}", ()))

    def what_the_oracle_says(self) -> None:
        wrong = [w for it in self.histories for w in disagreements(it, self.outputs, lifts_taken(self.log, it.name))]
        assert not wrong, "\n".join(wrong[:10])

    def final_truth(self) -> None:
        """Law 1."""
        for it in self.histories:
            newest = {e["id"]: e for e in told(self.outputs, it).discrepancies}
            for target, (different, known) in differing(with_lifts(it.history, lifts_taken(self.log, it.name))).items():
                mine = {e["key"]["id"] for e in newest.values() if e["target"] == target and e["status"] != "resolved"}
                assert mine & known == different

    def every_position(self) -> None:
        """Law 3."""
        for it in self.histories:
            wrong = [
                *ranges_broken(told(self.outputs, it)),
                *accounts_broken(it, self.folded.readers, lifts_taken(self.log, it.name)),
            ]
            assert not wrong, "\n".join(wrong[:10])

    def nothing_left_open(self) -> None:
        for topics in (outputs_of(self.prefix), [f"{self.prefix}.digests", f"{self.prefix}.topologies"]):
            assert ends(self.bootstrap, topics, committed=True) == ends(self.bootstrap, topics, committed=False)

    def nothing_vanished(self) -> None:
        assert list(self.seen) == list(self.outputs)


def outputs_of(prefix: str) -> list[str]:
    return [f"{prefix}.discrepancies", f"{prefix}.audit"]


class Stage:
    """A deployment's inputs, and those who watch its outputs."""

    def __init__(self, bootstrap: str, prefix: str, place: Path, histories: Sequence[Lived], **settings: Any) -> None:
        self.bootstrap, self.prefix, self.histories = bootstrap, prefix, histories
        self.loader = Loader(bootstrap)
        partitions = {topic: n for it in histories for topic, n in it.partitions().items()}
        self.loader.make([m for it in histories for m in it.messages()], partitions)
        self.feeder = Feeder(self.loader, random.Random(1))
        self.topologies = []
        for it in histories:
            path = place / f"{it.name}.yaml"
            path.write_text(json.dumps(it.topology(prefix, idle_after=IDLE, **settings)), encoding="utf-8")
            self.topologies.append(path)
        self.reader = Reader(bootstrap, outputs_of(prefix))
        self.log = Reader(bootstrap, [f"{prefix}.digests"])

    def rest(self, service: Service) -> None:
        """Until all windows with a row in them are closed."""
        stops = {it.name: ends(self.bootstrap, it.partitions(), committed=False) for it in self.histories}
        deadline = time.monotonic() + WITHIN_S
        while waits := self._waits(stops):
            assert service.running, service.log[-3000:]
            assert time.monotonic() < deadline, f"{waits}\n{service.told[-10_000:]}"
            time.sleep(1)

    def _waits(self, stops: Mapping[str, Mapping[Place, int]]) -> dict[str, Any]:
        """Of each history what is still to be closed, or that its end is not in the log yet."""
        log, reached = list(self.log.seen), self.reader.closed()
        waits: dict[str, Any] = {}
        for it in self.histories:
            wanted = awaited(log, it, stops[it.name])
            if wanted is None:
                waits[it.name] = "not all of it is in the log"
            elif left := {chain: (reached.get(chain), end) for chain, end in wanted.items() if reached.get(chain, 0) < end}:
                waits[it.name] = left
        return waits

    def over(self) -> Aftermath:
        seen = self.reader.finish()
        self.log.finish()
        digests = f"{self.prefix}.digests"
        said = positions(self.bootstrap, f"{self.prefix}.reconcile", digests)
        log = [o for o in read(self.bootstrap, [digests]) if o.offset < said[o.topic, o.partition]]
        outputs = read(self.bootstrap, outputs_of(self.prefix))
        return Aftermath(self.bootstrap, self.prefix, self.histories, log, outputs, seen)


# ---- one life, many deaths -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Workers of both stages and whole trees were killed while the input came, and states were lost."""
    place, prefix = tmp_path_factory.mktemp("killed"), f"killed-{uuid4().hex[:8]}"
    sorts: Mapping[int, Any] = {3: "replayable", 19: "replayable", 21: "replayable", 53: "replayable", 33: "healthy"}
    histories = [lived(f"h{seed}", f"{prefix}-h{seed}-", seed, sort) for seed, sort in sorts.items()]
    dice = random.Random(5)
    stage = Stage(broker.bootstrap, prefix, place, histories, kafka={"session.timeout.ms": 6000})
    service = Service(broker.bootstrap, place, stage.topologies, "one")
    try:
        stage.feeder.feed(0.8, pause=0)
        service.start()
        for share, of in ((0.7, "reconcile"), (0.6, "normalise"), (0.5, "reconcile")):
            pids = service.settled()[of]
            stage.feeder.feed(share)
            time.sleep(dice.random())
            os.kill(dice.choice(pids), signal.SIGKILL)
        stage.feeder.feed(0.4)
        service.kill()
        service.start()
        for share, of in ((0.3, "normalise"), (0.2, "reconcile")):
            pids = service.settled()[of]
            stage.feeder.feed(share)
            time.sleep(dice.random())
            os.kill(dice.choice(pids), signal.SIGKILL)
        stage.feeder.feed(0.1)
        service.kill()
        service.start("empty")
        service.settled()
        stage.feeder.feed(0)
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
        yield stage.over()
    finally:
        service.kill()


def test_whatever_is_killed_nothing_is_said_twice(killed: Aftermath) -> None:
    killed.nothing_twice()


def test_whatever_is_killed_the_log_is_said_to_the_byte(killed: Aftermath) -> None:
    killed.what_the_log_says()


def test_whatever_is_killed_everything_is_said_as_the_page_has_it(killed: Aftermath) -> None:
    killed.what_the_oracle_says()


def test_whatever_is_killed_what_is_open_is_what_differs(killed: Aftermath) -> None:
    killed.final_truth()


def test_whatever_is_killed_every_position_is_accounted_for_once(killed: Aftermath) -> None:
    killed.every_position()


def test_whatever_is_killed_no_transaction_stays_open(killed: Aftermath) -> None:
    killed.nothing_left_open()


def test_whatever_is_killed_what_was_seen_once_stays(killed: Aftermath) -> None:
    killed.nothing_vanished()


# ---- one worker takes over from another ------------------------------------------------------------------------------------


def everything(of: Aftermath) -> None:
    of.nothing_twice()
    of.what_the_log_says()
    of.what_the_oracle_says()
    of.final_truth()
    of.every_position()
    of.nothing_left_open()
    of.nothing_vanished()


def test_what_a_killed_run_held_is_taken_over_by_another(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    histories = [lived(f"h{seed}", f"{prefix}h{seed}-", seed) for seed in (10, 33)]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    one, other = (Service(bootstrap, tmp_path, stage.topologies, name, workers=1) for name in ("one", "other"))
    try:
        stage.feeder.feed(0.7, pause=0)
        one.start()
        one.settled()
        other.start()
        other.settled()
        stage.feeder.feed(0.4)
        one.kill()
        stage.feeder.feed(0)
        stage.rest(other)
        assert len(other.held) == HOMES
        assert other.stop() == 0, other.log[-3000:]
    finally:
        one.kill()
        other.kill()
    everything(stage.over())


def test_killed_workers_come_back_where_the_broker_shares_the_work_out(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    it = by_hand("one", prefix, [(0, 1), (1, 2), (8, 3)], [(0, 1), (8, 3)])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it], kafka={"group.protocol": "consumer"})
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in stage.loader.waiting:
            stage.loader.put(place)
        service.start()
        for pids in service.settled().values():
            os.kill(pids[0], signal.SIGKILL)
        stage.loader.put_all()
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    everything(stage.over())


def test_workers_that_stood_still_beyond_their_time_say_nothing_twice_and_work_on(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    histories = [lived(f"h{seed}", f"{prefix}h{seed}-", seed) for seed in (8, 58)]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    uncommitted = Reader(bootstrap, outputs_of(stage.prefix), committed=False)
    service = Service(bootstrap, tmp_path, stage.topologies, "one")
    try:
        stage.feeder.feed(0.7, pause=0)
        service.start()
        workers = service.settled()
        stopped = [workers["normalise"][0], workers["reconcile"][0]]
        uncommitted.woken.clear()
        while not uncommitted.woken.is_set() and stage.feeder.share > 0.2:
            stage.feeder.feed(stage.feeder.share - 0.01)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            left = set(workers["reconcile"]) - set(stopped)
            until(lambda: set().union(*(held(pid, service.state) for pid in left)) == set(range(HOMES)))
            stage.feeder.feed(stage.feeder.share / 2)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        stage.feeder.feed(0)
        stage.rest(service)
        until(lambda: all(held(pid, service.state) for pid in service.workers()["reconcile"]))
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    uncommitted.finish()
    everything(stage.over())


# ---- what is cut in the middle ---------------------------------------------------------------------------------------------


def test_a_step_of_several_transactions_that_is_cut_off_twice_is_said_once(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    many = 10_000
    assert many > 2 * EVENTS_A_TRANSACTION
    it = by_hand("wide", prefix, [*((0, key) for key in range(many)), (8, 0)], [(0, 0), (8, 0)])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it], parallelism=1)
    uncommitted = Reader(bootstrap, [f"{stage.prefix}.discrepancies"], committed=False)
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        stage.feeder.feed(0, pause=0)
        service.start()
        cut = []
        for more in (1_000, 6_000):
            uncommitted.await_more(more)
            (pid,) = service.workers()["reconcile"]
            os.kill(pid, signal.SIGKILL)
            topics = outputs_of(stage.prefix)
            cut.append(ends(bootstrap, topics, committed=True) != ends(bootstrap, topics, committed=False))
        until(lambda: len(stage.reader.shown("discrepancies")) >= many - 1)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    uncommitted.finish()
    assert any(cut), "no transaction was open when its producer was killed: the kills came too late"
    of = stage.over()
    opened = [o.body["key"]["id"] for o in of.of("discrepancies")]
    assert (len(opened), len(set(opened))) == (many - 1, many - 1)
    of.nothing_twice()
    of.what_the_log_says()
    of.nothing_left_open()
    of.nothing_vanished()


def test_a_lift_that_was_said_holds_although_its_giver_was_killed(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    late = [(10 + n, 1) for n in range(6)]
    it = by_hand("lifted", prefix, [(0, 1), (1, 2), *late], [(0, 1), (1, 2), *late])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it])
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in stage.loader.waiting:
            stage.loader.put(place, 2)
        service.start()
        (giver,) = service.settled()["normalise"]
        until(lambda: any(isinstance(decode(o.value), Lift) for o in list(stage.log.seen)), every=0.001)
        os.kill(giver, signal.SIGKILL)
        stage.loader.put_all()
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    of = stage.over()
    assert not [o.body for o in of.of("discrepancies")], "both sides are alike, and always were"
    everything(of)


# ---- what comes later ------------------------------------------------------------------------------------------------------


def test_topologies_that_come_later_are_read_from_their_beginning(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """One has its first message when the service runs already, another is added when it starts again."""
    histories = [by_hand(name, prefix, [(0, 1), (1, 2), (8, 3)], [(0, 1), (8, 3)]) for name in ("first", "waits", "added")]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    service = Service(bootstrap, tmp_path, stage.topologies[:2], "one", workers=1)
    grown = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in histories[0].partitions():
            stage.loader.put((place, 0), 3)
        service.start()
        service.settled()
        stage.loader.put_all()
        until(lambda: rows_in(stage.log.seen, "waits") == 5)
        assert service.stop() == 0, service.log[-3000:]
        grown.start()
        stage.rest(grown)
        assert grown.stop() == 0, grown.log[-3000:]
    finally:
        service.kill()
        grown.kill()
    everything(stage.over())


def rows_in(log: Iterable[Output], name: str) -> int:
    """Of a topology, in the digest log."""
    records = (decode(o.value) for o in list(log))
    return sum(len(r.rows) for r in records if isinstance(r, Block) and r.topology == name)
