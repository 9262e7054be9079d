"""The gate against a window-by-window oracle, and what it must never take for clean, one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.certified import Certified
from stream_recon.audit.chain import Head, link
from stream_recon.audit.gate import Expected, Judged, judge
from stream_recon.audit.text import json_object, micros
from stream_recon.engine.events import instant
from stream_recon.errors import ProofError

WINDOW = 10_000_000
NONE = {"different": 0, "inconclusive": 0, "loading": 0}
Json = dict[str, Any]


def window(number: int, verdict: str = "clean", *, windows: int = 1, time: int = 0, **changed: Any) -> Json:
    """A certificate, without what the gate does not read."""
    counts = NONE | ({"different": 1} if verdict == "discrepant" else {"inconclusive": 1} if verdict == "inconclusive" else {})
    return {
        "type": "window",
        "window": {"start": instant(number * WINDOW), "end": instant((number + windows) * WINDOW)},
        "number": number,
        "windows": windows,
        "verdict": verdict,
        "counts": counts,
        "unresolved": 0,
        "open": 0,
        "causes": [],
        "watermarks": {"source": instant(0), "target": instant(0)},
        "idle_assumed": False,
        "rules": "r",
        "configuration": "c",
        "time": instant(time),
    } | changed


def rebuilt(to: int, *, time: int = 0, rules: str | None = "r") -> Json:
    return {"type": "rebuilt", "generation": {"from": to - 1, "to": to}, "rules": rules, "time": instant(time)}


def other(type_: str, **content: Any) -> Json:
    return {"type": type_, "time": instant(0), **content}


def gate(first: int, last: int, spoken: Mapping[str, Sequence[Json]], **expected: Any) -> Judged:
    """The pair ``t/a`` in the windows ``[first, last)``; chains by number."""
    certified = Certified(first * WINDOW, last * WINDOW)
    for number, bodies in spoken.items():
        take(certified, f"t/a/{number}", bodies)
    if "chains" in expected:
        expected["chains"] = frozenset(f"t/a/{number}" for number in expected["chains"])
    (judged,) = judge(certified, {"t": Expected(**expected)})
    return judged


def take(certified: Certified, chain: str, bodies: Sequence[Json], head: Head | None = None) -> Head:
    head = head or Head()
    for body in bodies:
        content = dict(body)
        octets, head = link(head, content.pop("type"), chain, content)
        certified.take(octets, json_object(octets))
    return head


def texts(judged: Judged) -> list[str]:
    return [f"{reason.verdict}: {reason.text}" for reason in judged.reasons]


# ---- window by window --------------------------------------------------------------------------------------------------

VERDICTS = st.sampled_from(["clean", "clean", "clean", "inconclusive", "discrepant"])
CHAIN = st.tuples(st.integers(0, 6), st.lists(st.tuples(VERDICTS, st.integers(1, 4)), min_size=1, max_size=5))


@given(st.lists(CHAIN, min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 20), st.integers(1, 8), st.booleans())
def test_every_window_of_every_chain(
    chains: list[tuple[int, list[tuple[str, int]]]], silent: int, first: int, count: int, ended: bool
) -> None:
    bodies: dict[str, list[Json]] = {}
    said: dict[str, dict[int, str]] = {}
    for name, (start, runs) in enumerate(chains):
        at, mine = start, list[Json]()
        of_window: dict[int, str] = {}
        for verdict, length in runs:
            windows = 1 if verdict == "discrepant" else length
            mine.append(window(at, verdict, windows=windows))
            of_window |= dict.fromkeys(range(at, at + windows), verdict)
            at += windows
        bodies[str(name)], said[str(name)] = mine, of_window
    names = [str(n) for n in range(len(chains) + silent)]
    begin, finish = min(min(w) for w in said.values()), max(max(w) for w in said.values())

    def of(name: str, number: int) -> str:
        if name not in said:
            return "clean" if ended and begin <= number <= finish else "incomplete"
        known = said[name]
        if number in known:
            return known[number]
        empty = begin <= number < min(known) or (ended and max(known) < number <= finish)
        return "clean" if empty else "incomplete"

    rank = ["clean", "incomplete", "inconclusive", "discrepant"]
    joined = [max((of(name, n) for name in names), key=rank.index) for n in range(first, first + count)]
    found = gate(first, first + count, bodies, chains=names, ended=ended)
    assert found.verdict == max(joined, key=rank.index)
    assert found.windows == {verdict: joined.count(verdict) for verdict in rank}
    missing = [n for n in range(first, first + count) if any(of(name, n) == "incomplete" for name in names)]
    until = missing[0] if missing else first + count
    assert found.until == (until * WINDOW if until > first else None)


# ---- one thing at a time -----------------------------------------------------------------------------------------------

GOOD = {"0": [window(0), window(1), window(2)], "1": [window(1), window(2)]}


def test_a_good_range() -> None:
    found = gate(0, 3, GOOD, chains="01")
    assert (found.verdict, found.reasons, found.chains, found.silent) == ("clean", (), 2, 0)


def test_whole_windows_that_touch_the_range() -> None:
    certified = Certified(WINDOW + 1, 2 * WINDOW + 1)
    take(certified, "t/a/0", [window(1), window(2, "discrepant")])
    (found,) = judge(certified, {"t": Expected()})
    assert (found.start, found.end, found.verdict) == (WINDOW, 3 * WINDOW, "discrepant")
    certified = Certified(WINDOW, 2 * WINDOW)
    take(certified, "t/a/0", [window(1), window(2, "discrepant")])
    assert judge(certified, {"t": Expected()})[0].verdict == "clean"


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ([window(0, "discrepant", open=1), window(1, open=1), window(2)], ["discrepant: 1 window is discrepant"]),
        ([window(0), window(1), window(2, open=2)], ["discrepant: 2 open at the end of the range"]),
        ([window(0), window(1), window(2, unresolved=1)], ["inconclusive: 1 dead letter is unresolved"]),
        ([window(0), window(1, "inconclusive"), window(2)], ["inconclusive: 1 window is inconclusive: unknown keys"]),
        (
            [window(0), window(1, "inconclusive", causes=[{"kind": "suspended"}], counts=NONE, windows=2)],
            ["inconclusive: 2 windows are inconclusive: suspended"],
        ),
        ([window(0), window(1, causes=[{"kind": "gap"}]), window(2)], ["inconclusive: 1 window is inconclusive: gap"]),
        ([window(0), window(1), window(2), other("suspended")], []),
        ([window(0), window(1)], ["incomplete: not certified"]),
        ([window(0), window(1), other("suspended")], ["incomplete: not certified"]),
        ([window(0), window(1), window(2), other("stalled", side="s", since=None)], []),
        (
            [window(0), other("stalled", side="s", since=None)],
            ["incomplete: not certified", "incomplete: side s is stalled, it never spoke: no window closes until it goes on"],
        ),
        (
            [window(0), other("stalled", side="s", since=None), other("resumed", side="s", since=None)],
            ["incomplete: not certified"],
        ),
        ([window(0), window(1), window(2, rules="other")], ["incomplete: its certificates are of different rules"]),
        ([window(0), window(1), window(2), rebuilt(2, time=1)], ["incomplete: nothing is certified"]),
    ],
)
def test_why_a_range_does_not_pass(chain: list[Json], said: list[str]) -> None:
    found = texts(gate(0, 3, {"0": chain}))
    assert [text.startswith(start) for text, start in zip(found, said, strict=True)] == [True] * len(said), found


def test_a_lift_that_was_proved_wrong_later_takes_windows_back() -> None:
    broken = {"from": instant(WINDOW), "to": instant(3 * WINDOW)}
    later = window(3, "inconclusive", causes=[{"kind": "lift_broken"}], counts=NONE, lift_broken=broken)
    chain = [window(0), window(1), window(2), later]
    assert gate(0, 1, {"0": chain}).verdict == "clean"
    found = gate(0, 2, {"0": chain})
    assert texts(found) == ["inconclusive: 1 window is inconclusive: closed on a lift that was proved wrong"]
    nothing = later | {"lift_broken": {"from": None, "to": None}}
    assert gate(0, 3, {"0": [*chain[:3], nothing]}).verdict == "clean"


def test_a_dead_letter_stays_when_no_certificate_comes_after_it() -> None:
    letter = {"kind": "undecodable", "side": "s", "topic": "t", "partition": 0, "offset": 4}
    chains = {"0": [window(n) for n in range(4)], "1": [window(0), window(1, "inconclusive", causes=[letter], counts=NONE)]}
    assert texts(gate(2, 4, chains, ended=True)) == ["inconclusive: 1 dead letter is unresolved: what they held was never seen"]
    assert gate(0, 1, chains, ended=True).verdict == "clean"


def test_what_opens_after_the_range_is_not_of_the_range() -> None:
    chain = [window(0), window(1), window(2, "discrepant", open=1)]
    assert gate(0, 2, {"0": chain}).verdict == "clean"
    assert gate(0, 3, {"0": chain}).open == 1


def test_before_the_first_certificate_of_a_pair_nobody_looked() -> None:
    found = gate(0, 3, {"0": [window(1), window(2)], "1": [window(2)]})
    assert [(reason.text, reason.stretches) for reason in found.reasons] == [("not certified", ((0, WINDOW),))]
    assert gate(1, 3, {"0": [window(1), window(2)], "1": [window(2)]}).verdict == "clean"


def test_an_input_that_ended_says_so_by_infinite_watermarks() -> None:
    end = window(2, watermarks={"source": None, "target": None})
    assert gate(0, 3, {"0": [window(0), window(1), end], "1": [window(0)]}).verdict == "clean"
    half = window(2, watermarks={"source": None, "target": instant(0)})
    assert gate(0, 3, {"0": [window(0), window(1), half], "1": [window(0)]}).verdict == "incomplete"
    assert gate(0, 3, {"0": [window(0), window(1), end], "1": [window(0)]}, ended=False).verdict == "incomplete"


def test_a_pair_that_never_spoke() -> None:
    found = gate(0, 3, {}, chains="01", ended=True)
    assert (found.verdict, texts(found)) == ("incomplete", ["incomplete: nothing is certified"])
    certified = Certified(0, WINDOW)
    take(certified, "t/a/0", [window(0)])
    expected = Expected(frozenset({"t/a/0", "t/b/0"}), ended=True)
    assert {one.target: one.verdict for one in judge(certified, {"t": expected})} == {"a": "clean", "b": "incomplete"}


def test_a_digest_partition_that_is_silent_counts_only_where_the_input_ended() -> None:
    assert gate(0, 3, GOOD, chains="012", ended=True).verdict == "clean"
    found = gate(0, 3, GOOD, chains="012", ended=False)
    assert [(r.text, r.chains) for r in found.reasons] == [("not certified", ("t/a/2",))]


def test_a_chain_that_nobody_expected() -> None:
    assert texts(gate(0, 3, GOOD, chains="0")) == ["incomplete: chains that should not be there"]


# ---- generations and logs ----------------------------------------------------------------------------------------------


def test_only_the_newest_generation_counts() -> None:
    again = [window(0, time=7), window(1, time=7), window(2, time=7)]
    old = [window(0, "discrepant", open=1), window(1, open=1)]
    assert gate(0, 3, {"0": [*old, rebuilt(2, time=5), *again]}).verdict == "clean"
    assert gate(0, 3, {"0": [*again, rebuilt(2, time=5), *again[:2]]}).verdict == "incomplete"


def test_a_chain_that_did_not_begin_the_newest_generation() -> None:
    again = [rebuilt(2, time=5), window(0, time=7), window(1, time=7), window(2, time=7)]
    old = [window(0, time=1), window(1, time=2), window(2, time=3)]
    new = [window(0, time=6), window(1, time=7), window(2, time=8)]
    assert texts(gate(0, 3, {"0": again, "1": old})) == ["incomplete: nothing says that these chains are of generation 2"]
    assert gate(0, 3, {"0": again, "1": new}).verdict == "clean", "it came with the generation"
    assert texts(gate(0, 3, {"0": old}, generation=2)) == ["incomplete: nothing says that these chains are of generation 2"]


def test_a_chain_that_a_generation_leaves_out_rests() -> None:
    again = [rebuilt(2, time=5), window(0, time=7), window(1, time=7), window(2, time=7)]
    left = [window(0, "discrepant", open=1), rebuilt(2, time=5, rules=None)]
    assert gate(0, 3, {"0": again, "1": left}).verdict == "clean"
    assert gate(0, 3, {"0": again, "1": left}, chains="01", ended=False).verdict == "incomplete", "unless it must be there"


def test_a_log_that_began_anew() -> None:
    certified = Certified(0, 2 * WINDOW)
    for number in "01":
        take(certified, f"t/a/{number}", [window(0, time=1), window(1, time=2)])
    assert judge(certified, {"t": Expected()})[0].verdict == "clean"
    found = judge(certified, {"t": Expected(since=3)})[0]
    assert texts(found) == ["incomplete: the digest log began anew, and these chains say nothing since"]
    take(certified, "t/a/0", [window(0, time=5), window(1, time=6)])
    (found,) = judge(certified, {"t": Expected()})
    assert [(r.text, r.chains) for r in found.reasons] == [
        ("the digest log began anew, and these chains say nothing since", ("t/a/1",))
    ]
    take(certified, "t/a/1", [window(0, time=5), window(1, time=6)])
    assert judge(certified, {"t": Expected(since=3)})[0].verdict == "clean"


def test_a_chain_whose_beginning_is_lost_held_perhaps_rows_before() -> None:
    certified = Certified(0, 3 * WINDOW)
    take(certified, "t/a/0", [window(0), window(1), window(2)])
    take(certified, "t/a/1", [window(1), window(2)], Head(4, "00"))
    (found,) = judge(certified, {"t": Expected()})
    assert [(r.text, r.stretches, r.chains) for r in found.reasons] == [("not certified", ((0, WINDOW),), ("t/a/1",))]


@pytest.mark.parametrize("head", [Head(1, "00"), Head(2, None)])
def test_a_chain_with_a_hole_is_refused(head: Head) -> None:
    certified = Certified(0, WINDOW)
    take(certified, "t/a/0", [window(0)])
    with pytest.raises(ProofError, match="seq 1 must come here"):
        take(certified, "t/a/0", [window(1)], head)


@pytest.mark.parametrize(
    "body",
    [
        window(0) | {"number": 1},
        window(0, windows=2) | {"number": 1},
        window(0) | {"windows": 0},
        window(0) | {"windows": 3},
        window(0) | {"counts": None},
        window(0) | {"time": "yesterday"},
        other("something new"),
    ],
)
def test_what_cannot_be_read_is_refused(body: Json) -> None:
    with pytest.raises(ProofError):
        take(Certified(0, WINDOW), "t/a/0", [window(5), body])


@pytest.mark.parametrize("time", [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_000, 253_402_300_800_000_000, -(10**17)])
def test_times_of_any_year(time: int) -> None:
    assert micros(instant(time)) == time


@pytest.mark.parametrize("text", ["", "2026-11-21T05:48:00Z", "2026-13-21T05:48:00.000000Z", "2026-11-21T05:48:00.000000+01:00"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ProofError):
        micros(text)
