"""``run`` on a real broker whose digest log is not what it was: refused, in words that say what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from tests.kafka.refusing import WITHIN_S, Live, ids, live, until
from tools.kafka.broker import Broker


@pytest.fixture
def world(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Live]:
    """A service over two topics that has compared them, and was stopped."""
    with live(broker.bootstrap, prefix.strip("-"), tmp_path) as world:
        world.make("s", "t")
        world.both(*ids(range(5)))
        first = world.start(world.topology())
        until(lambda: world.certificates)
        first.stop().ended(0)
        yield world


def test_a_log_that_was_deleted_is_refused(world: Live) -> None:
    log = f"{world.prefix}.digests"
    world.admin.delete_topics([log])[log].result(WITHIN_S)
    until(lambda: world.topic_id(log) is None)
    world.both(*ids(range(5, 10)))
    world.start(world.topology()).end().refused(3, "digest log", "made anew", "stream-recon reset")


def test_a_log_of_which_retention_took_the_begin_is_refused_without_a_state(world: Live) -> None:
    log = f"{world.prefix}.digests"
    places = [TopicPartition(log, p, 1) for p, end in world.ends(log).items() if end]
    for cut in world.admin.delete_records(places).values():
        cut.result(WITHIN_S)
    world.both(*ids(range(5, 10)))
    world.start(world.topology(), state="another").end().refused(3, "digest log", "no longer holds", "stream-recon reset")
