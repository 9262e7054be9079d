"""Producers on the modelled broker: what is sent may be on its way when its sender is gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, Message, TopicPartition

from stream_recon.ports import Commit, Place
from stream_recon.sim.broker import Fencing, NoMember, Transaction
from stream_recon.sim.line import Line, Membership, fault, message

_POLL_SECONDS: Final = 0.25
_NETWORK_SECONDS: Final = 3.0
"""What was sent arrives at the latest so much later, whatever became of its sender."""


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

    def __init__(self, line: Line) -> None:
        self._world, self._broker = line.world, line.broker
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
                told = message(queued.place, queued.offset, None, None, queued.time, kind=TIMESTAMP_LOG_APPEND_TIME)
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

    def __init__(self, line: Line, id_: str) -> None:
        self._line = line
        self._world, self._broker = line.world, line.broker
        self._id = id_
        self._epoch = -1
        self._queue: list[_Queued] = []

    def init_transactions(self, seconds: float) -> None:
        self._line.request("init", seconds)
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
            self._line.request("append")
            self._broker.append(queued.place, queued.key, queued.value, self._open())

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], membership: Membership, seconds: float) -> None:
        self._line.request("send offsets", seconds)
        self._flush()
        commits = {(p.topic, p.partition): Commit(p.offset, (p.metadata or "").encode()) for p in offsets}
        try:
            self._broker.offsets(self._open(), membership.group, commits, (membership.member, membership.generation))
        except NoMember:
            raise fault(KafkaError.ILLEGAL_GENERATION, "illegal generation", abort=True) from None
        self._world.gate("sent offsets")

    def commit_transaction(self, seconds: float) -> None:
        self._line.request("end", seconds)
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
        self._world.fault(f"the end of a transaction is {way}", f"{self._id}: the end of a transaction is {way}")
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
        self._line.request("abort", seconds)
        self._queue = []
        self._broker.finish(self._open(), commit=False)

    def flush(self, seconds: float = 0) -> int:
        self._flush()
        return 0

    def poll(self, seconds: float) -> int:
        return 0

    def purge(self) -> None:
        self._queue = []
