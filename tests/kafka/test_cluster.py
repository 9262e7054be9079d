"""Three brokers that hold everything three times: what is asked of one that is away, another one answers."""

from threading import Thread

from confluent_kafka.admin import NewTopic

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.adapters.kafka.source import committed
from stream_recon.adapters.kafka.topics import Topics, table
from stream_recon.ports import Commit
from tests.kafka.loading import consumer, positions, read, until
from tools.kafka.cluster import Brokers

WITHIN_S = 30.0


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


def test_a_transaction_goes_through_although_the_coordinator_of_its_group_has_left(brokers: Brokers, prefix: str) -> None:
    """As one must when brokers are restarted: the client by itself may wait for the one that left as long as that is away."""
    topic, group = f"{prefix}t", f"{prefix}g"
    cluster = Cluster((("bootstrap.servers", brokers.bootstrap),))
    cluster.admin.create_topics([NewTopic(topic, 1)])[topic].result(WITHIN_S)
    member = consumer(brokers.bootstrap, group=group)
    outputs = KafkaOutputs(
        cluster, f"{prefix}id", (topic, 0), lambda: committed(cluster, member, group, [(topic, 0)]).get((topic, 0)), {topic: 1}
    )
    outputs.say([(topic, b"key", b"one")], Commit(1, b""), member.consumer_group_metadata)
    coordinator = cluster.admin.describe_consumer_groups([group])[group].result(WITHIN_S).coordinator
    node = brokers.nodes[coordinator.id - 1]
    node.stop()
    try:
        until(lambda: coordinator.id not in outputs._producer.list_topics(timeout=WITHIN_S).brokers)
        again = Thread(
            target=outputs.say, args=[[(topic, b"key", b"two")], Commit(2, b""), member.consumer_group_metadata], daemon=True
        )
        again.start()
        again.join(WITHIN_S)
        assert not again.is_alive()
    finally:
        node.start()
    assert [o.value for o in read(brokers.bootstrap, [topic])] == [b"one", b"two"]
    assert positions(brokers.bootstrap, group, topic) == {(topic, 0): 2}
    member.close()
