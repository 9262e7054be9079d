"""The digest log as reconcile reads it: a member of the group that shares the digest partitions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.source import PASSING, committed, consumer_defaults, consumer_settings
from stream_recon.adapters.kafka.topics import BLOCK_BYTES, Topics
from stream_recon.errors import LogError
from stream_recon.model.memory import USUAL
from stream_recon.ports import Commit, Entry, Group


class KafkaDigests:
    """Entries of the digest partitions that this worker holds. Not thread-safe."""

    def __init__(self, cluster: Cluster, topic: str, group: Group, *, fetched: int = USUAL.fetched) -> None:
        self._cluster = cluster
        self._topic = topic
        self._group = group
        defaults = consumer_defaults(cluster, group, fetched) | {"fetch.message.max.bytes": BLOCK_BYTES}
        self._consumer: Consumer = cluster.consumer(consumer_settings(cluster, group), defaults)

    def subscribe(self, assigned: Callable[[Sequence[int]], Mapping[int, int]], revoked: Callable[[Sequence[int]], None]) -> None:
        """Joins the group. ``assigned`` returns where each digest partition begins; ``revoked`` gets lost ones, too."""

        def on_assign(consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
            begin = assigned([p.partition for p in partitions])
            consumer.incremental_assign([TopicPartition(self._topic, p, at) for p, at in begin.items()])

        def on_revoke(consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
            revoked([p.partition for p in partitions])
            consumer.incremental_unassign(list(partitions))

        self._consumer.subscribe([self._topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)

    def poll(self, limit: int, seconds: float) -> dict[int, list[Entry]]:
        """Up to ``limit`` entries, by digest partition in order.

        Raises:
            LogError: retention took what was still to be folded.
            BrokerError, Fenced: the group or the topic is refused to us.
        """
        try:
            batch = self._consumer.consume(limit, seconds)
        except KafkaException as error:
            raise self._cluster.failed(f"reading in group {self._group.id}", error) from error
        entries: dict[int, list[Entry]] = {}
        for message in batch:
            if message.error() is not None:
                self._error(message)
                continue
            home, value = message.partition(), message.value()
            if home is None or value is None:
                raise LogError(f"digest log: {self._topic}/{home} holds a message without a value at offset {message.offset()}")
            entries.setdefault(home, []).append(Entry(message.offset() or 0, message.timestamp()[1], None, bytes(value)))
        return entries

    def _error(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            raise LogError(
                f"digest log: {self._topic}/{message.partition()} no longer holds what is still to be folded: it was cut by "
                "retention or made anew; run stream-recon reset, then start again"
            )
        if error.code() == KafkaError._PARTITION_EOF or (error.code() in PASSING and not error.fatal()):
            return
        raise self._cluster.failed(f"reading {self._topic}", error)

    def seek(self, home: int, position: int) -> None:
        """Goes on reading a digest partition at ``position``."""
        self._consumer.incremental_unassign([TopicPartition(self._topic, home)])
        self._consumer.incremental_assign([TopicPartition(self._topic, home, position)])

    def committed(self, homes: Sequence[int]) -> dict[int, Commit]:
        """Committed positions; one on its way in a transaction is waited for."""
        found = committed(self._cluster, self._consumer, self._group.id, [(self._topic, h) for h in homes])
        return {home: commit for (_, home), commit in found.items()}

    def membership(self) -> Any:
        """What a transaction must carry, so that one of a former owner is refused (KIP-447)."""
        return self._consumer.consumer_group_metadata()

    def begin(self, home: int) -> int:
        """First position that a digest partition still holds, asked anew.

        Raises:
            BrokerError: the cluster does not say.
        """
        return Topics(self._cluster).begins([(self._topic, home)])[self._topic, home]

    def ends(self) -> dict[int, int]:
        """End of each partition that is held, as last told; no request."""
        found = {}
        for place in self._consumer.assignment():
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high >= 0:
                found[place.partition] = high
        return found

    def close(self) -> None:
        """Leaves the group; what is held is revoked first."""
        self._consumer.close()
