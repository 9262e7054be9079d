"""The source of a worker on a real broker: a pause does not outlive the taking of a partition."""

import time
from collections.abc import Mapping, Sequence
from uuid import uuid4

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.source import KafkaSource
from stream_recon.ports import Group, Place, Source
from tests.kafka.loading import Message, load

WITHIN_S = 30.0


class Takes:
    """Begins every partition at 0."""

    def __init__(self) -> None:
        self.held: list[Place] = []

    def assigned(self, _: Source, places: Sequence[Place]) -> Mapping[Place, int]:
        self.held += places
        return dict.fromkeys(places, 0)

    def revoked(self, _: Source, places: Sequence[Place]) -> None:
        self.held = [place for place in self.held if place not in places]

    lost = revoked


def until(source: KafkaSource, offset: int) -> None:
    """Polls until a message at this offset came."""
    deadline = time.monotonic() + WITHIN_S
    while not any(offset in stretch.offset for stretch in source.poll(100, 0.2).stretches):
        assert time.monotonic() < deadline, f"no message at {offset}"


def test_what_was_paused_is_read_when_it_is_sought_or_taken_again(bootstrap: str, prefix: str) -> None:
    topic = f"{prefix}topic"
    load(bootstrap, [Message(topic, 0, at, 10**12, b"k", b"v") for at in range(3)])
    group = Group(f"{prefix}{uuid4().hex}")
    takes = Takes()
    source = KafkaSource(Cluster((("bootstrap.servers", bootstrap),)), group)
    source.subscribe([topic], takes)
    try:
        until(source, 2)
        source.pause([(topic, 0)])
        source.seek((topic, 0), 0)
        until(source, 2)
        source.pause([(topic, 0)])
        consumer = source._consumer
        consumer.unsubscribe()
        deadline = time.monotonic() + WITHIN_S
        while takes.held:
            assert time.monotonic() < deadline
            source.poll(1, 0.1)
        source.subscribe([topic], takes)
        until(source, 2)
    finally:
        source.close()
