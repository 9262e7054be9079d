"""Runs made for one thing that may happen: each by its name, on a handful of seeds, and judged by the same laws."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_recon.engine import delivery
from stream_recon.model.digest import Lift, decode, encode
from stream_recon.sim.broker import Record
from stream_recon.sim.rows import Input, Written
from stream_recon.sim.trial import Faults, Setting, Trial, small_plan
from stream_recon.sim.world import BEGAN, SECOND
from tests.sim.mutants import SCENARIO_MUTANTS, planted

PEACE = Faults(0, 0, 0)
SEEDS = range(6)
FEW = range(3)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def at(seconds: float) -> int:
    return BEGAN + round(seconds * SECOND)


def change(side: str, key: int, value: str | None, when: float, arrives: float | None = None, partition: int = 0) -> Written:
    return Written(at(when), at(when if arrives is None else arrives), side, (side, partition), key, value)


def given(trial: Trial, *changes: Written, honest: bool = True) -> Trial:
    """The trial with this input."""
    values: dict[str, dict[int, str | None]] = {s.name: {} for s in trial.setting.plan.sides}
    for one in sorted(changes, key=lambda c: c.at):
        values[one.side][one.key] = one.value
    ordered = sorted(changes, key=lambda c: c.arrives)
    trial.input = Input(ordered, {t.name: set() for t in trial.setting.plan.targets}, ordered[-1].arrives, honest, values)
    return trial


def on_append(trial: Trial, act: Callable[[Any, Record], None]) -> None:
    """Calls ``act`` for each record that the broker takes."""
    append = trial.broker.append

    def tapped(place: Any, key: bytes | None, value: bytes | None, transaction: Any = None) -> Record:
        record = append(place, key, value, transaction)
        act(place, record)
        return record

    trial.broker.append = tapped  # type: ignore[method-assign]


def bodies(trial: Trial) -> list[dict[str, Any]]:
    return [orjson.loads(r.value or b"") for r in trial.broker.read((trial.names.audit, 0), 0, 1 << 40)[0]]


def kill(trial: Trial, stage: str) -> None:
    for process in trial.world.processes:
        if process.name.startswith(stage):
            trial.world.kill(process)


# ---- lifts -------------------------------------------------------------------------------------------------------------------


def killed_at_a_lift(seed: int) -> Trial:
    """A worker dies as its first lift reaches the log; the next one finds rows older than that lift as soon as it is there."""
    trial = Trial(seed, Setting(small_plan(), PEACE, partitions=1, homes=1, workers=1))
    ends = [change(side, key, "z", 44.0) for key in (2, 3) for side in ("s", "t")]
    given(trial, change("s", 1, "a", 2.0), change("t", 1, "a", 2.1), *ends, honest=False)
    dead: list[int] = []

    def act(place: Any, record: Record) -> None:
        if place[0] == trial.names.digests and not dead and isinstance(decode(record.value or b""), Lift):
            dead.append(record.offset)
            kill(trial, "normalise")
            for side in ("s", "t"):
                trial.world.after(9.5, lambda side=side: trial._write(change(side, 2, "x", 2.11)))  # type: ignore[misc]

    on_append(trial, act)
    return trial


@pytest.mark.parametrize("seed", SEEDS)
def test_lift_then_crash_before_the_commit(seed: int) -> None:
    trial = killed_at_a_lift(seed)
    verdict = trial.run()
    assert verdict.broken == ()
    assert any("normalise-1 is killed" in line for line in verdict.log)
    assert any(c["kind"] == "lift_broken" for b in bodies(trial) if b["type"] == "window" for c in b["causes"])


def test_a_lift_that_is_said_before_it_is_committed_is_found() -> None:
    found = []
    for seed in SEEDS:
        with planted(SCENARIO_MUTANTS["a lift is said before it is committed"]):
            try:
                trial = killed_at_a_lift(seed)
                broken = trial.run().broken
                told = any(c["kind"] == "lift_broken" for b in bodies(trial) if b["type"] == "window" for c in b["causes"])
                found.append(bool(broken) or not told)
            except AssertionError:
                found.append(True)
    assert any(found)


# ---- topics ------------------------------------------------------------------------------------------------------------------


def remade(trial: Trial) -> None:
    trial.broker.make("s", 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_topic_recreated(seed: int) -> None:
    trial = Trial(seed, Setting(small_plan(), PEACE, partitions=1))
    given(trial, *[change(side, key, f"{n}", 2.0 + n) for n in range(30) for key in (n % 4,) for side in ("s", "t")])
    trial.world.at(at(12.5), lambda: remade(trial))
    trial.lost.add(("s", 0))
    verdict = trial.run()
    assert verdict.broken == ()
    causes = {(c["kind"], c["topic"]) for b in bodies(trial) if b["type"] == "window" for c in b["causes"]}
    assert ("recreated", "s") in causes


@pytest.mark.parametrize("seed", SEEDS)
def test_retention_takes_what_was_not_read(seed: int) -> None:
    """Rows that came while no worker looked are gone before one does."""
    trial = Trial(seed, Setting(small_plan(), PEACE, partitions=1))
    given(trial, *[change(side, n % 4, f"{n}", 2.0 + n) for n in range(30) for side in ("s", "t")])

    def retain() -> None:
        log = trial.broker.topics["s"].logs[0]
        trial.broker.retain(("s", 0), log.end)

    def freeze() -> None:
        for process in trial.world.processes:
            if process.name.startswith("normalise"):
                trial.world.freeze(process, 5.0)

    trial.world.at(at(10.2), freeze)
    trial.world.at(at(14.5), retain)
    trial.lost.add(("s", 0))
    assert trial.run().broken == ()
    causes = {(c["kind"], c["topic"]) for b in bodies(trial) if b["type"] == "window" for c in b["causes"]}
    assert causes == {("gap", "s")}


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_added(seed: int) -> None:
    trial = Trial(seed, Setting(small_plan(), Faults(kills=0.2, freezes=0.1), partitions=1))
    first = [change(side, key, f"{n}", 2.0 + n) for n in range(10) for key in (n % 4,) for side in ("s", "t")]
    then = [change(side, 10 + n % 4, f"{n}", 14.0 + n, partition=n % 4 % 2) for n in range(12) for side in ("s", "t")]
    given(trial, *first, *then, honest=False)  # a partition begins where its side stands: its first rows may be late
    for side in ("s", "t"):
        trial.world.at(at(12.5), lambda side=side: trial.broker.widen(side))  # type: ignore[misc]
    assert trial.run().broken == ()


@pytest.mark.parametrize("side", ["s", "t"])
def test_partition_added_while_both_sides_are_at_rest(side: str) -> None:
    """It begins where lifts have brought its side: that is no change, and does not put the other side behind."""
    trial = Trial(0, Setting(small_plan(), PEACE, partitions=1))
    rows = [change(each, key, "alike", 2.0 + key) for key in range(4) for each in ("s", "t")]
    given(trial, *rows, *[change(each, 9, "later", 40.0) for each in ("s", "t")])
    trial.world.at(at(20.0), lambda: trial.broker.widen(side))
    assert trial.run().broken == ()
    assert [body for body in trial._bodies(trial.names.audit) if body["type"] == "stalled"] == []


# ---- transactions ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_longer_than_the_transaction_timeout(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stands still between two requests of a transaction until the broker has given that up; steps are cut, too."""
    monkeypatch.setattr(delivery, "EVENTS_A_TRANSACTION", 2)
    trial = Trial(seed, Setting(small_plan(), PEACE, workers=1, homes=1))
    given(
        trial, *[change("s", n, "only here", 2.0 + n / 10) for n in range(40)], *[change("t", 99, "x", 2.0 + n) for n in range(6)]
    )
    values = trial.input.values
    trial.input.planted["t"].update(values["s"], values["t"])
    frozen: list[int] = []

    def act(place: Any, record: Record) -> None:
        if place[0] == trial.names.discrepancies and len(frozen) < 2 and record.offset in {4, 17}:
            frozen.append(record.offset)
            trial.world.freeze(next(p for p in trial.world.processes if p.name.startswith("reconcile")), 75.0)

    on_append(trial, act)
    trial.input = replace(trial.input, last=at(120))
    verdict = trial.run()
    assert verdict.broken == ()
    assert frozen
    assert any("too old" in line for line in verdict.log)


@pytest.mark.parametrize("seed", SEEDS)
def test_digest_partition_taken_over_while_the_old_owner_still_writes(seed: int) -> None:
    trial = Trial(seed, Setting(small_plan(), PEACE, workers=2, homes=2, changes=60))
    seen: list[int] = []

    def act(place: Any, record: Record) -> None:
        running = trial.world.running
        if place[0] == trial.names.audit and running is not None and len(seen) < 3 and record.offset % 4 == seed % 4:
            seen.append(record.offset)
            trial.world.freeze(running, 14.0)

    on_append(trial, act)
    verdict = trial.run()
    assert verdict.broken == ()
    assert any("was dropped, with [('sim.digests'" in line for line in verdict.log)


# ---- skew --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", FEW)
def test_most_rows_in_one_partition_and_many_of_one_key(seed: int) -> None:
    """Nine rows of ten in one partition, a third of all of one key; what differs is among the others, and of that key."""
    trial = Trial(seed, Setting(small_plan(), Faults(kills=0.1, freezes=0.05), partitions=2, homes=3))
    keys = [0 if n % 3 == 0 else 1 + n % 7 if n % 10 else 8 for n in range(240)]
    rows = [(n, key, 2.0 + n / 12) for n, key in enumerate(keys)]
    sent = [change("s", key, f"{n}", when, partition=int(key == 8)) for n, key, when in rows]
    lost = {max(n for n, key, _ in rows if key == of) for of in (0, 3, 8)}
    arrived = [change("t", key, f"{n}", when + 0.3, partition=int(key == 8)) for n, key, when in rows if n not in lost]
    end = [change(side, key, "end", 24.0, partition=p) for side in ("s", "t") for p, key in enumerate((9, 10))]
    assert sum(c.place[1] == 0 for c in sent) >= 0.9 * len(sent)
    given(trial, *sent, *arrived, *end)
    trial.input.planted["t"].update((0, 3, 8))
    assert trial.run().broken == ()


# ---- disks and pairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_partial_flush_and_a_disk_that_is_lost(seed: int) -> None:
    trial = Trial(seed, Setting(small_plan(), Faults(kills=0.6, freezes=0, absences=0), workers=1, changes=60))
    trial.world.at(at(9), trial._disks.clear)
    assert trial.run().broken == ()


def far_behind(seed: int, max_buffer: int, changes: int = 40) -> Trial:
    """The second of two targets is silent for five minutes, then it brings all at once."""
    plan = replace(small_plan(targets=2), max_buffer=max_buffer)
    trial = Trial(seed, Setting(plan, Faults(kills=0.1, freezes=0.05), changes=changes, partitions=1))
    rows = [change(side, n % 5, f"{n}", 2.0 + n / 2) for n in range(changes) for side in ("s", "t")]
    behind = [change("t1", n % 5, f"{n}", 2.0 + n / 2, 300.0) for n in range(changes)]
    end = [change(side, 0, "end", 303.0) for side in ("s", "t", "t1")]
    return given(trial, *rows, *behind, *end)


@pytest.mark.parametrize("seed", SEEDS)
def test_second_target_far_behind_holds_up_nobody(seed: int) -> None:
    trial = far_behind(seed, 1 << 30)
    assert trial.run().broken == ()
    early = [b for b in bodies(trial) if b["type"] == "window" and b["target"] == "t" and b["time"] < "2026-11-21T13:03"]
    assert early, "the pair that can go on does"
    assert any(b["type"] == "stalled" and b["side"] == "t1" for b in bodies(trial))
    assert not any(b["type"] == "suspended" for b in bodies(trial))


def judged(trial: Trial, target: str) -> int:
    """Keys in the pair's certificates."""
    return sum(b["counts"]["keys"] for b in bodies(trial) if b["type"] == "window" and b["target"] == target)


@pytest.mark.parametrize("seed", FEW)
def test_second_target_for_which_too_much_waits_is_suspended_and_the_other_is_not(seed: int) -> None:
    trial = far_behind(seed, 12_000, 200)
    assert trial.run().broken == ()
    assert {b["target"] for b in bodies(trial) if b["type"] == "suspended"} == {"t1"}
    assert judged(trial, "t") > judged(trial, "t1") > 0


@pytest.mark.parametrize("seed", FEW)
def test_settings_changed_during_recovery(seed: int) -> None:
    """While workers die and come back, a pair may keep less, then more again: that takes effect at one record, whoever folds."""
    trial = far_behind(seed, 1 << 30, 200)

    def amended(max_buffer: int) -> Callable[[], None]:
        def append() -> None:
            opened = trial.opened.layout.opened(trial.opened.parallelism, max_buffer=max_buffer)
            for home in range(trial.opened.parallelism):
                trial.broker.append((trial.names.digests, home), None, encode(opened))
            kill(trial, "reconcile")

        return append

    trial.world.after(20.0, amended(12_000))
    trial.world.after(150.0, amended(1 << 30))
    assert trial.run().broken == ()
    assert {b["target"] for b in bodies(trial) if b["type"] == "suspended"} == {"t1"}
