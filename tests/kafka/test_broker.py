"""The broker for developers and tests does what it promises: real processes, real data, real kills."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tools.kafka.broker import Broker, BrokerError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = [sys.executable, str(ROOT / "tools" / "kafka" / "broker.py")]
WITHIN_S = 30.0
ONE_TEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::test_what_was_written_is_read"]
ROWS = [f"row {number}".encode() for number in range(100)]


def make(client: dict[str, Any], topic: str) -> None:
    admin = AdminClient(client)  # its futures fail when it goes
    admin.create_topics([NewTopic(topic, 1)])[topic].result(WITHIN_S)


def write(client: dict[str, Any], topic: str) -> list[KafkaError]:
    """The rows; returns what went wrong."""
    errors: list[KafkaError] = []
    producer = Producer({**client, "acks": "all"})
    for row in ROWS:
        producer.produce(topic, row, on_delivery=lambda error, _: errors.append(error) if error else None)
    assert producer.flush(WITHIN_S) == 0
    return errors


def read(client: dict[str, Any], topic: str) -> list[bytes | None]:
    """As many rows as were written; errors on the way (a right that does not act yet) pass."""
    consumer = Consumer({**client, "group.id": "nobody", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    rows: list[bytes | None] = []
    deadline = time.monotonic() + WITHIN_S
    while len(rows) < len(ROWS) and time.monotonic() < deadline:
        rows += [message.value() for message in consumer.consume(len(ROWS), 0.2) if message.error() is None]
    consumer.close()
    return rows


def plain(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def topics(bootstrap: str) -> set[str]:
    return set(AdminClient(plain(bootstrap)).list_topics(timeout=WITHIN_S).topics)


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def connected(bootstrap: str) -> socket.socket:
    """A connection that ends when the broker does."""
    host, _, port = bootstrap.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=WITHIN_S)


def await_end(connection: socket.socket) -> None:
    with connection, suppress(ConnectionResetError):
        assert connection.recv(1) == b""


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    """May be killed, and knows users."""
    with Broker(sasl=True) as broker:
        yield broker


def test_what_was_written_is_read(bootstrap: str, prefix: str) -> None:
    make(plain(bootstrap), f"{prefix}t")
    assert write(plain(bootstrap), f"{prefix}t") == []
    assert read(plain(bootstrap), f"{prefix}t") == ROWS


def test_a_topic_that_nobody_made_is_not_there(bootstrap: str, prefix: str) -> None:
    found = AdminClient(plain(bootstrap)).list_topics(f"{prefix}t", WITHIN_S).topics
    assert found[f"{prefix}t"].error is not None


def test_a_kill_and_a_restart_keep_address_and_data(own: Broker, prefix: str) -> None:
    before = own.bootstrap, own.sasl_bootstrap
    make(plain(own.bootstrap), f"{prefix}t")
    assert write(plain(own.bootstrap), f"{prefix}t") == []
    connection = connected(own.bootstrap)
    own.kill()
    await_end(connection)
    with pytest.raises(ConnectionRefusedError):
        connected(own.bootstrap)
    own.restart()
    assert (own.bootstrap, own.sasl_bootstrap) == before
    assert read(plain(own.bootstrap), f"{prefix}t") == ROWS


def test_a_user_may_what_was_allowed_and_nothing_else(own: Broker, prefix: str) -> None:
    topic = f"{prefix}t"
    make(own.login("admin"), topic)
    assert write(own.login("admin"), topic) == []
    refusals = write(own.login("guest"), topic)
    assert {error.code() for error in refusals} == {KafkaError.TOPIC_AUTHORIZATION_FAILED}
    with pytest.raises(KafkaException) as refused:
        make(own.login("guest"), f"{prefix}of-guest")
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    grant = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:guest", "*", AclOperation.READ, AclPermissionType.ALLOW
    )
    admin = AdminClient(plain(own.bootstrap))
    admin.create_acls([grant])[grant].result(WITHIN_S)
    assert read(own.login("guest"), topic) == ROWS


def test_a_wrong_password_is_refused(own: Broker) -> None:
    said: list[KafkaError] = []
    settings: dict[str, Any] = {**own.login("admin", "wrong"), "error_cb": said.append}
    client = AdminClient(settings)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=2)
    client.poll(0)
    assert KafkaError._AUTHENTICATION in {error.code() for error in said}


def test_a_broker_that_is_given_is_used(bootstrap: str) -> None:
    before = topics(bootstrap)
    done = run(ONE_TEST, {**os.environ, "KAFKA_BOOTSTRAP": bootstrap})
    assert done.returncode == 0, done.stdout
    (made,) = topics(bootstrap) - before
    assert made.startswith("test-what-was-written-is-read-")


def test_a_given_broker_that_is_not_there_is_named() -> None:
    done = run(ONE_TEST, {**os.environ, "KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert done.returncode == 1
    assert "KAFKA_BOOTSTRAP=127.0.0.1:1 cannot be reached" in done.stdout


def test_a_setting_that_kafka_refuses_is_shown() -> None:
    broken = Broker(settings={"log.cleaner.backoff.ms": "soon"})
    with pytest.raises(BrokerError, match=r"refused its settings(?s:.*)log\.cleaner\.backoff\.ms"), broken:
        pass


def test_a_command_runs_against_a_broker_and_gives_its_exit_code() -> None:
    command = [sys.executable, "-c", "import os, sys; print(os.environ['KAFKA_BOOTSTRAP']); sys.exit(7)"]
    done = run([*SCRIPT, "--exec", *command])
    assert done.returncode == 7, done.stderr
    with pytest.raises(ConnectionRefusedError):
        connected(done.stdout.strip())


def test_a_command_that_is_not_there_is_named() -> None:
    done = run([*SCRIPT, "--exec", "no-such-command"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "no-such-command" in done.stderr


def test_in_the_foreground_it_stops_when_asked_dies_with_its_process_and_keeps_its_data(tmp_path: Path) -> None:
    with foreground(tmp_path) as first:
        address = announced(first)
        with pytest.raises(BrokerError, match="Another broker runs"):
            Broker(tmp_path)
        make(plain(address), "t")
        assert write(plain(address), "t") == []
        connection = connected(address)
        first.send_signal(signal.SIGKILL)
        await_end(connection)
    with foreground(tmp_path) as second:
        assert announced(second) == address
        assert read(plain(address), "t") == ROWS
        second.send_signal(signal.SIGTERM)
        assert second.wait(WITHIN_S) == 0
        with pytest.raises(ConnectionRefusedError):
            connected(address)


@contextmanager
def foreground(data: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*SCRIPT, "--data", str(data)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    name, _, address = process.stdout.readline().strip().partition("=")
    assert name == "KAFKA_BOOTSTRAP"
    return address
