"""The deployment's table of topologies (a compacted topic), and how a topology's share of the digest log is opened exactly once.

Whoever opens holds the one transactional id of the deployment, so two that start together cannot open a share twice: the second
fences the first, and finds in the table what the first one had committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException, Producer, TopicPartition

from stream_recon.adapters.kafka.client import Cluster, send_offsets, transactional
from stream_recon.adapters.kafka.peek import SETTINGS, read
from stream_recon.adapters.kafka.source import committed
from stream_recon.adapters.kafka.topics import BLOCK_BYTES, Topics
from stream_recon.ports import Commit, Place

_SECONDS: Final = 60.0

Positions = Mapping[Place, Commit]


class Table:
    """Topology name -> the record that opened its share."""

    def __init__(self, cluster: Cluster, topic: str, group: str) -> None:
        """``group``: the consumer group whose positions an opening sets."""
        self._cluster = cluster
        self._topic = topic
        self._group = group

    def read(self) -> dict[str, bytes]:
        """All that is open.

        Raises:
            BrokerError: it cannot be read.
        """
        topics = Topics(self._cluster)
        place = (self._topic, 0)
        begin, end = topics.begins([place])[place], topics.ends([place])[place]
        if begin == end:
            return {}
        consumer = self._cluster.consumer(SETTINGS)
        try:
            messages = read(self._cluster, consumer, {place: (begin, end)})
        finally:
            consumer.close()
        table: dict[str, bytes] = {}
        for message in messages:
            key, value = message.key(), message.value()
            assert key is not None
            if value is None:
                table.pop(key.decode(), None)
            else:
                table[key.decode()] = value
        return table

    def committed(self, cluster: Cluster, places: Sequence[Place]) -> dict[Place, Commit]:
        """The group's positions in a cluster."""
        consumer = cluster.consumer(SETTINGS | {"group.id": self._group})
        try:
            return committed(cluster, consumer, self._group, places)
        finally:
            consumer.close()

    def open(
        self,
        name: str,
        decide: Callable[[bytes | None], tuple[bytes, Sequence[tuple[int, bytes]], Sequence[tuple[Cluster, Positions]]] | None],
        digests: str,
    ) -> None:
        """Opens a share. ``decide`` is given what the table holds once nobody else can open, and returns the record for the
        table, the digest partitions' records and the positions by cluster; or None if there is nothing to do.

        Raises:
            BrokerError: refused, or no answer; nothing is open then.
        """
        producer = self._producer(self._cluster)
        decided = decide(self.read().get(name))
        if decided is None:
            return
        record, records, positions = decided
        for cluster, commits in positions:
            if cluster is not self._cluster:
                other = self._producer(cluster)
                self._transaction(cluster, other, [], commits)
        mine = [commits for cluster, commits in positions if cluster is self._cluster]
        messages: list[tuple[str, int, bytes | None, bytes]] = [(digests, home, None, value) for home, value in records]
        messages.append((self._topic, 0, name.encode(), record))
        self._transaction(self._cluster, producer, messages, {k: v for commits in mine for k, v in commits.items()})

    def _producer(self, cluster: Cluster) -> Producer:
        return transactional(cluster, f"{self._topic}.open", _SECONDS, {"message.max.bytes": BLOCK_BYTES})

    def _transaction(
        self,
        cluster: Cluster,
        producer: Producer,
        messages: Sequence[tuple[str, int, bytes | None, bytes]],
        commits: Positions,
    ) -> None:
        consumer = cluster.consumer(SETTINGS | {"group.id": self._group})
        offsets = [TopicPartition(t, p, c.position, c.metadata.decode()) for (t, p), c in commits.items()]
        try:
            producer.begin_transaction()
            for topic, partition, key, value in messages:
                producer.produce(topic, value, key, partition)
            if offsets:
                send_offsets(cluster, producer, offsets, consumer.consumer_group_metadata())
            producer.commit_transaction(_SECONDS)
        except KafkaException as error:
            raise cluster.failed(f"opening a share of {self._topic}", error) from error
        finally:
            consumer.close()
