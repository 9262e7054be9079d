"""The demo's world: the same every time, and what Debezium would make of it."""

from collections import Counter

import orjson
import pytest

from stream_recon.demo.envelope import MARIADB, POSTGRES, messages
from stream_recon.demo.faults import FAULTS
from stream_recon.demo.world import STALL, START, Commit, World, make
from stream_recon.lifecycle.states import Kind
from stream_recon.limits import MICROS


@pytest.fixture(scope="module")
def world() -> World:
    return make()


def final(commits: tuple[Commit, ...]) -> dict[int, object]:
    rows = {c.key: c.after for c in commits}
    return {key: row for key, row in rows.items() if row is not None}


def test_the_same_seed_gives_the_same_bytes(world: World) -> None:
    assert messages(make()) == messages(world)
    assert messages(make(7)) != messages(world)


def test_all_five_kinds_are_planted_some_healed_some_not(world: World) -> None:
    assert Counter(f.kind for f in FAULTS) == Counter(p.kind for p in world.planted)
    assert {(p.kind, p.healed is None) for p in world.planted} == {(kind, open_) for kind in Kind for open_ in (True, False)}
    assert len({p.key for p in world.planted}) == len(world.planted)


def test_what_is_not_healed_and_nothing_else_differs_in_the_end(world: World) -> None:
    source, target = final(world.source), final(world.target)
    differs = {key for key in source.keys() | target.keys() if source.get(key) != target.get(key)}
    assert differs == {p.key for p in world.planted if p.healed is None}


def test_without_faults_both_sides_end_the_same() -> None:
    world = make(faults=())
    assert final(world.source) == final(world.target)
    assert world.planted == ()


def test_the_target_follows_within_settle_and_stands_still_once() -> None:
    world = make(faults=())
    source = {(c.key, c.after): c.time for c in world.source}
    lags = [c.time - source[c.key, c.after] for c in world.target]
    assert min(lags) >= 50_000
    assert 20 * MICROS < max(lags) < 30 * MICROS
    assert not [c for c in world.target if START + STALL[0] <= c.time < START + STALL[1]]
    assert sum(lag > 1_000_000 for lag in lags) < 200


def test_messages_are_dense_ordered_and_shaped_like_debezium_s(world: World) -> None:
    sent = messages(world)
    places: dict[tuple[str, int], list[int]] = {}
    for message in sent:
        places.setdefault((message.side, message.partition), []).append(message.offset)
    assert sorted(places) == [("mariadb", 0), ("mariadb", 1), ("postgres", 0), ("postgres", 1), ("postgres", 2)]
    assert all(offsets == list(range(len(offsets))) for offsets in places.values())
    assert [m.timestamp for m in sent] == sorted(m.timestamp for m in sent)
    for side in (POSTGRES.side, MARIADB.side):
        mine = [m for m in sent if m.side == side]
        values = [None if m.value is None else orjson.loads(m.value) for m in mine]
        assert {v["op"] for v in values if v is not None} == set("crud")
        deletes = {
            (m.partition, m.offset + 1, m.key) for m, v in zip(mine, values, strict=True) if v is not None and v["op"] == "d"
        }
        tombstones = {(m.partition, m.offset, m.key) for m, v in zip(mine, values, strict=True) if v is None}
        assert deletes == tombstones


def test_mariadb_cuts_its_times_to_seconds(world: World) -> None:
    times = [orjson.loads(m.value)["source"]["ts_us"] for m in messages(world) if m.side == "mariadb" and m.value is not None]
    assert all(t % MICROS == 0 for t in times)
