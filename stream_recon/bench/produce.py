"""The benchmark's topics: made, filled, and taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import OwnTopic, Topics
from stream_recon.bench.data import Plan
from stream_recon.bench.payloads import Chunk, messages
from stream_recon.errors import BrokerError

SETTINGS: Final = {
    "enable.idempotence": True,
    "linger.ms": 50,
    "batch.num.messages": 10_000,
    "batch.size": 1_000_000,
    "compression.type": "lz4",
}
"""Large compressed batches, as a connector under load writes them: small ones would make reading dearer for everybody."""

_KEPT: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Event time lies in the past: a broker with the usual retention would delete it at once."""


@dataclass(frozen=True, slots=True)
class Form:
    """How messages are encoded. ``schema``: with the schema in every message."""

    encoding: str
    schema: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """Messages of one topic, and the octets of their values."""

    messages: int
    octets: int


def make(cluster: Cluster, topics: Iterable[str], partitions: int) -> None:
    """Makes the two topics.

    Raises:
        BrokerError: they cannot be made.
    """
    Topics(cluster).ensure([OwnTopic(name, partitions, _KEPT, partitions) for name in topics])


def fill(
    cluster: Cluster,
    plan: Plan,
    topics: tuple[str, str],
    form: Form,
    partitions: int,
    progress: Callable[[str, int, int], None],
) -> Filled:
    """Writes both sides.

    Raises:
        BrokerError: the broker does not take them.
    """
    done = octets = 0
    for topic, rows in zip(topics, (plan.source, plan.target), strict=True):
        writer = Writer(cluster, topic)
        for chunk in messages(rows, form.encoding, partitions, schema=form.schema):
            writer.write(chunk)
            octets += sum(map(len, chunk.value))
            done += len(chunk.value)
            progress("writing messages", done, len(plan))
        writer.close()
    return Filled(done, octets)


class Writer:
    """One topic."""

    def __init__(self, cluster: Cluster, topic: str, settings: Mapping[str, int] | None = None) -> None:
        self._cluster = cluster
        self._topic = topic
        self._producer: Producer = cluster.producer({**SETTINGS, **(settings or {}), "on_delivery": self._delivered})
        self._failed: KafkaError | None = None

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._failed = self._failed or error

    def write(self, chunk: Chunk) -> None:
        """Gives it to the client."""
        produce, topic = self._producer.produce, self._topic
        for partition, timestamp, key, value in zip(chunk.partition, chunk.timestamp, chunk.key, chunk.value, strict=True):
            try:
                produce(topic, value, key, partition, timestamp=timestamp)
            except BufferError:
                self._producer.flush()
                produce(topic, value, key, partition, timestamp=timestamp)
        self._producer.poll(0)

    def close(self) -> None:
        """Waits until the broker has all of it.

        Raises:
            BrokerError: it does not take it.
        """
        left = self._producer.flush(60)
        if self._failed is not None or left:
            told = self._cluster.failed(f"writing to {self._topic}", self._failed) if self._failed else None
            raise BrokerError(str(told or f"writing to {self._topic}: {left} messages are not acknowledged after 60 s"))
