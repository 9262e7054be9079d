"""The broker of these tests: one for all of them, or the one that KAFKA_BOOTSTRAP names. Each test has topics of its own.

A test that kills, slows or secures a broker makes its own: ``with Broker(...) as own``.
"""

import os
import re
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tools.kafka.broker import Broker, BrokerError
from tools.kafka.cluster import Brokers


@dataclass(frozen=True)
class Given:
    """A broker that somebody else runs."""

    bootstrap: str


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker | Given]:
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        _reach(given)
        yield Given(given)
    else:
        with Broker() as own:
            yield own


@pytest.fixture
def bootstrap(broker: Broker | Given) -> str:
    return broker.bootstrap


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Begins the names of a test's topics and groups: nobody else's begin so, not even those of an earlier run."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60].strip("-")
    return f"{name}-{uuid.uuid4().hex[:8]}-"


def _reach(given: str) -> None:
    """At once and in words, instead of a timeout in every test."""
    host, _, port = given.partition(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        advice = "Start that broker, or unset the variable: the tests then start one"
        raise BrokerError(f"KAFKA_BOOTSTRAP={given} cannot be reached: {error}. {advice}") from error


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    with Brokers() as all_of_them:
        yield all_of_them
