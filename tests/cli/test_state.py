"""``--state``: refused with a reason where it cannot be used, and worth its name when a run was cut off anywhere."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_recon.adapters.embedded import EmbeddedLog
from tests.cli.harness import ROOT, START_MS, World, line, rows, topology

FIXTURES = ROOT / "tests/fixtures/dual-write"
FILES = ("discrepancies.jsonl", "audit.jsonl", "dead_letters.jsonl", "summary.json")
ROW = {"id": 1, "v": 1}


def one_row(world: World, state: Path) -> list[str]:
    return world.arguments(topology(), "--state", str(state), s=rows("st", ROW), t=rows("tt", ROW))


def payments(world: World, state: Path | None, out: Path) -> list[str]:
    """A recording of some length, cut into so many blocks that a run is caught in the middle."""
    sides = [f"postgres={FIXTURES / 'pg-json-payments.jsonl.gz'}", f"mariadb={FIXTURES / 'maria-json-payments.jsonl.gz'}"]
    kept = [] if state is None else ["--state", str(state)]
    cut = ["--batch-rows", "8", "--digest-partitions", "2"]
    plan = str(ROOT / "topologies/payments.yaml")
    return ["replay", plan, "--side", sides[0], "--side", sides[1], "--out", str(out), *kept, *cut]


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("undisturbed")
    world = World(place, None)
    result = world.finish(world.start(*payments(world, place / "state", place / "out")))
    assert result.code == 1, result.stderr
    return contents(place / "out")


@pytest.mark.parametrize("under_proc", [False, True])
def test_a_state_that_cannot_be_written_is_refused_and_named(world: World, under_proc: bool) -> None:
    state = Path("/proc/stream-recon") if under_proc else world.place / "file"
    if not under_proc:
        state.write_text("not a directory", encoding="utf-8")
    result = world.run(*one_row(world, state))
    assert (result.code, str(state) in result.stderr, (world.out / "summary.json").exists()) == (3, True, False)


def test_a_state_held_by_another_process_is_refused(world: World) -> None:
    state = world.place / "state"
    assert world.run(*one_row(world, state)).code == 0
    held = EmbeddedLog(state / "log.sqlite")
    try:
        held.append([("topic", 0, 0, None, b"x")], {})
        result = world.finish(world.start(*one_row(world, state)))
        assert (result.code, str(state) in result.stderr) == (3, True)
        assert "another process" in result.stderr
    finally:
        held.close()


def test_a_state_from_a_newer_version_is_refused_and_left_as_it_is(world: World) -> None:
    state = world.place / "state"
    assert world.run(*one_row(world, state)).code == 0
    with sqlite3.connect(state / "log.sqlite") as log:
        log.execute("PRAGMA user_version=99")
    log.close()
    result = world.run(*one_row(world, state))
    assert (result.code, "newer version" in result.stderr) == (3, True)
    with sqlite3.connect(state / "log.sqlite") as log:
        assert log.execute("PRAGMA user_version").fetchone() == (99,)
    log.close()


def test_a_state_made_with_other_settings_is_refused(world: World) -> None:
    state = world.place / "state"
    assert world.run(*one_row(world, state)).code == 0
    plan = topology(window="20s")
    result = world.replay(plan, "--state", str(state), s=rows("st", ROW), t=rows("tt", ROW))
    assert (result.code, "other settings" in result.stderr) == (3, True)


def test_a_state_that_is_no_database_is_refused(world: World) -> None:
    state = world.place / "state"
    state.mkdir()
    (state / "log.sqlite").write_bytes(b"not a database at all " * 100)
    result = world.run(*one_row(world, state))
    assert (result.code, str(state) in result.stderr) == (3, True)


def test_a_finished_state_gives_the_same_answer_again(world: World) -> None:
    state = world.place / "state"
    before = world.run(*one_row(world, state)).code, contents(world.out)
    assert (world.run(*one_row(world, state)).code, contents(world.out)) == before


@pytest.mark.parametrize("at_bytes", [1, 100_000, 300_000, 500_000])
def test_kill_9_at_any_moment_then_the_same_command_gives_the_same_bytes(
    world: World, undisturbed: dict[str, bytes], at_bytes: int
) -> None:
    state = world.place / "state"
    process = world.start(*payments(world, state, world.out))
    assert reached(process, state, at_bytes), f"the run ended before its log held {at_bytes} bytes"
    process.kill()
    assert world.finish(process).code == -signal.SIGKILL
    assert not (world.out / "summary.json").exists()
    assert world.run(*payments(world, state, world.out)).code == 1
    assert contents(world.out) == undisturbed


def test_sigint_exits_130_and_the_same_command_goes_on(world: World, undisturbed: dict[str, bytes]) -> None:
    state = world.place / "state"
    process = world.start(*payments(world, state, world.out))
    assert reached(process, state, 200_000)
    process.send_signal(signal.SIGINT)
    result = world.finish(process)
    assert (result.code, result.stderr.splitlines()[-1:]) == (130, ["interrupted"])
    assert world.run(*payments(world, state, world.out)).code == 1
    assert contents(world.out) == undisturbed


def reached(process: subprocess.Popen[bytes], state: Path, at_bytes: int) -> bool:
    """Waits until the log is that long; whether the process was still running then."""
    files = [state / "log.sqlite", state / "log.sqlite-wal"]
    while process.poll() is None:
        if sum(path.stat().st_size for path in files if path.exists()) >= at_bytes:
            return process.poll() is None
    return False


def files_of_at_most(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_full_disk_under_the_state_is_told_and_loses_nothing(world: World, undisturbed: dict[str, bytes]) -> None:
    state = world.place / "state"
    process = world.start(*payments(world, state, world.out), preexec_fn=files_of_at_most(300_000))
    result = world.finish(process)
    assert (result.code, "state" in result.stderr, (world.out / "summary.json").exists()) == (3, True, False)
    assert "Traceback" not in result.stderr
    assert "fault of stream-recon" not in result.stderr
    assert world.run(*payments(world, state, world.out)).code == 1
    assert contents(world.out) == undisturbed


def test_a_full_disk_under_the_outputs_is_no_success(world: World) -> None:
    names = [{"id": f"{i:04}" + "k" * 4000} for i in range(200)]
    state = world.place / "state"
    arguments = world.arguments(topology(), "--state", str(state), "--digest-partitions", "1", s=rows("st", *names), t=rows("tt"))
    assert world.run(*arguments).code == 1
    whole = contents(world.out)
    assert len(whole["discrepancies.jsonl"]) > 800_000
    result = world.finish(world.start(*arguments, preexec_fn=files_of_at_most(600_000)))
    assert (result.code, "discrepancies.jsonl" in result.stderr) == (4, True)
    assert not (world.out / "summary.json").exists()
    assert (world.run(*arguments).code, contents(world.out)) == (1, whole)


def test_batches_and_digest_partitions_shape_no_answer(world: World) -> None:
    seconds = [i * 7_919 % 60_000 for i in range(300)]
    source = [line("st", i, {"id": i % 40, "v": i % 3}, ts=START_MS + at, partition=0) for i, at in enumerate(seconds)]
    target = [line("tt", i, {"id": i % 41, "v": i % 3}, ts=START_MS + at, partition=0) for i, at in enumerate(seconds)]

    def told(*extra: str) -> object:
        result = world.replay(topology(out_of_orderness="30s"), *extra, s=source[::-1], t=target[::2] + target)
        events = sorted(
            json.dumps({k: v for k, v in event.items() if k not in {"chain", "time"}}, sort_keys=True)
            for event in result.events("discrepancies")
        )
        chains = result.summary["chains"]  # of digest partitions, each of them
        assert set(chains) == {f"x/t/{home}" for home in range(int(extra[1]))}
        return result.code, events, result.summary | {"chains": None}

    whole = told("--digest-partitions", "1")
    assert told("--digest-partitions", "3", "--batch-rows", "1") == whole
    assert told("--digest-partitions", "8", "--batch-rows", "7") == whole
