"""A deployment of one's own for as long as a context lasts: source topics to fill, the workers of ``run``, what they put out.

    sources ─> send ──> source topics ─> normalise ─> digest log ─> reconcile ─> output topics ──> said
    hosted  ─> the workers, under the same supervisor as those of ``run``

When the contexts end, however they end, the workers are stopped and every topic and group is deleted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream_recon.adapters.kafka.client import REQUEST_SECONDS, Cluster
from stream_recon.adapters.kafka.peek import SETTINGS
from stream_recon.adapters.kafka.topics import OwnTopic, Topics
from stream_recon.cli import collecting
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.deployment import Deployment, removed
from stream_recon.cli.output import say
from stream_recon.cli.supervisor import Report, Supervisor
from stream_recon.cli.worker import Task
from stream_recon.engine.pipeline import AUDIT, DEAD_LETTERS, DISCREPANCIES
from stream_recon.engine.terms import Event
from stream_recon.errors import StateError
from stream_recon.model.plan import TopologyPlan
from stream_recon.ports import Place
from stream_recon.service.job import Names, Opened
from stream_recon.service.picture import NORMALISE, RECONCILE, Picture
from stream_recon.service.report import NormaliseReport, PartitionReport
from stream_recon.service.standing import Standing

_KEPT: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
}
"""A source topic holds what is sent, with the times that it is sent with, whatever the broker's defaults are."""

"""A worker that was killed is a member of its group until its session is over."""

_PAUSE_SECONDS: Final = 0.5
_BATCH: Final = 1_000


# ---- source topics -----------------------------------------------------------------------------------------------------


class Sources:
    """Topics to write to. ``delivered``: messages that the broker has. Not thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self.name = cluster.name
        self.delivered = 0
        self._cluster = cluster
        self._failed: tuple[str, KafkaError] | None = None
        self._producer = cluster.producer({"enable.idempotence": True, "linger.ms": 5, "log_level": 3, "on_delivery": self._told})

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self._failed = self._failed or (message.topic() or "", error)

    def send(self, topic: str, partition: int, timestamp: int, key: bytes, value: bytes | None) -> None:
        """Hands one message over; ``timestamp`` is its broker's time, ms.

        Raises:
            BrokerError: an earlier one was refused.
        """
        while True:
            try:
                self._producer.produce(topic, value, key, partition, timestamp=timestamp)
            except BufferError:
                self._producer.poll(_PAUSE_SECONDS)
            else:
                break
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Waits until the broker has all of it.

        Raises:
            BrokerError: it refused a message, or does not answer.
        """
        if self._producer.flush(REQUEST_SECONDS) and self._failed is None:
            raise self._cluster.failed("writing to the source topics", KafkaError(KafkaError._TIMED_OUT))
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            topic, error = self._failed
            raise self._cluster.failed(f"writing to topic {topic}", error)


@contextmanager
def sources(partitions: Mapping[str, int]) -> Iterator[Sources]:
    """Topics with so many partitions each, on the cluster of the environment; they are deleted at the end.

    Raises:
        BrokerError: the cluster does not answer, or does not make them.
    """
    cluster = cluster_of(())
    cluster.reach(REACH_SECONDS)
    try:
        Topics(cluster).ensure([OwnTopic(name, count, _KEPT, count) for name, count in partitions.items()])
        yield Sources(cluster)
    finally:
        removed(lambda: Topics(cluster).delete(partitions), ", ".join(partitions), say)


# ---- the service -------------------------------------------------------------------------------------------------------


class _Over(Exception):
    """The workers ended: nothing more is to be heard."""


class Hosted:
    """One worker of each stage. ``found``: bodies of what was put out, by kind of output topic."""

    def __init__(self, deployment: Deployment, opened: Sequence[Opened], state: Path) -> None:
        self.found: dict[str, list[bytes]] = {DISCREPANCIES: [], AUDIT: [], DEAD_LETTERS: []}
        self._cluster = deployment.cluster
        self._names = deployment.names
        self._opened = opened
        self._standing = Standing(deployment.plans)
        self._reports: dict[str, Report] = {}
        self._outputs = _Outputs(deployment.cluster, deployment.names)
        self._supervisor = Supervisor(self._heard, _warned, self._standing.gone)
        self._over = Flag()
        settings = tuple(sorted(deployment.cluster.settings.items()))
        self._tasks = [Task(s, f"{s}-0", None, deployment.names, settings, tuple(opened), state) for s in (NORMALISE, RECONCILE)]

    def start(self) -> None:
        """Starts the workers."""
        for task in self._tasks:
            self._supervisor.start(task)

    def run(self, work: Callable[[], None]) -> None:
        """Does ``work`` beside the workers: in a thread, since the supervisor wants the main one, and Ctrl-C goes there.

        Raises:
            ReconError: a worker failed for good, or a topology stopped; or what ``work`` raises.
        """
        failed: list[Exception] = []

        def guarded() -> None:
            try:
                work()
            except _Over:
                return
            except Exception as error:  # noqa: BLE001 - raised again below
                failed.append(error)

        thread = Thread(target=guarded, name="beside the workers")
        thread.start()
        try:
            while thread.is_alive():
                self._supervisor.turn()
                if stopped := self._stopped():
                    raise StateError("\n".join(stopped.values()))
        finally:
            self._over.set()
            thread.join()
        if failed:
            raise failed[0]

    def _heard(self, worker: str, incarnation: int, report: Report) -> None:
        self._reports[worker] = report
        self._standing.take(worker, incarnation, report)

    def _stopped(self) -> Mapping[str, str]:
        report = self._reading()
        return {} if report is None else report.stopped

    def _reading(self) -> NormaliseReport | None:
        """What the normalise worker said last, though it may be gone."""
        report = self._reports.get(f"{NORMALISE}-0")
        return report if isinstance(report, NormaliseReport) else None

    @property
    def partitions(self) -> tuple[PartitionReport, ...]:
        """The source partitions, by their reader's last word: another tuple with each one."""
        report = self._reading()
        return () if report is None else report.partitions

    def picture(self) -> Picture:
        """How all stands now."""
        return self._standing.picture()

    def said(self, seconds: float) -> list[Event]:
        """What discrepancies and certificates were put out since it was last asked; waits so long for more.

        Raises:
            BrokerError: the output topics cannot be read.
        """
        if self._over.is_set():
            raise _Over
        return self._kept(self._outputs.read(seconds))

    def rest(self) -> list[Event]:
        """All that was put out by now and not yet asked for.

        Raises:
            BrokerError: the output topics cannot be read.
        """
        return self._kept(self._outputs.rest())

    def _kept(self, messages: Sequence[Message]) -> list[Event]:
        events = []
        for message in messages:
            topic = (message.topic() or "").removeprefix(f"{self._names.prefix}.")
            body = message.value() or b""
            self.found[topic].append(body)
            if topic != DEAD_LETTERS:
                events.append(Event(topic, (message.key() or b"").decode(), body))
        return events

    def summary(self) -> dict[str, Any]:
        """What was found so far, as ``run --once`` tells it: from the output topics, accounted for by the normalise worker."""
        return collecting.summary(self._opened, self.found, self.partitions, self._stopped())

    def write(self, out: Path, summary: Mapping[str, Any]) -> None:
        """What was found, in the files that ``run --once`` writes.

        Raises:
            Undelivered: they could not be written.
        """
        collecting.write(out, self.found, summary)

    def close(self) -> None:
        """Stops the workers in order."""
        try:
            self._supervisor.stop()
        finally:
            self._outputs.close()


@contextmanager
def hosted(plans: Sequence[TopologyPlan], state: Path, digest_partitions: int) -> Iterator[Hosted]:
    """The service on topologies whose topics hold messages already; its topics and groups are deleted at the end.

    Raises:
        ReconError: it cannot be started.
    """
    deployment = Deployment(plans, Names(plans[0].prefix), digest_partitions)
    deployment.reach()
    service = None
    try:
        service = Hosted(deployment, deployment.open(deployment.prepare()), state)
        service.start()
        yield service
    finally:
        try:
            if service is not None:
                service.close()
        finally:
            what = f"topics and groups that begin with {deployment.names.prefix}."
            removed(lambda: deployment.remove(outputs=True), what, say)


class _Outputs:
    """Follows the output topics from their beginning; what is in an open transaction is not there yet."""

    def __init__(self, cluster: Cluster, names: Names) -> None:
        self._cluster = cluster
        self._reached: dict[Place, int] = dict.fromkeys(collecting.output_ends(cluster, names), 0)
        self._consumer: Consumer = cluster.consumer(SETTINGS)
        self._consumer.assign([TopicPartition(*place, 0) for place in self._reached])

    def read(self, seconds: float) -> list[Message]:
        """What came, each partition in order."""
        found = []
        for message in self._consumer.consume(_BATCH, seconds):
            place, offset, error = (message.topic() or "", message.partition() or 0), message.offset() or 0, message.error()
            if error is None:
                self._reached[place] = offset + 1
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._reached[place] = offset
            elif error.code() not in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:
                raise self._cluster.failed(f"reading {place[0]}/{place[1]}", error)
        return found

    def rest(self) -> list[Message]:
        """All that is there."""
        ends = Topics(self._cluster).ends(self._reached, committed=True)
        found: list[Message] = []
        deadline = time.monotonic() + REQUEST_SECONDS
        while any(self._reached[place] < end for place, end in ends.items()):
            found += self.read(_PAUSE_SECONDS)
            if time.monotonic() > deadline:
                raise self._cluster.failed("reading the output topics", KafkaError(KafkaError._TIMED_OUT))
        return found

    def close(self) -> None:
        self._consumer.close()


def _warned(record: logging.LogRecord, worker: str) -> None:
    """A log record of a worker, if it is more than what everybody expects."""
    if record.levelno >= logging.WARNING:
        say(f"{worker}: {record.getMessage()}")
