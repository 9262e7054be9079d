"""Accounts against partitions that are counted position by position."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.ledger import KINDS, Account, Certified, accounts

PLACE = ("s", "t", 0)
POSITIONS = st.lists(st.sampled_from(KINDS), max_size=20)


def account(start: int, kinds: list[str], **changed: Any) -> Account:
    """Of a partition whose positions from ``start`` on are of these kinds."""
    counts = {kind: kinds.count(kind) for kind in KINDS}
    known: dict[str, Any] = {"to": start + len(kinds), "counts": counts, "letters": counts["dead_letters"], "certified": {}}
    return Account(PLACE, start, **(known | changed))


@given(st.integers(0, 9), POSITIONS, st.lists(st.integers(0, 20), max_size=3))
def test_what_is_counted_position_by_position_balances(start: int, kinds: list[str], read: list[int]) -> None:
    certified = {f"c/{n}": (start, start + min(to, len(kinds))) for n, to in enumerate(read)}
    found = account(start, kinds, certified=certified)
    assert found.wrong == []
    assert found.least == (min(to for _, to in certified.values()) if certified else None)


@given(st.integers(1, 9), POSITIONS, st.sampled_from(KINDS), st.sampled_from([-1, 1]))
def test_one_position_more_or_less_does_not(start: int, kinds: list[str], kind: str, by: int) -> None:
    good = account(start, kinds)
    counts = dict(good.counts) | {kind: good.counts[kind] + by}
    for changed in (
        {"counts": counts, "letters": counts["dead_letters"]},
        {"to": good.to + by},
        {"letters": good.letters + by},
        {"certified": {"c/0": (start + by, good.to)}},
        {"certified": {"c/0": (start, good.to + 1)}},
    ):
        assert len(account(start, kinds, **changed).wrong) == 1, changed


def test_counts_that_make_up_for_each_other() -> None:
    assert account(0, ["rows"], counts=dict.fromkeys(KINDS, 0) | {"rows": 2, "unused": -1}).wrong
    assert account(5, [], to=4, counts=dict.fromkeys(KINDS, 0) | {"gaps": -1}).wrong


def window(chain: str, start: int, to: int, **more: Any) -> dict[str, Any]:
    one = {"side": "s", "topic": "t", "partition": 0, "from": start, "to": to}
    return {"type": "window", "chain": chain, "seq": 5, "ranges": [one | more]}


@pytest.mark.parametrize(
    ("bodies", "reached"),
    [
        ([window("c", 3, 3), window("c", 3, 5), window("d", 3, 4), window("c", 5, 9)], {"c": (3, 9), "d": (3, 4)}),
        ([window("c", 0, 9), {"type": "rebuilt", "chain": "c", "seq": 6}, window("c", 2, 4)], {"c": (2, 4)}),
        ([window("c", 0, 9), {"type": "rebuilt", "chain": "c", "seq": 6}], {}),
        ([window("c", 0, 9), {"type": "stalled", "chain": "c", "seq": 6}], {"c": (0, 9)}),
        ([window("c", 0, 9), window("c", 0, 2) | {"seq": 0}], {"c": (0, 2)}),
        ([window("c", 4, 9, topic_id="a"), window("c", 0, 2, topic_id="b"), window("c", 9, 9, topic_id="a")], {"c": (0, 2)}),
    ],
)
def test_what_certificates_name(bodies: list[dict[str, Any]], reached: dict[str, tuple[int, int]]) -> None:
    held = Certified()
    for body in bodies:
        held.take(body)
    assert held.of(*PLACE) == reached


def test_what_nobody_counted_does_not_balance() -> None:
    held = Certified()
    held.take(window("c", 0, 2))
    nothing = {"from": 0, "to": 0} | dict.fromkeys(KINDS, 0)
    partition = {"side": "s", "topic": "t", "partition": 1} | nothing
    found = accounts([partition], {("s", "u", 0): 1}, held)
    assert [(one.place, bool(one.wrong)) for one in found] == [(PLACE, True), (("s", "t", 1), False), (("s", "u", 0), True)]
