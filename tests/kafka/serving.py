"""A service as users run it, in front of those who watch it: processes that can be killed, topics that fill while it works, and
what must hold afterwards whatever happened (laws 1, 3 and 4).
"""

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.cli.harness import COMMAND, ROOT
from tests.kafka.histories import (
    HOMES,
    Folded,
    Lived,
    accounts_broken,
    awaited,
    chains_broken,
    disagreements,
    folded_again,
    lifts_taken,
    ranges_broken,
    told,
    with_lifts,
)
from tests.kafka.loading import (
    Loader,
    Output,
    Place,
    children,
    consumer,
    ends,
    held,
    output,
    plainly,
    positions,
    read,
    there,
    until,
)
from tests.oracle.laws import differing
from tools.kafka.transactions import transactions_open

IDLE = "4s"
WITHIN_S = 120.0
SETTLED_S = 30.0
"""What is decided and not yet written down everywhere is so a moment later; a transaction that nobody ends lasts longer."""


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

        def there() -> bool:
            assert self.running, self.told[-3000:]
            return all(len(pids) == self._workers for pids in self.workers().values())

        until(there)
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
        admin = AdminClient(plainly(self._bootstrap))
        places: list[tuple[str, int]] = []
        while len({topic for topic, _ in places}) < len(self._topics):
            if self._over.wait(0.1):
                return
            with suppress(KafkaException):  # all brokers that it knows are away
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
        self._lock = threading.Lock()
        self.all = sum(loader.waiting.values())

    @property
    def share(self) -> float:
        """Of all messages, those that wait."""
        return sum(self._loader.waiting.values()) / self.all

    def feed(self, share: float, pause: float = 0.05) -> None:
        """Until no more than a share is left."""
        while self.share > max(share, 0):
            self.put()
            time.sleep(pause * self._dice.random())

    @contextmanager
    def beside(self, pause: float, last: float = 0.1) -> Iterator[None]:
        """Feeds beside what is done meanwhile, down to a last share; then the rest at once, behind all that was done."""
        over = threading.Event()

        def feed() -> None:
            while self.share > last and not over.wait(pause * self._dice.random()):
                self.put()

        with ThreadPoolExecutor(1) as pool:
            feeding = pool.submit(feed)
            try:
                yield
            finally:
                over.set()
            feeding.result()
        self.feed(0, pause=0)

    def put(self) -> None:
        """A few messages of one partition."""
        with self._lock:
            self._loader.put(self._dice.choice(sorted(self._loader.waiting)), self._dice.choice([1, 2, 4, 8]))


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
        assert _all_committed(self.bootstrap, self.prefix)
        until(lambda: not transactions_open(self.bootstrap, self.prefix), SETTLED_S)

    def nothing_vanished(self) -> None:
        assert list(self.seen) == list(self.outputs)


def _all_committed(bootstrap: str, prefix: str) -> bool:
    """Whether readers of what is committed may read all of a deployment's topics."""
    topics = [*outputs_of(prefix), f"{prefix}.digests", f"{prefix}.topologies"]
    return ends(bootstrap, topics, committed=True) == ends(bootstrap, topics, committed=False)


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
        until(lambda: self._committed(f"{self.prefix}.reconcile", [f"{self.prefix}.digests"]))
        until(lambda: all(self._committed(f"{self.prefix}.normalise", it.partitions()) for it in self.histories))

    def _committed(self, group: str, topics: Iterable[str]) -> bool:
        """Whether a group has committed the ends that there are now."""
        return all(positions(self.bootstrap, group, topic) == ends(self.bootstrap, [topic], committed=False) for topic in topics)

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
        """What there is now that all is stopped."""
        until(lambda: _all_committed(self.bootstrap, self.prefix), SETTLED_S)  # the last marker comes after its transaction
        seen = self.reader.finish()
        self.log.finish()
        digests = f"{self.prefix}.digests"
        said = positions(self.bootstrap, f"{self.prefix}.reconcile", digests)
        log = [o for o in read(self.bootstrap, [digests]) if o.offset < said[o.topic, o.partition]]
        outputs = read(self.bootstrap, outputs_of(self.prefix))
        return Aftermath(self.bootstrap, self.prefix, self.histories, log, outputs, seen)


def everything(of: Aftermath) -> None:
    of.nothing_twice()
    of.what_the_log_says()
    of.what_the_oracle_says()
    of.final_truth()
    of.every_position()
    of.nothing_left_open()
    of.nothing_vanished()
