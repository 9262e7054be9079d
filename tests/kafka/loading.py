"""Real topics with exactly the messages wanted: every offset, every time, every hole; what is in output topics; who works there.

A hole is made of what brokers make holes of: a transaction's marker (one position), an aborted transaction (two or more), or
messages that were deleted (in front of the first one).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

Place = tuple[str, int]
Json = dict[str, Any]

WITHIN_S = 30.0
FOREVER = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
"""Old times are kept, and times to come are taken."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message at its place."""

    topic: str
    partition: int
    offset: int
    ts: int
    key: bytes | None
    value: bytes | None

    @property
    def place(self) -> Place:
        return self.topic, self.partition


def plainly(bootstrap: str) -> Json:
    """A client that says nothing of connections that break: here they are meant to."""
    return {"bootstrap.servers": bootstrap, "log_level": 0}


# ---- recordings ----------------------------------------------------------------------------------------------------------


def recorded(path: Path, prefix: str = "") -> list[Message]:
    """A recording's messages, in its order; their topics begin with ``prefix``."""
    lines = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).splitlines()
    return [_message(json.loads(line), prefix) for line in lines]


def _message(line: Json, prefix: str) -> Message:
    place = prefix + line["topic"], line["partition"], line["offset"], line["ts"]
    return Message(*place, _octets(line, "key"), _octets(line, "payload"))


def _octets(line: Json, name: str) -> bytes | None:
    encoded: str | None = line.get(f"{name}_b64")
    if encoded is not None:
        return base64.b64decode(encoded)
    text: str | None = line.get(name)
    return None if text is None else text.encode()


def record(path: Path, messages: Iterable[Message]) -> Path:
    """The recording that ``replay`` reads."""
    with path.open("w", encoding="ascii") as file:
        for m in messages:
            line: Json = {"topic": m.topic, "partition": m.partition, "offset": m.offset, "ts": m.ts}
            for name, value in (("key", m.key), ("payload", m.value)):
                line |= {name: None} if value is None else {f"{name}_b64": base64.b64encode(value).decode()}
            file.write(json.dumps(line) + "\n")
    return path


# ---- topics --------------------------------------------------------------------------------------------------------------


class Loader:
    """Puts messages at their offsets, as far as it is told to; what a partition still has to get waits here."""

    def __init__(self, bootstrap: str) -> None:
        client = plainly(bootstrap) | {"linger.ms": 0}
        self._bootstrap = bootstrap
        self.admin = AdminClient(plainly(bootstrap))
        self._plain = Producer(client | {"enable.idempotence": True})
        self._transactional = Producer(client | {"transactional.id": f"loader-{uuid4().hex}"})
        self._transactional.init_transactions(WITHIN_S)
        self._waiting: dict[Place, deque[Message]] = {}

    def make(self, messages: Iterable[Message], partitions: Mapping[str, int] | None = None) -> None:
        """New topics for these messages, which wait to be put there. ``partitions``: at least so many of a topic."""
        wanted = dict(partitions or {})
        for message in messages:
            wanted[message.topic] = max(wanted.get(message.topic, 1), message.partition + 1)
            self._waiting.setdefault(message.place, deque()).append(message)
        new = [NewTopic(topic, count, config=FOREVER) for topic, count in wanted.items()]
        for made in self.admin.create_topics(new).values():
            made.result(WITHIN_S)
        for place, queue in self._waiting.items():
            self._waiting[place] = deque(sorted(queue, key=lambda m: m.offset))
            if queue and place[0] in wanted and (first := self._waiting[place][0].offset):
                self._fill(place, first, keep=False)

    @property
    def waiting(self) -> dict[Place, int]:
        """How many messages each partition is still to get."""
        return {place: len(queue) for place, queue in self._waiting.items() if queue}

    def put(self, place: Place, count: int = 1) -> None:
        """The next messages of a partition; on return they can be read. A hole after them is made at once."""
        queue = self._waiting[place]
        run: list[Message] = []
        for _ in range(min(count, len(queue))):
            run.append(queue.popleft())
            hole = queue[0].offset - run[-1].offset - 1 if queue else 0
            assert hole >= 0, f"{place}: two messages at {run[-1].offset}"
            if hole:
                self._write(self._plain, run[:-1] if hole == 1 else run)
                if hole == 1:
                    self._in_transaction(run[-1:])
                else:
                    self._fill(place, hole, keep=True)
                self._await_end(place, queue[0].offset)
                run = []
        self._write(self._plain, run)

    def put_all(self) -> None:
        """All that waits."""
        for place, count in self.waiting.items():
            self.put(place, count)

    def _write(self, producer: Producer, messages: Sequence[Message], *, exact: bool = True) -> None:
        wrong: list[str] = []

        def checking(want: int) -> Callable[[KafkaError | None, KafkaMessage], None]:
            def delivered(error: KafkaError | None, sent: KafkaMessage) -> None:
                if error is not None or (exact and sent.offset() != want):
                    wrong.append(f"{sent.topic()}/{sent.partition()}: expected offset {want}, got {sent.offset()} {error}")

            return delivered

        for m in messages:
            while True:
                try:
                    producer.produce(m.topic, m.value, m.key, m.partition, checking(m.offset), timestamp=m.ts)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        assert producer.flush(WITHIN_S) == 0
        assert not wrong, wrong[:3]

    def _await_end(self, place: Place, end: int) -> None:
        """A marker is written a little after its transaction is over."""
        deadline, found = time.monotonic() + WITHIN_S, -1
        while found != end:
            assert found < end, f"{place}: expected to end at {end}, ends at {found}"
            assert time.monotonic() < deadline, f"{place} does not come to its end at {end}"
            with suppress(KafkaException):  # its leader moves
                found = ends(self._bootstrap, [place[0]], committed=False)[place]

    def _in_transaction(self, messages: Sequence[Message]) -> None:
        self._transactional.begin_transaction()
        self._write(self._transactional, messages)
        self._transactional.commit_transaction(WITHIN_S)

    def _fill(self, place: Place, positions: int, *, keep: bool) -> None:
        """Positions at which nothing can be read: of an aborted transaction, or (not ``keep``) before the first offset left."""
        blind = Message(*place, 0, 0, b"never", b"to be read")
        if keep:
            self._transactional.begin_transaction()
            self._write(self._transactional, [blind] * (positions - 1), exact=False)
            self._transactional.abort_transaction(WITHIN_S)
            return
        self._write(self._plain, [blind] * positions, exact=False)
        request = [TopicPartition(*place, positions)]
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                for done in self.admin.delete_records(request).values():
                    done.result(WITHIN_S)
            except KafkaException as error:  # what was just written is not yet there for everybody
                if error.args[0].code() != KafkaError.OFFSET_OUT_OF_RANGE or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def load(bootstrap: str, messages: Sequence[Message], partitions: Mapping[str, int] | None = None) -> None:
    """Topics with these messages."""
    loader = Loader(bootstrap)
    loader.make(messages, partitions)
    loader.put_all()


# ---- outputs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Output:
    """One message of an output topic or of the digest log; ``time``: its broker's, ms."""

    topic: str
    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def body(self) -> Json:
        body: Json = json.loads(self.value)
        return body


def output(message: KafkaMessage) -> Output:
    """What a consumer was given."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    named: Any = message.headers() or []
    headers = tuple((name, value) for name, value in named if isinstance(value, bytes))
    key = message.key()
    value = message.value()
    return Output(topic, partition, offset, message.timestamp()[1], None if key is None else bytes(key), value or b"", headers)


def consumer(bootstrap: str, *, committed: bool = True, group: str | None = None) -> Consumer:
    """One that joins no group, from the beginning of whatever it is assigned."""
    return Consumer(
        plainly(bootstrap)
        | {
            "group.id": group or f"test-{uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )


def there(admin: AdminClient, topics: Iterable[str]) -> list[Place]:
    """All partitions of those topics that exist."""
    found = admin.list_topics(timeout=WITHIN_S).topics
    return [(name, p) for name in topics if name in found for p in sorted(found[name].partitions)]


def ends(bootstrap: str, topics: Collection[str], *, committed: bool) -> dict[Place, int]:
    """End of each partition: the last one, or the one that readers of what is committed may reach."""
    admin = AdminClient(plainly(bootstrap))
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    asked = {TopicPartition(*place): OffsetSpec.latest() for place in there(admin, topics)}
    found = admin.list_offsets(asked, isolation_level=level) if asked else {}
    try:
        return {(place.topic, place.partition): future.result(WITHIN_S).offset for place, future in found.items()}
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
            raise
        time.sleep(0.2)  # made a moment ago
        return ends(bootstrap, topics, committed=committed)


def positions(bootstrap: str, group: str, topic: str) -> dict[Place, int]:
    """Where a group has committed to be."""
    asking = Consumer(plainly(bootstrap) | {"group.id": group, "enable.auto.commit": False})
    places = there(AdminClient(plainly(bootstrap)), [topic])
    found = {(p.topic, p.partition): p.offset for p in asking.committed([TopicPartition(*p) for p in places], WITHIN_S)}
    asking.close()
    return {place: max(0, found[place]) for place in places}


def read(bootstrap: str, topics: Sequence[str], *, committed: bool = True) -> list[Output]:
    """Everything in these topics, by topic, partition and offset."""
    stops = ends(bootstrap, topics, committed=committed)
    left = {place for place, end in stops.items() if end > 0}
    reader, found = consumer(bootstrap, committed=committed), []
    reader.assign([TopicPartition(*place, 0) for place in left])
    deadline = time.monotonic() + WITHIN_S
    while left:
        assert time.monotonic() < deadline, f"could not be read to the end: {left}"
        for message in reader.consume(1000, 0.1):
            error = message.error()
            if error is None:
                found.append(output(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic() or "", message.partition() or 0))
            else:
                raise AssertionError(error)
    reader.close()
    return sorted(found, key=lambda o: (o.topic, o.partition, o.offset))


# ---- processes -----------------------------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The workers below a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = stat.read_text(encoding="utf-8", errors="replace")
            state, parent = text.rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z" and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return sorted(found)


def held(pid: int, state: Path) -> set[int]:
    """The digest partitions whose state a process has open."""
    found = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                at = re.search(r"/digests-(\d+)[/.]", str(link.readlink()).removeprefix(str(state)))
                found |= {int(at[1])} if at else set()
    return found


def until(done: Callable[[], Any], within: float = 120.0, every: float = 0.1) -> Any:
    """Waits for an answer that is not empty."""
    deadline = time.monotonic() + within
    while not (answer := done()):
        assert time.monotonic() < deadline, f"waited {within} s for {done}"
        time.sleep(every)
    return answer
