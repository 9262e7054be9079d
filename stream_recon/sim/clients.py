"""The parts of confluent-kafka's API that the adapters use, on the modelled broker: so the adapters run here as they are.

What a client does in threads of its own (sending, heartbeats) happens while its process runs, or is on its way when that dies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.ports import Commit, Place
from stream_recon.sim.broker import SESSION_SECONDS, Broker, Fencing, Member, NoMember, Transaction
from stream_recon.sim.world import World

_POLL_SECONDS: Final = 0.25
_NETWORK_SECONDS: Final = 3.0
"""What was sent arrives at the latest so much later, whatever became of its sender."""


def fault(code: int, text: str, *, fatal: bool = False, abort: bool = False) -> KafkaException:
    """An error as the client raises it."""
    return KafkaException(KafkaError(code, text, fatal, not fatal, abort))


class SimCluster(Cluster):
    """A cluster whose clients talk to the modelled broker."""

    def __init__(self, world: World, broker: Broker) -> None:
        super().__init__((("bootstrap.servers", "model"),))
        self.world = world
        self.broker = broker

    def consumer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Any:
        """A consumer of the group that ``must`` names."""
        return SimConsumer(self, must["group.id"])

    def producer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Any:
        """A transactional producer, or an idempotent one."""
        id_ = must.get("transactional.id")
        return SimWriter(self) if id_ is None else SimProducer(self, id_)

    @property
    def admin(self) -> Any:
        """The admin client."""
        return SimAdmin(self)

    def now(self) -> float:
        """Virtual seconds."""
        return self.world.monotonic()

    def wait(self, seconds: float) -> None:
        """Virtual time passes."""
        self.world.sleep(seconds)

    def bounded(self, call: Callable[[], None], seconds: float) -> None:
        """No modelled call lasts for ever."""
        call()

    def request(self, what: str, timeout: float = 20.0) -> None:
        """Before a request: the broker may be away."""
        self.world.gate(what)
        waited = 0.0
        while self.broker.away_until > self.world.now:
            if waited >= timeout:
                raise fault(KafkaError._TIMED_OUT, "timed out")
            self.world.sleep(0.5)
            waited += 0.5


# ---- consumers ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Membership:
    """What a transaction carries of its group."""

    group: str
    member: str
    generation: int


class SimConsumer:
    """A consumer, and its membership."""

    def __init__(self, cluster: SimCluster, group: str) -> None:
        self._cluster = cluster
        self._world, self._broker = cluster.world, cluster.broker
        self._group = group
        self._member: Member | None = None
        self._topics: tuple[str, ...] = ()
        self._calls: dict[str, Callable[[Any, list[TopicPartition]], None]] = {}
        self._at: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._told: dict[Place, int] = {}

    # membership

    def subscribe(self, topics: Sequence[str], **calls: Callable[[Any, list[TopicPartition]], None]) -> None:
        self._topics, self._calls = tuple(topics), calls
        self._join()
        me = self._world.running
        if me is not None:
            me.on_death.append(lambda: self._world.after(SESSION_SECONDS, self._drop))
            me.on_freeze.append(self._miss)

    def _join(self) -> None:
        self._member = Member(self._broker.name_member(), topics=self._topics)
        self._broker.join(self._group, self._member)

    def _drop(self) -> None:
        if self._member is not None:
            self._broker.leave(self._group, self._member.id)

    def _miss(self, seconds: float) -> None:
        """A process that stands still for longer than its session loses its place, and hears of it later."""
        if seconds > SESSION_SECONDS:
            self._world.after(SESSION_SECONDS, self._drop)

    def _settle(self) -> None:
        """What a poll does for the group: gives back, and takes what is free."""
        group, me = self._broker.group(self._group), self._member
        assert me is not None
        if me.id not in group.members:
            lost, me.owned = sorted(me.owned), set()
            self._world.say(f"{me.id} of {self._group} was dropped, with {lost}")
            self._join()
            if lost:
                self._calls["on_lost"](self, _parts(lost))
            return
        back = sorted(p for p in me.owned if group.target.get(p) != me.id)
        if back:
            self._calls["on_revoke"](self, _parts(back))
            me.owned -= set(back)
            return
        held = {p for m in group.members.values() if m is not me for p in m.owned}
        new = sorted(p for p, m in group.target.items() if m == me.id and p not in me.owned and p not in held)
        if new:
            me.owned |= set(new)
            self._world.say(f"{me.id} of {self._group} takes {new}")
            self._calls["on_assign"](self, _parts(new))

    def consumer_group_metadata(self) -> Membership:
        assert self._member is not None
        group = self._broker.group(self._group)
        joined = self._member.id in group.members
        return Membership(self._group, self._member.id, group.generation if joined else -1)

    def close(self) -> None:
        if self._member is None:
            return
        owned = sorted(self._member.owned)
        if owned:
            self._calls["on_revoke"](self, _parts(owned))
        self._world.gate("leave")
        self._broker.leave(self._group, self._member.id)
        self._member = None

    # reading

    def incremental_assign(self, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            self._at[part.topic, part.partition] = part.offset
            self._told.pop((part.topic, part.partition), None)

    def incremental_unassign(self, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            self._at.pop((part.topic, part.partition), None)

    def assignment(self) -> list[TopicPartition]:
        return _parts(self._at)

    def pause(self, parts: Sequence[TopicPartition]) -> None:
        self._paused |= {(p.topic, p.partition) for p in parts}

    def resume(self, parts: Sequence[TopicPartition]) -> None:
        self._paused -= {(p.topic, p.partition) for p in parts}

    def consume(self, limit: int, seconds: float) -> list[Message]:
        """Some of what there is, of any partition; else waits."""
        self._world.gate("consume")
        self._settle()
        if self._broker.away_until > self._world.now:
            self._world.sleep(seconds)
            return []
        places = sorted(set(self._at) - self._paused)
        self._world.random.shuffle(places)
        found: list[Message] = []
        for place in places:
            found += self._fetched(place, min(limit - len(found), self._world.random.choice((1, 7, 1_000))))
        if not found:
            self._world.sleep(seconds * self._world.random.choice((1, 4)))  # machines are busy, too
        return found

    def _fetched(self, place: Place, limit: int) -> list[Message]:
        log, at = self._broker.log(place), self._at[place]
        if log is None:
            return [_message(place, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))]
        if not log.begin <= at <= log.end:
            return [_message(place, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))]
        records, self._at[place] = self._broker.read(place, at, limit)
        out = [_message(place, r.offset, r.key, r.value, r.time) for r in records]
        if self._at[place] == log.stable == log.end and self._told.get(place) != log.end:
            self._told[place] = log.end
            out.append(_message(place, log.end, error=KafkaError(KafkaError._PARTITION_EOF)))
        return out

    def get_watermark_offsets(self, part: TopicPartition, cached: bool = True) -> tuple[int, int]:
        log = self._broker.log((part.topic, part.partition))
        return (-1001, -1001) if log is None else (log.begin, log.stable)

    # positions

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self._cluster.request("commit")
        membership = self.consumer_group_metadata()
        try:
            self._broker.check_member(self._group, membership.member, membership.generation)
        except NoMember:
            if asynchronous:
                return []
            raise fault(KafkaError.UNKNOWN_MEMBER_ID, "unknown member") from None
        commits = {(p.topic, p.partition): Commit(p.offset, (p.metadata or "").encode()) for p in offsets}
        self._broker.group(self._group).committed |= commits
        self._world.gate("committed")
        return list(offsets)

    def committed(self, parts: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Positions; one that an open transaction holds back is waited for."""
        self._cluster.request("positions", timeout)
        places = [(p.topic, p.partition) for p in parts]
        waited = 0.0
        while self._broker.pending(self._group, places):
            if waited > timeout:
                raise fault(KafkaError._TIMED_OUT, "unstable offsets")
            self._world.sleep(0.5)
            waited += 0.5
        known = self._broker.group(self._group).committed
        out = []
        for place in places:
            commit = known.get(place)
            out.append(TopicPartition(*place, -1001) if commit is None else _position(place, commit))
        return out


def _position(place: Place, commit: Commit) -> TopicPartition:
    return TopicPartition(*place, commit.position, commit.metadata.decode())


def _parts(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]


def _message(
    place: Place,
    offset: int = -1001,
    key: bytes | None = None,
    value: bytes | None = None,
    time: int = 0,
    error: KafkaError | None = None,
    kind: int = TIMESTAMP_CREATE_TIME,
) -> Message:
    more: Any = {} if error is None else {"error": error}
    return Message(topic=place[0], partition=place[1], offset=offset, key=key, value=value, timestamp=(kind, time), **more)


# ---- producers ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Queued:
    place: Place
    key: bytes | None
    value: bytes | None
    report: Callable[[KafkaError | None, Message], None] | None
    time: int = -1
    offset: int = -1


class SimWriter:
    """An idempotent producer: each partition in order, nothing twice; what is acknowledged is safe, what is not may be."""

    def __init__(self, cluster: SimCluster) -> None:
        self._world, self._broker = cluster.world, cluster.broker
        self._queue: deque[_Queued] = deque()
        self._acknowledged: deque[_Queued] = deque()
        me = self._world.running
        if me is not None:
            me.on_death.append(self._scatter)

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = 0, *, on_delivery: Any, headers: Any = None
    ) -> None:
        self._queue.append(_Queued((topic, max(0, partition)), key, value, on_delivery))

    def _scatter(self) -> None:
        """The process is gone: of each partition some of what was sent arrives all the same, by and by."""
        by_place: dict[Place, list[_Queued]] = {}
        for queued in self._queue:
            by_place.setdefault(queued.place, []).append(queued)
        for place, waiting in by_place.items():
            arrives = waiting[: self._world.random.randrange(len(waiting) + 1)]
            self._world.after(self._world.random.random() * _NETWORK_SECONDS, lambda p=place, a=arrives: self._arrive(p, a))  # type: ignore[misc]
        self._queue.clear()

    def _arrive(self, place: Place, arrives: Sequence[_Queued]) -> None:
        for queued in arrives:
            if self._broker.log(place) is not None:
                self._broker.append(place, queued.key, queued.value)

    def _send(self, most: int) -> None:
        """Some of what waits reaches the broker; partitions overtake each other."""
        if self._broker.away_until > self._world.now:
            return
        for place in self._world.random.sample(sorted({q.place for q in self._queue}), len({q.place for q in self._queue})):
            mine = [q for q in self._queue if q.place == place][:most]
            for queued in mine:
                self._world.gate("append")
                self._queue.remove(queued)
                record = self._broker.append(place, queued.key, queued.value)
                queued.time, queued.offset = record.time, record.offset
                self._acknowledged.append(queued)

    def poll(self, seconds: float) -> int:
        if seconds and not self._queue and not self._acknowledged:
            self._world.sleep(seconds)
        if self._queue and self._world.random.random() < 0.7:
            self._send(self._world.random.choice((1, 1_000)))
        return self._serve(self._world.random.random() < 0.8)

    def _serve(self, willing: bool) -> int:
        served = 0
        while willing and self._acknowledged:
            queued = self._acknowledged.popleft()
            served += 1
            if queued.report is not None:
                told = _message(queued.place, queued.offset, None, None, queued.time, kind=TIMESTAMP_LOG_APPEND_TIME)
                queued.report(None, told)
        return served

    def flush(self, seconds: float = _POLL_SECONDS) -> int:
        if self._queue and self._broker.away_until > self._world.now:
            self._world.sleep(seconds)
        self._send(1_000)
        self._serve(True)
        return len(self._queue)

    def purge(self) -> None:
        self._scatter()


class SimProducer:
    """A transactional producer. What becomes of the request that ends a transaction is the seed's choice."""

    def __init__(self, cluster: SimCluster, id_: str) -> None:
        self._cluster = cluster
        self._world, self._broker = cluster.world, cluster.broker
        self._id = id_
        self._epoch = -1
        self._queue: list[_Queued] = []

    def init_transactions(self, seconds: float) -> None:
        self._cluster.request("init", seconds)
        self._epoch = self._broker.init(self._id)
        self._world.gate("initiated")

    def begin_transaction(self) -> None:
        self._queue = []

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int = 0, **_: Any) -> None:
        self._queue.append(_Queued((topic, partition), key, value, None))
        if self._world.random.random() < 0.1:
            self._flush()

    def _open(self) -> Transaction:
        try:
            return self._broker.transaction(self._id, self._epoch)
        except Fencing:
            raise fault(KafkaError._FENCED, "fenced by a newer producer", fatal=True) from None

    def _flush(self) -> None:
        waiting, self._queue = self._queue, []
        for queued in waiting:
            self._cluster.request("append")
            self._broker.append(queued.place, queued.key, queued.value, self._open())

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], membership: Membership, seconds: float) -> None:
        self._cluster.request("send offsets", seconds)
        self._flush()
        commits = {(p.topic, p.partition): Commit(p.offset, (p.metadata or "").encode()) for p in offsets}
        try:
            self._broker.offsets(self._open(), membership.group, commits, (membership.member, membership.generation))
        except NoMember:
            raise fault(KafkaError.ILLEGAL_GENERATION, "illegal generation", abort=True) from None
        self._world.gate("sent offsets")

    def commit_transaction(self, seconds: float) -> None:
        self._cluster.request("end", seconds)
        self._flush()
        transaction = self._open()
        way = (
            "good"
            if self._world.calm
            else self._world.random.choices(("good", "lost", "unheard", "slow", "late"), (92, 2, 2, 2, 2))[0]
        )
        if way == "good":
            self._finish(transaction)
            return
        self._world.say(f"{self._id}: the end of a transaction is {way}")
        if way == "unheard":
            self._finish(transaction)
        elif way == "slow":  # decided, and not done yet
            transaction.decided = True
            self._world.after(self._world.random.random() * 5, lambda: self._broker.finish(transaction, commit=True))
        elif way == "late":  # by then it may be another transaction of this producer that it ends
            self._world.after(self._world.random.random() * 5, self._late)
        self._world.sleep(min(seconds, 5.0))
        raise fault(KafkaError._TIMED_OUT, "timed out")

    def _late(self) -> None:
        transaction = self._broker.ongoing.get(self._id)
        if transaction is not None and transaction.epoch == self._epoch == self._broker.epochs[self._id]:
            self._broker.finish(transaction, commit=True)

    def _finish(self, transaction: Transaction) -> None:
        self._broker.finish(transaction, commit=True)
        self._world.gate("ended")

    def abort_transaction(self, seconds: float) -> None:
        self._cluster.request("abort", seconds)
        self._queue = []
        self._broker.finish(self._open(), commit=False)

    def flush(self, seconds: float = 0) -> int:
        self._flush()
        return 0

    def poll(self, seconds: float) -> int:
        return 0

    def purge(self) -> None:
        self._queue = []


# ---- admin -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    """A future that is done."""

    value: Any
    error: KafkaException | None = None

    def result(self, timeout: float | None = None) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class _Described:
    topic_id: str
    partitions: list[Any]


@dataclass(frozen=True, slots=True)
class _Partition:
    replicas: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class _Offset:
    offset: int


class SimAdmin:
    """What the adapters ask of the admin client."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._broker = cluster.broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, _Answer]:
        self._cluster.request("describe", request_timeout)
        return {name: self._described(name) for name in topics.topic_names}

    def _described(self, name: str) -> _Answer:
        topic = self._broker.topics.get(name)
        if topic is None:
            return _Answer(None, fault(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))
        return _Answer(_Described(topic.id, [_Partition()] * len(topic.logs)))

    def list_offsets(
        self, asked: Mapping[TopicPartition, Any], isolation_level: Any, request_timeout: float
    ) -> dict[Any, _Answer]:
        self._cluster.request("offsets", request_timeout)
        return {part: self._offset(part, spec) for part, spec in asked.items()}

    def _offset(self, part: TopicPartition, spec: Any) -> _Answer:
        log = self._broker.log((part.topic, part.partition))
        if log is None:
            return _Answer(None, fault(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))
        return _Answer(_Offset(log.begin if spec._value == -2 else log.end))
