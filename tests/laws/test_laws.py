"""The four laws of the page as properties of the whole engine, and full agreement with the oracle on everything that it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.laws.drive import Answers, Drive, answer
from tests.laws.expect import Said, disagreements
from tests.laws.ordeal import Ordeal, exact, folded_again, folding, said_by_chain, slicing
from tests.oracle.generate import Rolled
from tests.oracle.history import Control, Gap, History, Hole, Lift, Undecodable
from tests.oracle.laws import differing, final_contents, law2_holds, plain
from tests.oracle.strategies import deliveries, healthy, replayable, wild

SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
HOMES = st.integers(1, 3)
SEEDS = st.integers(0, 1 << 16)
WILD, REPLAYABLE = wild(), replayable()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


def open_keys(history: History, answers: Answers, target: str) -> dict[int, str]:
    """What the discrepancy topic says is open, and as what."""
    found = Said(answers, history.params.window, 1).open()
    return {key: kind for (of, key), kind in found.items() if of == target}


# ---- agreement with the oracle -------------------------------------------------------------------------------------------


@SLOW
@given(WILD, st.data(), HOMES)
def test_whatever_goes_wrong_the_answers_are_the_oracles(room: Path, it: History, data: st.DataObject, homes: int) -> None:
    assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


@SLOW
@given(REPLAYABLE, st.data(), HOMES)
def test_what_a_recording_can_hold_is_answered_as_the_oracle_does(
    room: Path, it: History, data: st.DataObject, homes: int
) -> None:
    assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


@SLOW
@given(wild().filter(lambda it: it.params.order == "event_time"), st.data(), HOMES)
def test_event_time_order_is_answered_as_the_oracle_does(room: Path, it: History, data: st.DataObject, homes: int) -> None:
    with folding(1):
        assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


@SLOW
@given(healthy(), st.data(), HOMES)
def test_healthy_histories_are_answered_as_the_oracle_does(room: Path, it: History, data: st.DataObject, homes: int) -> None:
    assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


# ---- law 1 ---------------------------------------------------------------------------------------------------------------


@SLOW
@given(WILD, st.data(), HOMES)
def test_law_1_what_is_open_at_the_end_is_what_differs_at_the_end(
    room: Path, it: History, data: st.DataObject, homes: int
) -> None:
    answers = answer(it, room, data.draw(deliveries(it)), homes=homes)
    for target, (different, known) in differing(it).items():
        assert different == set(open_keys(it, answers, target)) & known


@SLOW
@given(st.one_of(healthy(), WILD, REPLAYABLE).filter(plain), st.data())
def test_law_1_the_last_kind_is_that_of_the_last_contents(room: Path, it: History, data: st.DataObject) -> None:
    answers = answer(it, room, data.draw(deliveries(it)))
    source = final_contents(it, it.source)
    for side in it.targets:
        target, found = final_contents(it, side), open_keys(it, answers, side.name)
        assert set(found) == {k for k in {*source, *target} if source.get(k) != target.get(k)}
        for key, kind in found.items():
            if target.get(key) is None:
                assert kind == "missing_in_target"
            elif source.get(key) is None:
                assert kind == ("undeleted_in_target" if key in source else "unexpected_in_target")
            else:
                assert kind in {"stale_in_target", "value_mismatch"}


# ---- law 2 ---------------------------------------------------------------------------------------------------------------


@SLOW
@given(healthy(), st.data(), HOMES)
def test_law_2_a_healthy_history_raises_no_alarm(room: Path, it: History, data: st.DataObject, homes: int) -> None:
    assert law2_holds(it)
    answers = answer(it, room, data.draw(deliveries(it)), homes=homes)
    assert answers.discrepancies == []
    assert (answers.summary.verdict, answers.summary.exit_code, answers.summary.open) == ("clean", 0, 0)
    assert answers.summary.windows["discrepant"] == 0


# ---- law 3 ---------------------------------------------------------------------------------------------------------------


@SLOW
@given(WILD, st.data(), HOMES)
def test_law_3_every_position_is_accounted_for_exactly_once(room: Path, it: History, data: st.DataObject, homes: int) -> None:
    answers = answer(it, room, data.draw(deliveries(it)), homes=homes)
    listed = {(p["side"], p["topic"], p["partition"]): p for p in answers.summary.partitions}
    for side in it.sides:
        for partition in side.partitions:
            items = [i for i in partition.items if not isinstance(i, Lift)]
            if not items:
                continue
            p = listed.pop((side.name, partition.topic, partition.number))
            assert p["from"] == items[0].offset
            assert p["to"] - p["from"] == p["rows"] + p["control"] + p["dead_letters"] + p["unused"] + p["gaps"]
            assert p["unused"] == sum(i.to - i.offset for i in items if isinstance(i, Hole))
            assert p["gaps"] == sum(i.to - i.offset for i in items if isinstance(i, Gap))
            assert p["dead_letters"] == sum(isinstance(i, Undecodable) for i in items)
            assert p["rows"] + p["control"] == sum(not isinstance(i, Hole | Gap | Undecodable) for i in items)
            assert p["control"] >= sum(isinstance(i, Control) for i in items)
    assert all(p["from"] == p["to"] for p in listed.values())


# ---- law 4 ---------------------------------------------------------------------------------------------------------------


@SLOW
@given(WILD, st.data(), HOMES, SEEDS, st.sampled_from([None, 0, 4000]))
def test_law_4_a_crash_at_any_step_on_disks_of_any_age_changes_no_answer(
    room: Path, it: History, data: st.DataObject, homes: int, seed: int, cache: int | None
) -> None:
    ordeal = Ordeal(it, room, Rolled(seed), homes=homes, cache_bytes=cache)
    assert not disagreements(it, ordeal.run(data.draw(deliveries(it))), homes=homes)


@SLOW
@given(WILD, st.data(), HOMES)
def test_law_4_rows_that_left_memory_are_answered_for_all_the_same(
    room: Path, it: History, data: st.DataObject, homes: int
) -> None:
    delivery = data.draw(deliveries(it))
    assert not disagreements(it, answer(it, room, delivery, homes=homes, cache_bytes=0), homes=homes)


def paths() -> Iterator[AbstractContextManager[object]]:
    yield from (folding(1), folding(1000), slicing(300), slicing(900), exact())


@SLOW
@given(WILD, st.data(), HOMES, SEEDS)
def test_law_4_the_same_log_gives_the_same_bytes_in_any_rhythm_and_on_any_path(
    room: Path, it: History, data: st.DataObject, homes: int, seed: int
) -> None:
    drive, d = Drive(it, room, homes=homes), Rolled(seed)
    for batch in data.draw(deliveries(it)):
        drive.deliver(batch)
    drive.finish()
    said = said_by_chain(drive.log)
    assert folded_again(drive.log, homes, d) == said
    assert folded_again(drive.log, homes, d, cache_bytes=0) == said
    for path in paths():
        with path:
            assert folded_again(drive.log, homes, d) == said


@SLOW
@given(WILD, st.data(), HOMES, st.sampled_from([1, 1000]))
def test_answers_do_not_depend_on_what_was_folded_into_the_base_state(
    room: Path, it: History, data: st.DataObject, homes: int, windows: int
) -> None:
    with folding(windows):
        assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


@SLOW
@given(WILD, st.data(), HOMES, st.sampled_from([300, 700, 2000]), st.sampled_from([1, 6]))
def test_answers_do_not_depend_on_how_many_keys_are_judged_at_once(
    room: Path, it: History, data: st.DataObject, homes: int, octets: int, windows: int
) -> None:
    with slicing(octets), folding(windows):
        assert not disagreements(it, answer(it, room, data.draw(deliveries(it)), homes=homes), homes=homes)


@SLOW
@given(WILD, st.data(), st.sampled_from([1, 6]))
def test_keys_folded_one_by_one_are_answered_as_keys_folded_together(
    room: Path, it: History, data: st.DataObject, windows: int
) -> None:
    with exact(), folding(windows):
        assert not disagreements(it, answer(it, room, data.draw(deliveries(it))))
