"""What the adapters ask of the admin client, of the modelled broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_recon.sim.line import Line, fault


@dataclass(frozen=True, slots=True)
class _Answer:
    """A future that is done."""

    value: Any
    error: KafkaException | None = None

    def result(self, timeout: float | None = None) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class _Described:
    topic_id: str
    partitions: list[Any]


@dataclass(frozen=True, slots=True)
class _Partition:
    replicas: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class _Offset:
    offset: int


class SimAdmin:
    """What the adapters ask of the admin client."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._broker = line.broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, _Answer]:
        self._line.request("describe", request_timeout)
        return {name: self._described(name) for name in topics.topic_names}

    def _described(self, name: str) -> _Answer:
        topic = self._broker.topics.get(name)
        if topic is None:
            return _Answer(None, fault(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))
        return _Answer(_Described(topic.id, [_Partition()] * len(topic.logs)))

    def list_offsets(
        self, asked: Mapping[TopicPartition, Any], isolation_level: Any, request_timeout: float
    ) -> dict[Any, _Answer]:
        self._line.request("offsets", request_timeout)
        return {part: self._offset(part, spec) for part, spec in asked.items()}

    def _offset(self, part: TopicPartition, spec: Any) -> _Answer:
        log = self._broker.log((part.topic, part.partition))
        if log is None:
            return _Answer(None, fault(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))
        return _Answer(_Offset(log.begin if spec._value == -2 else log.end))
