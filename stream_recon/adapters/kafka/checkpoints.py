"""The topic of signed checkpoints: what a log has promised, and who may promise more.

A checkpoint is published by a transaction under one id for each deployment. So the broker keeps out whoever signed before, and
what is not published was never promised: two signers cannot make two histories of one log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_recon.adapters.kafka.client import Cluster, fenced, transactional
from stream_recon.adapters.kafka.peek import SETTINGS, read
from stream_recon.adapters.kafka.topics import Topics, record
from stream_recon.errors import Fenced, Undelivered, Unreachable

logger = logging.getLogger("stream_recon.kafka")

_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.5
_STRETCH: Final = 64
"""Positions at the end of the topic in which the newest checkpoint is looked for first."""
_FOR_GOOD: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class PublishedCheckpoints:
    """Those of the log ``origin``."""

    def __init__(self, cluster: Cluster, topic: str, origin: str, transactional_id: str) -> None:
        """Makes the topic if it is not there.

        Raises:
            BrokerError: no answer, not allowed, or the topic could lose messages.
        """
        self._cluster = cluster
        self._topic = topic
        self._origin = origin.encode()
        self._id = transactional_id
        self._producer: Producer | None = None
        self._last: bytes | None = None
        Topics(cluster).ensure([record(topic, 1)])

    def newest(self) -> bytes | None:
        """The note that was published last; None: none of this log.

        Raises:
            BrokerError: it cannot be read.
        """
        place, topics = (self._topic, 0), Topics(self._cluster)
        begin, end = topics.begins([place])[place], topics.ends([place], committed=True)[place]
        width = _STRETCH
        consumer = self._cluster.consumer(SETTINGS)
        try:
            while begin < end:
                start = max(begin, end - width)
                found = [m for m in read(self._cluster, consumer, {place: (start, end)}) if m.key() == self._origin]
                if found:
                    return found[-1].value()
                if start == begin:
                    break
                width *= 8
        finally:
            consumer.close()
        return None

    def take(self) -> bytes | None:
        """Makes this the one that publishes: whoever did before is fenced, and what that one had on its way is settled. Returns
        the newest note.

        Raises:
            BrokerError: no answer, or not allowed.
        """
        self._replace()
        self._last = self.newest()
        return self._last

    def publish(self, note: bytes, stopped: Callable[[], bool]) -> None:
        """Durable on return. A cluster that is away is waited for, until ``stopped``.

        Raises:
            Fenced: another signer has taken over; the note was not published.
            Undelivered: the topic does not take it.
            Unreachable: stopped, and whether it was published is not known.
        """
        while True:
            try:
                self._once(note)
            except KafkaException as error:
                self._settle(error, stopped)
                now = self._newest(stopped)
                if now == note:  # it had gone through
                    break
                if now != self._last:
                    raise self._fenced("another one published a checkpoint") from error
            else:
                break
        self._last = note

    def _once(self, note: bytes) -> None:
        assert self._producer is not None, "take comes first"
        self._producer.begin_transaction()
        self._producer.produce(self._topic, note, self._origin, 0)
        self._producer.commit_transaction(_SECONDS)

    def _settle(self, error: KafkaException, stopped: Callable[[], bool]) -> None:
        """A producer whose transaction ended in doubt is not used again: a new one settles it."""
        cause = error.args[0]
        if fenced(cause):
            raise self._fenced(cause.str()) from error
        if cause.code() in _FOR_GOOD:
            raise Undelivered(
                f"the checkpoint is not published: {self._cluster.failed(f'topic {self._topic}', error)}"
            ) from error
        logger.warning("publishing a checkpoint: %s; it is settled and tried again", cause.str())
        assert self._producer is not None
        self._producer.purge()
        self._patiently(self._replace, stopped)

    def _replace(self) -> None:
        self._producer = transactional(self._cluster, self._id, _SECONDS)

    def _newest(self, stopped: Callable[[], bool]) -> bytes | None:
        found: list[bytes | None] = []
        self._patiently(lambda: found.append(self.newest()), stopped)
        return found[0]

    def _patiently(self, work: Callable[[], None], stopped: Callable[[], bool]) -> None:
        while True:
            try:
                work()
            except Unreachable as error:
                if stopped():
                    raise
                logger.warning("%s", error)
                self._cluster.wait(_PAUSE_SECONDS)
            else:
                return

    def _fenced(self, why: str) -> Fenced:
        return Fenced(f"another signer of this deployment has taken over ({why}): this one ends; one signer at a time")
