"""A producer that is given up is gone, with its threads and its connections: a worker that runs for months replaces many."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from confluent_kafka.admin import NewTopic

from stream_recon.adapters.kafka import client
from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.adapters.kafka.source import committed
from stream_recon.errors import Fenced
from stream_recon.ports import Commit
from tests.kafka.loading import consumer, until
from tools.kafka.broker import Broker

WITHIN_S = 30.0


@pytest.fixture
def cycles_stay() -> Iterator[None]:
    """As they do, for long, in a worker that makes few new objects that stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def clients() -> int:
    """Clients of librdkafka in this process: each has one such thread."""
    return sum(name.read_text(encoding="ascii").strip() == "rdk:main" for name in Path("/proc/self/task").glob("*/comm"))


def test_producers_that_are_replaced_or_fenced_do_not_stay(
    prefix: str, cycles_stay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OFFSETS_SECONDS", 1.0)
    with Broker() as broker:
        topic, group = f"{prefix}t", f"{prefix}g"
        cluster = Cluster((("bootstrap.servers", broker.bootstrap),))
        cluster.admin.create_topics([NewTopic(topic, 1)])[topic].result(WITHIN_S)
        member = consumer(broker.bootstrap, group=group)

        def outputs() -> KafkaOutputs:
            place = (topic, 0)
            return KafkaOutputs(cluster, f"{prefix}id", place, lambda: committed(cluster, member, group, [place]).get(place))

        def say(by: KafkaOutputs, position: int) -> None:
            by.say([(topic, b"key", b"%d" % position)], Commit(position, b""), member.consumer_group_metadata)

        before = clients()
        mine = outputs()
        say(mine, 1)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        Timer(2.0, os.kill, [broker.pid, signal.SIGCONT]).start()
        say(mine, 2)
        assert mine.replaced
        until(lambda: clients() == before + 1, WITHIN_S)
        others = outputs()
        with pytest.raises(Fenced):
            say(mine, 3)
        mine.close()
        del mine
        until(lambda: clients() == before + 1, WITHIN_S)
        others.close()
        member.close()
