"""``gate`` on live topics: it waits for what is not certified yet, and passes no sooner."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.refusing import Here, Live, ids, live, until


def shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_it_waits_until_all_is_certified(bootstrap: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    here = Here(capfd)

    def gate(path: Path, first: float, last: float, *more: str) -> tuple[int, Any]:
        found = here("gate", path, "--from", shown(first), "--to", shown(last), "--json", *more)
        assert found.code in {0, 1, 2}, found.stderr
        return found.code, json.loads(found.stdout)

    def reasons(said: Any) -> set[str]:
        return {reason["text"] for pair in said["pairs"] for reason in pair["reasons"]}

    with live(bootstrap, prefix, tmp_path) as world:
        world.make("s", "t")
        path = world.topology()
        code, said = gate(path, time.time() - 1, time.time())
        assert (code, reasons(said)) == (2, {"it is not open: stream-recon run opens it", "nothing is certified"})
        first = time.time()
        world.both({"id": 1})
        world.start(path)
        until(lambda: world.certificates)
        begun = min(c["window"]["start"] for c in world.certificates)
        start = datetime.fromisoformat(begun).timestamp()
        assert abs(start - first) < 2
        end = _rows_agree(world)
        code, said = gate(path, start, end, "--wait", "60s")
        assert (code, said["verdict"], said["pairs"][0]["windows"]["incomplete"]) == (0, "clean", 0), said
        code, said = gate(path, start - 5, end)
        assert (code, reasons(said)) == (2, {"not certified"})
        began = time.monotonic()
        code, said = gate(path, start, time.time() + 3600, "--wait", "3s")
        assert (code, time.monotonic() - began >= 3) == (2, True)
        world.put(s=[{"id": 2}], t=[])
        lost = time.time()
        world.both({"id": 3})
        _rows_agree(world)
        code, said = gate(path, start, lost + 3600, "--wait", "60s")
        assert (code, said["verdict"]) == (1, "discrepant"), "what differs is not waited for"
        assert world.services[0].stop().code == 0
        assert gate(path, start, end)[0] == 0, "stopped, it says the same"


def test_what_run_once_left_passes_and_balances(
    bootstrap: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = Here(capfd)
    with live(bootstrap, prefix, tmp_path) as world:
        world.make("s", "t")
        began = time.time()
        world.both(*ids(range(20)))
        out, path = tmp_path / "out", world.topology(parallelism=3)
        assert world.start(path, "--once", "--out", out).end().code == 0
        held = next(c["window"] for c in world.certificates if c["counts"]["keys"])
        window = held["start"], held["end"]
        found = here("gate", out, "--from", window[0], "--to", window[1], "--json")
        assert found.code == 0, found.stdout
        (pair,) = json.loads(found.stdout)["pairs"]
        assert pair["chains"] + pair["silent"] == 3
        assert here("gate", out, "--from", shown(began - 60), "--to", window[1]).code == 2
        assert here("ledger", out).code == 0
        audit = out / "audit.jsonl"
        audit.write_bytes(b"".join(audit.read_bytes().splitlines(keepends=True)[:-1]))
        assert here("gate", out, "--from", window[0], "--to", window[1]).code == 3


def test_what_run_once_left_holds_where_many_keys_of_one_window_differ(
    bootstrap: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = Here(capfd)
    with live(bootstrap, prefix, tmp_path) as world:
        world.make("s", "t")
        world.both({"id": 0})
        world.put(s=ids(range(1, 40)), t=[])
        out, path = tmp_path / "out", world.topology(parallelism=3)
        assert world.start(path, "--once", "--out", out).end().code == 1
        held = next(c["window"] for c in world.certificates if c["counts"]["different"] > 1)
        found = here("gate", out, "--from", held["start"], "--to", held["end"], "--json")
        assert found.code == 1, found.stderr


def _rows_agree(world: Live) -> float:
    """Rows of both sides for a few seconds; a time before the last of them, whose window they let close."""
    for n in range(6):
        world.both({"id": 100 + n})
        time.sleep(1)
    return time.time() - 4
