"""What a test of the live service needs: tables written to while they are read, and a deployment that runs beside them.

Times are µs since the epoch. A row's time is the moment at which it is written unless the test gives another one. A side that is
*halted* is a connector that stopped: its rows are kept, with the times at which they were committed, and come when it goes on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka.loading import children, held
from tools.programs import free_port

Json = dict[str, Any]
T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "stream_recon"]

SECOND = 1_000_000
WINDOW_S, SETTLE_S, SKEW_S, IDLE_S = 1, 2, 1, 3
WITHIN_S = WINDOW_S + SETTLE_S + SKEW_S + IDLE_S + 10.0
"""How long after it happened what is lost may take to be told."""
START_S = 60.0
STOP_S = 40.0
QUIET_S = 5.0
"""How long a test watches that something does not happen: longer than the time between two looks at what is quiet."""
PACE_S = 0.1
DIGEST_PARTITIONS = 2

TIMES = {"window": f"{WINDOW_S}s", "settle": f"{SETTLE_S}s", "clock_skew": f"{SKEW_S}s", "idle_after": f"{IDLE_S}s"}


def now_us() -> int:
    return time.time_ns() // 1000


def micros(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp() * 1e6)


def wait_for(said: Callable[[], T], what: str, within: float = WITHIN_S, every: float = 0.1) -> T:
    """The first true answer."""
    deadline = time.monotonic() + within
    while True:
        answer = said()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}"
        time.sleep(every)


def stays(said: Callable[[], bool], what: str, seconds: float = QUIET_S) -> None:
    """It is true all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert said(), f"no longer so: {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Shape:
    """How a table is written and compared.

    ``lanes``: the partitions of a side in which rows come, if not all. ``heartbeats``: the sides that declare a table of them.
    """

    form: str = "debezium-json"
    partitions: dict[str, int] = field(default_factory=lambda: {"source": 2, "target": 2})
    lanes: dict[str, Sequence[int]] = field(default_factory=dict)
    event_time: bool = True
    heartbeats: Sequence[str] = ()
    settings: Json = field(default_factory=dict)


class Table:
    """One topology: a table on each side, and what is said about it."""

    def __init__(self, name: str, shape: Shape, bootstrap: str, prefix: str) -> None:
        self.name = name
        self.shape = shape
        self.sides = list(shape.partitions)
        self.topics = {side: f"{prefix}{name}.{side}" for side in self.sides}
        self.beats = {side: f"{prefix}{name}.{side}-beat" for side in shape.heartbeats}
        self.last: dict[str, int] = {}
        self.deployment: Deployment
        self.more: dict[int, Json] = {}
        """Columns beside those that were there at the start, by the time of the row that has them."""
        self._bootstrap = bootstrap
        self._lock = threading.Lock()
        self._kept: dict[str, list[tuple[bytes, list[bytes | None], int, int]]] = {}
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 2, "acks": "all"})
        self._fresh = 1_000_000
        self._make()

    def _make(self) -> None:
        wanted = [NewTopic(self.topics[side], self.shape.partitions[side]) for side in self.sides]
        wanted += [NewTopic(topic, 1) for topic in self.beats.values()]
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})
        for made in admin.create_topics(wanted).values():
            made.result(30)

    def topology(self, prefix: str) -> Json:
        """The file."""
        return {
            "version": 1,
            "name": self.name,
            "kafka": {"bootstrap.servers": self._bootstrap},
            "source": self._side("source"),
            "targets": [self._side(side) for side in self.sides[1:]],
            "compare": {"ignore": ["at"]},
            "outputs": {"prefix": prefix},
            **TIMES,
            "out_of_orderness": "0s",
            **self.shape.settings,
        }

    def _side(self, side: str) -> Json:
        written: Json = {"name": side, "topics": [self.topics[side]], "format": self.shape.form, "key": ["id"]}
        if self.shape.form == "json" and self.shape.event_time:
            written |= {"event_time": "at", "types": {"at": "timestamp(us)"}}
        if side in self.beats:
            written["heartbeat"] = {"topic": self.beats[side]}
        return written

    # ---- rows ----------------------------------------------------------------------------------------------------------

    def write(self, side: str, key: int, text: str, *, at: int | None = None, op: str = "c", partition: int | None = None) -> int:
        """One row; returns its time."""
        return self._put(side, key, lambda time: [self._value(key, text, time, op)], at, partition)

    def delete(self, side: str, key: int) -> int:
        """A delete, and behind it a tombstone where the connector writes one."""
        debezium = self.shape.form == "debezium-json"
        return self._put(side, key, lambda time: [self._value(key, None, time, "d"), None] if debezium else [None], None, None)

    def both(self, key: int, text: str, *, at: int | None = None, op: str = "c") -> int:
        """The same row on every side, on the source first; returns the source's time."""
        times = [self.write(side, key, text, at=at, op=op) for side in self.sides]
        return times[0]

    def fresh(self, sides: Sequence[str] | None = None) -> None:
        """A row that nothing was told of before."""
        self._fresh += 1
        for side in sides or self.sides:
            self.write(side, self._fresh, f"row {self._fresh}")

    def beat(self, sides: Sequence[str]) -> None:
        """A row of the heartbeat table."""
        for side in sides:
            self._producer.produce(self.beats[side], self._value(1, "beat", now_us(), "u"), json.dumps({"id": 1}).encode())
        self._producer.poll(0)

    def _put(
        self, side: str, key: int, values: Callable[[int], list[bytes | None]], at: int | None, partition: int | None
    ) -> int:
        with self._lock:
            time = now_us() if at is None else at
            lanes = self.shape.lanes.get(side, range(self.shape.partitions[side]))
            place = lanes[key % len(lanes)] if partition is None else partition
            row = json.dumps({"id": key}).encode(), values(time), time, place
            if side in self._kept:
                self._kept[side].append(row)
            else:
                self._send(side, row)
            return time

    def _send(self, side: str, row: tuple[bytes, list[bytes | None], int, int]) -> None:
        key, values, time, place = row
        self.last[side] = time
        for value in values:
            self._producer.produce(self.topics[side], value, key, place, on_delivery=_delivered, timestamp=time // 1000)
        self._producer.poll(0)

    def _value(self, key: int, text: str | None, time: int, op: str) -> bytes:
        row = {"id": key, "text": text} | self.more.get(time, {})
        if self.shape.form == "json":
            return json.dumps(row | {"at": time}).encode()
        source = {"connector": "postgresql", "name": "db", "db": "shop", "schema": "public", "table": self.name}
        source |= {"ts_ms": time // 1000, "ts_us": time, "snapshot": "true" if op == "r" else "false"}  # type: ignore[dict-item]
        before = {"id": key, "text": None} if op == "d" else None
        after = None if op == "d" else row
        return json.dumps({"before": before, "after": after, "source": source, "op": op, "ts_ms": time // 1000}).encode()

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    # ---- a connector that stops ----------------------------------------------------------------------------------------

    def halt(self, side: str) -> None:
        """From now on its rows are kept."""
        with self._lock:
            self._kept[side] = []

    def release(self, side: str, count: int | None = None) -> None:
        """Sends what was kept, or the first ``count`` of it; with all of it the side goes on."""
        with self._lock:
            kept = self._kept[side]
            for row in kept[:count]:
                self._send(side, row)
            if count is None:
                del self._kept[side]
            else:
                self._kept[side] = kept[count:]

    def kept(self, side: str) -> int:
        return len(self._kept[side])

    @contextmanager
    def often(self, what: Callable[[], None], every: float = PACE_S) -> Iterator[None]:
        """Does it again and again, meanwhile."""
        done = threading.Event()

        def work() -> None:
            while not done.wait(every):
                what()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def busy(self, sides: Sequence[str] | None = None) -> Iterator[None]:
        """Rows that agree keep coming, meanwhile."""
        with self.often(lambda: self.fresh(sides)):
            yield

    # ---- what is said --------------------------------------------------------------------------------------------------

    def discrepancies(self, target: str | None = None) -> list[Json]:
        found = [b for b in self.deployment.said("discrepancies") if b["topology"] == self.name]
        return [b for b in found if target is None or b["target"] == target]

    def audit(self, *types: str) -> list[Json]:
        return [b for b in self.deployment.said("audit") if b["topology"] == self.name and b["type"] in types]

    def stalls(self) -> list[tuple[str, str]]:
        """(type, side) of the events of stalled sides, in order."""
        return [(b["type"], b["side"]) for b in self.audit("stalled", "resumed")]

    def steps(self, key: int) -> list[tuple[str, str]]:
        """(status, kind) of what is said of a key, in order."""
        return [(b["status"], b["kind"]) for b in self.discrepancies() if b["key"] == {"id": key}]

    def open(self, target: str | None = None) -> dict[int, str]:
        """Kinds of what is open, by key."""
        now = {b["id"]: b for b in self.discrepancies(target)}
        return {b["key"]["id"]: b["kind"] for b in now.values() if b["status"] in {"opened", "updated"}}

    def opened(self) -> dict[int, str]:
        """First kinds of all that was ever opened, by key; no key is opened twice."""
        first = [b for b in self.discrepancies() if b["status"] == "opened"]
        kinds = {b["key"]["id"]: b["kind"] for b in first}
        assert len(kinds) == len(first), first
        return kinds

    def waits_until_opened(self, key: int, kind: str, within: float = WITHIN_S) -> None:
        wait_for(
            lambda: self.deployment.runs() and self.opened().get(key), f"{self.name}: {kind} of key {key}; {self.stand()}", within
        )
        assert self.opened()[key] == kind

    def closed_until(self, target: str | None = None) -> int:
        """End of the last window that every target, or this one, has closed in every digest partition."""
        found = [
            value
            for labels, value in self.deployment.metric("closed_until_timestamp_seconds")
            if labels["topology"] == self.name and (target is None or labels["target"] == target)
        ]
        wanted = 1 if target is not None else len(self.sides) - 1
        return int(min(found) * 1e6) if len(found) == wanted else 0

    def waits_until_closed(self, time: int, target: str | None = None, within: float = WITHIN_S) -> None:
        """All windows up to that of ``time`` are closed, and what was said in them is read."""

        def done() -> bool:
            return self.deployment.runs() and self.closed_until(target) > time

        wait_for(done, f"{self.name}: the window of a row is closed", within, 0.25)
        self.deployment.reads_all()

    def metric(self, name: str, side: str) -> float | None:
        """Of one side; None: no sample."""
        found = [v for labels, v in self.deployment.metric(name) if (labels["topology"], labels["side"]) == (self.name, side)]
        return found[0] if found else None

    def nothing_broken(self) -> None:
        """No lift was proved wrong, and nothing else made a window inconclusive by a cause."""
        assert [b for b in self.audit("window") if b["causes"] or "lift_broken" in b] == []

    def stand(self) -> str:
        return f"stalls {self.stalls()}, said {[(b['key'], b['kind'], b['status']) for b in self.discrepancies()]}"


def _delivered(error: KafkaError | None, _: Message) -> None:
    assert error is None, error


class _Reader:
    """Reads the outputs from their beginning, committed transactions only."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": "reads-outputs", "enable.auto.commit": False}
        settings |= {"isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
        self._consumer = Consumer(settings)
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._topics = topics
        self._ends: dict[tuple[str, int], int] = {}
        self.bodies: dict[str, list[Json]] = {topic: [] for topic in topics}
        self._places: list[TopicPartition] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._places and not self._done.wait(0.1):
            known = self._consumer.list_topics(timeout=10).topics
            if all(topic in known for topic in self._topics):
                places = [TopicPartition(topic, p, 0) for topic in self._topics for p in known[topic].partitions]
                self._consumer.assign(places)
                self._places = places
        while not self._done.is_set():
            for message in self._consumer.consume(1000, 0.1):
                self._take(message)
        self._consumer.close()

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        error = message.error()
        if error is None:
            self.bodies[topic].append(json.loads(message.value() or b""))
        elif error.code() == KafkaError._PARTITION_EOF and offset is not None:
            self._ends[topic, partition] = offset

    def reads_all(self) -> None:
        """Returns when everything is read that is there now."""
        wait_for(lambda: self._places, "the outputs are there")
        wanted = {place: OffsetSpec.latest() for place in self._places}
        found = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=10)
        ends = {(place.topic, place.partition): end.result(10).offset for place, end in found.items()}
        wait_for(lambda: all(self._ends.get(place, 0) >= end for place, end in ends.items()), "all of the outputs is read")

    def close(self) -> None:
        self._done.set()
        self._thread.join()


class Deployment:
    """``run`` over some tables: as one process tree, or as one for each stage."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path, tables: Sequence[Table], *, split: bool = False) -> None:
        self.prefix = f"{prefix}recon"
        self._bootstrap = bootstrap
        self._directory = directory
        self._tables = tables
        self._stages = ["normalise", "reconcile"] if split else ["all"]
        self._ports = {stage: free_port() for stage in self._stages}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._reader = _Reader(bootstrap, [f"{self.prefix}.{name}" for name in ("audit", "discrepancies")])
        for table in tables:
            table.deployment = self
        self.files = [self.write(table) for table in tables]

    def write(self, table: Table) -> str:
        """Writes a table's topology as its settings are now; returns the file."""
        file = self._directory / f"{table.name}.yaml"
        file.write_text(json.dumps(table.topology(self.prefix), indent=1))
        return str(file)

    # ---- the processes -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when every partition of every table is read."""
        for table in self._tables:
            table.flush()
        for stage in self._stages:
            self._start(stage)
        for table in self._tables:
            for side in table.sides:
                self._reads(table, side)

    def _reads(self, table: Table, side: str) -> None:
        def reads() -> bool:
            return self.runs() and table.metric("partitions", side) == table.shape.partitions[side]

        wait_for(reads, f"{table.name}: side {side} is read", START_S, 0.5)

    def _start(self, stage: str) -> None:
        command = [*COMMAND, "run", *self.files, "--stage", stage, "--name", stage, "--state", str(self._directory / "state")]
        command += ["--metrics", f"127.0.0.1:{self._ports[stage]}", "--every", "5"]
        command += ["--digest-partitions", str(DIGEST_PARTITIONS)]
        with self._log(stage).open("ab") as log:
            self._processes[stage] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _log(self, stage: str) -> Path:
        return self._directory / f"{stage}.log"

    def log(self) -> str:
        files = [file for stage in self._stages if (file := self._log(stage)).exists()]
        return "\n".join(file.read_text()[-3000:] for file in files)

    def runs(self) -> bool:
        """True; fails if a process ended or told of an error."""
        for stage, process in self._processes.items():
            assert process.poll() is None, f"run --stage {stage} ended with {process.returncode}\n{self.log()}"
        return True

    def stop(self) -> dict[str, int]:
        """In order; returns the exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        try:
            return {stage: process.wait(STOP_S) for stage, process in self._processes.items()}
        finally:
            self._kill()

    def _kill(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self._processes.clear()

    def close(self) -> None:
        try:
            if self._processes:
                self.stop()
        finally:
            self._reader.close()
            for table in self._tables:
                table.flush()

    def kill_reconcile(self) -> None:
        """``kill -9`` of the workers that hold digest partitions."""
        state = self._directory / "state"
        pids = [pid for process in self._processes.values() for pid in children(process.pid) if held(pid, state)]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    @contextmanager
    def frozen(self, stage: str) -> Iterator[None]:
        """The workers of a stage stand still, meanwhile."""
        pids = _descendants(self._processes[stage].pid)
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # ---- what it says --------------------------------------------------------------------------------------------------

    def said(self, what: str) -> list[Json]:
        """Bodies of an output topic so far."""
        return list(self._reader.bodies[f"{self.prefix}.{what}"])

    def reads_all(self) -> None:
        self._reader.reads_all()

    def metric(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Samples of all stages by their labels."""
        return [sample for stage in self._stages for sample in self._scraped(stage, f"stream_recon_{name}")]

    def _scraped(self, stage: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[stage]}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:  # not yet
            return
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    yield sample.labels, sample.value

    def status(self) -> Json:
        """What ``status --json`` shows; it exits 0."""
        done = subprocess.run(
            [*COMMAND, "status", *self.files, "--json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_S
        )
        assert done.returncode == 0, done.stderr
        shown: Json = json.loads(done.stdout)
        return shown


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]
