"""Topics followed from given positions on, outside of any group: what is committed, partition by partition in order."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.peek import SETTINGS
from stream_recon.adapters.kafka.source import PASSING
from stream_recon.errors import LogError
from stream_recon.ports import Place


class Followed:
    """Partitions and how far each is read. Not thread-safe."""

    def __init__(self, cluster: Cluster, positions: Mapping[Place, int]) -> None:
        self.positions = dict(positions)
        self._cluster = cluster
        self._consumer: Consumer = cluster.consumer(SETTINGS)
        self._consumer.assign([TopicPartition(*place, position) for place, position in positions.items()])

    def poll(self, limit: int, seconds: float) -> list[tuple[Place, Message]]:
        """Up to ``limit`` messages, or what comes within ``seconds``. What is not polled for waits, within the client's bounds.

        Raises:
            LogError: a position is no longer in its topic.
            BrokerError: a topic is refused to us.
        """
        try:
            batch = self._consumer.consume(limit, seconds)
        except KafkaException as error:
            raise self._cluster.failed("reading", error) from error
        found = []
        for message in batch:
            place = message.topic() or "", message.partition() or 0
            if message.error() is None:
                self.positions[place] = (message.offset() or 0) + 1
                found.append((place, message))
            else:
                self._error(place, message)
        return found

    def _error(self, place: Place, message: Message) -> None:
        error = message.error()
        assert error is not None
        if error.code() == KafkaError._PARTITION_EOF:
            self.positions[place] = max(self.positions[place], message.offset() or 0)  # behind markers of transactions
        elif error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            raise LogError(
                f"{place[0]}/{place[1]} no longer holds offset {self.positions[place]}, which is still to be read: it was cut, "
                "or made anew"
            )
        elif error.code() not in PASSING or error.fatal():
            raise self._cluster.failed(f"reading {place[0]}" if place[0] else "reading", error)

    def close(self) -> None:
        """Releases the consumer."""
        self._consumer.close()
