"""Whoever has Docker gets the broker of ``make broker``: the same version with the same settings."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tools.kafka.fetch import kafka_version
from tools.kafka.settings import QUICK

COMPOSE = Path(__file__).resolve().parents[3] / "docker-compose.yml"
ADDRESSES = {
    "node.id",
    "process.roles",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.listener.names",
    "controller.quorum.voters",
    "log.dirs",
}
OF_THE_IMAGE = {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return YAML(typ="safe").load(COMPOSE.read_text(encoding="utf-8"))


def test_the_image_has_the_version_of_the_jars(compose: Any) -> None:
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_the_settings_are_the_same(compose: Any) -> None:
    environment = compose["services"]["kafka"]["environment"]
    # The image makes `a.b` of KAFKA_A_B.
    settings = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): environment[name] for name in environment.keys() - OF_THE_IMAGE
    }
    assert {name: value for name, value in settings.items() if name not in ADDRESSES} == dict(QUICK)
    assert settings.keys() >= ADDRESSES


def test_it_is_healthy_when_it_answers_where_clients_come(compose: Any) -> None:
    kafka = compose["services"]["kafka"]
    assert kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://localhost:9092"
    assert kafka["ports"] == ["127.0.0.1:9092:9092"], "nobody is asked for a password, so nobody else may come"
    assert "localhost:9092" in kafka["healthcheck"]["test"]


def test_its_data_stays(compose: Any) -> None:
    kafka = compose["services"]["kafka"]
    (volume,) = kafka["volumes"]
    name, _, place = volume.partition(":")
    assert name in compose["volumes"]
    assert place == kafka["environment"]["KAFKA_LOG_DIRS"]
