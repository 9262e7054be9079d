"""A pair that may keep little of what waits: windows are passed over, said so, and nothing that stands in the end is missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.laws.drive import Answers, Drive
from tests.laws.expect import Said, key_id_of
from tests.laws.ordeal import Ordeal, folded_again, folding, said_by_chain, slicing
from tests.oracle.generate import Draw, Rolled
from tests.oracle.history import History, Truncate
from tests.oracle.laws import differing
from tests.oracle.oracle import _PairJudge, folders
from tests.oracle.strategies import Batch, Sort, seeded
from tests.oracle.timeline import Reading

SEEDS = range(40)
SIZE = 40


def ahead(history: History, d: Draw) -> list[Batch]:
    """Some of every partition, up to half of it; then one side after the other, in an order of its own: what comes first runs far
    ahead. All in small batches.
    """
    done = {(s, p): 0 for s, side in enumerate(history.sides) for p, part in enumerate(side.partitions) if part.items}
    out: list[Batch] = []

    def deliver(stops: dict[tuple[int, int], int]) -> None:
        while left := [place for place, stop in stops.items() if done[place] < stop]:
            place = d.pick(left)
            start, done[place] = done[place], min(stops[place], done[place] + d.number(1, 8))
            out.append(Batch(*place, start, done[place]))

    ends = {(s, p): len(history.sides[s].partitions[p].items) for s, p in done}
    if d.number(0, 1):
        deliver({place: end // 2 for place, end in ends.items()})
    sides = [*range(len(history.sides))]
    while sides:
        side = sides.pop(d.number(0, len(sides) - 1))
        deliver({place: end for place, end in ends.items() if place[0] == side})
    return out


@dataclass(frozen=True, slots=True)
class Trial:
    """A history with one side far ahead of another, answered with little room and with any."""

    history: History
    homes: int
    drive: Drive
    tight: Answers
    wide: Answers

    @property
    def suspensions(self) -> int:
        return sum(1 for e in self.events if e["type"] == "suspended")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for body in self.tight.bodies]


def tried(room: Path, sort: Sort) -> Iterator[Trial]:
    for seed in SEEDS:
        d, history = Rolled(seed), seeded(seed, sort, SIZE)
        delivery, homes, room_for = ahead(history, d), d.number(1, 3), d.pick([1, 1_500, 4_000])
        answers = []
        with folding(d.pick([6, 1])), slicing(d.pick([1 << 28, 1 << 28, 700])):
            for max_buffer in (room_for, 0):
                drive = Drive(history, room, homes=homes, max_buffer=max_buffer)
                for batch in delivery:
                    drive.deliver(batch)
                answers.append((drive, drive.finish()))
        (drive, tight), (_, wide) = answers
        yield Trial(history, homes, drive, tight, wide)


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    trials = [*tried(tmp_path_factory.mktemp("wild"), "wild")]
    assert sum(t.suspensions > 0 for t in trials) > len(trials) // 3
    return trials


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    trials = [*tried(tmp_path_factory.mktemp("healthy"), "healthy")]
    assert sum(t.suspensions > 0 for t in trials) > len(trials) // 3
    return trials


def open_keys(trial: Trial, target: str) -> set[int]:
    found = Said(trial.tight, trial.history.params.window, 1).open()
    return {key for of, key in found if of == target}


def test_what_is_open_at_the_end_is_what_differs_at_the_end(wild: list[Trial], healthy: list[Trial]) -> None:
    for trial in [*wild, *healthy]:
        for target, (different, known) in differing(trial.history).items():
            assert different == open_keys(trial, target) & known


def test_a_healthy_history_raises_no_alarm(healthy: list[Trial]) -> None:
    for trial in healthy:
        assert trial.tight.discrepancies == []
        assert trial.tight.summary.verdict == ("inconclusive" if trial.suspensions else "clean")


def chains(answers: Answers) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {}
    for certificate in answers.certificates:
        out.setdefault(certificate["chain"], []).append(certificate)
    return out


def test_every_window_is_certified_once_and_those_passed_over_as_inconclusive(wild: list[Trial]) -> None:
    for trial in wild:
        for chain in chains(trial.tight).values():
            for before, after in pairwise(chain):
                assert before["number"] + before["windows"] == after["number"]
            for certificate in chain:
                if any(c["kind"] == "suspended" for c in certificate["causes"]):
                    assert (certificate["verdict"], certificate["counts"]["keys"]) == ("inconclusive", 0)


def test_windows_that_are_not_passed_over_say_what_they_would_have_said(wild: list[Trial]) -> None:
    compared = 0
    for trial in wild:
        wide = {(c["chain"], c["number"]): c for c in trial.wide.certificates}
        for chain in chains(trial.tight).values():
            for certificate in chain:
                passed = "suspended" in certificate or any(c["kind"] == "suspended" for c in certificate["causes"])
                other = wide.get((certificate["chain"], certificate["number"]))
                if not passed and other is not None and other["windows"] == certificate["windows"]:
                    for name in ("root", "verdict", "idle_assumed", "window"):
                        assert certificate[name] == other[name]
                    compared += certificate["counts"]["keys"] > 0
    assert compared > 50


def test_the_window_after_it_judges_every_key_that_is_known(wild: list[Trial]) -> None:
    """As the oracle does; keys of which only an undecodable message is known may be unknown beside them."""
    judged: Counter[str] = Counter()
    for trial in wild:
        window, (source, *targets) = trial.history.params.window, folders(trial.history)
        judges = {t.timeline.name: _PairJudge(trial.history.params, source, t, Reading()) for t in targets}
        for certificate in (c for c in trial.tight.certificates if "suspended" in c):
            judge, start = judges[certificate["target"]], certificate["number"] * window
            rows = [e for side in (source, judge.target) for e in judge.versions(side) if e.effective < start + window]
            home, counts = int(certificate["chain"].rsplit("/", 1)[1]), certificate["counts"]
            mine = {e.key for e in rows if int.from_bytes(key_id_of(e.key)[:8], "big") % trial.homes == home}
            found = Counter(judge.judge(start, key).result for key in mine)
            assert (counts["equal"], counts["different"]) == (found["equal"], found["different"])
            assert counts["inconclusive"] >= found["unknown"]
            judged += found
    assert min(judged[result] for result in ("equal", "different", "unknown")) > 10


def test_the_window_after_it_says_how_many_rows_were_not_compared(wild: list[Trial]) -> None:
    """Truncates aside, which are rows only where keys are judged."""
    plain = [t for t in wild if not any(isinstance(i, Truncate) for s in t.history.sides for p in s.partitions for i in p.items)]
    assert sum(t.suspensions > 0 for t in plain) > 5
    for trial in plain:
        wide = chains(trial.wide)
        for name, chain in chains(trial.tight).items():
            for side in ("source_rows", "target_rows"):
                said = sum(c["counts"][side] + c.get("suspended", {}).get(side, 0) for c in chain)
                assert said == sum(c["counts"][side] for c in wide[name])


def test_one_event_says_so_and_every_suspension_ends(wild: list[Trial]) -> None:
    for trial in wild:
        for name in chains(trial.tight):
            mine = [e for e in trial.events if e.get("chain") == name]
            begun = [e for e in mine if e["type"] == "suspended"]
            ended = [e["suspended"] for e in mine if "suspended" in e]
            assert all(end["from"] <= e["from"] < e["to"] <= end["to"] for e, end in zip(begun, ended, strict=True))


def test_the_same_log_says_the_same_octets_however_often_it_is_folded(wild: list[Trial]) -> None:
    for seed, trial in enumerate(wild[:20]):
        assert folded_again(trial.drive.log, trial.homes, Rolled(seed), cache_bytes=0) == said_by_chain(trial.drive.log)


def test_a_crash_at_any_step_on_disks_of_any_age_changes_no_answer(tmp_path: Path) -> None:
    for seed in SEEDS[:20]:
        d, history = Rolled(seed), seeded(seed, "wild", SIZE)
        ordeal = Ordeal(history, tmp_path, d, homes=2, max_buffer=1_500)
        ordeal.run(ahead(history, d))
        said = said_by_chain(ordeal.drive.log)
        assert folded_again(ordeal.drive.log, 2, d) == said
