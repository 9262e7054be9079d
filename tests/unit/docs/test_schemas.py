"""``schemas/``: what is put out is what the published schemas say, by somebody else's validator."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from jsonschema import Draft202012Validator

from stream_recon.engine import saying
from stream_recon.engine.terms import Event
from tests.laws import live
from tests.laws import test_suspension_by_hand as suspension

ROOT = Path(__file__).resolve().parents[3]
AUDIT, DISCREPANCIES = "audit", "discrepancies"
FILES = {AUDIT: "audit.v1.schema.json", DISCREPANCIES: "discrepancy.v1.schema.json"}


def schema(topic: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / FILES[topic]).read_bytes())
    return found


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Every event of scenarios that together have every type."""
    bodies: dict[str, list[dict[str, Any]]] = {AUDIT: [], DISCREPANCIES: []}

    def told(topic: str, key: str, body: bytes) -> Event:
        bodies[topic].append(json.loads(body))
        return Event(topic, key, body)

    scenarios: list[Callable[[Path], object]] = [
        live.rebuild,
        live.stalled,
        live.drifted,
        live.acted,
        live.recreated,
        live.zombie,
    ]
    with patch.object(saying, "Event", told):
        for scenario in scenarios:
            scenario(tmp_path_factory.mktemp("room"))
        suspension.test_what_is_lost_altered_and_left_over_in_windows_passed_over_is_open_and_what_is_fine_is_not()
    return bodies


@pytest.mark.parametrize("topic", FILES)
def test_every_event_is_valid(said: dict[str, list[dict[str, Any]]], topic: str) -> None:
    validator = Draft202012Validator(schema(topic), format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert len(said[topic]) > 10
    for body in said[topic]:
        validator.validate(body)


def test_every_type_and_status_was_tried_and_no_member_is_unknown(said: dict[str, list[dict[str, Any]]]) -> None:
    definitions = [one["properties"] for one in schema(AUDIT)["$defs"].values() if "type" in one.get("properties", {})]
    known = {name: set(one) for one in definitions for name in one["type"].get("enum", [one["type"].get("const")])}
    assert {body["type"] for body in said[AUDIT]} == known.keys()
    assert all(body.keys() <= known[body["type"]] for body in said[AUDIT])
    assert all(body.keys() <= schema(DISCREPANCIES)["properties"].keys() for body in said[DISCREPANCIES])


@pytest.mark.parametrize(
    ("topic", "change"),
    [
        (AUDIT, {"verdict": "equal"}),
        (AUDIT, {"time": "2026-11-21 05:46:20"}),
        (AUDIT, {"seq": -1}),
        (DISCREPANCIES, {"source_hash": "00"}),
        (DISCREPANCIES, {"kind": None}),
    ],
)
def test_what_is_no_event_is_not_valid(said: dict[str, list[dict[str, Any]]], topic: str, change: dict[str, Any]) -> None:
    body = next(body for body in said[topic] if body["type"] in {"window", "discrepancy"})
    validator = Draft202012Validator(schema(topic))
    assert validator.is_valid(body)
    assert not validator.is_valid(body | change)
