"""Our clients on three real brokers, of which one is away or has not heard the newest."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import NewTopic

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import Topics, table
from tests.kafka.loading import until
from tools.kafka.cluster import Brokers

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    with Brokers() as all_of_them:
        yield all_of_them


def test_ends_are_told_although_leaders_have_moved(brokers: Brokers, prefix: str) -> None:
    """As a worker asks for them, which runs for months: what it knew of leaders is old."""
    topic = f"{prefix}t"
    topics = Topics(Cluster((("bootstrap.servers", brokers.bootstrap),)))
    topics.cluster.admin.create_topics([NewTopic(topic, 6)])[topic].result(WITHIN_S)
    places = [(topic, partition) for partition in range(6)]
    until(lambda: topic in topics.describe([topic]))
    assert topics.ends(places) == dict.fromkeys(places, 0)
    brokers.nodes[0].stop()
    assert topics.ends(places) == dict.fromkeys(places, 0)
    brokers.nodes[0].start()
    brokers.await_in_sync()
    assert topics.ends(places) == dict.fromkeys(places, 0)


def test_topics_are_made_and_checked_whichever_broker_is_asked(brokers: Brokers, prefix: str) -> None:
    """One of them may not have heard of a topic that was made a moment ago."""
    for number in range(8):
        topics = Topics(Cluster((("bootstrap.servers", brokers.bootstrap),)))
        own = [table(f"{prefix}{number}-{name}", 4) for name in "abc"]
        assert topics.ensure(own) == {topic.name: 4 for topic in own}
