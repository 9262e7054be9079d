"""Schema ids wherever serialisers put them: recordings with the same rows give the same events."""

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli.main import run
from tests.cli.harness import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "dual-write"
SCHEMAS = json.loads((FIXTURES / "avro-schemas-by-id.json").read_text(encoding="utf-8"))

Json = dict[str, Any]
Events = list[tuple[str, str, str]]
Put = Callable[[str, int, bytes], tuple[bytes, list[Json]]]
"""A part (key, value), its schema's id and its datum to the octets sent and their headers."""


def guid(number: int) -> bytes:
    return bytes([number]) * 16


def header(name: str, value: bytes) -> list[Json]:
    return [{"key": name, "value_b64": base64.b64encode(value).decode()}]


WAYS: dict[str, tuple[Put, Json]] = {
    "in front": (lambda _, number, datum: (b"\0" + number.to_bytes(4, "big") + datum, []), {}),
    "a GUID in front": (lambda _, number, datum: (b"\1" + guid(number) + datum, []), {}),
    "a GUID in a header": (
        lambda part, number, datum: (datum, header(f"__{part}_schema_id", b"\1" + guid(number))),
        {"headers": True},
    ),
    "Apicurio's global id in front": (
        lambda _, number, datum: (b"\0" + number.to_bytes(8, "big") + datum, []),
        {"ids": "apicurio-global"},
    ),
    "Apicurio's content id in a header": (
        lambda part, number, datum: (datum, header(f"apicurio.{part}.contentId", number.to_bytes(8, "big"))),
        {"ids": "apicurio", "headers": True},
    ),
    "Apicurio's global id in a header": (
        lambda part, number, datum: (datum, header(f"apicurio.{part}.globalId", number.to_bytes(8, "big"))),
        {"ids": "apicurio-global", "headers": True},
    ),
}


def rewritten(source: Path, place: Path, put: Put) -> Path:
    with gzip.open(source, "rt", encoding="utf-8") as lines, place.open("w", encoding="utf-8") as out:
        for line in map(json.loads, lines):
            line["headers"] = []
            for part, name in (("key", "key_b64"), ("value", "payload_b64")):
                if line[name] is not None:
                    data = base64.b64decode(line[name])
                    sent, headers = put(part, int.from_bytes(data[1:5], "big"), data[5:])
                    line[name] = base64.b64encode(sent).decode()
                    line["headers"] += headers
            out.write(json.dumps(line) + "\n")
    return place


def events(way: str, place: Path) -> tuple[Events, dict[str, set[str]]]:
    """The events, and the schema ids that the certificates name by side."""
    put, settings = WAYS[way]
    dashed = {_dashed(guid(int(n))): entry for n, entry in SCHEMAS.items()}
    (place / "schemas.json").write_text(json.dumps(SCHEMAS | dashed), encoding="utf-8")
    text = (ROOT / "topologies" / "orders.yaml").read_text(encoding="utf-8")
    text = text.replace("debezium-json", "debezium-avro").replace("_json.", "_avro.")
    topology = place / "orders.yaml"
    topology.write_text(f"{text}\nregistry: {json.dumps({'file': 'schemas.json', **settings})}\n", encoding="utf-8")
    sides = [
        f"{name}={rewritten(FIXTURES / f'{side}-avro-orders.jsonl.gz', place / f'{side}.jsonl', put)}"
        for name, side in (("postgres", "pg"), ("mariadb", "maria"))
    ]
    assert (
        run(["replay", str(topology), *(word for side in sides for word in ("--side", side)), "--out", str(place / "out")]) == 1
    )
    assert (place / "out" / "dead_letters.jsonl").read_bytes() == b""
    lines = (place / "out" / "discrepancies.jsonl").read_text(encoding="utf-8").splitlines()
    named: dict[str, set[str]] = {"postgres": set(), "mariadb": set()}
    for body in map(json.loads, (place / "out" / "audit.jsonl").read_text(encoding="utf-8").splitlines()):
        for read in body["ranges"]:
            named[read["side"]] |= set(read.get("schemas", ()))
            assert read["from"] < read["to"] or "schemas" not in read
    return [(e["id"], e["kind"], e["status"]) for e in map(json.loads, lines)], named


def _dashed(octets: bytes) -> str:
    digits = octets.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "in front"])
def test_ids_are_found_wherever_they_are(way: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    there, named = events(way, tmp_path / "a")
    plain, numbers = events("in front", tmp_path / "b")
    assert there == plain != []
    assert named == {side: {_dashed(guid(int(n))) if "GUID" in way else n for n in ids} for side, ids in numbers.items()}


def test_certificates_name_the_schemas_of_what_was_read(tmp_path: Path) -> None:
    written: dict[str, set[str]] = {}
    for name, side in (("postgres", "pg"), ("mariadb", "maria")):
        with gzip.open(FIXTURES / f"{side}-avro-orders.jsonl.gz", "rt", encoding="utf-8") as lines:
            parts = [line[part] for line in map(json.loads, lines) for part in ("key_b64", "payload_b64")]
        written[name] = {str(int.from_bytes(base64.b64decode(p)[1:5], "big")) for p in parts if p is not None}
    assert events("in front", tmp_path)[1] == written
    assert all(written.values())
