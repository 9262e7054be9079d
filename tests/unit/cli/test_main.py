"""The command line: exit codes, what goes to stdout and to stderr, and messages for every wrong use."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stream_recon import __version__
from stream_recon.cli.main import run
from stream_recon.errors import StateError, Undelivered
from stream_recon.model.plan import TopologyPlan

SIDE = "{{name: {name}, topics: [t], format: json, key: [id]}}"
SUMMARY: dict[str, Any] = {
    "verdict": "discrepant",
    "exit_code": 1,
    "windows": {"clean": 3, "discrepant": 1, "inconclusive": 0},
    "open": 1,
    "opened": 2,
    "resolved": 1,
    "dismissed": 0,
    "partitions": [
        {
            "side": "a",
            "topic": "t",
            "partition": 0,
            "from": 0,
            "to": 5,
            "rows": 5,
            "control": 0,
            "dead_letters": 0,
            "repeated": 0,
            "unused": 0,
            "gaps": 0,
            "late": 0,
        }
    ],
}
BODY: dict[str, Any] = {
    "id": "abcdef0123456789",
    "topology": "orders",
    "source": "a",
    "target": "b",
    "key": {"id": 7},
    "kind": "value_mismatch",
    "status": "opened",
    "window": {"start": "2026-11-21T04:00:00.000000Z", "end": "2026-11-21T04:00:10.000000Z"},
    "source_ref": {"topic": "t", "partition": 0, "offset": 3},
    "target_ref": None,
    "first_seen": "2026-11-21T04:00:10.000000Z",
    "occurrences": 1,
}


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    path = tmp_path / "orders.yaml"
    path.write_text(
        f"version: 1\nname: orders\nsource: {SIDE.format(name='a')}\ntargets: [{SIDE.format(name='b')}]\n", encoding="utf-8"
    )
    return path


@dataclass
class FakeSummary:
    """What the engine's summary offers to the command line."""

    exit_code: int
    warnings: list[str] = field(default_factory=lambda: ["lines differ"])

    def to_json(self) -> dict[str, Any]:
        return SUMMARY | {"exit_code": self.exit_code}


class FakeEngine:
    """Stands in for the engine's door; keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.exit_code = 1
        self.error: BaseException | None = None

    def replay(self, plan: TopologyPlan, recordings: Mapping[str, Sequence[Path]], out: Path, **options: Any) -> FakeSummary:
        self.calls.append({"plan": plan, "recordings": recordings, "out": out, **options})
        options["progress"]("read", 1, 2)
        if self.error is not None:
            raise self.error
        out.mkdir(exist_ok=True)
        (out / "discrepancies.jsonl").write_text(json.dumps(BODY) + "\n", encoding="utf-8")
        return FakeSummary(self.exit_code)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    module = types.ModuleType("stream_recon.cli.wire")
    module.replay = fake.replay  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stream_recon.cli.wire", module)
    return fake


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pair = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path in pair:
        path.touch()
    return pair


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def test_version(command: Command) -> None:
    for words in ("version", "--version"):
        assert command(words) == (0, f"stream-recon {__version__}\n", "")
    code, out, _ = command("version", "--json")
    assert (code, json.loads(out)["version"]) == (0, __version__)


def test_help_names_the_commands(command: Command) -> None:
    for arguments in ([], ["--help"]):
        code, out, _ = command(*arguments)
        assert code == 0
        assert all(name in out for name in ("validate", "replay", "discrepancies", "demo", "version"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "error: No such command 'nope'. Try: stream-recon --help\n"),
        (["replay"], "error: Missing argument 'TOPOLOGY'. Try: stream-recon replay --help\n"),
        (["version", "--nope"], "error: No such option: --nope Try: stream-recon version --help\n"),
    ],
)
def test_wrong_use_is_3_never_2(command: Command, arguments: list[str], message: str) -> None:
    assert command(*arguments) == (3, "", message)


def test_errors_are_machine_readable_too(command: Command) -> None:
    code, out, err = command("validate", "--json", "--nope")
    assert code == 3
    assert json.loads(out) == {"error": err.removeprefix("error: ").rstrip("\n"), "exit_code": 3}


def test_validate(command: Command, topology: Path) -> None:
    code, out, err = command("validate", topology)
    assert (code, out, err) == (0, f"{topology}: good: orders: a -> b; window 10s, settle 30s, clock_skew 1s\n", "")
    code, out, _ = command("validate", topology, "--json")
    row = json.loads(out)["topologies"][0]
    assert (code, row["valid"], row["name"], len(row["configuration"])) == (0, True, "orders", 64)


def test_validate_tells_all_files(command: Command, topology: Path, tmp_path: Path) -> None:
    bad, twin = tmp_path / "bad.yaml", tmp_path / "twin.yaml"
    bad.write_text("version: 1\n", encoding="utf-8")
    twin.write_text(topology.read_text(encoding="utf-8"), encoding="utf-8")
    code, out, err = command("validate", bad, topology, twin)
    assert code == 3
    assert out.startswith(f"{topology}: good")
    assert f"{bad}:1: name: is missing; write name: orders" in err
    assert f"{twin}: name: 'orders' is the name of {topology} too" in err
    code, out, _ = command("validate", bad, topology, "--json")
    assert (code, [row["valid"] for row in json.loads(out)["topologies"]]) == (3, [False, True])


@pytest.mark.parametrize("exit_code", [0, 1, 2, 3])
def test_replay_gives_the_engines_code(
    command: Command, engine: FakeEngine, topology: Path, files: tuple[Path, Path], tmp_path: Path, exit_code: int
) -> None:
    engine.exit_code = exit_code
    a, b = files
    sides = ["--side", f"b={b}", "--side", f"a={a}", "--side", f"b={a}"]
    code, out, err = command("replay", topology, *sides, "--out", tmp_path / "out", "--digest-partitions", 3, "--batch-rows", 7)
    assert code == exit_code
    assert "verdict: discrepant" in out
    assert "3 clean, 1 discrepant, 0 inconclusive" in out
    assert "id=7" in out
    assert err == "warning: lines differ\n"
    (call,) = engine.calls
    assert call["recordings"] == {"a": [a], "b": [b, a]}
    assert (call["out"], call["state"], call["digest_partitions"], call["batch_rows"]) == (tmp_path / "out", None, 3, 7)


def test_replay_json(command: Command, engine: FakeEngine, topology: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = command("replay", topology, "--side", f"a={files[0]}", "--side", "b=", "--out", tmp_path / "o", "--json")
    assert (code, json.loads(out)) == (1, SUMMARY)
    assert engine.calls[0]["recordings"] == {"a": [files[0]], "b": []}


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (["a"], "--side a: expected NAME=FILE, with NAME one of a, b"),
        (["c=x"], "--side c=x: orders has no side 'c'; its sides are a, b"),
        (["a=nowhere.jsonl"], "--side a=nowhere.jsonl: there is no file nowhere.jsonl"),
        (["a=/"], "--side a=/: / is a directory; name its files, one --side each"),
        (["a="], "no recording of side b; add --side b=FILE, or --side b= if there is none"),
    ],
)
def test_replay_sides(
    command: Command, engine: FakeEngine, topology: Path, tmp_path: Path, sides: list[str], message: str
) -> None:
    options = [part for side in sides for part in ("--side", side)]
    assert command("replay", topology, *options, "--out", tmp_path / "o") == (3, "", f"error: {message}\n")
    assert engine.calls == []


def test_failures_are_one_message(
    command: Command, engine: FakeEngine, topology: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    arguments = ["replay", topology, "--side", f"a={files[0]}", "--side", "b=", "--out", tmp_path / "o"]
    engine.error = StateError("state is in use")
    assert command(*arguments) == (3, "", "error: state is in use\n")
    code, _, err = command("--debug", *arguments)
    assert code == 3
    assert "Traceback" in err
    engine.error = Undelivered("out: no space left")
    assert command(*arguments) == (4, "", "error: out: no space left\n")
    engine.error = ZeroDivisionError("oops")
    code, _, err = command(*arguments)
    assert code == 3
    assert err.startswith("error: a fault of stream-recon itself: ZeroDivisionError: oops")
    engine.error = KeyboardInterrupt()
    assert command(*arguments) == (130, "", "interrupted\n")


def _process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], stderr=subprocess.PIPE, text=True, check=False, timeout=60, **options)


def test_python_without_asserts_is_refused() -> None:
    done = _process("-O", "-m", "stream_recon", "version", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (3, "")
    assert "python -O is refused" in done.stderr


def test_a_reader_that_went_away_is_4(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    (tmp_path / "discrepancies.jsonl").write_text(json.dumps(BODY) + "\n", encoding="utf-8")
    for command in (["version", "--json"], ["version"], ["discrepancies", str(tmp_path)]):
        done = _process("-m", "stream_recon", *command, stdout=writer)
        assert (done.returncode, done.stderr) == (4, "error: the result could not be written to standard output: Broken pipe\n")
    os.close(writer)
