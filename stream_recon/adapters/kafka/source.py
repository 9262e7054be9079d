"""Source topics: a member of the consumer group that reads them in large batches, each a few Arrow columns.

A partition begins where it is told to; ``auto.offset.reset=error`` makes a position that is gone an event, never a jump.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_recon.adapters.kafka.client import REQUEST_SECONDS, Cluster, headers_of
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.errors import InputError
from stream_recon.model.memory import USUAL
from stream_recon.model.plan import Ids
from stream_recon.model.schemas import led
from stream_recon.ports import Commit, Group, Listener, Place, Polled, Stretch, TopicInfo

_POLL_MS: Final = 900_000
"""A long step between two polls (many windows after a stall) must not cost the partitions."""

_LOST_POSITION: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
_GONE: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
PASSING: Final = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._MAX_POLL_EXCEEDED,
}
"""What the client mends by itself: it connects again, it joins its group again."""


class KafkaSource:
    """The topics of one cluster that this worker reads a share of. Not thread-safe."""

    def __init__(
        self, cluster: Cluster, group: Group, headed: Mapping[str, Ids] | None = None, *, fetched: int = USUAL.fetched
    ) -> None:
        """``headed``: topics whose messages have their schema ids in headers, and what they are; ``fetched``: octets waiting."""
        self._headed = headed or {}
        self.name = cluster.id
        self.topics = Topics(cluster)
        self._cluster = cluster
        self._group = group
        self._consumer: Consumer = cluster.consumer(consumer_settings(cluster, group), consumer_defaults(cluster, group, fetched))
        self._listener: Listener | None = None

    # ---- membership ----------------------------------------------------------------------------------------------------

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        """Joins the group; from now on ``poll`` calls the listener when partitions come and go."""
        self._listener = listener
        self._consumer.subscribe(list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._listener is not None
        begin = self._listener.assigned(self, [(p.topic, p.partition) for p in partitions])
        consumer.incremental_assign([TopicPartition(t, p, position) for (t, p), position in begin.items()])
        consumer.resume(list(partitions))  # librdkafka keeps a pause over a loss

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._listener is not None
        self._listener.revoked(self, [(p.topic, p.partition) for p in partitions])
        consumer.incremental_unassign(list(partitions))

    def _on_lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._listener is not None
        self._listener.lost(self, [(p.topic, p.partition) for p in partitions])
        consumer.incremental_unassign(list(partitions))

    def close(self) -> None:
        """Leaves the group; partitions still held are revoked first."""
        self._consumer.close()

    # ---- reading -------------------------------------------------------------------------------------------------------

    def poll(self, limit: int, seconds: float) -> Polled:
        """Up to ``limit`` messages, or what comes within ``seconds``, by partition and in order of offset.

        Raises:
            BrokerError, Fenced: the group or a topic is refused to us.
            InputError: a message has no time.
        """
        try:
            batch = self._consumer.consume(limit, seconds)
        except KafkaException as error:
            raise self._cluster.failed(f"reading in group {self._group.id}", error) from error
        polled = Polled([], {}, [], [])
        if any(map(Message.error, batch)):
            for message in batch:
                if message.error() is not None:
                    self._error(message, polled)
            batch = [m for m in batch if m.error() is None]
        if batch:
            polled.stretches.extend(_stretches(batch, self._headed))
        return polled

    def _error(self, message: Message, polled: Polled) -> None:
        error = message.error()
        assert error is not None
        topic, partition = message.topic(), message.partition()
        code = error.code()
        if code == KafkaError._PARTITION_EOF and topic is not None and partition is not None:
            polled.ends[topic, partition] = message.offset() or 0
        elif code in _LOST_POSITION and topic is not None and partition is not None:
            polled.lost.append((topic, partition))
        elif code in _GONE and topic is not None:
            polled.gone.append(topic)
        elif code not in PASSING or error.fatal():
            raise self._cluster.failed(f"reading {topic or 'in group ' + self._group.id}", error)

    def seek(self, place: Place, position: int) -> None:
        """Goes on reading an assigned partition at ``position``, also if it was paused."""
        self._consumer.incremental_unassign([TopicPartition(*place)])
        self._consumer.incremental_assign([TopicPartition(*place, position)])
        self.resume([place])

    def pause(self, places: Iterable[Place]) -> None:
        """Stops fetching; what was fetched already is dropped and read again later."""
        self._consumer.pause([TopicPartition(*p) for p in places])

    def resume(self, places: Iterable[Place]) -> None:
        """Fetches again."""
        self._consumer.resume([TopicPartition(*p) for p in places])

    def end_seen(self, place: Place) -> int | None:
        """End of a partition as the last fetch told it; no request. None: not fetched yet."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return high if high >= 0 else None

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """End of each partition, asked anew (DESIGN 3.3)."""
        return self.topics.ends(places)

    def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        """First offset that retention has left."""
        return self.topics.begins(places)

    def describe(self, topics: Iterable[str]) -> dict[str, TopicInfo]:
        """Ids and partition counts as they are now; a topic that is gone is not in the answer."""
        return self.topics.describe(topics)

    # ---- positions -----------------------------------------------------------------------------------------------------

    def commit(self, positions: Mapping[Place, Commit], *, wait: bool) -> None:
        """Commits positions with their metadata; without ``wait`` the answer is not waited for (the next one repeats it).

        Raises:
            BrokerError, Fenced: refused (``wait`` only).
        """
        offsets = [TopicPartition(t, p, c.position, c.metadata.decode()) for (t, p), c in positions.items()]
        if not offsets:
            return
        try:
            if wait:
                for done in self._consumer.commit(offsets=offsets, asynchronous=False) or ():
                    if done.error is not None:
                        raise self._cluster.failed(f"committing to group {self._group.id}", done.error)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise self._cluster.failed(f"committing to group {self._group.id}", error) from error

    def committed(self, places: Iterable[Place]) -> dict[Place, Commit]:
        """Committed positions; a partition without one is not in the answer. Transactions on their way are waited for."""
        return committed(self._cluster, self._consumer, self._group.id, places)


def committed(cluster: Cluster, consumer: Consumer, group: str, places: Iterable[Place]) -> dict[Place, Commit]:
    """A group's committed positions, by any of its consumers."""
    wanted = [TopicPartition(*p) for p in places]
    if not wanted:
        return {}
    try:
        found = consumer.committed(wanted, timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise cluster.failed(f"reading the positions of group {group}", error) from error
    answer = {}
    for place in found:
        if place.error is not None:
            raise cluster.failed(f"reading the positions of group {group}", place.error)
        if place.offset >= 0:
            answer[place.topic, place.partition] = Commit(place.offset, (place.metadata or "").encode())
    return answer


def consumer_settings(cluster: Cluster, group: Group) -> dict[str, Any]:
    """What every consumer of ours has: a member that keeps its place over a restart, and never jumps."""
    settings: dict[str, Any] = {
        "group.id": group.id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }
    classic = cluster.settings.get("group.protocol") != "consumer"  # else the broker assigns
    if group.member is not None:
        settings["group.instance.id"] = f"{group.member}{_subscription(group)}" if classic else group.member
    if classic:
        settings["partition.assignment.strategy"] = "cooperative-sticky"
    return settings


def _subscription(group: Group) -> str:
    """Names what is subscribed to. A member that comes back under its name is given what it had, and nobody looks whether it now
    asks for more (KAFKA-12759); one with another name is a new member, with which all is shared out anew.
    """
    return "-" + sha256("\n".join(sorted(group.topics)).encode()).hexdigest()[:8] if group.topics else ""


def consumer_defaults(cluster: Cluster, group: Group, fetched: int) -> dict[str, Any]:
    """What a topology's kafka settings may say otherwise. A passing member that was killed is missed sooner. ``fetched``: octets
    that wait to be taken, of all partitions.
    """
    defaults: dict[str, Any] = {"queued.max.messages.kbytes": fetched // 1024, "max.poll.interval.ms": _POLL_MS}
    if cluster.settings.get("group.protocol") != "consumer":  # there the session is the broker's setting
        defaults["session.timeout.ms"] = 45_000 if group.member is not None else 10_000
    return defaults


def _stretches(batch: Sequence[Message], headed: Mapping[str, Ids]) -> list[Stretch]:
    """Messages by partition, each in order of offset: one list a column, then Arrow."""
    by_place: dict[Any, list[Message]] = {}
    partition = np.fromiter(map(Message.partition, batch), np.int64, len(batch))
    numbers = {topic: n for n, topic in enumerate(set(map(Message.topic, batch)))}
    if len(numbers) > 1:
        partition += np.fromiter(map(numbers.__getitem__, map(Message.topic, batch)), np.int64, len(batch)) << 32
    bounds = [0, *(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(bounds):
        by_place.setdefault((batch[start].topic(), batch[start].partition()), []).extend(batch[start:stop])
    return [_stretch(place, messages, headed.get(place[0])) for place, messages in by_place.items()]


def _stretch(place: Any, batch: Sequence[Message], ids: Ids | None) -> Stretch:
    offset: npt.NDArray[np.int64] = np.fromiter(map(Message.offset, batch), np.int64, len(batch))
    timestamp: npt.NDArray[np.int64] = np.fromiter(map(itemgetter(1), map(Message.timestamp, batch)), np.int64, len(batch))
    if int(timestamp.min()) < 0:
        raise InputError(
            f"{place[0]}/{place[1]} has messages without a time (offset {offset[timestamp.argmin()]}): they were written by a "
            "client older than Kafka 0.10; read from a later position with start: TIME"
        )
    keys, values = list(map(Message.key, batch)), list(map(Message.value, batch))
    if ids is not None:
        headers = list(map(headers_of, batch))
        keys = [led(one, "key", mine, ids) for one, mine in zip(keys, headers, strict=True)]
        values = [led(one, "value", mine, ids) for one, mine in zip(values, headers, strict=True)]
    return Stretch(place, offset, timestamp, pa.array(keys, pa.binary()), pa.array(values, pa.binary()))
