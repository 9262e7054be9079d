"""``keys`` and ``audit`` as they are typed: files, messages, exit codes, and what a second export adds."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stream_recon.audit.merkle import root
from stream_recon.cli.main import run

NAME = "example.com/recon"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    assert run(["keys", "new", NAME, "--out", str(path)]) == 0
    return path


@pytest.fixture
def policy(tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    capfd.readouterr()
    assert run(["keys", "show", str(key)]) == 0
    path = tmp_path / "policy"
    path.write_text(capfd.readouterr().out, encoding="utf-8")
    return path


def results(place: Path, bodies: int, chain: str = "t/a/0", *, edited: bool = False) -> Path:
    """A chain of so many clean windows, as ``replay`` writes them."""
    from stream_recon.audit.chain import Head, link

    place.mkdir(exist_ok=True)
    head, lines, none = Head(), [], root([]).hex()
    for n in range(bodies):
        content = {
            "window": {"start": f"{n}", "end": f"{n + 1}"},
            "number": n,
            "windows": 1,
            "verdict": "clean",
            "counts": {"keys": 1, "equal": 1, "different": 0, "inconclusive": 0, "late": int(edited)},
            "open": 0,
            "causes": [],
            "ranges": [{"side": "s", "topic": "t", "partition": 0, "from": n, "to": n + 1}],
            "events_root": none,
        }
        body, head = link(head, "window", chain, content)
        lines.append(body + b"\n")
    (place / "audit.jsonl").write_bytes(b"".join(lines))
    (place / "discrepancies.jsonl").write_bytes(b"")
    return place


def export(where: Path, bundle: Path, key: Path | str) -> int:
    return run(["audit", "export", str(where), "--bundle", str(bundle), "--key", str(key), "--json"])


def verify(bundle: Path, policy: Path, *more: str) -> int:
    return run(["audit", "verify", str(bundle), "--policy", str(policy), *more])


# ---- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_is_its_owners_alone(key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_text(encoding="utf-8").strip().rpartition("+")[2]
    assert run(["keys", "show", str(key)]) == 0
    shown = capfd.readouterr()
    assert run(["keys", "show", str(key), "--json"]) == 0
    shown_again = capfd.readouterr()
    assert f"log {NAME}+" in shown.out
    assert json.loads(shown_again.out)["vkey"] in shown.out
    assert secret not in shown.out + shown.err + shown_again.out + shown_again.err
    before = key.read_bytes()
    assert run(["keys", "new", NAME, "--out", str(key)]) == 3
    assert key.read_bytes() == before
    assert "never written over" in capfd.readouterr().err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_use_is_refused(key: Path, mode: int, capfd: pytest.CaptureFixture[str]) -> None:
    key.chmod(mode)
    assert run(["keys", "show", str(key)]) == 3
    assert f"chmod 600 {key}" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff", b"PRIVATE+KEY+a+00000000+AAAA", b"secret words"])
def test_a_file_that_is_no_key_is_refused_unshown(key: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    key.write_bytes(content)
    assert run(["keys", "show", str(key)]) == 3
    said = capfd.readouterr().err
    assert "no key that stream-recon keys new made" in said
    assert "secret" not in said


def test_names_and_places_that_cannot_be(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "two words", "--out", str(tmp_path / "k")]) == 3
    assert not (tmp_path / "k").exists()
    assert run(["keys", "new", NAME, "--out", str(tmp_path / "none" / "k")]) == 4
    assert run(["keys", "show", str(tmp_path / "none")]) == 3
    assert "keys new makes one" in capfd.readouterr().err


# ---- export and verify -------------------------------------------------------------------------------------------------


def test_a_bundle_grows_and_holds(tmp_path: Path, key: Path, policy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    first = {path.name: path.read_bytes() for path in bundle.iterdir()}
    (tmp_path / "kept").write_bytes(json.loads(capfd.readouterr().out)["checkpoint"].encode())
    assert export(results(tmp_path / "r", 5), bundle, key) == 0
    assert json.loads(capfd.readouterr().out)["new"] == 2
    assert export(results(tmp_path / "other", 2, "t/a/1"), bundle, key) == 0
    for name, octets in first.items():
        assert (bundle / name).read_bytes().startswith(octets)
    assert verify(bundle, policy, "--kept", str(tmp_path / "kept"), "--chain", "t/a/1") == 0
    said = capfd.readouterr().out
    assert f"the proof holds: 10 entries under 3 checkpoints of {NAME}" in said
    assert "it says of windows: 7 clean, 0 discrepant, 0 inconclusive; 0 discrepancies are open at its end" in said
    assert "what is certified" in said
    assert "it goes on from 1 checkpoint of before" in said
    assert verify(bundle, policy) == 0
    assert "held against no checkpoint of before (--kept): a fork would not show" in capfd.readouterr().out
    assert verify(bundle, policy, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    assert report["chains"]["t/a/0"] == {
        "events": 5,
        "clean": 5,
        "discrepant": 0,
        "inconclusive": 0,
        "open": 0,
        "from": "0",
        "to": "5",
    }
    assert verify(bundle, policy, "--chain", "t/a/2") == 1
    assert "broken: t/a/2: this chain must be here" in capfd.readouterr().out


def test_nothing_new_is_a_checkpoint_too(tmp_path: Path, key: Path, policy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert export(results(tmp_path / "r", 3), tmp_path / "bundle", key) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["new"] == 0
    assert verify(tmp_path / "bundle", policy) == 0
    assert "4 entries under 2 checkpoints" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["entries.jsonl", "discrepancies.jsonl", "checkpoints"])
@pytest.mark.parametrize("rest", [b"half a li", b"a line\nhalf"])
def test_an_interrupted_export_is_gone_over(tmp_path: Path, key: Path, policy: Path, name: str, rest: bytes) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    with (bundle / name).open("ab") as file:
        file.write(rest)
    assert verify(bundle, policy) == 1
    assert export(results(tmp_path / "r", 5), bundle, key) == 0
    assert verify(bundle, policy) == 0


def test_what_an_export_refuses(tmp_path: Path, key: Path, policy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    broken = results(tmp_path / "broken", 4)
    lines = (broken / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (broken / "audit.jsonl").write_bytes(b"".join([lines[0], *lines[2:]]))
    loose = results(tmp_path / "loose", 4)
    (loose / "discrepancies.jsonl").write_bytes(b'{"chain":"t/a/0"}\n')
    run(["keys", "new", NAME, "--out", str(tmp_path / "another.key")])
    capfd.readouterr()
    for where, with_key, said in [
        (results(tmp_path / "edited", 4, edited=True), key, "t/a/0: the log has another history up to seq 2, and never changes"),
        (results(tmp_path / "short", 2), key, "t/a/0 ends at seq 1, the log has 2"),
        (broken, key, "t/a/0, seq 2: seq 1 must come here: 1 before this one missing"),
        (loose, key, "discrepancy events that no certificate holds"),
        (tmp_path / "none", key, "name the directory that replay wrote"),
        (tmp_path / "r", tmp_path / "another.key", "the bundle does not hold (no key that is trusted signed this note"),
    ]:
        assert export(where, bundle, with_key) == 3
        assert said in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_an_export_of_nothing_makes_no_bundle(tmp_path: Path, key: Path) -> None:
    assert export(tmp_path / "none", tmp_path / "bundle", key) == 3
    assert not (tmp_path / "bundle").exists()


def test_checkpoints_that_come_after_the_end_of_a_key_are_refused(
    tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "sign", "t.yaml", "--bundle", str(tmp_path / "b"), "--key", str(key), "--every", "901"]) == 3
    assert "write at most 900" in capfd.readouterr().err


def test_files_are_not_added_to_a_bundle_of_live_topics(tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    (bundle / "positions").write_bytes(b"{}")
    before = (bundle / "checkpoints").read_bytes()
    assert export(results(tmp_path / "r", 5), bundle, key) == 3
    assert "goes on in live topics" in capfd.readouterr().err
    assert (bundle / "checkpoints").read_bytes() == before


def test_a_bundle_that_was_changed_is_not_added_to(tmp_path: Path, key: Path, policy: Path) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    entries = (bundle / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (bundle / "entries.jsonl").write_bytes(b"".join(entries[:-1]))
    assert export(results(tmp_path / "r", 5), bundle, key) == 3


def test_what_verify_needs(tmp_path: Path, key: Path, policy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    assert verify(tmp_path / "none", policy) == 3
    assert verify(bundle, tmp_path / "none") == 3
    (tmp_path / "bad").write_text("quorum some\n", encoding="utf-8")
    assert verify(bundle, tmp_path / "bad") == 3
    assert "bad: line 1: no line before this one defines some" in capfd.readouterr().err
    assert verify(bundle, bundle / "policy") == 0
    assert "came with the bundle" in capfd.readouterr().err


def test_two_exports_at_once(tmp_path: Path, key: Path) -> None:
    import fcntl

    bundle = tmp_path / "bundle"
    assert export(results(tmp_path / "r", 3), bundle, key) == 0
    with (bundle / "entries.jsonl").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert export(results(tmp_path / "r", 5), bundle, key) == 3


def test_the_check_needs_cryptography_and_the_standard_library_only() -> None:
    """No Kafka, no network library, no pyarrow: what an auditor has to trust and to install."""
    script = "import sys; before = set(sys.modules); import stream_recon.cli.verifying; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}).stdout
    tops = {name.partition(".")[0] for name in found.split()}
    ours = {"stream_recon", "cryptography", "_cffi_backend", "_openssl"}
    assert tops - sys.stdlib_module_names <= ours
    assert {"stream_recon", "cryptography"} <= tops
    assert not tops & {"socket", "ssl", "http", "urllib", "asyncio"}
