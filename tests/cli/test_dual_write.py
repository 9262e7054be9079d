"""The captured dual write, in JSON, in Avro, and one against the other: what is open in the end is what was planted."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli.main import run
from tests.cli.harness import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "dual-write"
FAULTS = json.loads((FIXTURES / "faults.json").read_text(encoding="utf-8"))
SIDES = {"postgres": ("pg", "pg_json."), "mariadb": ("maria", "maria_json.")}


def topology(table: str, encodings: dict[str, str], place: Path) -> Path:
    """The example's topology, with sides in these encodings."""
    head, sides = (ROOT / "topologies" / f"{table}.yaml").read_text(encoding="utf-8").split("targets:", 1)
    parts = {"postgres": head, "mariadb": sides}
    for side, encoding in encodings.items():
        topic = SIDES[side][1]
        parts[side] = parts[side].replace(topic, topic.replace("json", encoding)).replace("debezium-json", f"debezium-{encoding}")
    text = parts["postgres"] + "targets:" + parts["mariadb"]
    path = place / f"{table}.yaml"
    path.write_text(f"{text}\nregistry: {json.dumps({'file': str(FIXTURES / 'avro-schemas-by-id.json')})}\n", encoding="utf-8")
    return path


def still_open(out: Path) -> list[list[Any]]:
    """Keys, by the columns' names."""
    newest: dict[str, Any] = {}
    for line in (out / "discrepancies.jsonl").read_text(encoding="utf-8").splitlines():
        body = json.loads(line)
        newest[body["id"]] = body
    left = [b["key"] for b in newest.values() if b["status"] in {"opened", "updated"}]
    return sorted([key[name] for name in sorted(key)] for key in left)


@pytest.mark.parametrize(("source", "target"), list(product(("json", "avro"), repeat=2)))
@pytest.mark.parametrize("table", ["orders", "payments", "customers"])
def test_what_was_planted_is_found_in_every_encoding(table: str, source: str, target: str, tmp_path: Path) -> None:
    encodings = {"postgres": source, "mariadb": target}
    recordings = [f"{side}={FIXTURES / f'{SIDES[side][0]}-{encoding}-{table}.jsonl.gz'}" for side, encoding in encodings.items()]
    words = [word for recording in recordings for word in ("--side", recording)]
    assert run(["replay", str(topology(table, encodings, tmp_path)), *words, "--out", str(tmp_path / "out")]) == 1
    assert still_open(tmp_path / "out") == sorted(FAULTS[table]) != []
    assert (tmp_path / "out" / "dead_letters.jsonl").read_bytes() == b""
