"""Looking into topics without a group: a few messages of each partition, and the last row of a heartbeat table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream_recon.adapters.kafka.client import REQUEST_SECONDS, Cluster, headers_of
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.model.plan import Ids
from stream_recon.model.schemas import led
from stream_recon.ports import Place

_WAIT_SECONDS: Final = 0.1

_NOT_OURS: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError.GROUP_AUTHORIZATION_FAILED}
"""A connection is tried again by the client; the coordinator of a group that is never joined may refuse us."""

SETTINGS: Final = {
    "group.id": "stream-recon.peek",  # never joined: librdkafka wants one
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
}


def sample(cluster: Cluster, topic: str, each: int, ids: Ids | None = None) -> pa.BinaryArray:
    """Payloads of the first and of the last ``each`` positions of every partition of a topic; ``ids``: those in their headers
    stand in front.

    Raises:
        BrokerError: the topic cannot be read.
    """
    topics = Topics(cluster)
    info = topics.describe([topic])
    places = [(topic, p) for p in range(info[topic].partitions)] if topic in info else []
    begin, end = topics.begins(places), topics.ends(places, committed=True)
    values: list[bytes | None] = []
    consumer = cluster.consumer(SETTINGS)
    try:
        head = {p: (begin[p], min(begin[p] + each, end[p])) for p in places}
        tail = {p: (max(head[p][1], end[p] - each), end[p]) for p in places}
        for stretches in (head, tail):
            found = read(cluster, consumer, stretches)
            values += [m.value() if ids is None else led(m.value(), "value", headers_of(m), ids) for m in found]
    finally:
        consumer.close()
    return pa.array(values, pa.binary())


def read(cluster: Cluster, consumer: Consumer, stretches: Mapping[Place, tuple[int, int]]) -> list[Message]:
    """The messages at positions ``[start, stop)`` of partitions, each in order; a transaction among them that just ends is waited
    for.

    Raises:
        BrokerError: they cannot be read.
    """
    left = {place: stop for place, (start, stop) in stretches.items() if start < stop}
    consumer.assign([TopicPartition(*place, stretches[place][0]) for place in left])
    found: list[Message] = []
    deadline = time.monotonic() + REQUEST_SECONDS
    while left:
        for message in consumer.consume(1_000, _WAIT_SECONDS):
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            error = message.error()
            if error is None and place in left:
                deadline = time.monotonic() + REQUEST_SECONDS
                if offset < left[place]:
                    found.append(message)
                if offset >= left[place] - 1:
                    del left[place]
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                if place in left and offset >= left[place]:
                    del left[place]
            elif error is not None and error.code() not in _NOT_OURS:
                raise cluster.failed(f"reading {place[0]}/{place[1]}" if place[0] else "reading", error)
        if time.monotonic() > deadline:
            raise cluster.failed(f"reading {min(left)[0]}", KafkaError(KafkaError._TIMED_OUT))
    consumer.unassign()
    return found


class Forward:
    """Reads topics from their beginning, what is committed, ``piece`` positions of a partition at a time: one that is kept for
    ever does not fit into memory. Not thread-safe.
    """

    def __init__(self, cluster: Cluster, piece: int) -> None:
        self._cluster, self._piece = cluster, piece
        self._consumer: Consumer = cluster.consumer(SETTINGS)
        self._next: dict[Place, int] = {}

    def new(self, topic: str) -> Iterator[Message]:
        """All that came since the last time, up to the ends as they are now.

        Raises:
            BrokerError: the topic cannot be read.
        """
        topics = Topics(self._cluster)
        info = topics.describe([topic])
        places = [(topic, p) for p in range(info[topic].partitions)] if info else []
        begins, ends = topics.begins(places), topics.ends(places, committed=True)
        at = self._next
        for place in places:
            at.setdefault(place, begins[place])
        while left := {p: (at[p], min(at[p] + self._piece, ends[p])) for p in places if at[p] < ends[p]}:
            yield from read(self._cluster, self._consumer, left)
            at |= {place: stop for place, (_, stop) in left.items()}

    def close(self) -> None:
        """Releases the consumer."""
        self._consumer.close()


class LastMessages:
    """Follows topics outside of any group: the newest payload of each partition (of a heartbeat table). Not thread-safe."""

    def __init__(self, cluster: Cluster, topics: Iterable[str]) -> None:
        """Begins at the last message of each partition.

        Raises:
            BrokerError: a topic cannot be read.
        """
        self._cluster = cluster
        self._consumer = cluster.consumer(SETTINGS)
        admin = Topics(cluster)
        names = sorted(set(topics))
        places = [(name, p) for name, info in admin.describe(names).items() for p in range(info.partitions)]
        begin, end = admin.begins(places), admin.ends(places, committed=True)
        self._consumer.assign([TopicPartition(*p, max(begin[p], end[p] - 1)) for p in places])
        self._newest: dict[Place, bytes] = {}

    def newest(self, topic: str) -> Mapping[Place, bytes]:
        """The newest payload by partition; a null payload is passed over."""
        while batch := self._consumer.consume(1_000, 0):
            for message in batch:
                if message.error() is None and (value := message.value()) is not None:
                    self._newest[message.topic() or "", message.partition() or 0] = value
        return {place: value for place, value in self._newest.items() if place[0] == topic}

    def close(self) -> None:
        """Releases the consumer."""
        self._consumer.close()
