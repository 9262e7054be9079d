"""Runs an engine over a job on a broker: what it used until all was compared, and what it said, against what is true."""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, TopicPartition

from benchmarks.peers.catalogue import Engine, Tools, command
from benchmarks.peers.fetching import PeerError
from benchmarks.peers.job import Job, Verdict
from benchmarks.peers.process import Tree
from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import OwnTopic, Topics
from stream_recon.bench import avro, produce, topology
from stream_recon.bench.data import Workload
from stream_recon.limits import MICROS

_GRACE_S: Final = 3.0
"""How long an engine is heard after it has said everything, lest it say more."""
_POLL_S: Final = 0.2
_KEPT: Final = {"cleanup.policy": "delete", "retention.ms": "-1"}
"""Some stamp what they say with the event time, which is long ago."""


@dataclass(slots=True)
class Said:
    """What was heard, against a job."""

    job: Job
    heard: set[Verdict] = field(default_factory=set)
    messages: int = 0

    def hear(self, verdict: Verdict) -> None:
        self.messages += 1
        self.heard.add(verdict)

    @property
    def finished(self) -> bool:
        """The engine has closed the last window, of all partitions."""
        return bool(self.job.last) and self.job.last <= self.heard

    def to_json(self) -> dict[str, int]:
        """Numbers of verdicts."""
        return {
            "planted": len(self.job.must),
            "found": len(self.job.must & self.heard),
            "invented": len(self.heard - self.job.may),
            "repeated": self.messages - len(self.heard),
        }


@dataclass(frozen=True, slots=True)
class Filled:
    """A job's two topics."""

    job: Job
    topics: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. CPU and wall until all was compared; ``peak``: most resident octets at once, of all its processes."""

    engine: str
    messages: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    state_mb: float
    finished: bool
    said: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Bench:
    """A broker, what was installed, and how long an engine may take."""

    def __init__(self, bootstrap: str, tools: Tools, patience: float) -> None:
        self._bootstrap, self._tools, self._patience = bootstrap, tools, patience
        self._cluster = Cluster((("bootstrap.servers", bootstrap),))
        self._topics = Topics(self._cluster)

    def fill(self, name: str, job: Job) -> Filled:
        """Makes the topics of a job."""
        topics = f"{name}.source", f"{name}.target"
        partitions = Workload().partitions
        produce.make(self._cluster, topics, partitions)
        produce.fill(self._cluster, job.plan, topics, produce.Form("debezium-avro"), partitions, lambda *_: None)
        return Filled(job, topics)

    def timed(self, engine: Engine, filled: Filled) -> Outcome:
        """Until all was compared.

        Raises:
            PeerError: it ended by itself, or has not finished when patience is over.
        """
        outcome = self._run(engine, filled, self._patience)
        if not outcome.finished:
            raise PeerError(
                f"{engine.name} has not finished {outcome.messages} messages after {self._patience:.0f} s: {outcome.said}"
            )
        return outcome

    def exercised(self, engine: Engine, filled: Filled, seconds: float) -> Outcome:
        """Until all was compared, which may never be, or for so long.

        Raises:
            PeerError: it ended by itself.
        """
        return self._run(engine, filled, seconds)

    def _run(self, engine: Engine, filled: Filled, patience: float) -> Outcome:
        name = f"peers-{engine.kind}-{uuid.uuid4().hex[:8]}"
        # What was killed may still be writing when its directory is deleted.
        with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as directory:
            place = Path(directory)
            try:
                return self._watched(engine, filled, name, place, patience)
            finally:
                there = self._cluster.admin.list_topics(timeout=30).topics
                self._topics.delete([topic for topic in there if name in topic])

    def _watched(self, engine: Engine, filled: Filled, name: str, place: Path, patience: float) -> Outcome:
        state, output = place / "state", f"{name}.discrepancies"
        state.mkdir()
        environment = self._environment(filled, name, output, place)
        if engine.kind != "ours":  # it makes its own
            self._topics.ensure([OwnTopic(output, 1, _KEPT, 1)])
        said, peak = Said(filled.job), 0
        done: tuple[float, float] | None = None
        started = time.monotonic()
        tree = Tree(command(engine, self._tools, place / "topology.yaml", state), environment, place / "log")
        with self._listening(output) as listener, tree:
            while True:
                for verdict in listener.heard():
                    said.hear(verdict)
                use, now = tree.use(), time.monotonic() - started
                peak = max(peak, use.resident)
                if (code := tree.exit_code()) is not None:
                    raise PeerError(f"{engine.name} ended by itself with exit code {code}. It said:\n{tree.said()}")
                if done is None and (said.finished or now > patience):
                    done = now, use.cpu
                if done is not None and now > done[0] + _GRACE_S:
                    break
            size = _octets(state)
        wall, cpu = round(done[0], 2), round(done[1], 2)
        mega = peak / MICROS, size / MICROS
        job = filled.job
        return Outcome(engine.name, job.messages, wall, cpu, round(mega[0], 1), round(mega[1], 1), said.finished, said.to_json())

    def _environment(self, filled: Filled, name: str, output: str, place: Path) -> dict[str, str]:
        """What the other engines are told; ours by the files that it writes."""
        source, target = filled.topics
        text = topology.text(Workload(), "debezium-avro", filled.topics, name, self._bootstrap)
        (place / "topology.yaml").write_text(text, encoding="utf-8")
        (place / "schemas.json").write_text(avro.schemas(), encoding="utf-8")
        schema = place / "envelope.avsc"
        schema.write_text(json.loads(avro.schemas())[str(avro.VALUE_ID)]["schema"], encoding="utf-8")
        told = {"BOOTSTRAP": self._bootstrap, "SOURCE": source, "TARGET": target, "OUTPUT": output, "RUN": name}
        return {**os.environ, **told, "STATE": str(place / "state"), "SCHEMA": str(schema)}

    @contextmanager
    def _listening(self, topic: str) -> Iterator[_Listener]:
        consumer = self._cluster.consumer(
            {"group.id": f"{topic}.heard", "enable.auto.commit": False, "isolation.level": "read_committed"}
        )
        try:
            yield _Listener(consumer, self._topics, topic)
        finally:
            consumer.close()


def _octets(directory: Path) -> int:
    """Of all its files."""
    total = 0
    for at, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                total += (Path(at) / name).stat().st_size
    return total


class _Listener:
    """Reads what engines say, from the moment on when the topic is there."""

    def __init__(self, consumer: Consumer, topics: Topics, topic: str) -> None:
        self._consumer, self._topics, self._topic = consumer, topics, topic
        self._assigned = False

    def heard(self) -> Iterator[Verdict]:
        """Waits a moment."""
        if not self._assigned:
            there = self._topics.describe([self._topic]).get(self._topic)
            if there is None:
                time.sleep(_POLL_S)
                return
            self._consumer.assign([TopicPartition(self._topic, p, 0) for p in range(there.partitions)])
            self._assigned = True
        for message in self._consumer.consume(5000, _POLL_S):
            error, body = message.error(), message.value()
            if error is not None:
                raise PeerError(f"{self._topic} cannot be read: {error}")
            verdict = None if body is None else verdict_of(body)
            if verdict is not None:
                yield verdict


def verdict_of(body: bytes) -> Verdict | None:
    """What a message of an engine says; None: an event of ours that opens nothing."""
    told = orjson.loads(body)
    if "w" in told:
        return int(told["w"]), int(told["k"])
    if told["status"] != "opened":
        return None
    return round(datetime.fromisoformat(told["window"]["start"]).timestamp() * 1000), int(told["key"]["id"])
