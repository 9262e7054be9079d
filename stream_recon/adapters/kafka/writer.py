"""The idempotent producer: blocks to the digest log, dead letters to their topic; each partition in order, nothing twice.

No deadline on a message: a broker that is away for an hour delays blocks and loses none. What is on its way is bounded by
whoever sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from stream_recon.adapters.kafka.client import Cluster, run_headers
from stream_recon.adapters.kafka.topics import BLOCK_BYTES
from stream_recon.errors import Undelivered

_POLL_SECONDS: Final = 0.2


class KafkaWriter:
    """Appends, and says when a message is safe."""

    def __init__(self, cluster: Cluster, run: str | None = None) -> None:
        """``run``: told in a header of each message."""
        self._cluster = cluster
        self._headers = run_headers(run)
        self._failed: tuple[str, KafkaError] | None = None
        self._clock: tuple[int, float] | None = None
        self._producer: Producer = cluster.producer(
            {
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "message.max.bytes": BLOCK_BYTES,
                "partitioner": "murmur2_random",
            },
            {"queue.buffering.max.kbytes": 1_048_576, "linger.ms": 5},
        )

    def send(self, topic: str, partition: int | None, key: bytes | None, value: bytes, done: Callable[[], None]) -> None:
        """Hands a message over; ``partition`` None: by key. ``done`` is called from ``poll`` once it is safe.

        Raises:
            Undelivered: the topic does not take it.
            BrokerError: an earlier message failed for good.
        """

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed = self._failed or (topic, error)
                return
            kind, milliseconds = message.timestamp()
            if kind == TIMESTAMP_LOG_APPEND_TIME:
                self._clock = milliseconds * 1000, self._cluster.now()
            done()

        place = -1 if partition is None else partition
        while True:
            try:
                self._producer.produce(topic, value, key, place, on_delivery=report, headers=self._headers)
            except BufferError:
                self.poll(_POLL_SECONDS)
            except KafkaException as error:
                raise self._refused(topic, error.args[0]) from error
            else:
                return

    def poll(self, seconds: float) -> None:
        """Lets acknowledgements in.

        Raises:
            Undelivered, BrokerError: a message failed for good.
        """
        self._producer.poll(seconds)
        if self._failed is not None:
            raise self._refused(*self._failed)

    def flush(self) -> None:
        """Waits until every message is safe; raises as ``poll``."""
        while self._producer.flush(_POLL_SECONDS):
            self.poll(0)
        self.poll(0)

    def _refused(self, topic: str, error: KafkaError) -> Exception:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Undelivered(
                f"topic {topic} does not take a message of ours, its max.message.bytes is too small; raise it:\n"
                f"  kafka-configs.sh --bootstrap-server {self._cluster.name} --alter --entity-type topics --entity-name {topic} "
                f"--add-config max.message.bytes={BLOCK_BYTES}"
            )
        return self._cluster.failed(f"writing to topic {topic}", error)

    def now(self) -> int | None:
        """The broker's time in µs: that of the newest message that is safe, and what passed here since; so never too late."""
        if self._clock is None:
            return None
        stamped, seen = self._clock
        return stamped + int((self._cluster.now() - seen) * 1_000_000)

    def close(self) -> None:
        """Drops what is not on its way yet."""
        self._producer.purge()
        self._producer.poll(0)
