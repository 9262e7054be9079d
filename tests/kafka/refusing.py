"""A small live world: topics of one test, topologies over them, and the command line as a process whose log is watched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

from stream_recon.cli.clusters import _cluster
from stream_recon.cli.main import run

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0


def until(found: Callable[[], T | None], within: float = WITHIN_S) -> T:
    """What ``found`` returns once that is true."""
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {within:.0f} s"
        time.sleep(0.05)
    return value


@dataclass(frozen=True)
class Result:
    """Exit code, both streams, and how long it took."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    def refused(self, code: int, *texts: str) -> None:
        """Ended with this code, and its one error holds all of ``texts``."""
        assert self.code == code, self.stderr
        error = self.error
        for text in texts:
            assert text in error, error

    def ended(self, code: int) -> Result:
        """Ended with this code, and without a fault of the program."""
        assert self.code == code, f"{self.code}: {self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self

    @property
    def error(self) -> str:
        """The error that ended it: all that follows the last ``error:`` at the begin of a line."""
        assert "Traceback" not in self.stderr, self.stderr
        assert "fault of stream-recon itself" not in self.stderr, self.stderr
        parts = re.split(r"^error: ", self.stderr, flags=re.MULTILINE)
        assert len(parts) == 2, self.stderr
        return parts[1]


class Service:
    """``stream-recon run`` in a process of its own."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._began = time.monotonic()
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_recon", *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def says(self, pattern: str, within: float = WITHIN_S) -> str:
        """The line of the log that ``pattern`` is found in, once there is one."""

        def line() -> str | None:
            return next((text for text in self.log.splitlines() if re.search(pattern, text)), None)

        def found() -> str | None:
            return line() or (None if self.process.poll() is None else line() or "ended")

        told = until(found, within)
        assert told != "ended", f"ended with {self.process.returncode} without saying {pattern}:\n{self.log}"
        return told

    def end(self, within: float = WITHIN_S) -> Result:
        """Waits for its end."""
        try:
            stdout, _ = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {within:.0f} s:\n{self.log}") from None
        return Result(self.process.returncode, stdout.decode(), self.log, time.monotonic() - self._began)

    def stop(self, number: int = signal.SIGTERM, within: float = WITHIN_S) -> Result:
        """Asks for the end and waits for it."""
        self.process.send_signal(number)
        return self.end(within)

    def processes(self) -> list[int]:
        """Those of its process group that are left."""
        left = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid and fields[0] != "Z":
                    left.append(int(stat.parent.name))
        return left

    def kill(self) -> None:
        """All of its processes, without warning."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Live:
    """What one test has on a broker: topics ``PREFIX-s`` and ``PREFIX-t``, and a deployment under ``PREFIX``."""

    def __init__(self, bootstrap: str, prefix: str, place: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix.rstrip("-")
        self.place = place
        self.services: list[Service] = []
        self.stopped = ""

    # ---- the broker ----------------------------------------------------------------------------------------------------

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def name(self, short: str) -> str:
        return f"{self.prefix}-{short}"

    def make(self, *shorts: str, partitions: int = 1, **settings: Any) -> None:
        self.make_as(*map(self.name, shorts), partitions=partitions, **settings)

    def make_as(self, *topics: str, partitions: int = 1, **settings: Any) -> None:
        """Topics by their full names; ``max_message_bytes`` stands for ``max.message.bytes``."""
        config = {name.replace("_", "."): value for name, value in settings.items()}
        made = self.admin.create_topics([NewTopic(topic, partitions, 1, config=config) for topic in topics])
        for topic, future in made.items():
            future.result(WITHIN_S)
            until(lambda topic=topic: self.topic_id(topic))  # type: ignore[misc]

    def delete(self, short: str) -> None:
        """Returns once the name is free."""
        topic = self.name(short)
        self.admin.delete_topics([topic])[topic].result(WITHIN_S)
        until(lambda: self.topic_id(topic) is None)

    def topic_id(self, topic: str) -> str | None:
        """None: there is no such topic. A broker that does not answer in time is asked again."""

        def asked() -> list[str | None]:
            try:
                return [str(self.admin.describe_topics(TopicCollection([topic]))[topic].result(WITHIN_S).topic_id)]
            except KafkaException as error:
                return [None] if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART else []

        return until(asked)[0]

    def grow(self, short: str, partitions: int) -> None:
        topic = self.name(short)
        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(WITHIN_S)
        until(lambda: len(self.ends(topic)) == partitions)

    def write(self, short: str, *rows: Any, partition: int = 0, at_ms: int | None = None) -> None:
        """Rows as JSON, bytes as they are."""
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "log_level": 0, "message.max.bytes": 20_000_000, "linger.ms": 0}
        )
        errors = []
        for row in rows:
            value = row if isinstance(row, bytes) else json.dumps(row).encode()
            stamp: dict[str, Any] = {} if at_ms is None else {"timestamp": at_ms}
            producer.produce(
                self.name(short), value, partition=partition, on_delivery=lambda e, _: errors.append(e) if e else None, **stamp
            )
        assert producer.flush(WITHIN_S) == 0
        assert not errors

    def put(self, **rows: Sequence[Any]) -> None:
        """Rows by topic, all written at one instant: no side is ahead of another."""
        now = int(time.time() * 1000)
        for short, mine in rows.items():
            self.write(short, *mine, at_ms=now)

    def both(self, *rows: Any) -> None:
        self.put(s=rows, t=rows)

    def cut(self, short: str, to: int) -> None:
        """Deletes the messages of partition 0 below ``to``, as retention would."""
        place = TopicPartition(self.name(short), 0, to)
        self.admin.delete_records([place])[place].result(WITHIN_S)

    @staticmethod
    def now() -> str:
        """As events write times."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def ends(self, topic: str, spec: OffsetSpec | None = None) -> dict[int, int]:
        count = len(self.admin.list_topics(topic, WITHIN_S).topics[topic].partitions)
        asked = {TopicPartition(topic, p): spec or OffsetSpec.latest() for p in range(count)}

        def found() -> dict[int, int] | None:
            with suppress(KafkaException):  # no leader yet
                return {p.partition: f.result(WITHIN_S).offset for p, f in self.admin.list_offsets(asked).items()}
            return None

        return until(found)

    def events(self, output: str, prefix: str | None = None) -> list[dict[str, Any]]:
        """All committed bodies of an output topic, by partition in order."""
        topic = f"{prefix or self.prefix}.{output}"
        if self.topic_id(topic) is None:
            return []
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "nobody",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        left = set(self.ends(topic))
        consumer.assign([TopicPartition(topic, p, 0) for p in left])
        bodies: dict[int, list[dict[str, Any]]] = {p: [] for p in sorted(left)}
        deadline = time.monotonic() + WITHIN_S
        while left:
            assert time.monotonic() < deadline
            for message in consumer.consume(1_000, 0.1):
                partition = message.partition() or 0
                if message.error() is not None:
                    left.discard(partition)
                elif value := message.value():
                    bodies[partition].append(json.loads(value))
        consumer.close()
        return [body for mine in bodies.values() for body in mine]

    @property
    def certificates(self) -> list[dict[str, Any]]:
        return [e for e in self.events("audit") if e["type"] == "window"]

    @property
    def discrepancies(self) -> list[dict[str, Any]]:
        return self.events("discrepancies")

    def of(self, *statuses: str) -> list[tuple[Any, str, str]]:
        """(key, kind, status) of what the discrepancies topic holds."""
        return sorted(
            (next(iter(e["key"].values())), e["kind"], e["status"])
            for e in self.discrepancies
            if not statuses or e["status"] in statuses
        )

    def said_once(self) -> None:
        """Each chain is dense and in order; what was opened is opened again only once it was over."""
        chains: dict[str, list[int]] = {}
        for certificate in self.events("audit"):
            if "seq" in certificate:
                chains.setdefault(certificate["chain"], []).append(certificate["seq"])
        assert chains
        for chain, numbers in chains.items():
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), (chain, numbers)
            assert numbers[0] in {0, 1}
        newest: dict[str, str] = {}
        for event in self.discrepancies:
            over = newest.get(event["id"], "dismissed") in {"resolved", "dismissed"}
            assert over == (event["status"] == "opened"), (event["id"], newest.get(event["id"]), event["status"])
            newest[event["id"]] = event["status"]

    # ---- the program ---------------------------------------------------------------------------------------------------

    def topology(self, name: str = "x", file: str | None = None, **top: Any) -> Path:
        """One that is quick to answer. ``source`` and ``targets`` overlay the sides; ``kafka`` the settings."""
        source, target = top.pop("source", {}), top.pop("target", {})
        side = {"format": "json", "key": ["id"]}
        plan = {
            "version": 1,
            "name": name,
            "source": {"name": "s", "topics": [self.name("s")], **side, **source},
            "targets": [{"name": "t", "topics": [self.name("t")], **side, **target}],
            "window": "1s",
            "settle": "1s",
            "clock_skew": "0s",
            "out_of_orderness": "0s",
            "idle_after": "1s",
            "parallelism": 1,
            "outputs": {"prefix": self.prefix},
            **top,
            "kafka": {"bootstrap.servers": self.bootstrap, "session.timeout.ms": 6000, **top.get("kafka", {})},
        }
        path = self.place / f"{file or name}.yaml"
        path.write_text(json.dumps(plan), encoding="utf-8")
        return path

    def start(self, *arguments: str | Path, state: str = "state", **environment: str) -> Service:
        """``run`` in the background."""
        log = self.place / f"run-{len(self.services)}.log"
        command = ["run", *map(str, arguments)]
        if "--once" not in command:
            command += ["--state", str(self.place / state)]
        self.services.append(Service(command, log, environment))
        return self.services[-1]

    def close(self) -> None:
        for service in self.services:
            service.kill()


class Guest:
    """What the user ``guest`` of a secured broker may do: nothing at first."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def may(self, kind: ResourceType, name: str, *operations: AclOperation, whole: bool = False) -> None:
        """Grants; ``name`` is how names begin, or with ``whole`` a name."""
        pattern = ResourcePatternType.LITERAL if whole else ResourcePatternType.PREFIXED
        bindings = [AclBinding(kind, name, pattern, "User:guest", "*", o, AclPermissionType.ALLOW) for o in operations]
        for future in self._admin.create_acls(bindings).values():
            future.result(WITHIN_S)


class Here:
    """The command line in this process: for what is over before workers are started."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Result:
        _cluster.cache_clear()  # what one test learned of a broker is not for the next
        self._capture.readouterr()
        began = time.monotonic()
        code = run(list(map(str, arguments)))
        seconds = time.monotonic() - began
        stdout, stderr = self._capture.readouterr()
        return Result(code, stdout, stderr, seconds)


@contextmanager
def live(bootstrap: str, prefix: str, place: Path) -> Iterator[Live]:
    """A ``Live`` whose processes end with the test."""
    world = Live(bootstrap, prefix, place)
    try:
        yield world
    except BaseException:
        for service in world.services:
            print(service.log)
        raise
    finally:
        world.close()


def ids(rows: Iterable[int], **columns: Any) -> list[dict[str, Any]]:
    """A row for each id."""
    return [{"id": row, "v": "same", **columns} for row in rows]
