"""Audits against what recordings give: how windows are folded changes nothing, one changed field is found where it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.rederive import DIFFERS, SAME, UNDERIVABLE, Certificates, compare

Json = dict[str, Any]
COUNTS = (
    "source_rows",
    "target_rows",
    "keys",
    "equal",
    "different",
    "inconclusive",
    "loading",
    "late",
    "dead_letters",
    "repeated",
)
CHANGES: dict[str, Any] = {"verdict": "?", "open": 7, "unresolved": 7, "root": "?"} | dict.fromkeys(COUNTS, 7)
PLACE = "s t/0"


def certificate(number: int, windows: int = 1, *, rows: int = 0, to: int = 9) -> Json:
    return {
        "type": "window",
        "chain": "t/a/0",
        "seq": number,
        "window": {"start": str(number), "end": str(number + windows)},
        "number": number,
        "windows": windows,
        "verdict": "clean",
        "counts": dict.fromkeys(COUNTS, 0) | {"source_rows": rows, "keys": rows, "equal": rows},
        "open": 0,
        "unresolved": 0,
        "causes": [],
        "ranges": [{"side": "s", "topic": "t", "partition": 0, "from": 0, "to": to}],
        "watermarks": {"source": "x", "target": "x"},
        "rules": "r",
        "configuration": "c",
        "root": f"of {rows} rows",
    }


def folded(rows: list[int], cuts: set[int]) -> list[Json]:
    """Certificates of windows with so many rows each; runs of empty ones are cut where ``cuts`` says."""
    out: list[Json] = []
    for number, count in enumerate(rows):
        last = out[-1] if out else None
        if last is not None and not count and not last["counts"]["keys"] and number not in cuts:
            last["windows"] += 1
            last["window"]["end"] = str(number + 1)
        else:
            out.append(certificate(number, rows=count))
    return out


def taken(bodies: list[Json], events: dict[int, list[Json]] | None = None) -> Certificates:
    held = Certificates()
    for body in bodies:
        held.take(body, (events or {}).get(body.get("number", -1), []))
    return held


def found(
    given_: list[Json], derived: list[Json], *, end: int = 9, first: int = 0, last: int = 100
) -> list[tuple[str, Any, Any, bool]]:
    got = compare(taken(given_), taken(derived), {PLACE: end}, first, last)
    return [(one.result, one.seq, one.fields, bool(one.why)) for one in got]


ROWS = st.lists(st.sampled_from([0, 0, 1, 2]), min_size=1, max_size=12)
CUTS = st.sets(st.integers(0, 12))


@given(ROWS, CUTS, CUTS, st.integers(0, 3))
def test_how_empty_windows_are_folded_changes_nothing(rows: list[int], some: set[int], others: set[int], more: int) -> None:
    audit, again = folded(rows, some), folded([*rows, *[0] * more], others)
    assert found(audit, again) == [(SAME, body["seq"], (), False) for body in audit]


@given(ROWS, CUTS, st.data())
def test_one_changed_field_is_found_where_it_is(rows: list[int], cuts: set[int], data: st.DataObject) -> None:
    audit = folded(rows, set())
    again = folded(rows, cuts)
    place = data.draw(st.integers(0, len(audit) - 1))
    body = audit[place]
    name = data.draw(st.sampled_from(sorted(CHANGES)))
    changed = copy.deepcopy(body)
    where = changed["counts"] if name in COUNTS else changed
    where[name] = CHANGES[name]
    got = found([*audit[:place], changed, *audit[place + 1 :]], again)
    others = [one for n, one in enumerate(got) if n != place]
    assert {result for result, *_ in others} <= {SAME}
    result, _, fields, why = got[place]
    ignored = name == "repeated" or (
        not any(body["counts"].values()) and name in {"root", *COUNTS} - {"source_rows", "target_rows", "keys"}
    )
    if ignored:
        assert result == SAME
    elif not any(body["counts"].values()) and name in COUNTS:
        assert (result, fields, why) == (DIFFERS, ("window",), False), "it says that there are rows where there are none"
    else:
        assert (result, fields, why) == (DIFFERS, (name,), False)


def test_rows_that_only_one_of_them_has() -> None:
    audit, again = folded([1, 0, 1], set()), folded([1, 1, 1], set())
    assert [one[:3] for one in found(audit, again)] == [(SAME, 0, ()), (DIFFERS, 1, ("window",)), (SAME, 2, ())]
    assert [one[:3] for one in found(again, audit)] == [(SAME, 0, ()), (DIFFERS, 1, ("window",)), (SAME, 2, ())]
    assert [one[:3] for one in found(audit[:1], again)] == [
        (SAME, 0, ()),
        (DIFFERS, None, ("window",)),
        (DIFFERS, None, ("window",)),
    ]
    assert [one[:3] for one in found(audit[:1], again, last=1)] == [(SAME, 0, ())]


def test_events_count_without_their_times() -> None:
    body = certificate(0, rows=1)
    one, two = ({"id": "a", "status": "opened", "time": time} for time in "ab")
    mine, same, other = taken([body], {0: [one]}), taken([body], {0: [two]}), taken([body], {0: [two | {"status": "resolved"}]})
    assert [c.result for c in compare(mine, same, {PLACE: 9}, 0, 1)] == [SAME]
    assert [c.fields for c in compare(mine, other, {PLACE: 9}, 0, 1)] == [("events",)]


ENDED = {"watermarks": {"source": None, "target": None}}
NAMED = {"ranges": [{"side": "s", "topic": "t", "topic_id": "x", "partition": 0, "from": 0, "to": 9}]}
LETTER = {"causes": [{"kind": "undecodable"}], "verdict": "inconclusive"}


@pytest.mark.parametrize(
    ("changed", "end", "result"),
    [
        ({"root": "?"}, 9, DIFFERS),
        ({"root": "?"}, 8, UNDERIVABLE),
        ({"root": "?"}, 10, DIFFERS),
        ({"root": "?"} | ENDED, 10, UNDERIVABLE),
        ({"root": "?"} | ENDED, 9, DIFFERS),
        ({"rules": "?", "root": "?"}, 9, UNDERIVABLE),
        ({"configuration": "?"}, 9, UNDERIVABLE),
        ({"causes": [{"kind": "gap"}]}, 9, UNDERIVABLE),
        ({"causes": [{"kind": "suspended"}]}, 9, UNDERIVABLE),
        ({"suspended": {}, "root": "?"}, 9, UNDERIVABLE),
        (LETTER, 9, DIFFERS),
        (LETTER | NAMED, 9, UNDERIVABLE),
        (LETTER | NAMED | {"root": "?"}, 9, DIFFERS),
        ({"ranges": [{"side": "s", "topic": "t", "partition": 0, "from": 4, "to": 9}], "root": "?"}, 9, UNDERIVABLE),
        ({"idle_assumed": True, "root": "?"}, 9, DIFFERS),
    ],
)
def test_why_a_certificate_need_not_come_out_again(changed: Json, end: int, result: str) -> None:
    body = certificate(0, rows=1)
    ((got, _, _, why),) = found([body | changed], [body], end=end)
    assert (got, why) == (result, result == UNDERIVABLE)


def test_a_partition_that_appeared_later_began_where_its_side_stood() -> None:
    bodies = [certificate(0, rows=1), certificate(1, rows=1)]
    more = bodies[1]["ranges"] + [{"side": "s", "topic": "t", "partition": 1, "from": 0, "to": 9}]
    got = found([bodies[0] | {"root": "?"}, bodies[1] | {"root": "?", "ranges": more}], bodies)
    assert [one[0] for one in got] == [DIFFERS, UNDERIVABLE]


def test_only_the_newest_generation_is_compared() -> None:
    old, new = certificate(0, rows=2), certificate(0, rows=1)
    rebuilt = {"type": "rebuilt", "chain": "t/a/0"}
    assert [one[0] for one in found([old, rebuilt, new], [new])] == [SAME]
    assert [one[0] for one in found([old, rebuilt], [new])] == [DIFFERS]
