"""The checks that a right core passes and every wrong one of ``mutants`` fails: deterministic, and quick at the first catch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from stream_recon.model.digest import Lift as LiftRecord
from stream_recon.model.digest import encode
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format
from stream_recon.normalise.reference import ReferenceDecoder
from tests.laws.drive import Drive, answer
from tests.laws.expect import disagreements, framed, row_hash_of, sha
from tests.laws.hand import HISTORIES, at
from tests.laws.live import LIVE
from tests.laws.ordeal import Ordeal, folded_again, said_by_chain
from tests.oracle.generate import Rolled
from tests.oracle.history import History
from tests.oracle.oracle import Expected, expected
from tests.oracle.strategies import Batch, delivery_of, seeded

Check = Callable[[Path], list[str]]
SEEDS = 24


@cache
def truth_of(history: History) -> Expected:
    return expected(history)


def run(history: History, room: Path, seed: int, homes: int) -> list[str]:
    """A seeded delivery of a history, against the oracle."""
    answers = answer(history, room, delivery_of(Rolled(seed), history), homes=homes)
    return disagreements(history, answers, truth_of(history), homes=homes)


def hand_made(history: History) -> Check:
    """One item at a time, the source first or last; then by a seeded delivery and two digest partitions."""

    def check(room: Path) -> list[str]:
        one = [
            Batch(s, q, n, n + 1)
            for s, side in enumerate(history.sides)
            for q, p in enumerate(side.partitions)
            for n in range(len(p.items))
        ]
        for delivery in (one, one[::-1] if all(b.start == 0 for b in one) else sorted(one, key=lambda b: (-b.side, b.start))):
            if wrong := disagreements(history, answer(history, room, delivery), truth_of(history)):
                return wrong
        return run(history, room, 3, 2)

    return check


def seed(number: int) -> Check:
    return lambda room: run(seeded(number, "wild", 12), room, number, 1 + number % 2)


def again(room: Path) -> list[str]:
    """Partitions delivered again from older positions, many times over."""
    history = HISTORIES["many keys over many windows"]
    places = [(s, q, len(p.items)) for s, side in enumerate(history.sides) for q, p in enumerate(side.partitions)]
    delivery = [Batch(s, q, max(0, n - back), n) for back in (1000, 5, 1) for s, q, n in places]
    answers = answer(history, room, delivery, homes=2)
    return disagreements(history, answers, truth_of(history), homes=2)


def older_disks(room: Path) -> list[str]:
    """The process dies after every batch and comes back on disks that are older than what it said."""
    history = HISTORIES["many keys over many windows"]
    drive = Drive(history, room)
    old = [s.copy() for s in drive.stores]
    steps = [
        Batch(s, q, start, min(start + 6, len(p.items)))
        for start in range(0, 40, 6)
        for s, side in enumerate(history.sides)
        for q, p in enumerate(side.partitions)
        if start < len(p.items)
    ]
    for n, batch in enumerate(steps):
        drive.deliver(batch)
        if n % 3 == 1:
            old = [s.copy() for s in drive.stores]
        if n % 3 == 0:
            drive.die([s.copy() for s in old])
    answers = drive.finish()
    wrong = disagreements(history, answers, truth_of(history))
    if folded_again(drive.log, 1, Rolled(1)) != said_by_chain(drive.log):
        wrong.append("the same log folded again gives other bytes")
    return wrong


def ordeals(room: Path) -> list[str]:
    """Crashes at any step."""
    for number in range(4):
        history = seeded(number, "wild", 12)
        answers = Ordeal(history, room, Rolled(number), homes=2).run(delivery_of(Rolled(number), history))
        if wrong := disagreements(history, answers, truth_of(history), homes=2):
            return wrong
    return []


def stray_lift(room: Path) -> list[str]:
    """A lift that somebody wrote who did not know how far the partition had been read: it stands at no next position."""
    history = HISTORIES["a target that lags"]
    drive = Drive(history, room)
    drive.deliver(Batch(0, 0, 0, 1))
    for side in history.sides:
        p = side.partitions[0]
        record = LiftRecord("oracle", side.name, p.topic, "", p.number, 5, at(1000))
        drive.pipeline._everywhere(encode(record), 0, {})
    drive.deliver(Batch(1, 0, 0, 2))
    drive.deliver(Batch(0, 0, 1, 2))
    return disagreements(history, drive.finish(), truth_of(history))


ROWS: list[dict[str, object]] = [
    {"id": 1, "value": None, "note": "x"},
    {"id": 1, "value": "", "note": "x"},
    {"id": 1, "value": "x", "note": None},
    {"id": 1, "value": "x", "note": ""},
    {"id": 1, "value": "as1:b", "note": "c"},
    {"id": 1, "value": "a", "note": "bs1:c"},
    {"id": 1, "value": "ab", "note": "c"},
    {"id": 1, "value": "c", "note": "ab"},
    {"id": 1, "value": "bsc", "note": "a"},
    {"id": 1, "value": "c", "note": "asb"},
    {"id": 1, "value": 1, "note": "x"},
    {"id": 1, "value": "1", "note": "x"},
]
NUMBERS = ["9007199254740993", "9007199254740992", "0.1", "0.10000000000000000555", "12345678901234567890.123456789"]


def canonical_form(room: Path) -> list[str]:
    """Different rows have different hashes; a number is what was written; two golden rows, worked out from the page."""
    payloads = [json.dumps(row) for row in ROWS] + [f'{{"id":1,"value":{n},"note":"x"}}' for n in NUMBERS]
    payloads += ['{"id":1,"value":1.50,"note":"x"}', '{"id":1,"value":15e-1,"note":"x"}', '{"id":1,"note":"x","value":"a"}']
    columns = tuple(ColumnPlan(name, name, key=name == "id") for name in ("id", "note", "value"))
    found = hashes(FeedPlan("source", Format.JSON, columns), payloads)
    wrong = []
    *different, left, right, golden = found
    if len(set(different)) != len(different):
        wrong.append("two different rows have one hash")
    if left != right:
        wrong.append("one number written in two ways has two hashes")
    if golden != sha(framed("n", b"1") + framed("s", b"x") + framed("s", b"a")):
        wrong.append("the golden row has another hash")
    if different[12] != sha(framed("n", b"1") + framed("s", b"x") + framed("n", b"9007199254740993")):
        wrong.append("a long number has another hash")
    large = tuple(replace(c, large=c.name == "note") for c in columns)
    if hashes(FeedPlan("source", Format.JSON, large), payloads[-1:]) != [row_hash_of(1, ("a", "x"))]:
        wrong.append("the golden row with a large column has another hash")
    return wrong


def hashes(feed: FeedPlan, payloads: list[str]) -> list[bytes]:
    count = len(payloads)
    messages = Messages(
        Upstream("source", "t", 0),
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.int64),
        pa.array([b'{"id":1}'] * count, pa.binary()),
        pa.array([p.encode() for p in payloads], pa.binary()),
    )
    out: list[bytes] = ReferenceDecoder(feed).decode(messages).rows.column("hash").to_pylist()
    return out


CHECKS: dict[str, Check] = {
    "canonical form": canonical_form,
    **{name: hand_made(history) for name, history in HISTORIES.items()},
    "a lift of another position": stray_lift,
    "delivered again": again,
    "disks older than what was said": older_disks,
    "crashes at any step": ordeals,
    **LIVE,
    **{f"seed {number}": seed(number) for number in range(SEEDS)},
}


def complaints(room: Path, names: Iterable[str] = CHECKS) -> Iterator[tuple[str, str]]:
    """Which check says what; a core that falls over is caught, too."""
    for name in names:
        try:
            wrong = CHECKS[name](room)
        except Exception as error:  # noqa: BLE001
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            yield name, wrong[0]
