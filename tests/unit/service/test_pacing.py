"""Which partitions wait: by hand, against the same rules in other words, and read to the end in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.normalise.clock import NEVER, ClockState
from stream_recon.service.lifting import Seen, SeenFeed, decide
from stream_recon.service.pacing import Pace, paused

MAX = 100
PAIR = [("s", "t")]
TWO = [("s", "t"), ("s", "u")]
SILENT = ClockState()
Feeds = Mapping[str, Mapping[tuple[str, int], Pace]]


def at(time: int, *, lift: int = NEVER, end: bool = False) -> Pace:
    return Pace(ClockState(raw=time, lift=lift, leading=False, latest=time), end)


def reading(time: int, *, end: bool = False) -> Pace:
    return Pace(ClockState(loaded=time, latest=time), end)


def silent(*, end: bool = False) -> Pace:
    return Pace(SILENT, end)


def waiting(feeds: Mapping[str, list[Pace]], pairs: list[tuple[str, str]] = PAIR) -> set[str]:
    """The paused ones as ``s0``: partition 0 of feed s."""
    answer = paused({name: {("a", n): pace for n, pace in enumerate(paces)} for name, paces in feeds.items()}, pairs, MAX)
    assert set(answer) == set(feeds)
    return {f"{name}{number}" for name, keys in answer.items() for _, number in keys}


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize(("ahead", "back"), ["st", "ts"])
def test_a_side_waits_beyond_max_ahead_of_its_counterpart_even_at_its_end(ahead: str, back: str, *, end: bool) -> None:
    assert waiting({ahead: [at(1100, end=end)], back: [at(1000)]}) == set()
    assert waiting({ahead: [at(1101, end=end)], back: [at(1000)]}) == {f"{ahead}0"}
    assert waiting({ahead: [at(1101, end=end)], back: [at(1000, end=True)]}) == {f"{ahead}0"}


def test_only_the_partitions_that_are_ahead_wait() -> None:
    assert waiting({"s": [at(1101), at(1100), silent()], "t": [at(1000), silent()]}) >= {"s0"}
    assert waiting({"s": [at(1101, end=True), at(1100)], "t": [at(500), at(1000)]}) == {"s0", "t1"}


def test_the_counterpart_of_a_source_is_the_target_furthest_ahead() -> None:
    feeds = {"s": [at(1000)], "t": [at(100)], "u": [at(950)]}
    assert waiting(feeds, TWO) == set()
    assert waiting({**feeds, "u": [at(899)]}, TWO) == {"s0"}


def test_a_target_waits_for_its_source_not_for_another_target() -> None:
    assert waiting({"s": [at(1000)], "t": [at(1100)], "u": [at(0)]}, TWO) == set()
    assert waiting({"s": [at(1000)], "t": [at(1101)], "u": [at(0)]}, TWO) == {"t0"}


def test_a_partition_waits_for_the_last_of_its_own_feed_that_has_something_to_read() -> None:
    for second, expected in ((at(1000), {"s0"}), (at(1000, end=True), set()), (at(1001), set())):
        assert waiting({"s": [at(1101), second], "t": [at(1101)]}) == expected


def test_whoever_has_not_spoken_but_has_something_to_read_is_waited_for() -> None:
    assert waiting({"s": [at(1000), silent()], "t": [at(1000)]}) == {"s0"}
    assert waiting({"s": [at(1000), silent(end=True)], "t": [at(1000)]}) == set()
    assert waiting({"s": [at(1000)], "t": [silent()]}) == {"s0"}


def test_a_side_with_changes_waits_for_the_first_word_of_an_empty_counterpart() -> None:
    assert waiting({"s": [at(1000, end=True)], "t": [silent(end=True)]}) == {"s0"}


@pytest.mark.parametrize("end", [False, True])
def test_at_start_up_nobody_waits(*, end: bool) -> None:
    assert waiting({"s": [silent(end=end), silent()], "t": [silent(end=end)]}) == set()


def test_snapshot_reads_hold_up_nobody_who_reads_them() -> None:
    """The history of the target ended long before the snapshot: nobody is behind, so nobody may wait."""
    assert waiting({"s": [reading(5000), reading(5001)], "t": [at(1000, end=True)]}) == set()


def test_a_side_of_snapshot_reads_is_as_far_as_these() -> None:
    for time, expected in ((1, set()), (5100, set()), (5101, {"s0"})):
        assert waiting({"s": [at(time)], "t": [reading(5000, end=True)]}) == expected


def test_the_first_change_does_not_take_back_how_far_the_snapshot_was() -> None:
    both = Pace(ClockState(raw=4900, leading=False, loaded=5000, latest=5000), caught_up=True)
    assert waiting({"s": [at(5100)], "t": [both]}) == set()


def test_reads_that_came_after_a_lift_count_as_far_as_they_go() -> None:
    after = Pace(ClockState(lift=200, leading=False, latest=5000), caught_up=True)
    assert waiting({"s": [at(5100)], "t": [after]}) == set()
    assert waiting({"s": [at(5101)], "t": [after]}) == {"s0"}


def test_a_lift_pauses_nobody_and_sets_free_who_waits() -> None:
    """A lift brings no rows. A side that ran ahead by lifts alone must stay idle, for the other's lift needs that."""
    assert waiting({"s": [at(1000, lift=9000)], "t": [at(1000, end=True)]}) == set()
    assert waiting({"s": [at(9000)], "t": [at(1000, lift=8900, end=True)]}) == set()


def test_a_side_without_partitions_holds_up_nobody() -> None:
    assert waiting({"s": [at(1000)], "t": []}) == set()
    assert waiting({"s": [at(1000)], "t": [], "u": [at(0)]}, TWO) == set()
    assert waiting({"s": [], "t": [at(1000)], "u": [at(5000)]}, TWO) == set()


def test_a_feed_without_a_pair_waits_for_itself_alone() -> None:
    assert waiting({"s": [at(1000), at(800)]}, []) == {"s0"}


# Against the same rules in other words

TIMES = st.one_of(st.just(NEVER), st.integers(0, 20))


@st.composite
def paces(draw: st.DrawFn) -> Pace:
    raw, lift, reads = draw(TIMES), draw(TIMES), draw(TIMES)
    return Pace(ClockState(raw, lift, loaded=reads, latest=max(reads, draw(TIMES))), draw(st.booleans()))


@st.composite
def deployments(draw: st.DrawFn) -> tuple[Feeds, list[tuple[str, str]]]:
    targets = ["t", "u", "v"][: draw(st.integers(1, 3))]
    keys = st.sampled_from([("a", 0), ("a", 1), ("b", 0)])
    return {name: draw(st.dictionaries(keys, paces())) for name in ["s", *targets]}, [("s", name) for name in targets]


def reaches(pace: Pace, time: int) -> bool:
    """Whether the partition is known to have come to ``time``."""
    clock = pace.clock
    other = [clock.latest] if clock.raw == clock.loaded == NEVER else []
    return any(known != NEVER and known >= time for known in [clock.raw, clock.lift, clock.loaded, *other])


@settings(max_examples=max(300, settings().max_examples))
@given(deployments(), st.integers(0, 8))
def test_a_partition_waits_iff_no_counterpart_is_near_or_one_of_its_own_is_far_back(
    deployment: tuple[Feeds, list[tuple[str, str]]], max_ahead: int
) -> None:
    feeds, pairs = deployment
    answer = paused(feeds, pairs, max_ahead)
    for name, partitions in feeds.items():
        others = [feeds[b if a == name else a] for a, b in pairs if name in {a, b}]
        for key, pace in partitions.items():
            floor = pace.clock.raw - max_ahead
            near = any(not other or any(reaches(p, floor) for p in other.values()) for other in others)
            back = any(not p.caught_up and not reaches(p, floor) for p in partitions.values())
            assert (key in answer[name]) == (pace.clock.raw != NEVER and (not near or back))


@given(deployments(), st.integers(0, 8))
def test_never_is_all_that_is_left_paused_while_a_counterpart_has_something_to_read(
    deployment: tuple[Feeds, list[tuple[str, str]]], max_ahead: int
) -> None:
    """Of two sides with something left, one can be read; and whoever is paused whole waits for sides that have nothing left,
    or of which something can be read."""
    feeds, pairs = deployment
    answer = paused(feeds, pairs, max_ahead)
    left = {name: {key for key, pace in partitions.items() if not pace.caught_up} for name, partitions in feeds.items()}
    stuck = {name for name, keys in left.items() if keys and keys <= answer[name]}
    for source, target in pairs:
        if left[source] and left[target]:
            assert not {source, target} <= stuck
    if "s" in stuck:
        assert not stuck - {"s"}


# Who waits for a side at its end waits for one that is behind


@given(deployments(), st.integers(0, 4), st.integers(0, 2), st.integers(0, 2))
def test_who_waits_for_a_side_at_rest_waits_for_one_that_is_said_to_be_stalled(
    deployment: tuple[Feeds, list[tuple[str, str]]], settle: int, source_disorder: int, target_disorder: int
) -> None:
    feeds, pairs = deployment
    everything_read = {name: {key: Pace(p.clock, True) for key, p in parts.items()} for name, parts in feeds.items()}
    answer = paused(everything_read, pairs, settle + abs(source_disorder - target_disorder))
    seen = {
        name: SeenFeed(
            tuple(
                Seen(topic, number, p.clock, *((None, 0) if (topic, number) in answer[name] else (90, 60)))
                for (topic, number), p in partitions.items()
            ),
            source_disorder if name == "s" else target_disorder,
            30,
            None,
            None,
        )
        for name, partitions in feeds.items()
    }
    decision = decide(seen, pairs, settle=settle, clock_skew=0)
    for name, keys in answer.items():
        others = {b if a == name else a for a, b in pairs if name in {a, b}}
        assert not keys or others <= set(decision.stalled)


# Read to the end, in any order


@dataclass
class Reader:
    """A partition that is read message by message: None is a snapshot read, a number a change of that time."""

    messages: list[int | None]
    changes: list[int] = field(default_factory=list)
    next: int = 0

    @property
    def pace(self) -> Pace:
        reads = 5 if None in self.messages[: self.next] else NEVER
        raw = max(self.changes, default=NEVER)
        return Pace(ClockState(raw=raw, loaded=reads, latest=max(raw, reads)), self.next == len(self.messages))

    def read(self) -> None:
        message = self.messages[self.next]
        self.next += 1
        if message is not None:
            self.changes.append(message)


@st.composite
def topics(draw: st.DrawFn) -> dict[str, list[Reader]]:
    """Changes come in order of time, but for two units; a target may lack what its source has, and lag as it likes."""
    feeds: dict[str, list[Reader]] = {}
    for name in "stu":
        feeds[name] = []
        for _ in range(draw(st.integers(0, 3))):
            times = sorted(draw(st.lists(st.integers(0, 60), max_size=12)))
            reads: list[int | None] = [None] * draw(st.integers(0, 3))
            feeds[name].append(Reader(reads + [time - draw(st.integers(0, 2)) for time in times]))
    return feeds


@given(topics(), st.integers(0, 10), st.data())
def test_whatever_is_read_first_all_is_read_but_what_waits_for_a_side_at_its_end(
    feeds: dict[str, list[Reader]], max_ahead: int, data: st.DataObject
) -> None:
    def state() -> dict[str, dict[tuple[str, int], Pace]]:
        return {name: {("a", n): reader.pace for n, reader in enumerate(readers)} for name, readers in feeds.items()}

    while True:
        answer = paused(state(), TWO, max_ahead)
        open_ = [
            (name, n)
            for name, readers in feeds.items()
            for n, reader in enumerate(readers)
            if not reader.pace.caught_up and ("a", n) not in answer[name]
        ]
        if not open_:
            break
        name, number = data.draw(st.sampled_from(open_))
        feeds[name][number].read()
        check_spread(feeds, max_ahead)

    for name, readers in feeds.items():
        others = ["t", "u"] if name == "s" else ["s"]
        if any(not reader.pace.caught_up for reader in readers):
            assert all(reader.pace.caught_up for other in others for reader in feeds[other]), f"{name} waits for who waits"


def check_spread(feeds: Mapping[str, list[Reader]], max_ahead: int) -> None:
    """But for one message a partition, nothing is read beyond max_ahead of what the sides have reached by now."""
    for name, readers in feeds.items():
        others = [feeds[other] for other in (["t", "u"] if name == "s" else ["s"])]
        front = max(reader.pace.reach for other in others for reader in other) if all(others) else None
        low = min((reader.pace.reach for reader in readers if not reader.pace.caught_up), default=None)
        for reader in readers:
            before = max(reader.changes[:-1], default=NEVER)
            for bound in (front, low):
                assert before == NEVER or bound is None or before <= bound + max_ahead
