"""Lifts and stalled sides, clause by clause of DESIGN 3.3, and against the same rules said once more in another way.

Times are seconds of one clock, in µs only by name: the rules know no unit. ``NOW`` is when ends are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.normalise.clock import NEVER, ClockState
from stream_recon.service.lifting import Decision, Seen, SeenFeed, decide

NOW, IDLE, DISORDER, SETTLE, SKEW = 10_000, 30, 5, 30, 1
LEEWAY = SETTLE + SKEW
LIMIT = NOW - IDLE
PAIR = [("s", "t")]
TWO = [("s", "t"), ("s", "u")]


def changed(time: int, *, lift: int = NEVER) -> ClockState:
    return ClockState(raw=time - DISORDER, lift=lift, leading=False, latest=time)


def loaded(time: int) -> ClockState:
    return ClockState(loaded=time, latest=time)


SILENT = ClockState()


def idle(clock: ClockState, number: int = 0, *, topic: str = "a", as_of: int = NOW, quiet: int = 600) -> Seen:
    return Seen(topic, number, clock, as_of, quiet)


def busy(clock: ClockState, number: int = 0, *, topic: str = "a") -> Seen:
    """Behind its end, paused, just read, or its end not known: all the same here."""
    return Seen(topic, number, clock, None, 0)


def side(*partitions: Seen, stall_timeout: int | None = None, heartbeat: int | None = None) -> SeenFeed:
    return SeenFeed(partitions, DISORDER, IDLE, stall_timeout, heartbeat)


def decided(feeds: Mapping[str, SeenFeed], pairs: Sequence[tuple[str, str]] = PAIR) -> Decision:
    return decide(feeds, pairs, settle=SETTLE, clock_skew=SKEW)


# The same topic vouches


def test_an_idle_partition_follows_the_furthest_other_partition_of_its_topic() -> None:
    source = side(idle(changed(100)), busy(changed(900), 1), busy(changed(700), 2))
    decision = decided({"s": source, "t": side(busy(changed(900)))})
    assert decision == Decision({("s", "a", 0): 900 - DISORDER}, {})


def test_never_beyond_idle_after_before_the_end_was_asked() -> None:
    source = side(idle(changed(100)), busy(changed(NOW - 3), 1))
    assert decided({"s": source, "t": side(busy(changed(NOW)))}).lifts == {("s", "a", 0): LIMIT}


def test_where_a_new_partition_begins_is_no_last_change() -> None:
    came = ClockState(floor=NOW - 400, leading=False)
    source, target = side(idle(changed(100, lift=NOW - 400)), idle(came, 1)), side(idle(changed(100, lift=NOW - 400)))
    decision = decided({"s": source, "t": target})
    assert decision.stalled == {}
    assert decision.lifts == {("s", "a", 0): LIMIT, ("s", "a", 1): LIMIT, ("t", "a", 0): LIMIT}


def test_the_lift_of_another_partition_counts_as_its_watermark() -> None:
    source = side(idle(SILENT), busy(changed(100, lift=800), 1))
    assert decided({"s": source, "t": side(busy(SILENT))}).lifts == {("s", "a", 0): 800}


def test_another_topic_of_the_side_does_not_vouch() -> None:
    source = side(idle(changed(100)), busy(changed(900), topic="b"))
    assert decided({"s": source, "t": side(busy(changed(900)))}) == Decision({}, {})


def test_the_other_side_does_not_vouch_while_it_moves() -> None:
    assert decided({"s": side(idle(changed(900))), "t": side(busy(changed(900)))}) == Decision({}, {})


def test_a_partition_that_never_spoke_vouches_for_nothing() -> None:
    source = side(idle(changed(100)), busy(SILENT, 1), busy(loaded(900), 2))
    assert decided({"s": source, "t": side(busy(changed(900)))}).lifts == {}


def test_a_partition_that_is_not_idle_is_not_lifted() -> None:
    source = side(busy(changed(100)), busy(changed(900), 1))
    assert decided({"s": source, "t": side(idle(changed(100)), idle(changed(900), 1))}).lifts == {("t", "a", 0): 900 - DISORDER}


def test_a_lift_never_goes_back_or_nowhere() -> None:
    for lift in (LIMIT, LIMIT + 1):
        both = {name: side(idle(changed(100, lift=lift))) for name in "st"}
        assert decided(both) == Decision({}, {})
    both = {name: side(idle(changed(100, lift=LIMIT - 1))) for name in "st"}
    assert decided(both).lifts == {("s", "a", 0): LIMIT, ("t", "a", 0): LIMIT}


# Both sides vouch for each other


def test_a_pair_at_rest_is_lifted_without_further_bound() -> None:
    both = {"s": side(idle(changed(100)), idle(changed(90), 1)), "t": side(idle(changed(101), topic="x"))}
    assert decided(both) == Decision({("s", "a", 0): LIMIT, ("s", "a", 1): LIMIT, ("t", "x", 0): LIMIT}, {})


@pytest.mark.parametrize("late", ["s", "t"])
def test_a_row_lost_in_a_quiet_night_is_lag_within_the_leeway_and_a_stall_beyond_it(late: str) -> None:
    other = "t" if late == "s" else "s"
    within = decided({late: side(idle(changed(100))), other: side(idle(changed(100 + LEEWAY)))})
    assert set(within.lifts.values()) == {LIMIT}
    assert within.stalled == {}
    beyond = decided({late: side(idle(changed(100))), other: side(idle(changed(100 + LEEWAY + 1)))})
    assert beyond == Decision({}, {late: 100})


def test_each_side_is_measured_with_its_own_out_of_orderness() -> None:
    source = SeenFeed((idle(ClockState(raw=100)),), 0, IDLE, None, None)
    target = SeenFeed((idle(ClockState(raw=100)),), LEEWAY + 1, IDLE, None, None)
    assert decided({"s": source, "t": target}).stalled == {"s": 100}
    assert decided({"s": source, "t": replace(target, out_of_orderness=LEEWAY)}).stalled == {}


def test_an_old_lift_is_no_last_time() -> None:
    decision = decided({"s": side(idle(changed(100, lift=5000))), "t": side(idle(changed(4000, lift=5000)))})
    assert decision == Decision({}, {"s": 100})


@pytest.mark.parametrize("where", ["s", "t"])
@pytest.mark.parametrize("clock", [changed(100), SILENT, loaded(90)])
def test_one_partition_that_is_not_idle_holds_up_the_pair(where: str, clock: ClockState) -> None:
    feeds = {name: side(idle(changed(100)), idle(changed(90), 1)) for name in "st"}
    feeds[where] = side(idle(changed(100)), idle(changed(90), 1), busy(clock, 2))
    assert set(decided(feeds).lifts) <= {("s", "a", 1), ("t", "a", 1)}
    assert set(decided(feeds).lifts.values()) == {100 - DISORDER}


def test_a_paused_side_is_neither_lifted_nor_stalled() -> None:
    paused = side(idle(changed(100)), busy(changed(100), 1))
    assert decided({"s": paused, "t": side(idle(changed(900)))}) == Decision({}, {})


def test_nobody_is_vouched_for_beyond_the_instant_at_which_all_were_quiet() -> None:
    source = side(idle(changed(100)), idle(changed(100), 1, as_of=NOW - 50))
    target = side(idle(changed(100), as_of=NOW - 20))
    assert set(decided({"s": source, "t": target}).lifts.values()) == {NOW - 50 - IDLE}


def test_quiet_one_after_the_other_is_not_quiet_together() -> None:
    stale = side(idle(changed(100), as_of=NOW - 500))
    for quiet, lifts in ((500 + IDLE, 2), (500 + IDLE - 1, 0), (IDLE, 0)):
        assert len(decided({"s": side(idle(changed(100), quiet=quiet)), "t": stale}).lifts) == lifts


# Sides without a change


def test_two_sides_that_never_spoke_agree() -> None:
    assert decided({"s": side(idle(SILENT)), "t": side(idle(SILENT))}) == Decision(
        {("s", "a", 0): LIMIT, ("t", "a", 0): LIMIT}, {}
    )


@pytest.mark.parametrize("other", [changed(100), loaded(100)])
@pytest.mark.parametrize("silent", ["s", "t"])
def test_a_side_that_never_spoke_is_stalled_against_one_that_did(silent: str, other: ClockState) -> None:
    feeds = {"s": side(idle(other)), "t": side(idle(other))}
    feeds[silent] = side(idle(SILENT), idle(SILENT, 1))
    assert decided(feeds) == Decision({}, {silent: None})


def test_two_sides_of_snapshot_reads_agree_however_far_apart() -> None:
    decision = decided({"s": side(idle(loaded(100))), "t": side(idle(loaded(9000)), idle(SILENT, 1))})
    assert set(decision.lifts.values()) == {LIMIT}
    assert len(decision.lifts) == 3


@pytest.mark.parametrize("reads", ["s", "t"])
def test_a_snapshot_agrees_with_changes_before_it_and_is_left_behind_by_later_ones(reads: str) -> None:
    other = "t" if reads == "s" else "s"
    snapshot = side(idle(loaded(4000)), idle(loaded(5000), 1))
    for change in (1, 4999, 5000, 5000 + LEEWAY):
        decision = decided({reads: snapshot, other: side(idle(changed(change)))})
        assert (len(decision.lifts), decision.stalled) == (3, {})
    assert decided({reads: snapshot, other: side(idle(changed(5000 + LEEWAY + 1)))}) == Decision({}, {reads: 5000})


def test_once_a_side_has_a_change_its_reads_do_not_count() -> None:
    source = side(idle(changed(100)), idle(loaded(5000), 1))
    assert decided({"s": source, "t": side(idle(changed(5000)))}).stalled == {"s": 100}


def test_reads_that_came_after_a_lift_are_no_silence() -> None:
    after = ClockState(lift=200, leading=False, latest=300)
    assert decided({"s": side(idle(after)), "t": side(idle(SILENT))}) == Decision({}, {"t": None})
    assert decided({"s": side(idle(after)), "t": side(idle(changed(250)))}).stalled == {}
    assert decided({"s": side(idle(after)), "t": side(idle(changed(300 + LEEWAY + 1)))}).stalled == {"s": 300}


@pytest.mark.parametrize("clock", [changed(100), loaded(100), SILENT])
def test_a_side_without_partitions_agrees_and_is_never_stalled(clock: ClockState) -> None:
    decision = decided({"s": side(idle(clock)), "t": side()})
    assert decision == Decision({("s", "a", 0): LIMIT}, {})
    assert decided({"s": side(), "t": side()}) == Decision({}, {})


# Several targets


def test_one_target_that_agrees_is_enough_for_the_source() -> None:
    feeds = {"s": side(idle(changed(900))), "t": side(idle(changed(900))), "u": side(idle(changed(100)))}
    assert decided(feeds, TWO) == Decision({("s", "a", 0): LIMIT, ("t", "a", 0): LIMIT}, {"u": 100})


def test_a_target_that_is_busy_with_older_rows_does_not_hold_up_the_source() -> None:
    feeds = {"s": side(idle(changed(900))), "t": side(idle(changed(900))), "u": side(busy(changed(100)))}
    assert decided(feeds, TWO) == Decision({("s", "a", 0): LIMIT, ("t", "a", 0): LIMIT}, {})


@pytest.mark.parametrize("further", [idle(changed(900)), busy(changed(900))])
def test_a_target_that_moved_on_shows_that_the_source_is_behind_whatever_another_says(further: Seen) -> None:
    feeds = {"s": side(idle(changed(100))), "t": side(idle(changed(100))), "u": side(further)}
    assert decided(feeds, TWO) == Decision({("t", "a", 0): LIMIT}, {"s": 100})


def test_targets_agree_with_the_source_not_with_each_other() -> None:
    times = {"s": 100, "t": 100 - LEEWAY, "u": 100 + LEEWAY}
    decision = decided({name: side(idle(changed(time))) for name, time in times.items()}, TWO)
    assert decision == Decision({(name, "a", 0): LIMIT for name in times}, {})


def test_targets_asked_at_different_times_vouch_for_the_source_as_well_as_the_better_one_can() -> None:
    feeds = {name: side(idle(changed(100), as_of=NOW - ago)) for name, ago in {"s": 0, "t": 40, "u": 10}.items()}
    for pairs in (TWO, TWO[::-1]):
        lifts = decided(feeds, pairs).lifts
        assert lifts == {("s", "a", 0): LIMIT - 10, ("t", "a", 0): LIMIT - 40, ("u", "a", 0): LIMIT - 10}


def test_a_feed_without_a_pair_knows_only_itself() -> None:
    feeds = {"s": side(idle(changed(100)), idle(changed(90), 1))}
    assert decided(feeds, []) == Decision({("s", "a", 1): 100 - DISORDER}, {})


# Heartbeat


def test_a_heartbeat_vouches_for_its_side_alone_as_far_as_rows_may_be_out_of_order() -> None:
    feeds = {"s": side(busy(changed(9000))), "t": side(idle(changed(100)), idle(SILENT, topic="b"), heartbeat=5000)}
    assert decided(feeds).lifts == {("t", "a", 0): 5000 - DISORDER, ("t", "b", 0): 5000 - DISORDER}


def test_a_heartbeat_goes_no_further_than_silence_does() -> None:
    feeds = {"s": side(busy(changed(9000))), "t": side(idle(changed(100)), heartbeat=NOW)}
    assert decided(feeds) == Decision({("t", "a", 0): LIMIT}, {})


def test_a_heartbeat_past_the_last_time_of_the_other_side_is_no_stall() -> None:
    for heartbeat, stalled in ((5000 + DISORDER + 1, {}), (5000 + DISORDER, {"t": 100}), (LIMIT + DISORDER, {})):
        feeds = {"s": side(idle(changed(5000))), "t": side(idle(changed(100)), heartbeat=heartbeat)}
        assert decided(feeds).stalled == stalled


def test_beside_a_side_that_never_rests_a_young_heartbeat_is_no_stall_and_an_old_one_is() -> None:
    for heartbeat, stalled in ((LIMIT + DISORDER, {}), (LIMIT + DISORDER - 1, {"t": 100})):
        feeds = {"s": side(busy(changed(NOW))), "t": side(idle(changed(100)), heartbeat=heartbeat)}
        assert decided(feeds).stalled == stalled


def test_a_side_that_never_spoke_lives_by_its_heartbeat() -> None:
    feeds = {"s": side(idle(changed(5000))), "t": side(idle(SILENT), heartbeat=6000)}
    assert decided(feeds) == Decision({("t", "a", 0): 6000 - DISORDER}, {})


def test_a_heartbeat_must_be_past_every_target_that_moved_on() -> None:
    feeds = {"s": side(idle(changed(100)), heartbeat=3000), "t": side(busy(changed(5000))), "u": side(busy(changed(2000)))}
    for pairs in (TWO, TWO[::-1]):
        assert decided(feeds, pairs) == Decision({("s", "a", 0): 3000 - DISORDER}, {"s": 100})


def test_the_largest_bound_counts() -> None:
    source = side(idle(changed(100)), busy(changed(3000), 1), idle(changed(200), topic="b"), heartbeat=2000)
    lifts = decided({"s": source, "t": side(busy(changed(3000)))}).lifts
    assert lifts == {("s", "a", 0): 3000 - DISORDER, ("s", "b", 0): 2000 - DISORDER}


# stall_timeout


def test_the_silence_of_a_stalled_side_is_taken_for_fact_after_stall_timeout() -> None:
    for quiet, lifts, stalled in ((3599, {}, {"t": 100}), (3600, {("t", "a", 0): NOW - 3600}, {})):
        feeds = {"s": side(busy(changed(5000))), "t": side(idle(changed(100), quiet=quiet), stall_timeout=3600)}
        assert decided(feeds) == Decision(lifts, stalled)


def test_a_side_is_stalled_until_stall_timeout_takes_it_past_the_other() -> None:
    for time, stalled in ((NOW - 3600 - 1, {}), (NOW - 3600, {"t": 100}), (NOW, {"t": 100})):
        feeds = {"s": side(busy(changed(time))), "t": side(idle(changed(100), quiet=3600), stall_timeout=3600)}
        assert decided(feeds) == Decision({("t", "a", 0): NOW - 3600}, stalled)


def test_a_stall_timeout_below_idle_after_takes_nothing_sooner_for_fact() -> None:
    feeds = {"s": side(busy(changed(5000))), "t": side(idle(changed(100), quiet=IDLE), stall_timeout=1)}
    assert decided(feeds) == Decision({("t", "a", 0): LIMIT}, {})


def test_a_side_that_lags_by_more_than_stall_timeout_is_not_taken_for_silent_where_it_happens_to_be() -> None:
    target = side(idle(changed(100), quiet=4000), idle(changed(2000), 1, topic="b", quiet=40), stall_timeout=3600)
    decision = decided({"s": side(busy(changed(NOW))), "t": target})
    assert decision == Decision({("t", "a", 0): 2000 - DISORDER}, {"t": 2000})


def test_a_topic_that_fell_quiet_follows_the_others_of_its_side_after_stall_timeout() -> None:
    for time, to in ((8000, NOW - 3600), (2000, 2000 - DISORDER)):
        target = side(idle(changed(100), quiet=4000), busy(changed(time), topic="b"), stall_timeout=3600)
        assert decided({"s": side(busy(changed(NOW))), "t": target}) == Decision({("t", "a", 0): to}, {})
    loading = side(idle(changed(100), quiet=4000), busy(loaded(8000), topic="b"), stall_timeout=3600)
    assert decided({"s": side(busy(changed(NOW))), "t": loading}) == Decision({}, {})


def test_the_side_ahead_is_lifted_by_its_own_stall_timeout_so_that_its_last_window_closes() -> None:
    ahead = side(idle(changed(5000), quiet=4000), stall_timeout=3600)
    feeds = {"s": ahead, "t": side(idle(changed(100), quiet=4000), stall_timeout=3600)}
    assert decided(feeds) == Decision({("s", "a", 0): NOW - 3600, ("t", "a", 0): NOW - 3600}, {})


def test_silences_that_do_not_overlap_are_no_silence_of_the_side() -> None:
    target = side(idle(changed(100), quiet=3600), idle(SILENT, 1, as_of=NOW - 900, quiet=3600), stall_timeout=3600)
    assert decided({"s": side(busy(changed(5000))), "t": target}) == Decision({("t", "a", 1): 100 - DISORDER}, {"t": 100})


def test_whoever_was_silent_for_stall_timeout_is_no_partition_that_speaks() -> None:
    silent = idle(changed(2000), topic="b", as_of=NOW - 3600, quiet=3600)
    target = side(idle(changed(100), quiet=3601), silent, busy(changed(500), topic="c"), stall_timeout=3600)
    assert decided({"s": side(busy(changed(NOW))), "t": target}).lifts == {("t", "a", 0): 500 - DISORDER}


# Never


def test_idle_after_never_turns_lifts_off_for_that_side_and_its_pair() -> None:
    off = SeenFeed((idle(changed(100)), idle(changed(90), 1)), DISORDER, None, 1, NOW)
    decision = decided({"s": off, "t": side(idle(changed(100)), idle(changed(90), 1))})
    assert decision == Decision({("t", "a", 1): 100 - DISORDER}, {})
    assert decided({"s": off, "t": side(idle(changed(900)))}).stalled == {}


# The whole, against the same rules in other words

TIMES = st.integers(0, 24)
MAYBE = st.one_of(st.just(NEVER), TIMES)
AS_OF = st.one_of(st.integers(12, 24), st.sampled_from([None, 20, 20, 24]))


@st.composite
def clocks(draw: st.DrawFn) -> ClockState:
    reads = draw(MAYBE)
    return ClockState(draw(MAYBE), draw(MAYBE), leading=draw(st.booleans()), loaded=reads, latest=max(reads, draw(MAYBE)))


@st.composite
def sides(draw: st.DrawFn) -> SeenFeed:
    idle_after = draw(st.sampled_from([None, 2, 2, 4]))
    partitions: list[Seen] = []
    for number in range(draw(st.integers(0, 3))):
        as_of = draw(AS_OF)
        quiet = 0 if as_of is None else (idle_after or 2) + draw(st.integers(0, 12))
        partitions.append(Seen(draw(st.sampled_from("ab")), number, draw(clocks()), as_of, quiet))
    heartbeat, timeout = draw(st.one_of(st.none(), TIMES)), draw(st.sampled_from([None, 1, 5, 9]))
    return SeenFeed(tuple(partitions), draw(st.integers(0, 2)), idle_after, timeout, heartbeat)


@st.composite
def deployments(draw: st.DrawFn) -> tuple[dict[str, SeenFeed], list[tuple[str, str]]]:
    names = ["t", "u", "v"][: draw(st.integers(1, 3))]
    return {name: draw(sides()) for name in ["s", *names]}, [("s", name) for name in names]


Feeds = Mapping[str, SeenFeed]
Pairs = Sequence[tuple[str, str]]
WHEN = range(-10, 30)


class Naive:
    """DESIGN 3.3 as a set of permissions: for each instant asks whether a lift to it is allowed. Slow, and no arithmetic."""

    def __init__(self, feeds: Feeds, pairs: Pairs, leeway: int) -> None:
        self.feeds, self.pairs, self.leeway = feeds, pairs, leeway

    def idle_at(self, feed: SeenFeed, seen: Seen, instant: int, silence: int | None) -> bool:
        return (
            feed.idle_after is not None
            and silence is not None
            and seen.idle_as_of is not None
            and instant <= seen.idle_as_of
            and instant - (seen.idle_as_of - seen.quiet) >= silence
        )

    def changes(self, name: str) -> list[int]:
        return [s.clock.raw + self.feeds[name].out_of_orderness for s in self.feeds[name].partitions if s.clock.raw != NEVER]

    def reads(self, name: str) -> list[int]:
        said = [(s.clock.loaded, s.clock.latest) for s in self.feeds[name].partitions]
        return [loaded if loaded != NEVER else latest for loaded, latest in said if (loaded, latest) != (NEVER, NEVER)]

    def behind(self, name: str, other: str) -> bool:
        if not self.feeds[name].partitions or not self.feeds[other].partitions:
            return False
        mine, its = self.changes(name) or self.reads(name), self.changes(other)
        if not mine:
            return bool(its or self.reads(other))
        return any(all(time - own > self.leeway for own in mine) for time in its)

    def others(self, name: str) -> Iterator[str]:
        for source, target in self.pairs:
            if name in {source, target}:
                yield target if name == source else source

    def everybody(self, *names: str) -> Iterator[tuple[SeenFeed, Seen]]:
        for name in names:
            yield from ((self.feeds[name], seen) for seen in self.feeds[name].partitions)

    def agreed(self, name: str, to: int) -> bool:
        if any(self.behind(name, other) for other in self.others(name)):
            return False
        idle_after = self.feeds[name].idle_after
        assert idle_after is not None
        return any(
            not self.behind(other, name)
            and all(self.idle_at(f, p, instant, f.idle_after) for f, p in self.everybody(name, other))
            for other in self.others(name)
            for instant in WHEN
            if to <= instant - idle_after
        )

    def silent(self, name: str, seen: Seen, to: int) -> bool:
        feed = self.feeds[name]
        if feed.stall_timeout is None or feed.idle_after is None:
            return False
        silence = max(feed.stall_timeout, feed.idle_after)
        everywhere = [
            instant for instant in WHEN if all(self.idle_at(feed, other, instant, silence) for other in feed.partitions)
        ]
        if everywhere:
            return any(to <= instant - silence for instant in everywhere)
        if seen.idle_as_of is None or not self.idle_at(feed, seen, seen.idle_as_of, silence):
            return False
        speaks = [o for o in feed.partitions if o.idle_as_of is None or not self.idle_at(feed, o, o.idle_as_of, silence)]
        return to <= seen.idle_as_of - silence and any(to <= max(o.clock.raw, o.clock.lift) for o in speaks)

    def beats(self, name: str, to: int) -> bool:
        feed = self.feeds[name]
        return feed.heartbeat is not None and to <= feed.heartbeat - feed.out_of_orderness

    def allowed(self, name: str, seen: Seen, to: int) -> bool:
        feed = self.feeds[name]
        if seen.idle_as_of is None or feed.idle_after is None or to > seen.idle_as_of - feed.idle_after:
            return False
        same = [o for o in feed.partitions if o.topic == seen.topic and o is not seen]
        return (
            any(to <= max(o.clock.raw, o.clock.lift) for o in same)
            or self.agreed(name, to)
            or self.beats(name, to)
            or self.silent(name, seen, to)
        )

    def free(self, name: str, seen: Seen, passed: int) -> bool:
        """Whether the partition comes past that time, or stays behind the present by no more than idle_after."""
        feed = self.feeds[name]
        assert seen.idle_as_of is not None
        assert feed.idle_after is not None
        current = self.beats(name, seen.idle_as_of - feed.idle_after)
        return current or self.beats(name, passed + 1) or self.silent(name, seen, passed + 1)

    def stalled(self, name: str) -> bool:
        feed = self.feeds[name]
        if feed.idle_after is None or any(seen.idle_as_of is None for seen in feed.partitions):
            return False
        return any(
            not all(self.free(name, seen, max(self.changes(other) or self.reads(other))) for seen in feed.partitions)
            for other in self.others(name)
            if self.behind(name, other)
        )

    def decide(self) -> Decision:
        lifts: dict[tuple[str, str, int], int] = {}
        for name, feed in self.feeds.items():
            for seen in feed.partitions:
                above = [to for to in WHEN if to > seen.clock.watermark and self.allowed(name, seen, to)]
                if above:
                    lifts[name, seen.topic, seen.partition] = max(above)
        since = {name: max(self.changes(name) or self.reads(name), default=None) for name in self.feeds if self.stalled(name)}
        return Decision(lifts, since)


@settings(max_examples=max(300, settings().max_examples))
@given(deployments(), st.integers(0, 4), st.integers(0, 2))
def test_the_rules_are_the_permissions_of_the_design(
    deployment: tuple[dict[str, SeenFeed], list[tuple[str, str]]], settle: int, skew: int
) -> None:
    feeds, pairs = deployment
    assert decide(feeds, pairs, settle=settle, clock_skew=skew) == Naive(feeds, pairs, settle + skew).decide()


@given(deployments(), st.integers(0, 6))
def test_whoever_is_quiet_in_a_pair_at_rest_is_lifted_or_someone_is_said_to_be_stalled(
    deployment: tuple[dict[str, SeenFeed], list[tuple[str, str]]], settle: int
) -> None:
    """No pair stands still in silence: without heartbeat and stall_timeout, one of its sides is stalled if it is not lifted."""
    feeds = {
        name: replace(
            feed,
            idle_after=2,
            stall_timeout=None,
            heartbeat=None,
            partitions=tuple(replace(seen, idle_as_of=100, quiet=50) for seen in feed.partitions),
        )
        for name, feed in deployment[0].items()
    }
    decision = decide(feeds, deployment[1], settle=settle, clock_skew=0)
    for pair in deployment[1]:
        lifted = all(
            decision.lifts.get((name, seen.topic, seen.partition)) == 98 for name in pair for seen in feeds[name].partitions
        )
        assert lifted != bool(set(pair) & set(decision.stalled)) or not all(feeds[name].partitions for name in pair)


@given(deployments(), st.integers(0, 6))
def test_asked_again_after_its_lifts_it_lifts_nothing_further_and_stalls_the_same(
    deployment: tuple[dict[str, SeenFeed], list[tuple[str, str]]], settle: int
) -> None:
    """Partitions do not lift each other up by turns, however many: what was lifted is the most that counts the second time."""
    feeds, pairs = deployment
    first = decide(feeds, pairs, settle=settle, clock_skew=1)
    after = {
        name: replace(
            feed,
            partitions=tuple(
                replace(p, clock=p.clock.lifted(first.lifts.get((name, p.topic, p.partition), p.clock.lift)))
                for p in feed.partitions
            ),
        )
        for name, feed in feeds.items()
    }
    second = decide(after, pairs, settle=settle, clock_skew=1)
    assert second.stalled == first.stalled
    highest = {name: max((p.clock.watermark for p in feed.partitions), default=NEVER) for name, feed in after.items()}
    assert all(to <= highest[name] for (name, _, _), to in second.lifts.items())
