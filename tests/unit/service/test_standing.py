"""One picture of many workers: counters that never go back, gauges of those that are there, null for what is not known."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_recon.lifecycle.states import Kind
from stream_recon.model.digest import Counts
from stream_recon.model.plan import Format, SidePlan, TopologyPlan
from stream_recon.service.checkpoints import Checkpointed
from stream_recon.service.picture import PairPicture, Picture, SidePicture
from stream_recon.service.report import NormaliseReport, PairReport, PartitionReport, ReconcileReport, StallReport
from stream_recon.service.standing import Standing

S = 1_000_000
NOW = 1_795_266_000 * S  # 2026-11-21T13:00:00Z
PLAN = TopologyPlan(
    "orders",
    SidePlan("pg", ("pg.orders",), Format.DEBEZIUM_JSON, ("id",)),
    (SidePlan("maria", ("maria.orders",), Format.DEBEZIUM_JSON, ("id",)),),
    window=10 * S,
    settle=30 * S,
    clock_skew=S,
)


def part(number: int = 0, side: str = "pg", **more: Any) -> PartitionReport:
    base = PartitionReport(
        "orders", side, side, f"{side}.orders", number, 100, 110, NOW - 5 * S, NOW, 80, 2, 1, 17, 3, paused=False, idle=False
    )
    return replace(base, **more)


def reads(
    *parts: PartitionReport, stalls: tuple[StallReport, ...] = (), stopped: dict[str, str] | None = None
) -> NormaliseReport:
    return NormaliseReport(parts, stalls, stopped or {}, 0, 0)


def home(number: int, **more: Any) -> PairReport:
    return replace(PairReport("orders", "maria", number, 2, NOW - 5 * S, NOW - 6 * S, NOW - 70 * S, 7, ended=False), **more)


def folds(*pairs: PairReport, **more: Any) -> ReconcileReport:
    positions = {p.home: 40 for p in pairs}
    base = ReconcileReport(pairs, positions, dict.fromkeys(positions, 44), {}, 10, 1, 0.5, 40)
    return replace(base, **more)


def said(verdict: str, count: int, status: str = "opened", events: int = 0) -> dict[tuple[str, str, str, str], int]:
    return {("orders", "maria", "audit", verdict): count, ("orders", "maria", "discrepancies", status): events}


def standing() -> Standing:
    return Standing([PLAN], lambda: NOW)


def side(picture: Picture, name: str = "pg") -> SidePicture:
    return next(s for t in picture.topologies for s in t.sides if s.side == name)


def pair(picture: Picture) -> PairPicture:
    return picture.topologies[0].pairs[0]


# ---- sides -------------------------------------------------------------------------------------------------------------


def test_partitions_of_many_workers_add_up_and_the_slowest_tells_the_watermark() -> None:
    standing_ = standing()
    standing_.take("n-1", 0, reads(part(1, watermark=NOW - 9 * S, end=100, paused=True)))
    standing_.take("n-0", 0, reads(part(0), part(0, "maria", idle=True)))
    picture = standing_.picture()
    pg = side(picture)
    assert [(r.partition, r.worker) for r in pg.readings] == [(0, "n-0"), (1, "n-1")]
    assert pg.counts == Counts(160, 4, 2, 34, 6)
    assert (pg.behind, pg.watermark, pg.lag) == (10, NOW - 9 * S, 9 * S)
    assert (pg.paused, pg.idle, pg.state) == (1, 0, "paused")
    assert side(picture, "maria").state == "idle"
    assert picture.workers == {"normalise": 2, "reconcile": 0}


def test_one_partition_that_bounds_nothing_leaves_the_side_without_watermark() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0), part(1, watermark=None)))
    pg = side(standing_.picture())
    assert (pg.watermark, pg.lag, pg.state) == (None, None, "loading")


def test_an_end_that_is_not_known_is_not_taken_for_caught_up() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0), part(1, end=None)))
    assert side(standing_.picture()).behind is None


def test_a_view_reads_again_what_counts_once_but_may_be_the_slowest() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0), part(0, view="pg~search", watermark=NOW - 60 * S, position=50)))
    pg = side(standing_.picture())
    assert (len(pg.readings), pg.counts.rows, pg.behind, pg.watermark) == (1, 80, 10, NOW - 60 * S)


def test_the_picture_can_be_written_as_json() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0)))
    standing_.take("r-0", 0, folds(home(0)))
    (topology,) = orjson.loads(orjson.dumps(standing_.picture().to_json()))["topologies"]
    assert set(topology["pairs"][0]["open_by_kind"]) == set(Kind)


def test_what_is_planned_is_in_the_picture_though_nobody_reads_it() -> None:
    picture = standing().picture()
    assert [s.side for s in picture.topologies[0].sides] == ["pg", "maria"]
    assert [(s.state, s.behind, s.watermark) for s in picture.topologies[0].sides] == [("unread", None, None)] * 2
    assert (pair(picture).open, pair(picture).verdict, pair(picture).waiting) == (None, None, None)


def test_topologies_without_a_plan_follow_in_order_of_their_names() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(topology="zoo"), part(topology="ants", side="b"), part(topology="ants", side="a")))
    standing_.take("r-0", 0, folds(home(0, topology="bees", target="hive")))
    found = [(t.topology, [s.side for s in t.sides], [p.target for p in t.pairs]) for t in standing_.picture().topologies]
    assert found == [
        ("orders", ["pg", "maria"], ["maria"]),
        ("ants", ["a", "b"], []),
        ("bees", [], ["hive"]),
        ("zoo", ["pg"], []),
    ]


def test_a_stall_of_a_view_is_a_stall_of_its_side() -> None:
    standing_ = standing()
    stall = StallReport("orders", "pg~search", NOW - 90 * S, 12)
    standing_.take("n-0", 0, reads(part(0), part(0, view="pg~search"), stalls=(stall,)))
    pg = side(standing_.picture())
    assert (pg.stalled, pg.since, pg.waiting, pg.state) == (True, NOW - 90 * S, 12, "stalled")
    standing_.take("n-0", 0, reads(part(0)))
    assert not side(standing_.picture()).stalled


def test_a_stopped_topology_says_why() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads())
    standing_.take("n-1", 0, reads(stopped={"orders": "too many dead letters"}))
    assert standing_.picture().topologies[0].stopped == "too many dead letters"


# ---- workers come and go -----------------------------------------------------------------------------------------------


def test_a_partition_that_moves_counts_once_by_the_report_that_is_further() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0, position=120, rows=95)))
    standing_.take("n-1", 0, reads(part(0, position=110, rows=88)))
    for _ in range(2):
        pg = side(standing_.picture())
        assert ([r.worker for r in pg.readings], pg.counts.rows) == (["n-0"], 95)
    standing_.take("n-0", 0, reads())
    pg = side(standing_.picture())
    assert ([r.worker for r in pg.readings], pg.counts.rows) == (["n-1"], 95)


def test_gauges_of_a_worker_that_is_gone_vanish_and_its_counters_stay() -> None:
    standing_ = standing()
    standing_.take("n-0", 0, reads(part(0, rows=80), stalls=(StallReport("orders", "pg", None, 1),), stopped={"orders": "x"}))
    standing_.take("n-0", 0, reads(part(0, rows=90), stalls=(StallReport("orders", "pg", None, 1),), stopped={"orders": "x"}))
    standing_.take("r-0", 0, folds(home(0), said=said("clean", 3)))
    standing_.gone("n-0")
    standing_.gone("r-0")
    picture = standing_.picture()
    pg, compared = side(picture), pair(picture)
    assert (pg.state, pg.watermark, pg.stalled, picture.topologies[0].stopped) == ("unread", None, False, None)
    assert (pg.counts.rows, pg.done.rows) == (90, 10)
    assert (compared.open, compared.closed, compared.waiting, picture.backlog) == (None, None, None, None)
    assert (compared.windows["clean"], picture.transactions, picture.entries) == (3, 10, 40)
    assert picture.workers == {"normalise": 0, "reconcile": 0}


def test_rows_that_are_read_again_after_a_crash_count_once() -> None:
    standing_ = standing()
    done = []
    for incarnation, rows in ((0, 1000), (0, 2000), (1, 1900), (1, 1990), (1, 2100)):
        standing_.take("n-0", incarnation, reads(part(0, rows=rows)))
        done.append(side(standing_.picture()).done.rows)
    assert done == [0, 1000, 1000, 1000, 1100]


def test_a_topic_that_was_made_anew_counts_on() -> None:
    standing_ = standing()
    for position, rows in ((1000, 900), (1100, 990), (10, 10), (20, 20)):
        standing_.take("n-0", 0, reads(part(0, position=position, rows=rows, unused=0)))
    pg = side(standing_.picture())
    assert (pg.counts.rows, pg.done.rows) == (20, 110)


def test_what_a_dead_incarnation_said_stays_added() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0), said=said("clean", 3, "opened", 2)))
    standing_.take("r-1", 0, folds(home(1), said=said("clean", 5)))
    standing_.gone("r-0")
    standing_.take("r-0", 1, folds(home(0), said=said("clean", 1, "resolved", 2), transactions=4, replaced=0))
    standing_.take("r-0", 1, folds(home(0), said=said("clean", 2, "resolved", 2), transactions=5, replaced=0))
    picture = standing_.picture()
    assert pair(picture).windows == {"clean": 10, "discrepant": 0, "inconclusive": 0}
    assert pair(picture).events == {"opened": 2, "updated": 0, "confirmed": 0, "resolved": 2, "dismissed": 0}
    assert (picture.transactions, picture.replaced, picture.seconds, picture.entries) == (25, 2, 1.5, 120)


def test_reports_that_come_late_revive_nobody_and_count_once() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0), said=said("clean", 3)))
    standing_.gone("r-0")
    standing_.take("r-0", 0, folds(home(0), said=said("clean", 4)))
    assert (standing_.picture().workers["reconcile"], pair(standing_.picture()).windows["clean"]) == (0, 4)
    standing_.take("r-0", 1, folds(home(0), said=said("clean", 1)))
    standing_.take("r-0", 0, folds(home(0), said=said("clean", 5)))
    assert (standing_.picture().workers["reconcile"], pair(standing_.picture()).windows["clean"]) == (1, 5)


def test_counters_never_go_back_while_workers_come_and_go() -> None:
    steps = [("r-0", 0, 3), ("r-0", 0, 5), ("r-0", 1, 1), ("r-0", 1, 2)]
    for place in range(len(steps) + 1):
        standing_, seen = standing(), [0]
        for worker, incarnation, count in [*steps[:place], ("r-1", 0, 4), *steps[place:]]:
            standing_.take(worker, incarnation, folds(home(0), said=said("clean", count)))
            seen.append(pair(standing_.picture()).windows["clean"])
            standing_.gone(worker)
            seen.append(pair(standing_.picture()).windows["clean"])
        assert seen == sorted(seen)
        assert seen[-1] == 5 + 2 + 4


# ---- pairs -------------------------------------------------------------------------------------------------------------


def test_digest_partitions_add_up_and_the_slowest_tells_the_times() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0), home(2, source_watermark=NOW - 20 * S)))
    standing_.take("r-1", 0, folds(home(1, target_watermark=NOW - 30 * S, open=0)))
    compared = pair(standing_.picture())
    assert (compared.open, compared.waiting, compared.homes, compared.parts) == (4, 21, 3, 3)
    assert (compared.source_watermark, compared.target_watermark) == (NOW - 20 * S, NOW - 30 * S)
    assert compared.closed == NOW - 60 * S
    assert standing_.picture().backlog == 12


def test_windows_without_a_certificate_are_closed_when_both_watermarks_passed_them() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0, closed=None), home(1, closed=NOW - 600 * S)))
    assert pair(standing_.picture()).closed == NOW - 40 * S
    standing_.take("r-0", 0, folds(home(0, closed=None, target_watermark=None), home(1)))
    assert pair(standing_.picture()).closed is None


def test_a_digest_partition_that_moves_counts_once() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0, open=9)))
    standing_.take("r-1", 0, folds(home(0, open=1), positions={0: 39}))
    picture = standing_.picture()
    assert (pair(picture).open, pair(picture).homes, picture.backlog) == (9, 1, 4)
    standing_.gone("r-0")
    assert (pair(standing_.picture()).open, standing_.picture().backlog) == (1, 5)


def test_what_is_not_folded_here_is_seen_missing() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0)))
    standing_.take("r-1", 0, folds(home(1)))
    standing_.gone("r-1")
    assert (pair(standing_.picture()).homes, pair(standing_.picture()).parts) == (1, 2)


def test_input_that_ended_holds_nothing_up() -> None:
    standing_ = standing()
    ended = {"source_watermark": None, "target_watermark": None, "ended": True}
    standing_.take("r-0", 0, folds(home(0, **ended), home(1)))
    compared = pair(standing_.picture())
    assert (compared.ended, compared.source_watermark, compared.closed) == (False, NOW - 5 * S, NOW - 40 * S)
    standing_.take("r-0", 0, folds(home(0, **ended), home(1, **ended, closed=NOW)))
    compared = pair(standing_.picture())
    assert (compared.ended, compared.source_watermark, compared.closed) == (True, None, NOW)


@pytest.mark.parametrize(
    ("change", "verdict", "expected"),
    [
        ({}, "clean", "discrepant"),
        ({"open": 0}, "discrepant", "clean"),  # what was open is resolved
        ({"open": 0}, "inconclusive", "inconclusive"),
        ({"open": 0, "closed": None, "source_watermark": None}, "clean", None),
    ],
)
def test_the_verdict_so_far(change: dict[str, Any], verdict: str, expected: str | None) -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0, **change), said=said(verdict, 1)))
    assert pair(standing_.picture()).verdict == expected


def test_checkpoints_count_over_incarnations_and_the_owner_tells_how_old_they_are() -> None:
    standing_ = standing()
    standing_.take("r-0", 0, folds(home(0), checkpoints=Checkpointed({0: NOW - 9 * S}, 3, 1, 100)))
    standing_.take("r-0", 1, folds(home(0), checkpoints=Checkpointed({}, 1, 0, 10)))
    standing_.take("r-1", 0, folds(home(1), checkpoints=Checkpointed({0: NOW, 1: NOW - 5 * S}, 2, 0, 20)))
    picture = standing_.picture()
    assert (picture.checkpoints_made, picture.checkpoints_failed, picture.checkpoint_bytes) == (6, 1, 130)
    assert picture.checkpoints == {1: NOW - 5 * S}, "of digest partition 0 its owner knows none yet"
    assert picture.to_json()["checkpoints"] == {"1": "2026-11-21T12:59:55.000000Z"}


# ---- JSON --------------------------------------------------------------------------------------------------------------


def test_json_has_times_in_utc_and_null_for_what_is_not_known() -> None:
    standing_ = standing()
    stall = StallReport("orders", "maria", None, 4)
    standing_.take("n-0", 0, reads(part(0), part(0, "maria", watermark=None), stalls=(stall,)))
    standing_.take("r-0", 0, folds(home(0)))
    body = json.loads(json.dumps(standing_.picture().to_json()))
    assert (body["time"], body["workers"], body["log_backlog"]) == (
        "2026-11-21T13:00:00.000000Z",
        {"normalise": 1, "reconcile": 1},
        4,
    )
    pg, maria = body["topologies"][0]["sides"]
    assert (pg["watermark"], pg["event_time_lag_seconds"], pg["rows"]) == ("2026-11-21T12:59:55.000000Z", 5.0, 80)
    assert (pg["partitions"][0]["worker"], pg["partitions"][0]["position"]) == ("n-0", 100)
    assert (maria["state"], maria["stalled_since"], maria["watermark"], maria["waiting"]) == ("stalled", None, None, 4)
    compared = body["topologies"][0]["pairs"][0]
    assert (compared["verdict"], compared["closed_until"]) == ("discrepant", "2026-11-21T12:59:20.000000Z")


def test_the_same_reports_give_the_same_picture_in_any_order() -> None:
    reports: list[tuple[str, NormaliseReport | ReconcileReport]] = [
        ("n-0", reads(part(0), part(1, "maria"))),
        ("n-1", reads(part(1), part(0, "maria"), part(topology="zoo"))),
        ("r-0", folds(home(1), said=said("clean", 1))),
        ("r-1", folds(home(0), said=said("inconclusive", 2))),
    ]
    pictures = set()
    for order in itertools.permutations(reports):
        standing_ = standing()
        for worker, report in order:
            standing_.take(worker, 0, report)
        pictures.add(json.dumps(standing_.picture().to_json()))
    assert len(pictures) == 1
