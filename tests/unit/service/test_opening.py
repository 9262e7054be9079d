"""What a share is opened with, and how a later worker takes it up: the same, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from stream_recon.engine.progress import Progress
from stream_recon.errors import ConfigError, StateError
from stream_recon.model.digest import Counts, Open, decode, encode
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import CheckpointPlan, History, TopologyPlan
from stream_recon.normalise.clock import ClockState
from stream_recon.ports import Commit, Place
from stream_recon.service.job import Opened
from stream_recon.service.opening import layout, live, positions, taken_up, warnings
from stream_recon.service.positions import Idle, Kept, Saved
from tests.unit.service.fakes import COLUMNS, S, plan, side

STARTS = {
    Upstream("s", "s", 0, "i"): 5,
    Upstream("s", "s", 1, "i"): 0,
    Upstream("t", "t", 0, "j"): 7,
    Upstream("u", "u", 0, "k"): 9,
}
NONE: Mapping[Place, int] = {}


def opened(of: TopologyPlan, *, generation: int = 1, parallelism: int = 4, **columns: frozenset[str] | None) -> Opened:
    starts = {u: at for u, at in STARTS.items() if u.side in {s.name for s in of.sides}}
    seen = {s.name: columns.get(s.name, COLUMNS) for s in of.sides}
    return Opened(layout(of, seen, starts), parallelism, generation)


def record(of: Opened) -> Open:
    """As it is read back from the table."""
    message = decode(encode(of.layout.opened(of.parallelism, of.generation)))
    assert isinstance(message, Open)
    return message


# ---- taken up ----------------------------------------------------------------------------------------------------------------


def test_what_was_opened_is_taken_up_as_it_was() -> None:
    shop = plan()
    first = opened(shop, generation=3)
    again = taken_up(shop, record(first))
    assert again == first
    assert [(v.id, v.partitions) for v in again.layout.views] == [
        ("s", ((Upstream("s", "s", 0, "i"), 5), (Upstream("s", "s", 1, "i"), 0))),
        ("t", ((Upstream("t", "t", 0, "j"), 7),)),
    ]


def test_a_source_whose_targets_have_other_columns_has_a_view_for_each_and_one_of_a_side_without_messages_too() -> None:
    shop = plan("shop", None, side("t"), side("u"))
    first = opened(shop, u=frozenset({"id", "at"}))
    assert [v.id for v in first.layout.views] == ["s", "t", "s~u", "u"]
    assert taken_up(shop, record(first)) == first
    unseen = opened(shop, t=None)
    assert taken_up(shop, record(unseen)) == unseen


@pytest.mark.parametrize(
    "change",
    [
        {"window": 20 * S},
        {"settle": 1},
        {"clock_skew": 1},
        {"forget_deleted": 1},
        {"ignore": ("at", "value")},
        {"parallelism": 3},
        {"source": side("s", order="event_time")},
        {"source": side("s", history=History.PARTIAL)},
        {"source": side("s", "s2")},
        {"source": side("s", "s", "s2")},
        {"source": side("s", idle_after=None)},
        {"source": side("z", "s")},
        {"targets": (side("t"), side("u"))},
        {"targets": (side("u"),)},
    ],
)
def test_other_settings_are_refused(change: dict[str, Any]) -> None:
    before = record(opened(plan()))
    with pytest.raises(ConfigError, match=r"topology shop: .* opened with other settings"):
        taken_up(replace(plan(), **change), before)


def test_where_and_how_fast_may_change() -> None:
    before = record(opened(plan()))
    kept = CheckpointPlan("/kept", 60 * S, 3)
    for change in (
        {"max_ahead": 7200 * S},
        {"parallelism": 4},
        {"kafka": (("client.id", "x"),)},
        {"max_buffer": 1},
        {"checkpoints": kept},
    ):
        assert taken_up(replace(plan(), **change), before).parallelism == 4


def test_a_side_that_is_not_read_from_its_first_message_has_a_partial_history() -> None:
    shop = live(plan("shop", side("s", start="latest"), side("t"), side("u", start="2026-11-21T13:00:00Z")))
    assert [s.history for s in shop.sides] == [History.PARTIAL, History.COMPLETE, History.PARTIAL]
    assert live(shop) == shop


def test_settings_for_a_column_that_nobody_has_are_told() -> None:
    shop = replace(plan(), ignore=("at", "prise"))
    assert warnings(plan(), {"s": COLUMNS, "t": COLUMNS}) == ()
    (told,) = warnings(shop, {"s": COLUMNS, "t": COLUMNS})
    assert "prise" in told


# ---- start positions ---------------------------------------------------------------------------------------------------------


def test_each_partition_begins_at_its_start() -> None:
    commits = positions(opened(plan(), generation=2), side("s"), {}, NONE)
    assert {p: c.position for p, c in commits.items()} == {("s", 0): 5, ("s", 1): 0}
    assert Saved.load(commits["s", 0]) == Saved("i", None, {"shop/s": Kept(2, Progress(5))})


def test_every_view_of_a_source_has_a_position_of_its_own() -> None:
    shop = opened(plan("shop", None, side("t"), side("u")), u=frozenset({"id", "at"}))
    assert set(Saved.load(positions(shop, side("s"), {}, NONE)["s", 0]).views) == {"shop/s", "shop/s~u"}


OTHER = Kept(1, Progress(3, ClockState(raw=9, leading=False), Counts(rows=3)))


def test_what_other_topologies_had_read_stays_and_holds_the_position_down() -> None:
    there = {("s", 0): Saved("i", Idle(1, 2), {"other/s": OTHER}).commit()}
    commits = positions(opened(plan()), side("s"), there, NONE)
    assert commits["s", 0].position == 3
    assert Saved.load(commits["s", 0]) == Saved("i", None, {"other/s": OTHER, "shop/s": Kept(1, Progress(5))})


def test_a_new_generation_begins_anew() -> None:
    old = Kept(1, Progress(900, counts=Counts(rows=900)))
    there = {("s", 0): Saved("i", None, {"shop/s": old}).commit()}
    commits = positions(opened(plan(), generation=2), side("s"), there, NONE)
    assert Saved.load(commits["s", 0]).views == {"shop/s": Kept(2, Progress(5))}


def test_positions_of_a_topic_that_was_made_anew_are_forgotten() -> None:
    there = {("s", 0): Saved("old", None, {"other/s": OTHER}).commit()}
    commits = positions(opened(plan()), side("s"), there, NONE)
    assert Saved.load(commits["s", 0]) == Saved("i", None, {"shop/s": Kept(1, Progress(5))})


def test_a_compacted_topic_is_loading_up_to_its_end() -> None:
    commits = positions(opened(plan()), side("s"), {}, {("s", 1): 40})
    assert {p: Saved.load(c).views["shop/s"].progress.filled for p, c in commits.items()} == {("s", 0): 0, ("s", 1): 40}


def test_positions_of_another_program_are_not_overwritten() -> None:
    with pytest.raises(StateError, match="another program"):
        positions(opened(plan()), side("s"), {("s", 0): Commit(5, b"")}, NONE)
