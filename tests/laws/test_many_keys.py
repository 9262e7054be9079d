"""Thousands of plain keys, as many as a block holds and more, against an expectation by dictionary: what was planted is found."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.model.messages import Messages, Upstream
from tests.laws.drive import Answers, Drive
from tests.laws.expect import Said
from tests.laws.ordeal import exact, folded_again, folding, said_by_chain
from tests.oracle.generate import Rolled
from tests.oracle.history import History, Params, Partition, Side, Upsert

S = 1_000_000
START = 1_767_225_600 * S
P = Params(10 * S, 5 * S, 2 * S, 3 * S, 60 * S)
PARTS = 3


@dataclass(frozen=True, slots=True)
class Planted:
    """Changes by side and partition as (ts ms, t, key, value or None), and what must be open at the end."""

    logs: dict[tuple[str, int], list[tuple[int, int, int, str | None]]]
    open: dict[int, str]
    found: int
    """How many windows find a difference: one a fault, two where source and target were written in two windows."""
    rows: int


def plant(seed: int, keys: int, changes: int) -> Planted:
    """Changes on the source, applied within the allowance; in the end each faulty key gets one fault and no change after it."""
    d = random.Random(seed)
    logs: dict[tuple[str, int], list[tuple[int, int, int, str | None]]] = {
        (s, n): [] for s in ("source", "target") for n in range(PARTS)
    }
    faulty = set(d.sample(range(keys), keys // 50))
    kinds = {
        k: d.choice(["missing_in_target", "undeleted_in_target", "stale_in_target", "value_mismatch", "unexpected_in_target"])
        for k in faulty
    }
    state: dict[int, str | None] = {}
    busy: dict[int, int] = {}

    def write(side: str, t: int, key: int, value: str | None) -> None:
        logs[side, key % PARTS].append((t // 1000 + 1, t, key, value))

    t = START
    for n in range(changes):
        t += d.randint(1, 2 * 100_000_000 // changes)
        key = d.randrange(keys)
        at = max(t, busy.get(key, 0))
        value = None if state.get(key) is not None and d.random() < 0.1 else f"v{n}"
        if kinds.get(key) == "unexpected_in_target":
            continue
        write("source", at, key, value)
        lagged = at + d.randint(-2 * S, 5 * S)
        write("target", lagged, key, value)
        state[key], busy[key] = value, max(at, lagged) + 8 * S
    end = max(busy.values(), default=t) + 30 * S
    found = len(kinds)
    for key, kind in kinds.items():
        at = end + d.randint(0, 20 * S)
        found += kind in {"missing_in_target", "value_mismatch"} and at // P.window != (at + S) // P.window
        write("source", at - 25 * S, key, "before") if kind in {"undeleted_in_target", "stale_in_target"} else None
        write("target", at - 24 * S, key, "before") if kind in {"undeleted_in_target", "stale_in_target"} else None
        if kind == "missing_in_target":
            write("source", at, key, "new")
            write("target", at + S, key, None)
        elif kind == "undeleted_in_target":
            write("source", at, key, None)
        elif kind == "value_mismatch":
            write("source", at, key, "right")
            write("target", at + S, key, "wrong")
        elif kind == "stale_in_target":
            write("source", at, key, "after")
        else:
            write("target", at, key, "nobody wrote this")
    for log in logs.values():
        log.sort(key=lambda row: row[1])
    return Planted(logs, kinds, found, sum(map(len, logs.values())))


def payload(t: int, key: int, value: str | None) -> bytes:
    row = {"id": key, "value": value, "note": "n"}
    source = {
        "ts_us": t,
        "ts_ms": t // 1000,
        "snapshot": "false",
        "db": "d",
        "schema": "s",
        "table": "t",
        "connector": "postgresql",
    }
    gone = value is None
    body = {"before": {"id": key} if gone else None, "after": None if gone else row, "source": source, "op": "d" if gone else "u"}
    return json.dumps(body | {"ts_ms": t // 1000}).encode()


def drive_of(planted: Planted, room: Path, seed: int, *, homes: int, cache_bytes: int | None = None) -> tuple[Drive, Answers]:
    """Batches of some hundred messages, by time, from all partitions."""
    d = random.Random(seed)
    first = Upsert(0, START // 1000, START, 0, "")
    sides = [Side(s, tuple(Partition(f"{s}.a", n, (first,)) for n in range(PARTS))) for s in ("source", "target")]
    drive = Drive(History(P, sides[0], (sides[1],)), room, homes=homes, cache_bytes=cache_bytes)
    at = dict.fromkeys(planted.logs, 0)
    while waiting := [place for place, log in planted.logs.items() if at[place] < len(log)]:
        place = d.choice(waiting)
        start = at[place]
        stop = min(len(planted.logs[place]), start + d.choice([100, 400, 1000]))
        part = planted.logs[place][start:stop]
        messages = Messages(
            Upstream(place[0], f"{place[0]}.a", place[1]),
            np.arange(start, stop, dtype=np.int64),
            np.array([ts for ts, _, _, _ in part], np.int64),
            pa.array([json.dumps({"id": key}).encode() for _, _, key, _ in part], pa.binary()),
            pa.array([payload(t, key, value) for _, t, key, value in part], pa.binary()),
        )
        drive.pipeline.push([(messages, stop, 0)], 0)
        drive.pipeline.drain()
        at[place] = stop
    return drive, drive.finish()


@pytest.mark.parametrize(("seed", "homes", "cache", "windows"), [(1, 1, None, 6), (2, 3, 0, 1), (3, 2, 100_000, 1000)])
def test_exactly_the_planted_faults_are_found(room: Path, seed: int, homes: int, cache: int | None, windows: int) -> None:
    planted = plant(seed, 2500, 4000)
    with folding(windows):
        drive, answers = drive_of(planted, room, seed, homes=homes, cache_bytes=cache)
    assert {key: kind for (_, key), kind in Said(answers, P.window, homes).open().items()} == planted.open
    assert {e["status"] for e in answers.discrepancies} == {"opened"}
    totals = {
        n: sum(c["counts"][n] for c in answers.certificates)
        for n in ("source_rows", "target_rows", "different", "inconclusive", "late")
    }
    assert totals["source_rows"] + totals["target_rows"] == planted.rows
    assert (totals["different"], totals["inconclusive"], totals["late"]) == (planted.found, 0, 0)
    with folding(7 - windows % 7):
        assert folded_again(drive.log, homes, Rolled(seed)) == said_by_chain(drive.log)


def test_many_keys_folded_one_by_one_give_the_same_bytes(room: Path) -> None:
    planted = plant(4, 400, 600)
    drive, _ = drive_of(planted, room, 4, homes=2)
    with exact():
        assert folded_again(drive.log, 2, Rolled(4)) == said_by_chain(drive.log)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many")
