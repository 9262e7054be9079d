"""The oracle held against answers worked out by hand from the page, and against the laws."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .generate import Rolled
from .history import (
    Control,
    Delete,
    Gap,
    History,
    Hole,
    Item,
    KeyChange,
    Lift,
    Params,
    Partial,
    Partition,
    Read,
    Side,
    Tombstone,
    Truncate,
    Undecodable,
    Upsert,
)
from .laws import differing, final_contents, law2_holds, plain
from .oracle import Expected, Pair, expected, folders
from .render import Format, expressible, recordings, summary, to_json, topology
from .strategies import deliveries, delivery_of, healthy, repeated, replayable, seeded, wild
from .timeline import Reading

S = 1_000_000
# windows of 10 s; a window [0, 10) compares T(15) with S(10) and the rows of S in [10, 17)
P = Params(10 * S, 5 * S, 2 * S, 3 * S, 60 * S)
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def up(offset: int, t: float, key: int = 1, value: str = "a", ts: float | None = None) -> Upsert:
    return Upsert(offset, round((t if ts is None else ts) * 1000), round(t * S), key, value)


def rd(offset: int, t: float, key: int = 1, value: str = "a") -> Read:
    return Read(offset, round(t * 1000), round(t * S), key, value)


def de(offset: int, t: float, key: int = 1) -> Delete:
    return Delete(offset, round(t * 1000), round(t * S), key)


def tr(offset: int, t: float) -> Truncate:
    return Truncate(offset, round(t * 1000), round(t * S))


def history(source: list[list[Item]], *targets: list[list[Item]], params: Params = P, partial: str = "") -> History:
    sides = [
        Side(n, tuple(Partition(n, i, tuple(items)) for i, items in enumerate(logs)), "partial" if n == partial else "complete")
        for n, logs in zip(("s", "t", "u"), (source, *targets), strict=False)
    ]
    return History(params, sides[0], tuple(sides[1:]))


def ask(source: list[list[Item]], target: list[list[Item]], params: Params = P, partial: str = "") -> tuple[Expected, Pair]:
    out = expected(history(source, target, params=params, partial=partial))
    return out, out.pairs[0]


def life(pair: Pair) -> list[tuple[str, str, int]]:
    """Status, kind, and the end of the deciding window in seconds."""
    return [(e.status, e.kind, e.window_end // S) for e in pair.events]


def verdicts(pair: Pair) -> dict[int, str]:
    return {w.start // S: w.verdict for w in pair.windows}


def test_lag_within_settle_is_no_mismatch() -> None:
    out, pair = ask([[up(0, 8)]], [[up(0, 13)]])  # T(15) = S(10) = a; then window [10, 20): T(25) = S(20)
    assert (out.exit_code, life(pair), verdicts(pair)) == (0, [], {0: "clean", 10: "clean"})


def test_lag_beyond_settle_opens_and_resolves() -> None:
    out, pair = ask([[up(0, 9)]], [[up(0, 15)]])  # 15 is not < 10 + 5; in [10, 20) it is there
    assert life(pair) == [("opened", "missing_in_target", 10), ("resolved", "missing_in_target", 20)]
    assert (out.verdict, out.windows, pair.open) == ("clean", {"clean": 1, "discrepant": 1, "inconclusive": 0}, {})


def test_target_ahead_by_the_skew() -> None:
    assert life(ask([[up(0, 11)]], [[up(0, 9)]])[1]) == []  # the row of S at 11 is in [10, 17)
    assert life(ask([[up(0, 16.999999)]], [[up(0, 9)]])[1]) == []
    late = life(ask([[up(0, 17)]], [[up(0, 9)]])[1])  # 17 is not < 10 + 5 + 2
    assert late == [("opened", "unexpected_in_target", 10), ("resolved", "unexpected_in_target", 20)]


def test_kinds_at_the_end() -> None:
    assert ask([[up(0, 1)]], [[]])[1].open == {1: "missing_in_target"}
    assert ask([[]], [[up(0, 1)]])[1].open == {1: "unexpected_in_target"}
    assert ask([[up(0, 1), de(1, 2)]], [[up(0, 1)]])[1].open == {1: "undeleted_in_target"}
    assert ask([[up(0, 1)]], [[up(0, 1, 1, "b")]])[1].open == {1: "value_mismatch"}
    assert ask([[up(0, 1), up(1, 2, 1, "b")]], [[up(0, 1)]])[1].open == {1: "stale_in_target"}  # a row of S in [0, 10)
    assert ask([[up(0, 1), up(1, 11, 1, "b")]], [[up(0, 1)]])[1].open == {1: "stale_in_target"}  # S(10) is a
    two = ask([[up(0, 1), up(1, 11, 1, "b"), up(2, 21, 1, "c")]], [[up(0, 1)]])[1]  # in [20, 30) a is S(20)'s no more
    assert (two.open, [e.occurrences for e in two.events]) == ({1: "stale_in_target"}, [1, 2])  # but T's hash stays


def test_staleness_ends_with_the_targets_hash() -> None:
    source: list[Item] = [up(0, 1), up(1, 11, 1, "b"), up(2, 31, 1, "c")]
    pair = ask([source], [[up(0, 1), up(1, 46, 1, "z")]])[1]
    assert [(s, k) for s, k, _ in life(pair)] == [
        ("opened", "stale_in_target"),  # [10, 20): S = b, T = a
        ("updated", "stale_in_target"),  # [30, 40): S = c, T = a, still
        ("updated", "value_mismatch"),  # [40, 50): T = z
    ]
    assert {e.first_seen for e in pair.events} == {20 * S}


def test_unchanged_difference_is_counted_silently() -> None:
    pair = ask([[up(0, 1), up(1, 11), de(2, 28), up(3, 29)]], [[]])[1]  # three windows touch it, hashes stay
    assert life(pair) == [("opened", "missing_in_target", 10)]
    pair = ask([[up(0, 1), up(1, 11)]], [[up(0, 26)]])[1]
    assert [e.occurrences for e in pair.events] == [1, 2]  # resolved in [20, 30) after two


def test_key_change_is_delete_and_create() -> None:
    source: list[list[Item]] = [[up(0, 1), KeyChange(1, 2000, 2 * S, 1, 2, "b")]]
    out, pair = ask(source, [[up(0, 1), de(1, 2)], [up(0, 2, 2, "b")]])
    assert (out.exit_code, pair.windows[0].counts.source_rows, pair.windows[0].counts.keys) == (0, 3, 2)
    assert [a.rows for a in out.accounts] == [2, 2, 1]  # messages
    assert ask(source, [[up(0, 1)]])[1].open == {1: "undeleted_in_target", 2: "missing_in_target"}


def test_truncate_by_offset_here_and_by_time_elsewhere() -> None:
    # at 3 (offset 1) a truncate; here: key 1 (t = 4, but before it by offset) goes, key 2 (t = 2, behind it) stays;
    # elsewhere key 3 at 2.9 goes, key 4 at 3 stays
    source: list[list[Item]] = [[up(0, 4, 1), tr(1, 3), up(2, 2, 2)], [up(0, 2.9, 3), up(1, 3, 4)]]
    pair = ask(source, [[]])[1]
    assert pair.open == {2: "missing_in_target", 4: "missing_in_target"}
    assert (pair.windows[0].counts.source_rows, pair.windows[0].counts.keys) == (4 + 2, 4)


def test_truncate_comes_first_at_equal_times_whatever_the_topic_order() -> None:
    assert ask([[up(0, 3, 1)], [up(0, 1, 1), tr(1, 3)]], [[up(0, 3, 1)]])[1].open == {}


def test_late_row_before_a_truncate_elsewhere_is_absent() -> None:
    # partition 0: w = 20 - 3 = 17 at the row of t = 4, which takes part at 17, behind the truncate at 5
    pair = ask([[up(0, 20, 9), up(1, 4, 1)], [tr(0, 5)]], [[up(0, 20, 9)]])[1]
    assert (pair.open, pair.windows[0].counts.late) == ({}, 1)
    assert ask([[up(0, 20, 9), up(1, 4, 1)], [tr(0, 3)]], [[up(0, 20, 9)]])[1].open == {1: "missing_in_target"}


def test_late_and_far_rows() -> None:
    out, pair = ask([[up(0, 20, 2), up(1, 17), up(2, 16.9), up(3, 100, ts=30), up(4, 20.5)]], [[]])
    assert [(r.effective / S, r.late, r.w) for r in out.rows] == [
        (20, False, None),
        (17, False, 17 * S),  # t = w is not late
        (17, True, 17 * S),
        (90, False, 17 * S),  # beyond ts + 60 s: at that bound, and w stays
        (20.5, False, 17 * S),
    ]
    assert (out.accounts[0].late, [w.counts.late for w in pair.windows]) == (1, [1, 0, 0])


def test_passing_over_in_log_order_only() -> None:
    source: list[Item] = [up(0, 5, 1, "old"), up(1, 4, 1, "new")]  # 4 >= 5 - 3: not late
    assert ask([source], [[up(0, 5, 1, "new")]])[1].open == {}  # old is passed over
    by_time = replace(P, order="event_time")
    assert ask([source], [[up(0, 5, 1, "old")]], by_time)[1].open == {}
    # a late row: log order takes it at w, event time order by its t
    source = [up(0, 20, 1, "new"), up(1, 4, 1, "old")]
    assert ask([source], [[up(0, 20, 1, "old")]])[1].open == {}
    assert ask([source], [[up(0, 20, 1, "new")]], by_time)[1].open == {}


def test_overwritten_in_the_same_transaction_counts() -> None:
    # T(15) = a; S(10) is absent, a was written and overwritten at 12
    pair = ask([[up(0, 12, 1, "a"), up(1, 12, 1, "b")]], [[up(0, 9.9, 1, "a"), up(1, 15, 1, "b")]])[1]
    assert life(pair) == []


def test_loading_is_a_stretch_of_time() -> None:
    # the target's snapshot reads reach to 25: at T(15) key 1 was never seen; it is touched again in [20, 30)
    out, pair = ask([[up(0, 1)]], [[rd(0, 25, 2), rd(1, 24, 1)]])
    assert verdicts(pair) == {0: "inconclusive", 20: "discrepant"}
    assert pair.open == {2: "unexpected_in_target"}
    out, pair = ask([[up(0, 1)]], [[rd(0, 25, 2)]])
    assert pair.open == {1: "missing_in_target", 2: "unexpected_in_target"}
    out, pair = ask([[up(0, 1), up(1, 25, 2)]], [[rd(0, 25, 2)], [up(0, 26, 1)]])  # loading alone spoils no run
    assert (out.verdict, verdicts(pair), pair.windows[1].counts.keys) == ("clean", {0: "inconclusive", 20: "clean"}, 2)


def test_reads_behind_a_change_are_no_loading() -> None:
    assert verdicts(ask([[up(0, 1)]], [[up(0, 0.5, 2), rd(1, 25, 2)]])[1])[0] == "discrepant"


def test_partial_history() -> None:
    out, pair = ask([[up(0, 1)]], [[]], partial="t")
    assert (out.exit_code, pair.open, pair.windows[0].counts.inconclusive) == (2, {}, 1)
    out, pair = ask([[up(0, 1)]], [[up(0, 1), de(1, 2)]], partial="t")  # seen, and absent
    assert pair.open == {1: "missing_in_target"}


def test_gap() -> None:
    # the target's partition 0 loses offsets 2 and 3 behind w = 9 - 3; the next row is at 31
    target: list[list[Item]] = [[up(0, 1), up(1, 9, 2), Gap(2, 4), up(4, 31, 2, "b")], [up(0, 1, 3)]]
    source: list[list[Item]] = [[up(0, 1), up(1, 9, 2), up(2, 1, 3), up(3, 31, 1, "z"), up(4, 31, 2, "z"), up(5, 31, 3, "z")]]
    out, pair = ask(source, target)
    assert verdicts(pair) == {0: "inconclusive", 10: "inconclusive", 20: "inconclusive", 30: "discrepant"}
    # key 1's last version there is from before the gap; key 2 has a new one; key 3 lives elsewhere
    assert (pair.windows[3].unknown_keys, sorted(pair.open)) == ((1,), [2, 3])
    account = next(a for a in out.accounts if (a.side, a.partition) == ("t", 0))
    assert (account.start, account.to, account.rows, account.gaps) == (0, 5, 3, 2)


def test_gap_without_ends() -> None:
    _, pair = ask([[up(0, 1)]], [[Gap(0, 4)], [up(0, 31)]])  # never seen at T(15): unknown; the gap has no bounds
    assert (pair.open, verdicts(pair)) == ({}, dict.fromkeys((0, 10, 20, 30), "inconclusive"))
    assert expected(history([[Gap(0, 1)]], [[]])).exit_code == 2


def test_undecodable() -> None:
    # w = 12 - 3 = 9, ts = 21: windows [0, 10) to [20, 30); key 1 is unknown from 9 to its next version at 41
    source: list[list[Item]] = [[up(0, 1), up(1, 12, 2), Undecodable(2, 21_000, 1), up(3, 41)]]
    out, pair = ask(source, [[up(0, 1), up(1, 12, 2), up(2, 33, 1, "b"), up(3, 46)]])
    assert verdicts(pair) == {0: "inconclusive", 10: "inconclusive", 20: "inconclusive", 30: "inconclusive", 40: "clean"}
    assert (out.exit_code, pair.events, out.accounts[0].dead_letters) == (2, (), 1)
    # without a readable key only the windows are in doubt
    out, pair = ask([[up(0, 1), up(1, 12, 2), Undecodable(2, 21_000)]], [[up(0, 1), up(1, 12, 2), up(2, 33, 1, "b")]])
    assert pair.open == {1: "value_mismatch"}
    # before the first change w is ts - out_of_orderness
    assert verdicts(ask([[Undecodable(0, 21_000)]], [[]])[1]) == {10: "inconclusive", 20: "inconclusive"}


def test_known_difference_opens_in_an_inconclusive_window() -> None:
    pair = ask([[up(0, 1), Undecodable(1, 2000)]], [[]])[1]
    assert (verdicts(pair)[0], pair.open) == ("discrepant", {1: "missing_in_target"})


def test_open_key_that_becomes_unknown_stays_open() -> None:
    _, pair = ask([[up(0, 1)]], [[up(0, 1, 2), Undecodable(1, 30_000, 1)], [up(0, 40, 2)]])
    assert 1 not in pair.open  # w = 1 - 3 is before T(15): unknown from the beginning
    _, pair = ask([[up(0, 1), up(1, 41, 1, "b")]], [[up(0, 30, 2), Undecodable(1, 30_000, 1)]])
    assert (pair.open, verdicts(pair)[40]) == ({1: "missing_in_target", 2: "unexpected_in_target"}, "inconclusive")


def test_tombstones() -> None:
    out, pair = ask([[up(0, 1), de(1, 2), Control(2, 2000), Tombstone(3, 2000, 1)]], [[up(0, 1), de(1, 2)]])
    assert (out.accounts[0].control, out.accounts[0].rows, out.exit_code, pair.windows[0].counts.source_rows) == (2, 2, 0, 2)
    # w = 14 - 3 = 11, ts = 21: unknown from 11, absent from 21, where it takes part
    source: list[list[Item]] = [[up(0, 1), up(1, 14, 2), Tombstone(2, 21_000, 1)]]
    out, pair = ask(source, [[up(0, 1), up(1, 14, 2)]])
    assert (verdicts(pair), pair.open) == ({0: "clean", 10: "clean", 20: "discrepant"}, {1: "undeleted_in_target"})
    # in [0, 10): S(10) is a, T(15) absent, and S somewhere in (10, 17] unknown
    target: list[list[Item]] = [[up(0, 1), up(1, 14, 2), de(2, 14, 1)]]
    out, pair = ask(source, target)
    assert (pair.events, out.exit_code) == ((), 2)
    other = expected(history(source, target), Reading(unknown_in_range=False))
    assert life(other.pairs[0]) == [("opened", "missing_in_target", 10), ("resolved", "missing_in_target", 20)]
    # directly after means directly
    between: list[list[Item]] = [[up(0, 1), de(1, 2), up(2, 2, 2), Tombstone(3, 2000, 1)]]
    assert expected(history(between, [[]])).accounts[0].control == 0
    assert expected(history(between, [[]]), Reading(tombstone_adjacent=False)).accounts[0].control == 1


def test_partial_rows() -> None:
    full = [Upsert(0, 1000, S, 1, "a", "x"), Upsert(1, 2000, 2 * S, 1, "b", "x")]
    source: list[list[Item]] = [[full[0], Partial(1, 2000, 2 * S, 1, "b")]]
    assert ask(source, [list(full)])[0].exit_code == 0
    out, pair = ask([[Partial(0, 2000, 2 * S, 1, "b")]], [list(full)])  # nothing to fill it from
    assert (out.exit_code, pair.open) == (2, {})
    assert ask([[full[0], de(1, 2), Partial(2, 3000, 3 * S, 1, "b")]], [list(full)])[0].exit_code == 2


def test_accounting() -> None:
    items: list[Item] = [up(5, 1), Hole(6, 9), Control(9, 1), Undecodable(10, 1000), Gap(11, 15), tr(15, 1), up(16, 0)]
    a = expected(history([items], [[]])).accounts[0]
    assert (a.start, a.to, a.rows, a.control, a.dead_letters, a.unused, a.gaps) == (5, 17, 3, 1, 1, 3, 4)


def test_lifts() -> None:
    # lifted to 30 before offset 1: its row of t = 21 is late, takes part at 30 and proves the lift wrong
    out, pair = ask([[up(0, 1), Lift(1, 30 * S), up(1, 21, 1, "b")]], [[up(0, 1), up(1, 21, 1, "b")]])
    assert [(r.effective // S, r.late) for r in out.rows[:2]] == [(1, False), (30, True)]
    assert verdicts(pair) == {0: "clean", 20: "clean", 30: "inconclusive"}  # T(35) is a row of S in [30, 37)
    assert (pair.events, out.exit_code, pair.windows[-1].causes[0].kind) == ((), 2, "lift_broken")


def test_pairs_are_independent_and_summed() -> None:
    out = expected(history([[up(0, 1)]], [[up(0, 1)]], [[]]))
    assert (out.open, out.windows) == ({("u", 1): "missing_in_target"}, {"clean": 1, "discrepant": 1, "inconclusive": 0})


def test_forgotten_deletes() -> None:
    source: list[list[Item]] = [[up(0, 1), de(1, 2)]]
    assert ask(source, [[up(0, 15)]], replace(P, forget_deleted=20 * S))[1].open == {1: "undeleted_in_target"}
    assert ask(source, [[up(0, 25)]], replace(P, forget_deleted=20 * S))[1].open == {1: "unexpected_in_target"}


@RELAXED
@given(healthy())
def test_law_2(it: History) -> None:
    assert law2_holds(it)
    assert not any(pair.events for pair in expected(it).pairs)


@RELAXED
@given(wild())
def test_law_1(it: History) -> None:
    out, truth = expected(it), differing(it)
    for pair in out.pairs:
        differ, known = truth[pair.target]
        assert differ == set(pair.open) & known
    assert (out.exit_code == 1) == bool(out.open)
    if plain(it):
        for side, folder in zip(it.sides, folders(it), strict=True):
            assert final_contents(it, side) == {k: folder.state(k, None).value for k in folder.timeline.entries}


@RELAXED
@given(wild())
def test_answers_are_consistent(it: History) -> None:
    out = expected(it)
    for a in out.accounts:
        assert a.to - a.start == a.rows + a.control + a.dead_letters + a.unused + a.gaps
    for pair in out.pairs:
        assert pair.count("opened") - pair.count("resolved") == len(pair.open)
        for w in pair.windows:
            c = w.counts
            assert c.keys == c.equal + c.different + c.inconclusive
            assert (w.verdict == "discrepant") == (c.different > 0)
            assert (w.verdict == "clean") == (not c.different and not c.inconclusive and not w.causes)


@RELAXED
@given(replayable(), st.sampled_from(["debezium-json", "json-broker", "json-column"]), st.integers(0, 9), st.data())
def test_rendering_and_delivery(it: History, fmt: Format, seed: int, data: st.DataObject) -> None:
    it = to_json(it, fmt)
    assert expressible(it, fmt)
    lines, again = recordings(it, fmt, random.Random(seed), repeats=2)
    read = summary(expected(it), again)
    assert json.loads(json.dumps(topology(it, fmt)))["window"].endswith("s")
    assert sum(map(len, lines.values())) == sum(p["to"] - p["from"] - p["unused"] + p["repeated"] for p in read["partitions"])
    delivery = data.draw(deliveries(it))
    assert {(b.side, b.partition) for b in delivery} == {
        (s, q) for s, side in enumerate(it.sides) for q, p in enumerate(side.partitions) if p.items
    }
    assert all(n >= 0 for n in repeated(it, delivery).values())


def test_soak() -> None:
    statuses: set[str] = set()
    for seed in range(60):
        calm = seeded(seed, "healthy")
        assert law2_holds(calm)
        assert not any(pair.events for pair in expected(calm).pairs)
        it = seeded(seed)
        out, truth = expected(it), differing(it)
        for pair in out.pairs:
            assert truth[pair.target][0] == set(pair.open) & truth[pair.target][1]
            statuses |= {e.kind for e in pair.events} | {e.status for e in pair.events} | {w.verdict for w in pair.windows}
            statuses |= {c.kind for w in pair.windows for c in w.causes}
        assert seeded(seed) == it
        assert delivery_of(Rolled(seed), it)
    assert len(statuses) == 5 + 3 + 3 + 3
