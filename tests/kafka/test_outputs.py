"""Producers of transactions: one that is given up is gone, with its threads and connections, and none is given up in haste."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.kafka.loading import consumer, read, until
from tools.kafka.broker import Broker, Member, new_cluster
from tools.kafka.network import HOST, choose_ports
from tools.kafka.proxy import Proxy

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


Say = Callable[[KafkaOutputs, int], None]


@contextmanager
def desk(bootstrap: str, prefix: str, by: str) -> Iterator[tuple[Callable[[], KafkaOutputs], Say]]:
    """Makes outputs of one digest partition that reach the broker at ``by``, and what says one thing by them."""
    topic, group = f"{prefix}t", f"{prefix}g"
    cluster, place = Cluster((("bootstrap.servers", by),)), (topic, 0)
    cluster.admin.create_topics([NewTopic(topic, 1)])[topic].result(WITHIN_S)
    member = consumer(bootstrap, group=group)

    def outputs() -> KafkaOutputs:
        return KafkaOutputs(
            cluster, f"{prefix}id", place, lambda: committed(cluster, member, group, [place]).get(place), {topic: 1}
        )

    def say(by: KafkaOutputs, position: int) -> None:
        by.say([(topic, b"key", b"%d" % position)], Commit(position, b""), member.consumer_group_metadata)

    yield outputs, say
    member.close()


def test_what_is_said_of_a_digest_partition_stands_in_one_partition_in_order(bootstrap: str, prefix: str) -> None:
    log, topic, group = f"{prefix}log", f"{prefix}t", f"{prefix}g"
    cluster, place = Cluster((("bootstrap.servers", bootstrap),)), (log, 2)
    for made in cluster.admin.create_topics([NewTopic(log, 3), NewTopic(topic, 2)]).values():
        made.result(WITHIN_S)
    member = consumer(bootstrap, group=group)
    outputs = KafkaOutputs(
        cluster, f"{prefix}id", place, lambda: committed(cluster, member, group, [place]).get(place), {topic: 2}
    )
    messages = [(topic, b"%d" % n, b"%d" % n) for n in range(50)]
    outputs.say(messages, Commit(1, b""), member.consumer_group_metadata)
    outputs.close()
    member.close()
    assert [(o.partition, o.value) for o in read(bootstrap, [topic])] == [(0, value) for _, _, value in messages]


def test_producers_that_are_replaced_or_fenced_do_not_stay(
    prefix: str, cycles_stay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OFFSETS_SECONDS", 1.0)
    with Broker() as broker, desk(broker.bootstrap, prefix, broker.bootstrap) as (outputs, say):
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


def test_a_transaction_goes_on_when_all_connections_were_cut_at_once(prefix: str, tmp_path: Path) -> None:
    ports = choose_ports(tmp_path / "ports", 4)
    with (
        Broker(tmp_path / "data", member=Member(1, ports[:3], {1: ports[1]}, new_cluster(), door=ports[3])) as broker,
        Proxy({ports[3]: ports[2]}) as network,
        desk(broker.bootstrap, prefix, f"{HOST}:{ports[3]}") as (outputs, say),
    ):
        mine = outputs()
        for position in range(1, 4):
            say(mine, position)
            assert network.cut()
        say(mine, 4)
        assert mine.replaced == 0
        mine.close()
