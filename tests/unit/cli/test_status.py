"""``status``: what committed positions and groups tell of a deployment, and nothing that they do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli import outside, status
from stream_recon.engine.progress import Progress
from stream_recon.errors import ConfigError
from stream_recon.model.digest import Counts, Feed, Open, Pair
from stream_recon.model.plan import SidePlan
from stream_recon.normalise.clock import ClockState
from stream_recon.ports import Place
from stream_recon.service.picture import SidePicture
from stream_recon.service.positions import Idle, Kept, Saved
from stream_recon.service.standing import Standing
from tests.unit.service.test_standing import NOW, PLAN, S

SHARE = Open(
    "orders",
    "pg",
    PLAN.window,
    PLAN.settle,
    PLAN.clock_skew,
    0,
    8,
    "",
    (Feed("pg", "pg", (), "log", "complete"), Feed("maria", "maria", (), "log", "complete")),
    (Pair("maria", "pg", "maria", ""),),
)
PG, PG1, MARIA = ("pg.orders", 0), ("pg.orders", 1), ("maria.orders", 0)
MEMBERS = outside.Members("recon.normalise", "broker", "stable", 2, {PG: "host-0", PG1: "host-1", MARIA: "host-0"})


def saved(to: int, idle: Idle | None = None, position: int = 90) -> Saved:
    clock = ClockState(raw=to, leading=False, latest=to)
    return Saved("id", idle, {f"orders/{v}": Kept(1, Progress(position, clock, Counts(80, 1, 2, 3, 4))) for v in ("pg", "maria")})


def source(states: Mapping[Place, Saved], members: outside.Members = MEMBERS) -> outside.Upstreams:
    places = (PG, PG1, MARIA)
    return outside.Upstreams(dict.fromkeys(places, 5), dict.fromkeys(places, 100), states, members, frozenset())


def sides(states: Mapping[Place, Saved], members: outside.Members = MEMBERS, plan: Any = PLAN) -> dict[str, SidePicture]:
    standing = Standing([plan], lambda: NOW)
    where: Callable[[SidePlan], outside.Upstreams] = lambda _: source(states, members)  # noqa: E731
    for reader, report in outside.reports([plan], {"orders": SHARE}, where).items():
        standing.take(reader, 0, report)
    return {side.side: side for side in standing.picture().topologies[0].sides}


BOTH = {PG: saved(NOW - 5 * S), PG1: saved(NOW - 7 * S), MARIA: saved(NOW - 6 * S)}


def test_committed_positions_tell_how_far_each_side_is_and_groups_who_reads() -> None:
    pg = sides(BOTH)["pg"]
    assert [(r.partition, r.worker, r.position, r.end) for r in pg.readings] == [(0, "host-0", 90, 100), (1, "host-1", 90, 100)]
    assert (pg.behind, pg.watermark, pg.lag, pg.state) == (20, NOW - 7 * S, 7 * S, "ok")
    assert pg.counts == Counts(160, 2, 4, 6, 8)


def test_what_was_never_committed_stands_at_its_beginning_and_bounds_nothing() -> None:
    pg = sides({PG: BOTH[PG], MARIA: BOTH[MARIA]})["pg"]
    assert (pg.readings[1].position, pg.behind, pg.watermark, pg.state) == (5, 105, None, "loading")


def test_a_topology_that_is_not_open_is_not_read() -> None:
    assert outside.reports([PLAN], {}, lambda _: source(BOTH))[outside.NOBODY].partitions == ()


def test_idle_counts_only_where_somebody_holds_the_partition() -> None:
    idle = Idle(NOW - S, 40 * S)
    states = {place: replace(state, idle=idle) for place, state in BOTH.items()}
    assert sides(states)["maria"].state == "idle"
    stopped = sides(states, replace(MEMBERS, count=0, readers={}))["maria"]
    assert (stopped.state, stopped.readings[0].worker, stopped.stalled) == ("ok", outside.NOBODY, False)


def test_a_side_that_is_quiet_while_the_other_moved_is_told_to_be_stalled() -> None:
    behind = {**BOTH, MARIA: saved(NOW - 300 * S, Idle(NOW - S, 290 * S))}
    maria = sides(behind)["maria"]
    assert (maria.stalled, maria.since) == (True, NOW - 295 * S)
    assert not sides(behind)["pg"].stalled
    assert not sides({**BOTH, MARIA: saved(NOW - 300 * S)})["maria"].stalled  # not known to be quiet
    beating = replace(PLAN, targets=(replace(PLAN.targets[0], heartbeat="beats"),))
    assert not sides(behind, plan=beating)["maria"].stalled  # its heartbeat is not read here


@pytest.fixture
def found() -> status._Found:
    log = outside.DigestLog("recon.digests", {0: 40, 1: 44}, {0: 44, 1: 44}, replace(MEMBERS, group="recon.reconcile", count=1))
    standing = Standing([PLAN, replace(PLAN, name="later")], lambda: NOW)
    standing.take(log.topic, 0, log.report)
    for reader, report in outside.reports([PLAN], {"orders": SHARE}, lambda _: source(BOTH)).items():
        standing.take(reader, 0, report)
    shares = {"orders": SHARE, "another": replace(SHARE, topology="another")}
    return status._Found("recon", "broker", shares, log, (MEMBERS, log.group), ["x.gone"], standing.picture())


def test_json_holds_what_is_known_from_outside_and_no_more(found: status._Found) -> None:
    body = json.loads(json.dumps(status._json(found)))
    assert body["digest_log"]["backlog"] == 4
    assert [g["members"] for g in body["groups"]] == [2, 1]
    assert [(t["topology"], t["open"]) for t in body["topologies"]] == [("orders", True), ("later", False)]
    assert (body["others_open"], body["missing_topics"]) == (["another"], ["x.gone"])
    pg = body["topologies"][0]["sides"][0]
    assert (pg["behind"], pg["watermark"]) == (20, "2026-11-21T12:59:53.000000Z")
    assert not {"paused", "waiting", "since_start", "pairs", "stopped"} & (pg.keys() | body["topologies"][0].keys())


def test_for_people(found: status._Found, capsys: pytest.CaptureFixture[str]) -> None:
    status._show(found)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "recon.normalise broker stable 2",
        "digest log recon.digests: 2 partitions, 4 messages still to fold",
        "topic x.gone is not there",
        "not open, stream-recon run opens them: later",
        "orders pg 7.0s 20 12:59:53 ok",
        "orders pg pg.orders/1 90 100 12:59:53 host-1",
    ):
        assert line in lines


def test_topologies_of_two_deployments_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    text = (
        "version: 1\nname: {0}\nsource: {{name: a, topics: [a], format: json, key: [id]}}\n"
        "targets: [{{name: b, topics: [b], format: json, key: [id]}}]\noutputs: {{prefix: {0}}}\n"
    )
    paths = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for path in paths:
        path.write_text(text.format(path.stem), encoding="utf-8")
    with pytest.raises(ConfigError, match="several deployments"):
        status.status(paths, as_json=True)
