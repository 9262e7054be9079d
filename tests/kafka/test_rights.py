"""What the service may do on a broker that knows users: each right that is rendered is needed, and named where it is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AclOperation, ResourceType

from stream_recon.adapters.kafka import client
from stream_recon.config import load_topology
from stream_recon.service.rights import Right, rights
from tests.kafka.refusing import Guest, Here, Live, ids, live, until
from tools.kafka.broker import USERS, Broker

ONLY_HERE = {"id": 9, "v": "only here"}
SECRET = USERS["guest"]


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    """``stream-recon`` in this process."""
    return Here(capfd)


# ---- who may what ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured() -> Iterator[Broker]:
    """It knows users; and it may be killed."""
    with Broker(sasl=True) as broker:
        yield broker


PLAN = {
    "version": 1,
    "name": "x",
    "kafka": {"bootstrap.servers": "b:1"},
    "source": {"name": "s", "topics": ["PREFIX-s"], "format": "json", "key": ["id"]},
    "targets": [{"name": "t", "topics": ["PREFIX-t"], "format": "json", "key": ["id"]}],
    "outputs": {"prefix": "PREFIX"},
}


def rendered() -> list[Right]:
    """What ``acl render`` asks for, in which PREFIX stands for the test's."""
    with TemporaryDirectory() as place:
        path = Path(place) / "x.yaml"
        path.write_text(json.dumps(PLAN))
        (found,) = rights([load_topology(path)], lambda _: "").values()
    return found


RIGHTS = rendered()
KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactional-id": ResourceType.TRANSACTIONAL_ID}
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
EACH = [(right.name, operation) for right in RIGHTS for operation in right.operations]


@pytest.fixture
def guarded(secured: Broker, prefix: str, tmp_path: Path) -> Iterator[Live]:
    """A world on the secured broker, with different rows; its topics are made by one who may."""
    with live(secured.bootstrap, prefix, tmp_path) as world:
        world.make("s", "t")
        world.put(s=[*ids(range(5)), ONLY_HERE], t=ids(range(5)))
        yield world


def as_guest(world: Live, broker: Broker, **top: Any) -> Path:
    login = {**broker.login("guest"), "sasl.password": "${RECON_TEST_PASSWORD}"}
    return world.topology(kafka={**login, **top})


def allow(world: Live, without: tuple[str, str] | None = None) -> None:
    """All that is rendered, but for one operation."""
    guest = Guest(world.admin)
    for right in RIGHTS:
        operations = [OPERATIONS[o] for o in right.operations if (right.name, o) != without]
        if operations:
            name = right.name.replace("PREFIX", world.prefix)
            guest.may(KINDS[right.kind], name, *operations, whole=not right.prefixed)


LATER = {("PREFIX.reconcile-", "Write"), ("PREFIX.digests", "Read")}
"""Found by a worker; every other right is asked for before any worker starts."""

NAMED = {("PREFIX.digests", "Write"): "PREFIX.topologies"}
"""What is named in its place: both are written in one transaction."""


@pytest.mark.parametrize("without", EACH, ids=" ".join)
def test_each_right_that_is_rendered_is_needed_and_named(
    guarded: Live, secured: Broker, here: Here, monkeypatch: pytest.MonkeyPatch, without: tuple[str, str]
) -> None:
    monkeypatch.setenv("RECON_TEST_PASSWORD", SECRET)
    allow(guarded, without)
    topology = as_guest(guarded, secured)
    if without in LATER:
        result = guarded.start(topology, RECON_TEST_PASSWORD=SECRET).end()
    else:
        result = here("run", topology, "--state", guarded.place / "state")
        assert guarded.of() == []
    named = NAMED.get(without, without[0]).replace("PREFIX", guarded.prefix)
    result.refused(3, "does not allow it", "grant the ACL", named)
    assert SECRET not in result.stderr


def test_a_refusal_while_the_offsets_are_on_their_way_is_told_with_its_reason(guarded: Live, secured: Broker) -> None:
    """The two cross by chance: about one in five times."""
    allow(guarded, ("PREFIX.digests", "Write"))
    guarded.make_as(f"{guarded.prefix}.digests")
    cluster = client.Cluster(tuple(secured.login("guest").items()))
    membership = cluster.consumer({"group.id": f"{guarded.prefix}.reconcile"}).consumer_group_metadata()
    for delay_ms in 10 * [0, 1, 2, 3]:
        producer = cluster.producer({"transactional.id": f"{guarded.prefix}.reconcile-0"})
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.list_topics(timeout=20)
        producer.produce(f"{guarded.prefix}.digests", b"refused", partition=0)
        time.sleep(delay_ms / 1000)
        with pytest.raises(KafkaException) as told:  # noqa: PT012  either of the two is told
            client.send_offsets(cluster, producer, [TopicPartition(f"{guarded.prefix}.digests", 0, 1)], membership)
            producer.commit_transaction(20)
        assert told.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        producer.purge()


def test_with_a_password_from_the_environment_and_the_rights_that_are_asked_for_a_service_runs(
    guarded: Live, secured: Broker
) -> None:
    allow(guarded)
    service = guarded.start(as_guest(guarded, secured), "--json", "--every", "1", RECON_TEST_PASSWORD=SECRET)
    until(lambda: guarded.of("opened"))
    result = service.stop().ended(0)
    assert SECRET not in result.stderr + result.stdout
    guarded.said_once()


def test_wrong_credentials_are_told_at_once_and_shown_nowhere(
    guarded: Live, secured: Broker, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECON_TEST_PASSWORD", "not-" + SECRET)
    result = here("--debug", "run", as_guest(guarded, secured))
    assert result.code == 3
    assert "refused the credentials" in result.stderr
    assert "sasl.*" in result.stderr
    assert result.seconds < 10
    assert SECRET not in result.stderr + result.stdout


def test_a_password_that_is_not_set_is_named_by_its_variable(
    guarded: Live, secured: Broker, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECON_TEST_PASSWORD", raising=False)
    here("run", as_guest(guarded, secured)).refused(3, "sasl.password", "environment variable RECON_TEST_PASSWORD is not set")


# ---- an outage -------------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_killed_and_comes_back_later_is_waited_for_and_nothing_is_lost_or_said_twice(
    secured: Broker, guarded: Live
) -> None:
    service = guarded.start(guarded.topology(), "--every", "60")
    until(lambda: guarded.of("opened"))
    before = len(service.log.splitlines())
    secured.kill()
    service.says("cannot be reached")
    time.sleep(client.REQUEST_SECONDS + 5)  # longer than any request waits
    assert service.process.poll() is None, service.log
    secured.restart()
    guarded.put(s=[*ids(range(20, 25)), {"id": 10, "v": "right"}], t=[*ids(range(20, 25)), {"id": 10, "v": "wrong"}])
    until(lambda: len(guarded.of("opened")) == 2)
    service.says("answers again")
    result = service.stop().ended(0)
    guarded.said_once()
    assert guarded.of() == [(9, "missing_in_target", "opened"), (10, "value_mismatch", "opened")]
    assert len(result.stderr.splitlines()) - before < 30, result.stderr
