"""What the tools say when a connector cannot work: its own words, at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tools.connect.connect import JSON, POSTGRES, Connect
from tools.connect.fetch import ConnectError
from tools.databases import Postgres
from tools.kafka.broker import Broker


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    with Broker() as broker, Connect(broker.bootstrap) as own:
        yield own


@pytest.fixture(scope="module")
def config() -> Iterator[dict[str, str]]:
    with Postgres() as db:
        yield {
            **JSON,
            "connector.class": POSTGRES,
            "database.hostname": db.host,
            "database.port": str(db.port),
            "database.user": db.user,
            "database.password": db.password,
            "database.dbname": db.database,
            "topic.prefix": "made",
            "plugin.name": "pgoutput",
        }


def test_a_connector_that_does_not_exist_is_refused(connect: Connect) -> None:
    with pytest.raises(ConnectError, match=r"refused connector made(.|\n)*Failed to find any class that implements Connector"):
        connect.create("made", {"connector.class": "NoSuchConnector"})


def test_a_connector_that_cannot_log_in_is_refused(connect: Connect, config: dict[str, str]) -> None:
    with pytest.raises(ConnectError, match=r"refused connector made(.|\n)*password authentication failed"):
        connect.create("made", {**config, "database.password": "wrong"})


def test_a_task_that_fails_says_why(connect: Connect, config: dict[str, str]) -> None:
    with pytest.raises(ConnectError, match=r"Connector made failed(.|\n)*Publication autocreation is disabled"):  # noqa: PT012
        connect.create("made", {**config, "publication.autocreate.mode": "disabled"})
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # it ran, for a moment
            connect.check("made")
    connect.delete("made")


def test_a_connector_that_works_runs(connect: Connect, config: dict[str, str]) -> None:
    connect.create("works", config)
    connect.check("works")
    connect.delete("works")
    with pytest.raises(ConnectError, match="no running task of connector works"):
        connect.check("works")
