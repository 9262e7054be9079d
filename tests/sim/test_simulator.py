"""The service under fire: on every seed the laws hold, and each wrong version of the protocol breaks one."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_recon.cli.main import run
from stream_recon.sim.trial import Faults, Setting, small_plan, tried
from tests.sim.mutants import MUTANTS, planted

ROOT = Path(__file__).resolve().parents[2]
SEEDS = int(os.environ.get("RECON_SIM_SEEDS", "2000"))
FIRST = int(os.environ.get("RECON_SIM_FROM", "0"))
FIERCE = Setting(small_plan(), Faults(kills=0.4, freezes=0.5, absences=0.1), workers=2, partitions=2, homes=2)
WITHIN = 150
"""Seeds in which a wrong version must be found."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What simulated workers log is of no world that anybody runs."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_on_every_seed_the_laws_hold(capfd: pytest.CaptureFixture[str]) -> None:
    code = run(["simulate", "--from", str(FIRST), "--seeds", str(SEEDS), "--json"])
    told = json.loads(capfd.readouterr().out)
    assert (code, told["failed"]) == (0, []), "stream-recon simulate --from SEED --seeds 1"
    assert told["faults"]["a worker is killed"] >= SEEDS
    assert told["events"] >= 10 * SEEDS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_version_of_the_protocol_is_found(name: str) -> None:
    for seed in range(WITHIN):
        with planted(MUTANTS[name]):
            try:
                broken = tried(seed, FIERCE if seed % 2 else None).broken
            except Exception as error:  # noqa: BLE001 - a worker that ends by any error of its own is found, too
                broken = (repr(error),)
        if broken:
            return
    pytest.fail(f"{WITHIN} seeds found nothing")


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    code = "import logging; logging.disable(50)\nfrom stream_recon.sim.trial import tried\nprint([tried(s) for s in (3, 8, 26)])"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashing in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


def test_a_seed_that_fails_is_told_with_what_happened_and_how_to_run_it_again(capfd: pytest.CaptureFixture[str]) -> None:
    with planted(MUTANTS["a partition that is taken over begins at its end"]):
        assert run(["simulate", "--seeds", "20", "--workers", "1"]) == 3
    out, err = capfd.readouterr()
    (first, *_) = re.findall(r"^seed (\d+): ", err, re.MULTILINE)
    assert "normalise-1 starts on machine-0" in out
    assert f"stream-recon simulate --from {first} --seeds 1" in out
    assert "of 20 seeds kept every law" in out


def test_a_users_own_topology_is_tried_in_its_own_times(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(ROOT / "topologies" / "orders.yaml"), "--seeds", "1", "--workers", "1", "--json"]) == 0
    body = json.loads(capfd.readouterr().out)
    assert (body["seeds"], body["failed"]) == (1, [])


SMALL = """
version: 1
name: small
parallelism: 1
window: 2s
settle: 2s
source: {name: s, topics: [s], format: debezium-json, key: [id], idle_after: 3s}
targets: [{name: t, topics: [t], format: debezium-json, key: [id], idle_after: 3s}]
"""


def test_a_topology_of_fewer_digest_partitions_than_the_log_has_is_judged_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    assert run(["simulate", str(tmp_path / "small.yaml"), "--seeds", "4", "--workers", "1"]) == 0
