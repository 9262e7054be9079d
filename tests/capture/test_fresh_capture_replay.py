"""The same capture through the whole engine, as a user would: ``stream-recon replay`` over its recordings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.capture.capture import Capture

TOPOLOGY = """\
version: 1
name: {table}
source:
  name: postgres
  topics: [pg_{source}.public.{table}]
  format: debezium-{source}
  key: [id]
targets:
  - name: mariadb
    topics: [maria_json.recon.{table}]
    format: debezium-json
    key: [id]
{more}
{registry}
window: 10s
settle: 120s
clock_skew: 1s
"""
REGISTRY = {"json": "", "avro": "registry: {{file: {}}}"}
READINGS = "    types: {ok: boolean, ident: uuid, doc: json}"
LARGE = "compare: {large: [body], ignore: [doc, idents, nums, raw, tags]}"


def replay(fresh: Capture, out: Path, table: str, more: str, *, source: str = "json", lost: int | None = None) -> dict[str, Any]:
    """The summary of a replay; ``lost``: a row of the target, by its place in the topic, that did not arrive."""
    topology = TOPOLOGY.format(table=table, more=more, source=source, registry=REGISTRY[source].format(fresh.schemas))
    out.joinpath("topology.yaml").write_text(topology, encoding="utf-8")
    lines = fresh.lines(fresh.topic("maria", "json", table))
    target = out / "target.jsonl"
    target.write_text("".join(f"{json.dumps(line)}\n" for line in lines if line["offset"] != lost), encoding="utf-8")
    command = [sys.executable, "-m", "stream_recon", "replay", str(out / "topology.yaml"), "--out", str(out / "out")]
    sides = ["--side", f"postgres={fresh.recording(fresh.topic('pg', source, table))}", "--side", f"mariadb={target}"]
    done = subprocess.run([*command, *sides], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1, 2}, done.stderr
    summary: dict[str, Any] = json.loads((out / "out" / "summary.json").read_text(encoding="utf-8"))
    assert done.returncode == summary["exit_code"]
    return summary


@pytest.mark.parametrize("source", ["json", "avro"])
@pytest.mark.parametrize(("table", "more"), [("shared", READINGS), ("wiped", "")], ids=["shared", "wiped"])
def test_equal_databases_are_clean(fresh: Capture, tmp_path: Path, table: str, more: str, source: str) -> None:
    summary = replay(fresh, tmp_path, table, more, source=source)
    assert (summary["verdict"], summary["open"], summary["opened"]) == ("clean", 0, 0)


def test_a_row_that_did_not_arrive_is_found(fresh: Capture, tmp_path: Path) -> None:
    summary = replay(fresh, tmp_path, "shared", READINGS, lost=4)
    assert (summary["verdict"], summary["open"], summary["opened"]) == ("discrepant", 1, 1)
    opened = [json.loads(line) for line in (tmp_path / "out" / "discrepancies.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(each["kind"], each["key"]) for each in opened] == [("missing_in_target", {"id": 102})]


def test_a_value_that_was_not_sent_across_a_key_change_is_inconclusive(fresh: Capture, tmp_path: Path) -> None:
    summary = replay(fresh, tmp_path, "life", LARGE)
    assert (summary["verdict"], summary["open"], summary["opened"]) == ("inconclusive", 0, 0)
