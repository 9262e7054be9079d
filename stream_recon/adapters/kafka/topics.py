"""Topics as the admin client sees them: what there is, where it begins and ends, and the topics that a deployment owns.

A topic of ours is made with the settings that it needs. One that is there already is checked, and refused with the command that
mends it: a compacted digest log or a short retention would lose what nobody could see was lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import ConfigResource, ConsumerGroupDescription, NewTopic, OffsetSpec, ResourceType

from stream_recon.adapters.kafka.client import REQUEST_SECONDS, Cluster
from stream_recon.errors import BrokerError
from stream_recon.ports import Place, TopicInfo

BLOCK_BYTES: Final = 16 * 1024**2
"""Largest message of the digest log: normalise flushes a block long before, but one partition may get all of its rows."""

EVENT_BYTES: Final = 1_048_588
"""Largest message of the other topics, Kafka's own default: an event holds one key, a certificate no rows."""

UNSIGNED_MS: Final = 7 * 24 * 3600 * 1000
"""How long a signer may be away at most: a week, so that nobody must come for it on a Sunday."""

_SOON: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
"""What a topic made a moment ago, a partition whose leader moves, or a broker that has just begun, answers for a while."""

_PAUSE_SECONDS: Final = 0.2
_ATTEMPT_SECONDS: Final = 5.0
"""A request to a leader that is away waits so long for it, before another leader is looked for."""
_REPLICAS: Final = 3
_FOREVER: Final = "-1"


@dataclass(frozen=True, slots=True)
class OwnTopic:
    """A topic of ours, and the settings that it must have. ``partitions`` 0: as many as are there, else ``default``."""

    name: str
    default: int
    settings: Mapping[str, str]
    partitions: int = 0


def digest_log(name: str, partitions: int, *, exactly: bool) -> OwnTopic:
    """The digest log: kept for ever, stamped by the broker (its append time is the time in every event)."""
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": _FOREVER,
        "retention.bytes": _FOREVER,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(BLOCK_BYTES),
    }
    return OwnTopic(name, partitions, settings, partitions if exactly else 0)


def table(name: str, partitions: int) -> OwnTopic:
    """A topic whose newest message by key is the state: what is open, which topologies there are."""
    return OwnTopic(name, partitions, {"cleanup.policy": "compact", "max.message.bytes": str(EVENT_BYTES)})


def events(name: str, partitions: int) -> OwnTopic:
    """A table of which whoever signs must have read every message before a newer one of its key may take its place."""
    of_a_table = table(name, partitions)
    return OwnTopic(name, partitions, {**of_a_table.settings, "min.compaction.lag.ms": str(UNSIGNED_MS)})


def record(name: str, partitions: int) -> OwnTopic:
    """A topic of which nothing may go: the audit trail."""
    settings = {"cleanup.policy": "delete", "retention.ms": _FOREVER, "retention.bytes": _FOREVER}
    return OwnTopic(name, partitions, settings | {"max.message.bytes": str(EVENT_BYTES)})


class Topics:
    """The topics of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    # ---- looking -------------------------------------------------------------------------------------------------------

    def describe(self, names: Iterable[str]) -> dict[str, TopicInfo]:
        """What there is of ``names``; a topic that is not there is not in the answer.

        Raises:
            BrokerError: no answer, or not allowed.
        """
        wanted = sorted(set(names))
        if not wanted:
            return {}
        found = {}
        futures = self.cluster.admin.describe_topics(TopicCollection(wanted), request_timeout=REQUEST_SECONDS)
        for name, future in futures.items():
            try:
                topic = future.result()
            except KafkaException as error:
                if error.args[0].code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:
                    continue
                raise self.cluster.failed(f"topic {name}", error) from error
            replicas = min((len(p.replicas) for p in topic.partitions), default=0)
            found[name] = TopicInfo(str(topic.topic_id), len(topic.partitions), replicas)
        self.cluster.answered()
        return found

    def ends(self, places: Iterable[Place], *, committed: bool = False) -> dict[Place, int]:
        """End of each partition, asked anew: after the last message, or (``committed``) after the last one that is no part of an
        open transaction.
        """
        isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        return self._offsets({p: OffsetSpec.latest() for p in places}, isolation)

    def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        """First offset of each partition that retention has left."""
        return self._offsets({p: OffsetSpec.earliest() for p in places}, IsolationLevel.READ_UNCOMMITTED)

    def at_time(self, places: Iterable[Place], milliseconds: int) -> dict[Place, int]:
        """First offset of each partition at or after a broker time; its end where there is none."""
        wanted = list(places)
        found = self._offsets({p: OffsetSpec.for_timestamp(milliseconds) for p in wanted}, IsolationLevel.READ_UNCOMMITTED)
        late = [p for p in wanted if found[p] < 0]
        return found | self.ends(late)

    def _offsets(self, asked: Mapping[Place, OffsetSpec], isolation: IsolationLevel) -> dict[Place, int]:
        found: dict[Place, int] = {}
        left = dict(asked)
        deadline = time.monotonic() + REQUEST_SECONDS
        while left:
            request = {TopicPartition(topic, partition): spec for (topic, partition), spec in left.items()}
            futures = self.cluster.admin.list_offsets(request, isolation_level=isolation, request_timeout=_ATTEMPT_SECONDS)
            for place, future in futures.items():
                where = f"offsets of {place.topic}/{place.partition}"
                try:
                    offset = int(future.result().offset)
                except KafkaException as error:
                    if error.args[0].code() not in _SOON or time.monotonic() > deadline:
                        raise self.cluster.failed(where, error) from error
                    continue
                if offset != OFFSET_INVALID:  # what a leader that is away could not be asked stands in the answer so
                    found[place.topic, place.partition] = offset
                elif time.monotonic() > deadline:
                    raise self.cluster.failed(where, KafkaError(KafkaError._TIMED_OUT))
            left = {place: spec for place, spec in left.items() if place not in found}
            if left:
                self._look_for_leaders()
                time.sleep(_PAUSE_SECONDS)
        self.cluster.answered()
        return found

    def _look_for_leaders(self) -> None:
        """What the client knows of leaders it would believe for minutes, whatever they answer."""
        with suppress(KafkaException):  # the next request tells
            self.cluster.admin.list_topics(timeout=_ATTEMPT_SECONDS)

    def compacted(self, names: Iterable[str]) -> set[str]:
        """Which of ``names`` are compacted.

        Raises:
            BrokerError: no answer, or not allowed.
        """
        return {name for name, settings in self._settings(names).items() if "compact" in settings["cleanup.policy"]}

    def _settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        left = set(names)
        deadline = time.monotonic() + REQUEST_SECONDS
        while left:
            resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(left)]
            for resource, future in self.cluster.admin.describe_configs(resources, request_timeout=REQUEST_SECONDS).items():
                try:
                    entries: dict[str, Any] = future.result()
                except KafkaException as error:
                    if error.args[0].code() not in _SOON or time.monotonic() > deadline:
                        raise self.cluster.failed(f"settings of topic {resource.name}", error) from error
                else:
                    found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
            left -= found.keys()
            if left:
                time.sleep(_PAUSE_SECONDS)
        return found

    # ---- our own -------------------------------------------------------------------------------------------------------

    def ensure(self, own: Sequence[OwnTopic]) -> dict[str, int]:
        """Makes what is missing and checks what is there; returns the number of partitions of each.

        Raises:
            BrokerError: a topic has settings that would break promises, or could not be made; with the command that mends it.
        """
        there = self.describe(t.name for t in own)
        missing = [t for t in own if t.name not in there]
        if missing:
            self._make(missing)
            there = self._made([t.name for t in own])
        settings = self._settings(t.name for t in own)
        wrong = [text for t in own for text in self._wrong(t, there[t.name], settings[t.name])]
        if wrong:
            raise BrokerError("\n".join(wrong))
        return {t.name: there[t.name].partitions for t in own}

    def _make(self, missing: Sequence[OwnTopic]) -> None:
        replicas = min(_REPLICAS, len(self.cluster.admin.list_topics(timeout=REQUEST_SECONDS).brokers))
        safe = {"min.insync.replicas": "2"} if replicas == _REPLICAS else {}
        new = [NewTopic(t.name, t.partitions or t.default, replicas, config={**t.settings, **safe}) for t in missing]
        for name, future in self.cluster.admin.create_topics(new, operation_timeout=REQUEST_SECONDS).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was quicker
                    continue
                topic = next(t for t in missing if t.name == name)
                told = self.cluster.failed(f"making topic {name}", error)
                raise BrokerError(f"{told}\nor make it yourself:\n  {self._command(topic, replicas, safe)}") from error

    def _made(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """All of ``names``: a broker may hear of a topic that was made a moment later."""
        deadline = time.monotonic() + REQUEST_SECONDS
        while missing := set(names) - (there := self.describe(names)).keys():
            if time.monotonic() > deadline:
                raise BrokerError(f"topic {min(missing)} was made, and {self.cluster.name} does not show it; start again")
            time.sleep(_PAUSE_SECONDS)
        return there

    def _command(self, topic: OwnTopic, replicas: int, safe: Mapping[str, str]) -> str:
        settings = " ".join(f"--config {k}={v}" for k, v in {**topic.settings, **safe}.items())
        return (
            f"kafka-topics.sh --bootstrap-server {self.cluster.name} --create --topic {topic.name} "
            f"--partitions {topic.partitions or topic.default} --replication-factor {replicas} {settings}"
        )

    def _wrong(self, topic: OwnTopic, there: TopicInfo, settings: Mapping[str, str]) -> Iterable[str]:
        if topic.partitions and there.partitions != topic.partitions:
            yield (
                f"topic {topic.name}: expected {topic.partitions} partitions, got {there.partitions}: their number is fixed for "
                "the log's life; leave --digest-partitions out, or give another outputs.prefix"
            )
        off = {name: value for name, value in topic.settings.items() if not _satisfies(name, settings.get(name, ""), value)}
        if off:
            told = ", ".join(f"{name} {value} instead of {settings.get(name)}" for name, value in off.items())
            command = ",".join(f"{name}={value}" for name, value in off.items())
            yield (
                f"topic {topic.name}: needs {told}:\n  kafka-configs.sh --bootstrap-server {self.cluster.name} --alter "
                f"--entity-type topics --entity-name {topic.name} --add-config {command}"
            )

    def delete(self, names: Iterable[str]) -> None:
        """Deletes topics; those that are not there are passed over."""
        there = self.describe(names)
        if not there:
            return
        for name, future in self.cluster.admin.delete_topics(list(there), operation_timeout=REQUEST_SECONDS).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise self.cluster.failed(f"deleting topic {name}", error) from error

    def group(self, group: str) -> ConsumerGroupDescription | None:
        """A consumer group as it is now; None if it is not there.

        Raises:
            BrokerError: no answer, or not allowed.
        """
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            (future,) = self.cluster.admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS).values()
            try:
                found: ConsumerGroupDescription = future.result()
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return None
                if code not in _SOON or time.monotonic() > deadline:
                    raise self.cluster.failed(f"consumer group {group}", error) from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return found

    def forget_groups(self, groups: Sequence[str]) -> None:
        """Deletes consumer groups; those that are not there are passed over."""
        for name, future in self.cluster.admin.delete_consumer_groups(list(groups)).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise self.cluster.failed(f"deleting consumer group {name}", error) from error


def _satisfies(name: str, there: str, needed: str) -> bool:
    """Whether a setting is as good as needed: bounds may be wider; a table may delete by time only if told so by hand."""
    if name in {"max.message.bytes", "min.compaction.lag.ms"}:
        return int(there or 0) >= int(needed)
    return there == needed
