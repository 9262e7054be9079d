"""Rows as messages: JSON that says what the rows say, and that the engine judges as planned."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from stream_recon.bench import topology
from stream_recon.bench.data import Plan, Rows, Workload, planned
from stream_recon.bench.found import compared
from stream_recon.bench.payloads import CHUNK, messages
from stream_recon.cli.wire import replay
from stream_recon.config import load_topology

FORMS = [("json", False), ("debezium-json", False), ("debezium-json", True)]
WORK = Workload(messages=8_000, keys=3_000, faults=0.01, rate=50)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(WORK)


def payload(value: bytes, *, schema: bool) -> Any:
    document = json.loads(value)
    return document["payload"] if schema else document


@pytest.mark.parametrize(("encoding", "schema"), FORMS)
def test_a_message_says_what_the_row_says(plan: Plan, encoding: str, schema: bool) -> None:
    rows = plan.source
    (chunk,) = messages(rows, encoding, 4, schema=schema)
    assert len(chunk.value) == len(rows) <= CHUNK
    for i in (0, 1, 1234, len(rows) - 1):
        value = payload(chunk.value[i], schema=schema)
        if encoding != "json":
            assert value["source"]["ts_us"] == rows.time[i]
            assert value["op"] == ("c" if rows.first[i] else "u")
            value = value["after"]
        assert payload(chunk.key[i], schema=schema) == {"id": rows.key[i]}
        assert (value["id"], value["customer_id"], value["updated_at"]) == (rows.key[i], rows.customer[i], rows.time[i])
        assert round(100 * float(value["amount"])) == rows.cents[i]
        assert chunk.partition[i] == rows.key[i] % 4
        assert chunk.timestamp[i] == rows.written[i] // 1000


def test_rows_of_format_json_have_about_the_size_of_the_peers(plan: Plan) -> None:
    (chunk,) = messages(plan.source, "json", 4, schema=False)
    assert 148 < sum(map(len, chunk.value)) / len(chunk.value) < 160


def test_chunks_are_the_whole_in_order(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    (whole,) = messages(plan.source, "debezium-json", 4, schema=False)
    monkeypatch.setattr("stream_recon.bench.payloads.CHUNK", 1_500)
    assert [v for chunk in messages(plan.source, "debezium-json", 4, schema=False) for v in chunk.value] == whole.value


@pytest.mark.parametrize(("encoding", "schema"), FORMS)
def test_the_engine_finds_what_was_planted(tmp_path: Path, plan: Plan, encoding: str, schema: bool) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(topology.text(Workload(), encoding, ("from", "to"), "bench", "localhost:9092"), encoding="utf-8")
    sides = {
        "source": recorded(tmp_path, "from", plan.source, encoding, schema),
        "target": recorded(tmp_path, "to", plan.target, encoding, schema),
    }
    out = tmp_path / "out"
    summary = replay(load_topology(path), sides, out, state=None, digest_partitions=2, progress=lambda *_: None).to_json()
    found = compared(plan, (out / "discrepancies.jsonl").read_bytes().splitlines(), summary)
    assert found.holds(plan), found


def recorded(place: Path, topic: str, rows: Rows, encoding: str, schema: bool) -> list[Path]:
    offsets = [0] * 4
    path = place / f"{topic}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for chunk in messages(rows, encoding, 4, schema=schema):
            for partition, ts, key, value in zip(chunk.partition, chunk.timestamp, chunk.key, chunk.value, strict=True):
                line = {"topic": topic, "partition": partition, "offset": offsets[partition], "ts": ts}
                coded = {"key_b64": base64.b64encode(key).decode(), "payload_b64": base64.b64encode(value).decode()}
                file.write(json.dumps(line | coded) + "\n")
                offsets[partition] += 1
    return [path]
