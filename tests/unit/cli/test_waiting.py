"""``gate`` on live topics, as far as it needs no broker: which chains there must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream_recon.cli.main import run
from stream_recon.cli.waiting import chains_of
from stream_recon.config import load_topology
from stream_recon.model.digest import Open, Pair
from tests.cli.harness import topology


def test_a_target_that_no_rebuild_has_taken_in_yet_must_be_there(tmp_path: Path) -> None:
    whole = topology()
    whole["targets"].append(whole["targets"][0] | {"name": "new", "topics": ["nt"]})
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(whole), encoding="utf-8")
    pairs = tuple(Pair(name, "s", name, "r", ("id",), 0) for name in ("t", "old"))
    record = Open("x", "s", 1, 1, 0, 1, 2, "c", (), pairs, 1, 0)
    assert chains_of(load_topology(path), record) == {f"x/{name}/{home}" for name in ("t", "old", "new") for home in range(2)}


def test_a_chain_of_another_topology_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(topology()), encoding="utf-8")
    times = ["--from", "2026-11-21T04:00:00Z", "--to", "2026-11-21T05:00:00Z"]
    assert run(["gate", str(path), *times, "--chain", "y/t/0"]) == 3
    assert "is of none of these topologies" in capfd.readouterr().err
