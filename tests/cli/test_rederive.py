"""``audit rederive``: an audit against the recordings that it is of, and against others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_recon.audit.chain import Head, link
from tests.cli.harness import START_MS, World, line, rows, topology
from tests.cli.test_gate import at

COUNT = 40


@pytest.fixture
def recorded(world: World) -> list[str]:
    """An audit in ``out``, with something late, different, healed and not understood; the command that derives it again."""
    source = rows("st", *({"id": n % 7, "v": n} for n in range(COUNT)), step_ms=3_000)
    source.append(line("st", COUNT, "{", ts=START_MS + COUNT * 3_000))
    target = rows("tt", *({"id": n % 7, "v": n - (n == 20)} for n in range(COUNT)), step_ms=3_100)
    assert world.replay(topology(), "--batch-rows", "3", s=source, t=target).code in {1, 2}
    sides = [f"--side={name}={world.place / f'{name}.jsonl'}" for name in "st"]
    return ["audit", "rederive", str(world.place / "x.yaml"), *sides, "--json", "--audit"]


def said(world: World, *arguments: str) -> tuple[int, Any]:
    result = world.run(*arguments)
    return result.code, json.loads(result.stdout)


def test_the_same_recordings_give_the_same_certificates(world: World, recorded: list[str]) -> None:
    code, found = said(world, *recorded, str(world.out))
    assert (code, found["differs"], found["not re-derivable"], found["other"]) == (0, 0, 0, [])
    bodies = [json.loads(body) for body in (world.out / "audit.jsonl").read_bytes().splitlines()]
    assert found["same"] == len(bodies) > 10
    code, part = said(world, *recorded, str(world.out / "audit.jsonl"), "--from", at(0), "--to", at(1))
    assert (code, 0 < part["same"] < len(bodies)) == (0, True)
    assert said(world, *recorded, str(world.out), "--from", at(10_000))[0] == 2, "nothing was compared"
    shown = world.run(*[word for word in recorded if word != "--json"], str(world.out))
    assert shown.stdout.splitlines()[-1] == f"all {len(bodies)} certificates come out again"


def test_another_recording_gives_others(world: World, recorded: list[str]) -> None:
    lines = (world.place / "t.jsonl").read_text().splitlines()
    (world.place / "t.jsonl").write_text("\n".join([*lines[:5], lines[5].replace('\\"v\\": 5', '\\"v\\": 6'), *lines[6:]]))
    code, found = said(world, *recorded, str(world.out))
    assert (code, found["differs"] > 0) == (1, True)
    assert {field for one in found["other"] for field in one["fields"]} >= {"root"}
    shown = world.run(*[word for word in recorded if word != "--json"], str(world.out))
    assert (shown.code, "differs: " in shown.stdout) == (1, True)


def test_a_recording_that_ends_before_the_audit_cannot_show_it(world: World, recorded: list[str]) -> None:
    lines = (world.place / "t.jsonl").read_text().splitlines()
    (world.place / "t.jsonl").write_text("\n".join(lines[:20]))
    code, found = said(world, *recorded, str(world.out))
    assert (code, found["same"] > 0, found["differs"], found["not re-derivable"] > 0) == (2, True, 0, True)
    assert any("the recording ends at 20" in one["why"] for one in found["other"])


def test_a_certificate_that_was_made_up_is_found(world: World, recorded: list[str]) -> None:
    """Linked anew, so that its chain holds: only the recordings can tell."""
    heads: dict[str, Head] = {}
    out, forged = [], False
    for octets in (world.out / "audit.jsonl").read_bytes().splitlines():
        body = json.loads(octets)
        chain, kind = body.pop("chain"), body.pop("type")
        if not forged and body["counts"]["keys"]:
            body["root"], forged = "00" * 32, True
        body.pop("seq"), body.pop("prev")
        made, heads[chain] = link(heads.get(chain, Head()), kind, chain, body)
        out.append(made + b"\n")
    (world.out / "audit.jsonl").write_bytes(b"".join(out))
    code, found = said(world, *recorded, str(world.out))
    assert (code, [one["fields"] for one in found["other"]]) == (1, [["root"]])


def test_a_bundle(world: World, recorded: list[str]) -> None:
    key, place, policy = world.place / "root.key", world.place / "bundle", world.place / "policy"
    assert world.run("keys", "new", "example.com/recon", "--out", str(key)).code == 0
    policy.write_text(world.run("keys", "show", str(key)).stdout, encoding="utf-8")
    assert world.run("audit", "export", str(world.out), "--bundle", str(place), "--key", str(key)).code == 0
    proof = [str(place), "--policy", str(policy)]
    assert said(world, *recorded, *proof, "--digest-partitions", "8")[0] == 0
    for arguments, text in [(proof, "add --digest-partitions"), ([str(place)], "give --policy")]:
        result = world.run(*recorded, *arguments)
        assert (result.code, text in result.stderr) == (3, True), result.stderr
    entries = place / "entries.jsonl"
    entries.write_bytes(entries.read_bytes()[:-2])
    result = world.run(*recorded, *proof, "--digest-partitions", "8")
    assert (result.code, "the proof does not hold" in result.stderr) == (3, True)


def test_what_is_refused(world: World, recorded: list[str], tmp_path: Path) -> None:
    for arguments, text in [
        ([str(world.out), "--digest-partitions", "3"], "how many digest partitions were there?"),
        ([str(world.out), "--policy", "p"], "--policy is for bundles"),
        ([str(world.out), "--from", at(2), "--to", at(1)], "expected a time after --from"),
        ([str(tmp_path / "none" / "audit.jsonl")], "cannot be read"),
    ]:
        result = world.run(*recorded, *arguments)
        assert (result.code, text in result.stderr) == (3, True), result.stderr
