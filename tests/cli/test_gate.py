"""``gate`` over what replay left and over bundles: exit codes, reasons, and what must never pass."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import START_MS, Result, World, line, rows, topology


def at(seconds: int) -> str:
    return datetime.fromtimestamp(START_MS / 1000 + seconds, UTC).isoformat()


SAME = [{"id": n} for n in range(6)]


def replayed(world: World, source: list[Any], target: list[Any], *extra: str, **top: Any) -> Result:
    return world.replay(topology(**top), *extra, s=rows("st", *source, step_ms=10_000), t=rows("tt", *target, step_ms=10_000))


def gate(world: World, where: Path, first: int, last: int, *more: str) -> tuple[int, dict[str, Any]]:
    result = world.run("gate", str(where), "--from", at(first), "--to", at(last), "--json", *more)
    return result.code, json.loads(result.stdout)


def edit(path: Path, change: Any) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))), encoding="utf-8")


def test_a_range_that_is_clean_passes(world: World) -> None:
    assert replayed(world, SAME, SAME).code == 0
    code, said = gate(world, world.out, 3, 57)
    (pair,) = said["pairs"]
    assert (code, said["verdict"], pair["windows"]) == (
        0,
        "clean",
        {"clean": 6, "discrepant": 0, "inconclusive": 0, "incomplete": 0},
    )
    assert pair["chains"] + pair["silent"] == 8
    assert (pair["certified_until"], pair["reasons"]) == (pair["to"], [])
    assert gate(world, world.out / "audit.jsonl", 3, 57) == (code, said)
    shown = world.run("gate", str(world.out), "--from", at(3), "--to", at(57))
    assert (shown.code, shown.stdout.splitlines()[-1]) == (0, "the gate is open: all of it is certified and clean")


@pytest.mark.parametrize(("first", "last"), [(-10, 60), (0, 61), (100, 110), (-100, -50)])
def test_beyond_what_is_certified_nothing_passes(world: World, first: int, last: int) -> None:
    replayed(world, SAME, SAME)
    code, said = gate(world, world.out, first, last)
    assert (code, said["verdict"]) == (2, "incomplete")
    assert {reason["text"] for reason in said["pairs"][0]["reasons"]} == {"not certified"}


def test_what_differs_closes_the_gate_until_it_is_healed(world: World) -> None:
    assert replayed(world, [*SAME, {"id": 0}], [*SAME[1:], {"id": 5}, {"id": 0}]).code == 0
    code, said = gate(world, world.out, 0, 70)
    assert (code, said["verdict"], said["pairs"][0]["open"]) == (1, "discrepant", 0)
    assert gate(world, world.out, 20, 50)[0] == 1, "it is open meanwhile"
    shown = world.run("gate", str(world.out), "--from", at(0), "--to", at(70))
    assert "the gate is closed: discrepant" in shown.stdout
    assert gate(world, world.out, 60, 70)[0] == 0


def test_an_undecodable_message_closes_the_gate_for_good(world: World) -> None:
    broken = [*rows("st", *SAME[:2], step_ms=10_000), line("st", 2, "{", ts=START_MS + 20_000)]
    broken += [line("st", n + 1, SAME[n], ts=START_MS + n * 10_000) for n in range(2, 6)]
    assert world.replay(topology(), s=broken, t=rows("tt", *SAME, step_ms=10_000)).code == 2
    assert gate(world, world.out, 0, 10)[0] == 0
    assert gate(world, world.out, 20, 30)[0] == 2
    code, said = gate(world, world.out, 40, 50)
    assert (code, said["verdict"], said["pairs"][0]["unresolved"]) == (2, "inconclusive", 1)


def test_a_run_without_a_row_does_not_pass(world: World) -> None:
    assert replayed(world, [], []).code == 0
    code, said = gate(world, world.out, 0, 10)
    assert (code, [r["text"] for r in said["pairs"][0]["reasons"]]) == (2, ["nothing is certified"])


def test_a_target_that_never_spoke_does_not_pass(world: World) -> None:
    """Both targets of the topology count, also the one of which there is nothing."""
    plan = topology()
    plan["targets"].append({"name": "u", "topics": ["ut"], "format": "json", "key": ["id"]})
    lines = rows("st", *SAME, step_ms=10_000)
    result = world.replay(plan, s=lines, t=rows("tt", *SAME, step_ms=10_000), u=[])
    code, said = gate(world, world.out, 0, 60)
    assert (result.code, code) == (1, 1)
    assert {pair["target"]: pair["verdict"] for pair in said["pairs"]} == {"t": "clean", "u": "discrepant"}


def test_a_run_that_failed_does_not_pass(world: World) -> None:
    replayed(world, SAME, SAME)
    edit(world.out / "summary.json", lambda s: s | {"exit_code": 3, "warnings": ["too many dead letters"]})
    code, said = gate(world, world.out, 0, 60)
    assert (code, said["pairs"][0]["reasons"][0]["text"]) == (2, "the run failed: too many dead letters")


def test_positions_that_were_lost_without_a_certificate_do_not_pass(world: World) -> None:
    replayed(world, SAME, SAME)
    edit(world.out / "summary.json", lambda s: s | {"partitions": [s["partitions"][0] | {"gaps": 3}]})
    code, said = gate(world, world.out, 0, 60)
    assert (code, said["verdict"]) == (2, "inconclusive")


def test_results_that_were_changed_are_refused(world: World) -> None:
    replayed(world, SAME, SAME, "--digest-partitions", "2")
    audit, summary = world.out / "audit.jsonl", world.out / "summary.json"
    bodies = audit.read_bytes().splitlines(keepends=True)
    first = json.loads(bodies[0])["chain"]
    whole = b"".join(bodies)
    for changed, said in [
        (b"".join(b for b in bodies if json.loads(b)["chain"] != first), f"holds 0 events of {first}"),
        (b"".join(bodies[:-1]), "one of them was changed"),
        (b"".join(bodies[1:]), "seq 0 must come here"),
        (whole.replace(b'"open":0', b'"open":1', 1), "as open"),
        (whole + b"{", "expected a JSON object"),
        (b"", "holds 0 events"),
    ]:
        audit.write_bytes(changed)
        result = world.run("gate", str(world.out), "--from", at(0), "--to", at(60))
        assert (result.code, said in result.stderr) == (3, True), result.stderr
    audit.write_bytes(whole)
    assert gate(world, world.out, 0, 60)[0] == 0
    edit(summary, lambda s: {name: value for name, value in s.items() if name != "chains"})
    assert world.run("gate", str(world.out), "--from", at(0), "--to", at(60)).code == 3
    summary.unlink()
    result = world.run("gate", str(world.out), "--from", at(0), "--to", at(60))
    assert (result.code, "when it was done" in result.stderr) == (3, True)


def test_a_chain_that_must_be_there(world: World) -> None:
    replayed(world, SAME, SAME, "--digest-partitions", "1")
    assert gate(world, world.out, 0, 60, "--chain", "x/t/0", "--topology", "x")[0] == 0
    code, said = gate(world, world.out, 0, 60, "--chain", "x/t/1")
    assert (code, said["pairs"][0]["reasons"][0]["chains"]) == (2, ["x/t/1"])
    assert gate(world, world.out, 0, 60, "--chain", "y/t/0")[0] == 2


# ---- bundles -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(world: World) -> Path:
    replayed(world, SAME, SAME)
    key, place = world.place / "root.key", world.place / "bundle"
    assert world.run("keys", "new", "example.com/recon", "--out", str(key)).code == 0
    (world.place / "policy").write_text(world.run("keys", "show", str(key)).stdout, encoding="utf-8")
    assert world.run("audit", "export", str(world.out), "--bundle", str(place), "--key", str(key)).code == 0
    return place


def test_a_bundle_passes_when_it_holds(world: World, bundle: Path) -> None:
    policy = ["--policy", str(world.place / "policy")]
    assert gate(world, bundle, 0, 60, *policy)[0] == 0
    assert gate(world, bundle, 0, 60, *policy, "--kept", str(bundle / "checkpoints"))[0] == 0
    assert gate(world, bundle, 0, 70, *policy)[0] == 2
    assert gate(world, bundle, 0, 60, *policy, "--chain", "x/t/99")[0] == 2
    assert world.run("gate", str(bundle), "--from", at(0), "--to", at(60)).code == 3, "without a policy"


@pytest.mark.parametrize("file", ["entries.jsonl", "checkpoints", "discrepancies.jsonl", "policy"])
def test_a_bundle_that_does_not_hold_never_passes(world: World, bundle: Path, file: str) -> None:
    """The policy inside is not the one it is verified by: only that one may change."""
    path = bundle / file
    path.write_bytes(path.read_bytes()[:-20] + b"x\n")
    result = world.run("gate", str(bundle), "--from", at(0), "--to", at(60), "--policy", str(world.place / "policy"))
    assert result.code == (0 if file == "policy" else 3)
    assert ("the proof does not hold" in result.stderr) == (file != "policy")


def test_a_policy_of_somebody_else(world: World, bundle: Path) -> None:
    other = world.place / "other.key"
    assert world.run("keys", "new", "example.com/recon", "--out", str(other)).code == 0
    policy = world.place / "other.policy"
    policy.write_text(world.run("keys", "show", str(other)).stdout, encoding="utf-8")
    result = world.run("gate", str(bundle), "--from", at(0), "--to", at(60), "--policy", str(policy))
    assert (result.code, "the proof does not hold" in result.stderr) == (3, True)


# ---- how it is called --------------------------------------------------------------------------------------------------


REFUSED = [
    (["--from", "2026-11-21T04:00:00", "--to", at(1)], "expected a time with a zone"),
    (["--from", "now", "--to", at(1)], "expected a time with a zone"),
    (["--from", at(1), "--to", at(1)], "a range without a window proves nothing"),
    (["--from", at(2), "--to", at(1)], "a range without a window proves nothing"),
    (["--from", at(0), "--to", at(1), "--wait", "10m"], "what is recorded does not change"),
    (["--from", at(0), "--to", at(1), "--policy", "p"], "is none"),
    (["--from", at(0), "--to", at(1), "--topology", "y"], "is not there; there are x"),
]


def test_what_is_refused(world: World) -> None:
    replayed(world, SAME, SAME)
    for arguments, said in REFUSED:
        result = world.run("gate", str(world.out), *arguments)
        assert (result.code, said in result.stderr) == (3, True), result.stderr


def test_options_that_are_not_for_live_topics(world: World) -> None:
    path = str(world.place / "x.yaml")
    for option in ("--topology", "--policy", "--kept"):
        result = world.run("gate", path, "--from", at(0), "--to", at(1), option, "y")
        assert result.code == 3
    result = world.run("gate", path, "--from", at(0), "--to", at(1), "--wait", "10")
    assert (result.code, "a whole number and a unit" in result.stderr) == (3, True)
