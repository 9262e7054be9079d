"""Suspended pairs by hand: what is open in the end is worked out from the last versions, and stands here as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stream_recon.model.digest import End, Flag, Open, Record
from tests.laws.records import Json, Row, S, announced, block, everyway, lift, of_type, opened, timed

TIGHT = opened(max_buffer=1_000)
"""About ten rows may wait."""
END = End("hand")


def filler(first: int, last: int) -> list[Row]:
    """A row of key 9 every two seconds, the same on both sides."""
    return [Row(9, t, "x") for t in range(first, last, 2)]


def heard(*records: Record) -> list[Json]:
    return everyway(timed(records))


def open_after(events: Sequence[Json]) -> dict[int, str]:
    last = {e["id"]: e for e in of_type(events, "discrepancy")}
    return {e["key"]["id"]: e["kind"] for e in last.values() if e["status"] in {"opened", "updated"}}


def said(events: Sequence[Json]) -> list[tuple[str, int, int]]:
    """Who is waited for and which windows are passed over (their start and end in seconds)."""
    return [(e["behind"], seconds(e["from"]), seconds(e["to"])) for e in of_type(events, "suspended")]


def seconds(instant: str) -> int:
    return 60 * int(instant[14:16]) + int(instant[17:19])


def passed(events: Sequence[Json]) -> list[tuple[int, int, int, int]]:
    """From, to, rows of source and target that were not compared."""
    over = [e["suspended"] for e in of_type(events, "window") if "suspended" in e]
    return [(seconds(o["from"]), seconds(o["to"]), o["source_rows"], o["target_rows"]) for o in over]


def doubtful(events: Sequence[Json]) -> set[int]:
    """Starts of the windows that are inconclusive because nothing was compared."""
    bodies = [e for e in of_type(events, "window") if any(c["kind"] == "suspended" for c in e["causes"])]
    assert {e["verdict"] for e in bodies} <= {"inconclusive"}
    return {10 * n for e in bodies for n in range(e["number"], e["number"] + e["windows"])}


START = [Row(1, 1, "a"), Row(2, 2, "a"), Row(3, 3, "a"), Row(9, 12, "x")]


def both(opened_: Open = TIGHT) -> list[Record]:
    """The window that begins at 0 is certified, clean; both sides stand at 12."""
    return [opened_, block("s", 0, START), block("t", 0, START)]


def test_what_is_lost_altered_and_left_over_in_windows_passed_over_is_open_and_what_is_fine_is_not() -> None:
    changed = [Row(1, 20, "b"), Row(2, 21, "b"), Row(3, 22, None), Row(4, 23, "b"), Row(5, 24, "b")]
    arrived = [Row(1, 25, "b"), Row(2, 26, "c"), Row(5, 27, "b"), Row(6, 28, "b")]
    events = heard(*both(), block("s", 4, [*changed, *filler(30, 100)]), block("t", 4, [*arrived, *filler(30, 100)]), END)
    wrong = {2: "value_mismatch", 3: "undeleted_in_target", 4: "missing_in_target", 6: "unexpected_in_target"}
    assert open_after(events) == wrong
    assert {e["status"] for e in of_type(events, "discrepancy")} == {"opened"}
    assert said(events) == [("t", 10, 90)]
    assert doubtful(events) == set(range(10, 90, 10))
    assert passed(events) == [(10, 90, 1 + 5 + 30, 1 + 4 + 30)], "the row at 12 waited, those of certified windows did not"


def test_rows_of_windows_that_were_certified_are_not_counted_as_passed_over() -> None:
    """Here they are not folded when it is suspended: a truncate to come holds them up."""
    later = Row(0, 95, None, flags=Flag.TRUNCATE)
    events = heard(
        TIGHT,
        block("s", 0, [*START, later], watermark=12),
        block("t", 0, START),
        block("s", 5, filler(30, 100)),
        block("t", 4, [*filler(30, 94), later, *filler(96, 100)]),
        END,
    )
    assert passed(events) == [(10, 90, 1 + 30, 1 + 30)]
    assert open_after(events) == {}


def test_what_was_open_is_resolved_although_its_delete_is_forgotten_by_then() -> None:
    wrong = [*START[:3], Row(4, 4, "z"), START[3]]
    rows = block("t", 5, [Row(4, 25, None), *filler(30, 100)])
    tight = replace(TIGHT, forget_deleted=5 * S)
    events = heard(tight, block("s", 0, START), block("t", 0, wrong), block("s", 4, filler(30, 100)), rows, END)
    steps = [(e["key"]["id"], e["status"]) for e in of_type(events, "discrepancy")]
    assert said(events) == [("t", 10, 90)]
    assert steps == [(4, "opened"), (4, "resolved")]


def test_a_source_that_never_spoke_before_the_first_certificate() -> None:
    target, source = [Row(1, 5, "a"), Row(2, 6, "b"), *filler(10, 60)], [Row(1, 3, "a"), Row(2, 4, "c"), *filler(10, 60)]
    events = heard(TIGHT, block("t", 0, target), block("s", 0, source), END)
    assert said(events) == [("s", 0, 50)]
    assert doubtful(events) == {0, 10, 20, 30, 40}
    assert open_after(events) == {2: "value_mismatch"}
    assert passed(events) == [(0, 50, 22, 22)]


def test_a_row_of_the_side_behind_from_before_what_is_passed_over_begins_the_certificates() -> None:
    events = heard(TIGHT, block("s", 0, filler(40, 90)), block("t", 0, [Row(1, 5, "a"), *filler(40, 90)]), END)
    first = of_type(events, "window")[0]
    assert (seconds(first["window"]["start"]), doubtful(events)) == (0, set(range(0, 80, 10)))
    assert open_after(events) == {1: "unexpected_in_target"}


def test_input_that_ends_while_much_waits_is_compared_in_the_end() -> None:
    events = heard(*both(), block("s", 4, [Row(1, 20, "b"), *filler(30, 60)]), END)
    assert said(events) == [("t", 10, 50)]
    assert open_after(events) == {1: "value_mismatch"}
    assert doubtful(events) == {10, 20, 30, 40}


def test_it_goes_on_while_more_comes_in_one_event_and_begins_again_with_another() -> None:
    events = heard(
        *both(),
        block("s", 4, [Row(1, 20, "b"), *filler(30, 60)]),
        block("s", 20, filler(60, 82)),
        block("t", 4, filler(30, 82)),
        block("s", 31, [Row(9, 104, "x")]),
        block("t", 30, [Row(9, 104, "x")]),
        block("t", 31, [Row(1, 110, "b"), *filler(120, 160)]),
        block("s", 32, filler(120, 160)),
        END,
    )
    assert said(events) == [("t", 10, 50), ("s", 90, 150)]
    assert [(a, b) for a, b, _, _ in passed(events)] == [(10, 80), (90, 150)]
    assert [(e["key"]["id"], e["status"]) for e in of_type(events, "discrepancy")] == [(1, "opened"), (1, "resolved")]
    assert doubtful(events) == {*range(10, 80, 10), *range(90, 150, 10)}


@pytest.mark.parametrize("room", [0, 1 << 30])
def test_more_room_while_it_is_suspended_ends_it_when_the_side_behind_is_there(room: int) -> None:
    events = heard(
        *both(),
        block("s", 4, [Row(1, 20, "b"), *filler(30, 60)]),
        replace(TIGHT, max_buffer=room),
        block("s", 20, filler(60, 90)),
        block("t", 4, [*filler(30, 90)]),
        END,
    )
    assert [(a, b) for a, b, _, _ in passed(events)] == [(10, 50)]
    assert doubtful(events) == {10, 20, 30, 40}
    assert open_after(events) == {1: "value_mismatch"}


def test_less_room_suspends_what_waits_already_with_the_next_record() -> None:
    wide = replace(TIGHT, max_buffer=0)
    much = block("s", 4, [Row(1, 20, "b"), *filler(30, 60)])
    events = heard(*both(wide), much, TIGHT, lift("s", 20, 59), block("t", 4, filler(30, 90)), END)
    assert said(events) == [("t", 10, 50)]
    assert open_after(events) == {1: "value_mismatch"}


def test_a_gap_in_what_is_passed_over_leaves_its_keys_unknown_and_opens_none() -> None:
    events = heard(*both(), block("s", 7, [Row(2, 20, "b"), *filler(30, 100)]), block("t", 4, filler(30, 100)), END)
    assert open_after(events) == {2: "value_mismatch"}
    whole = next(e for e in of_type(events, "window") if "suspended" in e)
    assert (whole["counts"]["different"], whole["counts"]["inconclusive"]) == (1, 2), "keys 1 and 3 may be behind the gap"


def test_a_truncate_of_the_side_ahead_falls_on_what_was_there_and_on_nothing_else() -> None:
    cut, after = Row(0, 40, None, flags=Flag.TRUNCATE), Row(2, 50, "n")
    ahead = [*filler(20, 40), cut, after, *filler(52, 100)]
    kept = [*filler(20, 40), after, *filler(52, 100)]
    events = heard(*both(), block("s", 4, ahead), block("t", 4, kept), END)
    assert open_after(events) == {1: "undeleted_in_target", 3: "undeleted_in_target"}
    events = heard(*both(), block("s", 4, ahead), block("t", 4, ahead), END)
    assert open_after(events) == {}
    assert of_type(events, "discrepancy") == []


def test_late_rows_tombstones_and_lifts_in_what_is_passed_over() -> None:
    late = Row(1, 15, "l", time=33, flags=Flag.LATE)
    stone = Row(2, 34, None, time=36, flags=Flag.TOMBSTONE)
    ahead = [*filler(20, 32), late, stone, *filler(38, 60)]
    behind = [Row(9, 20, "x"), Row(1, 34, "l"), Row(2, 37, None), *filler(38, 60)]
    events = heard(*both(), block("s", 4, ahead), lift("s", 23, 300), block("t", 4, behind), lift("t", 18, 300))
    assert open_after(events) == {}
    assert said(events) == [("t", 10, 50)]
    assert doubtful(events) == {10, 20, 30, 40}


def test_what_can_be_folded_at_once_does_not_wait() -> None:
    """The side behind comes with more at once than may wait, and the side ahead stands far beyond by now."""
    records = [*both(), block("s", 4, filler(20, 60)), lift("s", 24, 300), block("t", 4, filler(20, 60)), lift("t", 24, 300)]
    events = heard(*records)
    assert said(events) == [("t", 10, 50)]
    assert [(a, b) for a, b, _, _ in passed(events)] == [(10, 50)]


def test_only_the_slowest_partition_of_a_side_lets_it_go_on() -> None:
    two = opened(source=[("", 0)], target=[("", 0), ("", 1)], max_buffer=1_000)
    events = heard(
        two,
        block("s", 0, [*START, Row(4, 13, "a"), *filler(30, 100)]),
        block("t", 0, [*START[:3], *filler(12, 13), *filler(30, 100)]),
        lift("s", 40, 300),
        block("t", 0, [Row(4, 14, "b"), Row(4, 98, "b")], partition=1),
        END,
    )
    assert said(events) == [("t", 0, 90)]
    assert open_after(events) == {4: "value_mismatch"}


def test_a_topic_made_anew_while_it_is_passed_over() -> None:
    """What the old topic had last is unknown, also in the window that compares all that is known."""
    events = heard(
        *both(),
        block("s", 4, [Row(1, 20, "b"), *filler(30, 100)]),
        announced("t", topic_id="new", watermark=12),
        block("t", 0, [Row(2, 40, "z"), *filler(42, 100)], topic_id="new"),
        END,
    )
    assert open_after(events) == {2: "value_mismatch"}
    whole = next(e for e in of_type(events, "window") if "suspended" in e)
    assert (whole["counts"]["different"], whole["counts"]["inconclusive"]) == (1, 2)


def test_a_rebuild_while_it_is_suspended_dismisses_and_begins_anew_in_the_same_chain() -> None:
    wrong = [*START[:3], Row(4, 4, "z"), START[3]]
    events = heard(
        replace(TIGHT, forget_deleted=5 * S),
        block("s", 0, START),
        block("t", 0, wrong),
        block("s", 4, filler(30, 100)),
        block("t", 5, [Row(4, 25, None), *filler(30, 50)]),
        opened(generation=2),
        block("s", 0, START, generation=2),
        block("t", 0, START, generation=2),
        End("hand", 2),
    )
    assert [(e["key"]["id"], e["status"]) for e in of_type(events, "discrepancy")] == [(4, "opened"), (4, "dismissed")]
    after = events[events.index(of_type(events, "rebuilt")[0]) :]
    assert {e["verdict"] for e in of_type(after, "window")} == {"clean"}
    assert [e["seq"] for e in of_type(events, "window", "suspended", "rebuilt")] == list(
        range(len(of_type(events, "window")) + 2)
    )
