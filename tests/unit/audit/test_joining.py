"""Bodies and events from two topics: whatever comes first, and wherever it is cut and begun anew, each is signed once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.follow import Chain
from stream_recon.audit.joining import Floors, Joined, Place, Step
from stream_recon.errors import ProofError
from tests.unit.audit.saying import Said, said

AUDIT, EVENTS = ("audit", 0), ("events", 0)


class Reading:
    """Reads both topics by a plan, and can stop and begin again."""

    def __init__(self, of: Said) -> None:
        self.of = of
        self.chains: dict[str, Chain] = {}
        self.steps: list[Step] = []
        self.begin({AUDIT: 0, EVENTS: 0}, {})

    def begin(self, places: dict[Place, int], floors: Floors) -> None:
        self.read = dict(places)
        self.joined = Joined(self.chains, floors)

    def again(self) -> None:
        self.begin(*self.joined.standing(self.read))

    def take(self, place: Place, count: int) -> None:
        messages = self.of.bodies if place == AUDIT else self.of.events
        take = self.joined.body if place == AUDIT else self.joined.event
        for offset in range(self.read[place], min(self.read[place] + count, len(messages))):
            take(place, offset, messages[offset])
            self.read[place] = offset + 1
        self.steps += self.joined.whole()

    def rest(self) -> None:
        for place, messages in ((AUDIT, self.of.bodies), (EVENTS, self.of.events)):
            self.take(place, len(messages))


def by_chain(steps: list[Step]) -> dict[str, list[Step]]:
    return {chain: [step for step in steps if step.chain == chain] for chain in sorted({step.chain for step in steps})}


WINDOWS = st.lists(st.tuples(st.sampled_from(["t/a/0", "t/b/0", "u/a/0"]), st.integers(0, 3)), max_size=12)
PLAN = st.lists(st.tuples(st.sampled_from([AUDIT, EVENTS]), st.integers(0, 5), st.booleans()), max_size=20)


@given(WINDOWS, PLAN)
def test_each_is_signed_once_and_in_order_wherever_it_is_cut(
    windows: list[tuple[str, int]], plan: list[tuple[Place, int, bool]]
) -> None:
    reading = Reading(said(windows))
    for place, count, again in plan:
        reading.take(place, count)
        if again:
            reading.again()
    reading.rest()
    assert by_chain(reading.steps) == by_chain(reading.of.steps)
    assert reading.joined.waiting() == frozenset()
    assert reading.joined.standing(reading.read)[0] == {AUDIT: len(reading.of.bodies), EVENTS: len(reading.of.events)}


def test_what_is_signed_beyond_the_position_is_not_signed_again() -> None:
    reading = Reading(said([("t/a/0", 2), ("t/b/0", 0), ("t/b/0", 1)]))
    reading.take(AUDIT, 3)
    assert [step.chain for step in reading.steps] == ["t/b/0"]
    assert reading.joined.waiting() == {("t/a/0", 0), ("t/b/0", 2)}
    assert reading.joined.standing(reading.read) == ({AUDIT: 0, EVENTS: 0}, {(AUDIT, "t/b/0"): 2})


def test_an_event_that_is_missing_changed_or_moved_is_told() -> None:
    of = said([("t/a/0", 3), ("t/a/0", 1)])
    changed = of.events[1].replace(b'"id": 1', b'"id": 7')
    for events in (
        [of.events[0], of.events[2], of.events[3]],
        [of.events[0], changed, of.events[2], of.events[3]],
        [of.events[1], of.events[0], *of.events[2:]],
    ):
        reading = Reading(Said(of.bodies, events, of.steps))
        with pytest.raises(ProofError, match="audit/0 at 0: t/a/0, seq 0: its events_root is not that"):
            reading.rest()


def test_events_that_never_come_are_waited_for() -> None:
    of = said([("t/a/0", 3)])
    reading = Reading(Said(of.bodies, of.events[:2], of.steps))
    reading.rest()
    assert reading.steps == []
    assert reading.joined.waiting() == {("t/a/0", 0)}


def test_a_chain_that_begins_anew_or_leaves_something_out_is_told() -> None:
    of = said([("t/a/0", 0)] * 3)
    for bodies, seq in (([*of.bodies, of.bodies[0]], 0), ([of.bodies[0], of.bodies[2]], 2)):
        with pytest.raises(ProofError, match=f"t/a/0, seq {seq}: seq .* must come here"):
            Reading(Said(bodies, [], [])).rest()


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"seq": 0}', b'{"chain": 1, "seq": 0}'])
def test_what_is_no_event_is_told_with_its_place(octets: bytes) -> None:
    for take in (Joined({}, {}).body, Joined({}, {}).event):
        with pytest.raises(ProofError, match="audit/0 at 7: expected"):
            take(AUDIT, 7, octets)


def test_a_body_that_cannot_be_read_as_what_its_type_says_is_told() -> None:
    of = said([("t/a/0", 1)])
    (body,), (event,) = of.bodies, of.events
    for name in ("window", "counts", "events_root"):
        whole = json.loads(body)
        del whole[name]
        joined = Joined({}, {})
        joined.body(AUDIT, 0, json.dumps(whole).encode())
        joined.event(EVENTS, 0, event)
        with pytest.raises(ProofError, match="cannot be read as what its type says"):
            list(joined.whole())
