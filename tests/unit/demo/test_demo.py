"""The demo from end to end: what was planted is found, nothing else is, and its recordings say the same again."""

import json
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stream_recon import demo
from stream_recon.cli.main import run
from stream_recon.cli.wire import opened, replay
from stream_recon.config import load_topology
from stream_recon.demo import files, screen
from stream_recon.demo.drive import Drive, layout
from stream_recon.demo.envelope import messages
from stream_recon.demo.score import Certificates, Line, Result
from stream_recon.demo.world import START, make
from stream_recon.limits import MICROS

COARSE_TICK = 30 * MICROS
"""Cheaper than the demo's own: what is said does not depend on it, as a test below holds."""

OTHER_TICK = 54 * MICROS


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FAST_TICK", COARSE_TICK)
        patch.delenv("KAFKA_BOOTSTRAP", raising=False)
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    place = tmp_path_factory.mktemp("demo") / "new" / "out"
    return place, demo.play(make(), place, live=False, silent=True)


def events(path: Path) -> list[dict[str, Any]]:
    """Discrepancy events without the time at which they were said: that depends on how the messages came."""
    bodies = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(
        ({k: v for k, v in b.items() if k != "time"} for b in bodies), key=lambda b: (b["chain"], b["window"]["end"], b["id"])
    )


def test_found_is_what_was_planted(kept: tuple[Path, Result]) -> None:
    result = kept[1]
    assert result.wrong == []
    assert result.exit_code == 0
    assert [line.planted for line in result.lines] == list(make().planted)
    assert result.summary["windows"]["inconclusive"] == 0
    assert result.summary["open"] == sum(p.healed is None for p in make().planted)
    assert sum(f.updates for line in result.lines for f in line.found) >= 1, "one fault goes wrong again while it is open"


def test_an_unplanted_run_is_clean(tmp_path: Path) -> None:
    result = demo.play(make(faults=()), tmp_path, live=False, silent=True)
    assert result.exit_code == 0
    assert result.lines == []
    assert result.summary["verdict"] == "clean"
    assert result.summary["windows"]["discrepant"] == result.summary["windows"]["inconclusive"] == 0


def test_the_recordings_say_the_same_again(kept: tuple[Path, Result], tmp_path: Path) -> None:
    place = kept[0]
    plan = load_topology(place / "topology.yaml")
    recordings = {side: [place / f"{side}.jsonl"] for side in ("postgres", "mariadb")}
    summary = replay(plan, recordings, tmp_path, state=None, digest_partitions=8, progress=lambda *_: None)
    assert summary.to_json() == kept[1].summary
    assert events(tmp_path / "discrepancies.jsonl") == events(place / "discrepancies.jsonl")


def test_the_length_of_a_tick_shapes_no_answer(kept: tuple[Path, Result], tmp_path: Path) -> None:
    world = make()
    plan = load_topology(files.prepare(tmp_path))
    with opened(layout(plan), tmp_path, 2, keep=False) as pipeline:
        drive = Drive(pipeline, messages(world), world.planted)
        while not drive.done:
            drive.tick(OTHER_TICK)
            if drive.board.now == START + 270 * MICROS:
                _fits(drive, kept[1])
        drive.end()
    found = [(f.id, f.kind, f.resolved is None) for line in drive.board.score.lines() for f in line.found]
    assert found == [(f.id, f.kind, f.resolved is None) for line in kept[1].lines for f in line.found]


def _fits(drive: Drive, result: Result) -> None:
    """The board and the result fit terminals of any usual width."""
    for width in (80, 100, 160):
        console = Console(width=width, record=True, file=StringIO())
        console.print(screen.board(drive.board, 20, 5))
        console.print(screen.result_table(result))
        text = console.export_text()
        assert "04:04:30" in text
        assert "unexpected      1605" in text
        assert text.count(" ok") == len(drive.board.planted)


def test_the_command_tells_every_planted_fault_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert [(line["planted"]["kind"], line["key"]["id"]) for line in told["lines"]] == [
        (str(p.kind), p.key) for p in make().planted
    ]
    assert (told["exit_code"], told["planted"], told["found"], told["out"]) == (0, 13, 13, None)
    assert all(line["right"] for line in told["lines"])
    assert told["certificates"]["broken"] == []
    assert err == ""


def test_the_command_without_a_terminal_writes_plain_lines(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["demo", "--out", str(tmp_path)]) == 0
    out, _ = capfd.readouterr()
    assert "\x1b" not in out
    assert "opened    missing_in_target" in out
    assert "WRONG" not in out
    assert "13 planted, 13 found as planted, 0 more found" in out
    names = {"topology.yaml", "postgres.jsonl", "mariadb.jsonl", "discrepancies.jsonl", "audit.jsonl", "dead_letters.jsonl"}
    assert {p.name for p in tmp_path.iterdir()} == names | {"summary.json"}


def test_a_directory_that_cannot_be_made_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run(["demo", "--out", str(tmp_path / "file" / "out")]) == 4
    assert "cannot be made" in capfd.readouterr().err


@pytest.mark.parametrize("change", ["nothing found", "another kind", "not resolved", "told twice"])
def test_what_is_not_as_planted_is_wrong(kept: tuple[Path, Result], change: str) -> None:
    result = kept[1]
    line = next(line for line in result.lines if line.planted is not None and line.planted.healed is not None)
    assert line.right
    found = json.loads(json.dumps(line.found[0].to_json()))
    other = type(line.found[0])(key=line.found[0].key, **found)
    if change == "another kind":
        other.kind = "value_mismatch" if other.kind != "value_mismatch" else "stale_in_target"
    if change == "not resolved":
        other.resolved = None
    now = {"nothing found": (), "told twice": (other, other)}.get(change, (other,))
    bad = Result([Line(line.planted, now)], result.certificates, result.summary, result.messages)
    assert bad.exit_code == 3
    assert "not as planted" in bad.wrong[0]


def test_an_alarm_that_nobody_planted_is_wrong(kept: tuple[Path, Result]) -> None:
    result = kept[1]
    bad = Result([*result.lines, Line(None, result.lines[0].found)], result.certificates, result.summary, result.messages)
    assert bad.exit_code == 3
    assert bad.to_json()["lines"][-1]["planted"] is None


def test_a_broken_chain_is_wrong(kept: tuple[Path, Result]) -> None:
    place, result = kept
    bodies = (place / "audit.jsonl").read_bytes().splitlines()
    assert Certificates.of(bodies) == result.certificates
    edited = [bodies[0].replace(b'"verdict":"', b'"verdict": "'), *bodies[1:]]
    for cut in (edited, bodies[1:], []):
        bad = Result(result.lines, Certificates.of(cut), result.summary, result.messages)
        assert bad.exit_code == 3


def test_the_live_run_says_the_same(kept: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "LIVE_TICK", COARSE_TICK)
    monkeypatch.setattr(demo, "SPEED", 10**9)  # nothing to wait for
    result = demo.play(make(), tmp_path, live=True, silent=False)
    assert result == kept[1]
    assert (tmp_path / "audit.jsonl").read_bytes() == (kept[0] / "audit.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("terminal", "as_json", "ci", "live"),
    [(True, False, "", True), (True, True, "", False), (True, False, "true", False), (False, False, "", False)],
)
def test_it_is_live_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, as_json: bool, ci: str, live: bool
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    seen: list[bool] = []

    def stop(*_: object, live: bool, silent: bool) -> None:
        seen.append(live)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "play", stop)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(out=None, as_json=as_json)
    assert seen == [live]
