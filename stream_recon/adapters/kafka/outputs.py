"""Outputs: one transactional producer for each digest partition, under an id that stays, so that a former owner is fenced.

What is said of a digest partition stands in one partition of each topic, in order: events and the certificate that holds them are
found again in the order in which its root was taken.

One ``say`` is one transaction: events and the position in the digest log, with the consumer group's metadata (DESIGN section 5).
A producer whose transaction ended in doubt is never used again: a new one under the same id settles the old transaction one way
or the other, and the committed position tells which. A cluster that is away is waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from stream_recon.adapters.kafka.client import FENCED, Cluster, run_headers, send_offsets, transactional
from stream_recon.adapters.kafka.topics import BLOCK_BYTES
from stream_recon.errors import BrokerError, Fenced, Undelivered
from stream_recon.ports import Commit, Place

logger = logging.getLogger("stream_recon.kafka")

Messages = Sequence[tuple[str, bytes, bytes]]
"""Topic, key, value."""
Headers = list[tuple[str, str | bytes | None]]

TRANSACTION_MS: Final = 60_000
REBALANCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2
_KEEPS_BROKERS: Final = {"metadata.recovery.strategy": "none"}
"""When all connections are cut at once, librdkafka would else forget the brokers and begin anew, and a transaction on its way
would wait for a coordinator that is forgotten. Where all brokers have moved, a new producer finds them.
"""
_REBALANCING: Final = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
}
"""The group changed: we are a member of its next generation a moment later, or not any more."""
_FOR_GOOD: Final = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART}


class KafkaOutputs:
    """Transactions of one digest partition. ``committed`` reads its position, waiting for transactions on their way."""

    def __init__(
        self,
        cluster: Cluster,
        transactional_id: str,
        place: Place,
        committed: Callable[[], Commit | None],
        widths: Mapping[str, int],
        run: str | None = None,
        describe: Callable[[bytes], Headers] = lambda _: [],
    ) -> None:
        """Fences whoever wrote under the id before, and settles what that one left. ``widths``: partitions of each topic;
        ``run``: told in a header of each message; ``describe``: headers of a value.

        Raises:
            BrokerError: no answer, or not allowed.
        """
        self._cluster = cluster
        self._id = transactional_id
        self._place = place
        self._committed = committed
        self._widths = widths
        self._headers = run_headers(run)
        self._describe = describe
        self.transactions, self.replaced, self.seconds = 0, 0, 0.0
        self._failures: list[tuple[str, KafkaError]] = []
        self._producer = self._fresh()

    def _fresh(self) -> Producer:
        usual = {"transaction.timeout.ms": TRANSACTION_MS, "linger.ms": 5, **_KEEPS_BROKERS}
        return transactional(self._cluster, self._id, TRANSACTION_MS / 1000, unless=usual)

    def say(self, messages: Messages, commit: Commit, membership: Callable[[], Any]) -> None:
        """One transaction, durable on return. ``membership``: the consumer group's metadata as it is then.

        Raises:
            Fenced: another worker holds the digest partition; nothing of this was put out.
            Undelivered: a topic does not take a message.
        """
        began = self._cluster.now()
        while True:
            try:
                self._once(messages, commit, membership())
            except KafkaException as error:
                self._give_up(error, self._cluster.now() - began, [topic for topic, _, _ in messages])
                if error.args[0].code() in _REBALANCING:
                    self._cluster.wait(_PAUSE_SECONDS)  # the client joins the new generation by itself, if we are still a member
                    self._abort()
                    continue
                logger.warning("transaction of %s/%s: %s; it is settled and tried again", *self._place, error.args[0].str())
                self._replace()
                if self._committed() == commit:  # it had gone through
                    break
            else:
                break
        self.transactions += 1
        self.seconds += self._cluster.now() - began

    def _abort(self) -> None:
        """Nothing of it had gone through: its end was never asked for."""
        try:
            self._producer.abort_transaction(TRANSACTION_MS / 1000)
        except KafkaException as error:
            if error.args[0].code() in FENCED:
                raise self._fenced(error) from error
            self._replace()

    def _fenced(self, error: KafkaException) -> Fenced:
        return Fenced(f"digest partition {self._place[1]}: another worker holds it now ({error.args[0].str()})")

    def _give_up(self, error: KafkaException, seconds: float, topics: Sequence[str]) -> None:
        """Raises where another attempt cannot help."""
        cause = error.args[0]
        if cause.code() in FENCED or (cause.code() in _REBALANCING and seconds > REBALANCE_SECONDS):
            raise self._fenced(error) from error
        if (self._failures or [("", cause)])[0][1].code() in _FOR_GOOD:
            raise self._told(error, topics) from error

    def _once(self, messages: Messages, commit: Commit, membership: Any) -> None:
        self._failures = []
        self._producer.begin_transaction()
        for topic, key, value in messages:
            self._produce(topic, key, value)
        offset = TopicPartition(*self._place, commit.position, commit.metadata.decode())
        send_offsets(self._cluster, self._producer, [offset], membership)
        self._producer.commit_transaction(TRANSACTION_MS / 1000)

    def _produce(self, topic: str, key: bytes, value: bytes) -> None:
        failures, partition = self._failures, self._place[1] % self._widths.get(topic, 1)  # the broker tells of one that is gone

        def report(error: KafkaError | None, _: object) -> None:
            """Does not hold the producer, which holds it: of a transaction that is purged nobody takes the reports any more."""
            if error is not None:
                failures.append((topic, error))

        headers = [*self._describe(value), *self._headers]
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=report, headers=headers)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _replace(self) -> None:
        """Never used again after a doubt (librdkafka speaks the protocol before KIP-890)."""
        self._producer.purge()
        self.replaced += 1
        while True:
            try:
                self._producer = self._fresh()
            except BrokerError as error:
                if isinstance(error, Fenced):
                    raise
                logger.warning("%s", error)
                self._cluster.wait(_PAUSE_SECONDS)
            else:
                return

    def _told(self, error: KafkaException, topics: Iterable[str]) -> Undelivered:
        topic, cause = (self._failures or [(" or ".join(sorted(set(topics))), error.args[0])])[0]
        if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Undelivered(
                f"topic {topic} does not take an event, its max.message.bytes is too small; raise it:\n  kafka-configs.sh "
                f"--bootstrap-server {self._cluster.name} --alter --entity-type topics --entity-name {topic} "
                f"--add-config max.message.bytes={BLOCK_BYTES}"
            )
        return Undelivered(f"results could not be put out: {self._cluster.failed(f'topic {topic}', cause)}")

    def close(self) -> None:
        """Releases the producer; there is no transaction open between two ``say``, unless it was fenced."""
        self._producer.purge()
