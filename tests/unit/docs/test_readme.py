"""The README's commands run, and say what it shows."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from stream_recon.cli.main import run

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXITS = {"validate": 0, "replay": 1, "discrepancies": 0, "demo": 0, "keys": 0, "audit": 0, "gate": 0}
LIVE = frozenset({"run", "status"})
"""Need a broker: tests/kafka/test_readme.py runs them."""


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, without the fences."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def commands() -> list[list[str]]:
    """Every stream-recon command of the README, as its words."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("stream-recon ")]


def shown(first: str) -> list[str]:
    """Lines of the output block that begins so; ``...`` stands for lines left out."""
    (block,) = [b for b in blocks("") if b.startswith(first)]
    return [line for line in block.splitlines() if line != "..."]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Runs the README's commands in a directory that looks like the repository."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("topologies", "tests"):
        (place / name).symlink_to(ROOT / name)
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("KAFKA_BOOTSTRAP", raising=False)
        for words in (w for w in commands() if w[0] not in LIVE):
            said[words[0]] = _said(words)
            if ">" in words:
                Path(words[-1]).write_text(said[words[0]], encoding="utf-8")
    return place, said


def _said(words: list[str]) -> str:
    """Standard output of a command, which must end as documented; where it goes to is left out."""
    words = words[: words.index(">")] if ">" in words else words
    raw = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8", write_through=True)) as out:
        assert run(words) == EXITS[words[0]]
        out.flush()
        return raw.getvalue().decode()


def test_the_replay_example_runs_and_says_what_is_shown(outputs: tuple[Path, dict[str, str]]) -> None:
    said = outputs[1]
    assert set(said) == EXITS.keys() - {"demo"}
    lines = [line.rstrip() for line in said["replay"].splitlines()]
    assert [line for line in shown("verdict:") if line not in lines] == []


def test_the_proof_of_the_example_holds(outputs: tuple[Path, dict[str, str]]) -> None:
    assert outputs[1]["audit"].splitlines()[-1].startswith("the proof holds: 72 entries under 1 checkpoint of example.com/recon")
    assert "`the proof holds`" in README
    assert "it says of windows: 83 clean, 4 discrepant, 2 inconclusive; 2 discrepancies are open" in outputs[1]["audit"]
    assert outputs[1]["audit"].count("discrepant: 2026-11-21T05:4") == 4


def test_the_gate_of_the_example_is_open(outputs: tuple[Path, dict[str, str]]) -> None:
    assert outputs[1]["gate"].splitlines()[-1] == "the gate is open: all of it is certified and clean"


def test_the_events_shown_are_those_of_the_example(outputs: tuple[Path, dict[str, str]]) -> None:
    event, certificate = (json.loads(block) for block in blocks("json"))
    place = outputs[0] / "out/orders"
    assert event in [json.loads(line) for line in (place / "discrepancies.jsonl").read_text(encoding="utf-8").splitlines()]
    assert certificate in [json.loads(line) for line in (place / "audit.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_topology_shown_is_the_one_that_is_replayed() -> None:
    text = (ROOT / "topologies/orders.yaml").read_text(encoding="utf-8")
    (block,) = blocks("yaml")
    assert text.endswith(block)


def test_the_demo_says_what_is_shown() -> None:
    lines = [line.rstrip() for line in _said(["demo"]).splitlines()]
    assert [line for line in shown("a dual write") if line not in lines] == []


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {t for t in re.findall(r"`?make ([a-z]+)", README) if t not in targets} == set()


def test_the_picture_is_there_and_loads_nothing() -> None:
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    svg = (ROOT / picture).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' <>]+", svg)) == {"http://www.w3.org/2000/svg"}
