"""The normalise worker: what is committed is safe, what is repeated changes nothing, what comes and goes leaves no trace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.engine.progress import Progress, home_partition
from stream_recon.errors import BrokerError, InputError, StateError
from stream_recon.limits import FLUSH_SECONDS
from stream_recon.model.digest import Block, Counts, Drift, End, Partition, Range, encode
from stream_recon.model.messages import Upstream
from stream_recon.normalise.clock import ClockState
from stream_recon.ports import Commit, Place, Polled, Stretch
from stream_recon.service import normalise, spots
from stream_recon.service.positions import Idle, Kept, Saved
from tests.unit.service.fakes import BEGAN, COLUMNS, NAMES, Cut, Hand, House, S, Sent, plan, side

A, B, T = ("s", 0), ("s", 1), ("t", 0)


def filled(house: House, of: range, partition: int = 0, topic: str = "s") -> None:
    house.cluster.put(topic, partition, *((n, f"v{n}", float(n)) for n in of))


def committed(house: House, place: Place = A) -> int:
    return house.cluster.commits[place].position


def ranges(house: House, home: int = 0, topic: str = "s") -> list[tuple[int, int, int]]:
    return [(r.partition, r.start, r.end) for b in house.said(home, Block) for r in b.ranges if r.topic == topic]


# ---- committed once safe -----------------------------------------------------------------------------------------------------


def test_a_position_waits_for_every_digest_partition() -> None:
    house = House(3)
    hand = house.hand(house.open())
    hand.writer.willing = False
    filled(house, range(8))
    hand.run(3)
    for homes in ((2,), (0,)):
        hand.writer.acknowledge(*homes)
        hand.run(3)
        assert committed(house) == 0
    hand.writer.acknowledge(1)
    hand.run(1)
    assert committed(house) == 8
    house.safe()


def test_acknowledgements_out_of_order_commit_nothing_before_its_turn() -> None:
    house = House(2)
    hand = house.hand(house.open())
    hand.writer.willing = False
    sent: list[list[Sent]] = []
    for first in (0, 5, 10):
        filled(house, range(first, first + 5))
        hand.run(1)
        new = [w for w in hand.writer.waiting if not any(w in s for s in sent)]
        assert [w.partition for w in new] == [0, 1]
        sent.append(new)
    hand.writer.store()
    for number, home in ((2, 0), (2, 1), (1, 1), (1, 0), (0, 1)):
        sent[number][home].done()
        hand.run(3)
        assert committed(house) == 0
        house.safe()
    sent[0][0].done()
    hand.run(3)
    assert committed(house) == 15
    house.safe()


def test_what_is_behind_a_block_that_is_never_acknowledged_is_never_committed() -> None:
    house = House(2, s=2, t=1)
    hand = house.hand(house.open())
    filled(house, range(5))
    hand.run(3)
    assert committed(house) == 5
    hand.writer.deaf = {1}
    for _ in range(5):
        filled(house, range(5))
        filled(house, range(5), 1)
        filled(house, range(5), 0, "t")
        hand.run(3)
    assert {p: c.position for p, c in house.cluster.commits.items()} == {A: 5, B: 0, T: 0}
    house.safe()


def test_dead_letters_are_safe_before_their_position() -> None:
    house = House(1)
    hand = house.hand(house.open())
    hand.writer.willing = False
    house.cluster.put("s", 0, (1, "a", 1), (2, None, 2))
    hand.run(1)
    hand.writer.acknowledge(0)
    hand.run(3)
    assert committed(house) == 0
    hand.writer.acknowledge()
    hand.run(3)
    assert committed(house) == 2
    (letter,) = house.letters()
    assert (letter["topology"], letter["side"], letter["topic"], letter["partition"], letter["offset"]) == (
        "shop",
        "s",
        "s",
        0,
        1,
    )
    assert house.cluster.saved("s").views["shop/s"].progress.counts == Counts(rows=1, dead_letters=1)


def test_a_column_that_appears_is_in_the_log_before_the_position_is_committed_and_each_worker_says_it_once() -> None:
    house = House(4)
    opened = house.open(columns={"s": COLUMNS - {"value"}})
    home = home_partition(Upstream("s", "", 0), 4)
    hand = house.hand(opened)
    filled(house, range(3))
    filled(house, range(3), 0, "t")
    hand.writer.deaf = {home}
    hand.run(3)
    assert committed(house) == 0
    hand.writer.deaf = set()
    hand.run(3)
    assert committed(house) == 3
    for n in range(3):
        filled(house, range(n, n + 1))
        hand.run(1)
    drift = Drift("shop", "s", ("value",))
    assert [house.said(h, Drift) for h in range(4)] == [[drift] if h == home else [] for h in range(4)]
    other = house.hand(opened, hold=False)
    hand.source.close()
    other.source.give(*house.places(other))
    filled(house, range(3))
    other.run(3)
    assert house.said(home, Drift) == [drift, drift]


def test_positions_are_committed_once_a_second_and_only_if_they_moved() -> None:
    house = House(1)
    hand = house.hand(house.open())
    for n in range(20):
        filled(house, range(n, n + 1))
        hand.run(0.25)
    hand.run(2)
    moved = len(hand.source.commits)
    assert 4 <= moved <= 7
    assert all(not wait for _, wait in hand.source.commits)
    assert hand.worker.writing.commits == moved
    hand.run(5)
    assert len(hand.source.commits) == moved


def test_rows_wait_for_a_flush_together_and_not_for_long() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(3))
    hand.worker.step()
    assert not house.said(0, Block)
    house.clock.wait(FLUSH_SECONDS - 0.01)
    filled(house, range(3, 5))
    hand.worker.step()
    assert not house.said(0, Block)
    house.clock.wait(0.01)
    hand.worker.step()
    assert ranges(house) == [(0, 0, 5)]


def test_enough_rows_are_flushed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "BLOCK_ROWS", 10)
    house = House(2)
    hand = house.hand(house.open())
    filled(house, range(19))
    hand.worker.step()
    assert not house.said(0, Block)
    filled(house, range(19, 20))
    hand.worker.step()
    assert ranges(house) == ranges(house, 1) == [(0, 0, 20)]


# ---- cut off and taken over --------------------------------------------------------------------------------------------------


def story(house: House) -> None:
    """Two source partitions and a target: late rows, a dead letter, a difference, a key that moves, markers."""
    put = house.cluster.put
    put("s", 0, (1, "a", 1), (2, "b", 4), (1, "a2", 12), (3, "late", 5))
    house.cluster.part(A).mark(2)
    put("s", 0, (4, "d", 23), (1, "a3", 31))
    put("s", 1, (11, "k", 2), (12, None, 3), (12, "m", 14), (11, "k2", 33))
    house.cluster.part(B).mark()
    put(
        "t", 0, (1, "a", 1), (2, "B", 4), (11, "k", 5), (1, "a2", 13), (3, "late", 13), (12, "m", 14), (4, "d", 24), (1, "a3", 31)
    )


def told(house: House) -> tuple[object, object]:
    """The answer, once the input has ended; what is counted in causes is a set: pieces may bring it in another order."""
    for home in range(house.partitions):
        house.log.append([(NAMES.digests, home, house.clock.broker // 1000, None, encode(End("shop")))], {})
    events, stand = house.answer()
    return sorted(map(repr, events)), stand


def undisturbed() -> House:
    house = House(2, s=2, t=1)
    hand = house.hand(house.open())
    story(house)
    hand.run(1.5)
    return house


class Counter:
    """Cuts at the nth call of a port."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Cut


def cut_off(at: int, arrives: tuple[int, ...] | None, *, flows: bool) -> House | None:
    """A worker dies at its call number ``at``; of what is on its way, what was meant for ``arrives`` goes to the log (None:
    nothing). Without ``flows``, nothing was acknowledged before it gives up in order. Another one takes over.

    None: it was not cut off.
    """
    house = House(2, s=2, t=1)
    opened = house.open()
    story(house)
    hand = house.hand(opened, touch=Counter(at), hold=False)
    hand.source.limit = 4
    hand.writer.willing = flows
    try:
        hand.source.give(*house.places(hand))
        hand.run(1.75)
        hand.source.take(*hand.source.held)
    except Cut:
        pass
    else:
        return None
    if arrives is not None:
        hand.writer.store(*arrives)
    house.safe()
    house.hand(opened).run(1.5)
    house.safe()
    return house


def repeats(house: House) -> bool:
    """Whether something stands in the log twice."""
    return any(
        start < max((e for q, _, e in ranges(house)[:n] if q == p), default=0) for n, (p, start, _) in enumerate(ranges(house))
    )


@pytest.mark.parametrize("flows", [True, False])
def test_cut_off_at_any_step_another_worker_gives_the_same_answer(*, flows: bool) -> None:
    want = told(undisturbed())
    assert "discrepancy" in str(want)
    at, repeated = 0, 0
    while house := cut_off(at := at + 1, (None, (), (1,))[at % 3], flows=flows):
        assert told(house) == want, f"cut off at call {at}"
        repeated += repeats(house)
    assert at > 20
    assert repeated > 2


def test_what_was_written_and_not_committed_is_repeated_and_dropped() -> None:
    house = House(2, s=2, t=1)
    opened = house.open()
    story(house)
    hand = house.hand(opened)
    hand.writer.willing = False
    hand.run(1)
    hand.writer.store()
    assert committed(house) == 0
    house.hand(opened).run(3)
    assert ranges(house) == [(0, 0, 8), (1, 0, 5)] * 2
    assert told(house) == told(undisturbed())


def test_a_zombie_can_only_repeat() -> None:
    house = House(2, s=2, t=1)
    opened = house.open()
    zombie = house.hand(opened)
    zombie.writer.willing = False
    story(house)
    zombie.run(1)
    heir = house.hand(opened)
    heir.run(3)
    commits = dict(house.cluster.commits)
    zombie.writer.store(1)
    zombie.writer.store()
    zombie.source.lose(A, B, T)
    assert house.cluster.commits == commits
    assert told(house) == told(undisturbed())


class Ordeal:
    """Two workers that steal from each other, die and come back, on a log that acknowledges in any order."""

    def __init__(self) -> None:
        self.house = House(2, s=2, t=1)
        self.opened = self.house.open()
        self.hands = [self.hand(), self.hand()]
        self.hands[0].source.give(A, B, T)
        self.rows = iter(range(1000))

    def hand(self) -> Hand:
        hand = self.house.hand(self.opened, hold=False)
        hand.writer.willing = False
        return hand

    def act(self, action: int, place: Place) -> None:
        house = self.house
        which = action % 2
        hand, other = self.hands[which], self.hands[1 - which]
        if action < 4:
            n = next(self.rows)
            house.cluster.put(*place, (n % 5, None if n % 11 == 10 else f"{place[0]}{n // 7}", float(n - 6 * (n % 3 == 2))))
            house.cluster.part(place).mark(n % 4 == 0)
        elif action < 10:
            hand.source.limit = 1 + action % 3
            hand.worker.step()
            house.clock.wait(0.4)
        elif action < 14:
            hand.writer.acknowledge(action // 2 % 2)
        elif action < 16:
            hand.writer.store(action // 2 % 2)
        elif action < 18 and place in hand.source.held:
            hand.source.take(place)
            other.source.give(place)
        elif action < 20 and place in hand.source.held:  # a zombie until it hears of it
            other.source.give(place)
            hand.source.lose(place)
        elif action < 22:
            held = list(hand.source.held)
            self.hands[which] = self.hand()
            other.source.give(*held)
        house.safe()

    def finish(self) -> House:
        for hand in self.hands:
            hand.writer.willing = True
            hand.source.limit = 100
            hand.run(3)
        self.house.safe()
        return self.house


@given(st.lists(st.tuples(st.integers(0, 21), st.sampled_from([A, B, T])), max_size=60))
@settings(max_examples=40)
def test_whatever_workers_do_to_each_other(actions: list[tuple[int, Place]]) -> None:
    ordeal = Ordeal()
    for action, place in actions:
        ordeal.act(action, place)
    house = ordeal.finish()
    alone = House(2, s=2, t=1)
    hand = alone.hand(alone.open())
    for name, topic in house.cluster.topics.items():
        alone.cluster.topics[name].parts = topic.parts
    hand.run(3)
    assert told(house) == told(alone)
    for place in (A, B, T):
        assert house.cluster.saved(*place) == alone.cluster.saved(*place)


# ---- what other workers of the group left ------------------------------------------------------------------------------------


OTHER = Kept(4, Progress(2, ClockState(raw=7, leading=False), Counts(rows=2)))


def test_state_of_views_that_do_not_run_here_is_passed_on_and_holds_the_position_down() -> None:
    house = House(1)
    opened = house.open()
    mine = house.cluster.saved("s").views
    house.cluster.commits[A] = Saved(house.cluster.topics["s"].id, None, {"other/s": OTHER, **mine}).commit()
    hand = house.hand(opened)
    assert hand.source.held[A] == 0
    filled(house, range(9))
    hand.run(3)
    saved = house.cluster.saved("s")
    assert committed(house) == 2
    assert saved.views["other/s"] == OTHER
    assert saved.views["shop/s"].progress.position == 9
    again = house.hand(opened)
    assert again.source.held[A] == 9, "this worker's view has had them"


def test_of_several_views_each_drops_what_it_has_had() -> None:
    house = House(1)
    opened = [house.open(plan(name)) for name in ("shop", "mall")]
    filled(house, range(9))
    house.hand(opened[0]).run(3)
    assert committed(house) == 0
    assert house.cluster.saved("s").views["shop/s"].progress.position == 9
    both = house.hand(*opened)
    assert both.source.held[A] == 0
    filled(house, range(9, 12))
    both.run(3)
    assert committed(house) == 12
    of = {
        n: [(r.start, r.end) for b in house.said(0, Block) if b.topology == n for r in b.ranges if r.topic == "s"]
        for n in ("shop", "mall")
    }
    assert of == {"shop": [(0, 9), (9, 12)], "mall": [(0, 12)]}
    views = house.cluster.saved("s").views
    assert views["shop/s"].progress == views["mall/s"].progress


def test_what_another_program_committed_is_refused() -> None:
    house = House(1)
    opened = house.open()
    house.cluster.commits[A] = Commit(5, b"")
    with pytest.raises(StateError, match="position 5 was committed by another program"):
        house.hand(opened)


def test_a_position_that_is_gone_is_refused() -> None:
    house = House(1)
    opened = house.open()
    del house.cluster.commits[A]
    with pytest.raises(StateError, match=r"committed position of s/0 is gone .* rebuild"):
        house.hand(opened)


def test_a_position_of_another_generation_is_refused() -> None:
    house = House(1)
    first = house.open()
    house.open(generation=2)
    with pytest.raises(StateError, match="shop was rebuilt; start this worker again"):
        house.hand(first)


def test_a_topic_that_is_not_there_is_told() -> None:
    house = House(1)
    opened = house.open()
    del house.cluster.topics["s"]
    hand = house.hand(opened, hold=False)
    with pytest.raises(BrokerError, match="topic s is gone"):
        hand.source.give(A)
    house.cluster.make("s")
    other = house.hand(opened)
    del house.cluster.topics["s"]
    with pytest.raises(BrokerError, match="topic s is gone"):
        other.run(1)


# ---- revoked, lost, back again -----------------------------------------------------------------------------------------------


def test_revoked_is_written_committed_and_released() -> None:
    house = House(2, s=2, t=1)
    hand = house.hand(house.open())
    filled(house, range(5))
    filled(house, range(4), 1)
    hand.worker.step()
    assert committed(house) == 0
    hand.source.take(A)
    assert hand.source.commits == [({A: house.cluster.commits[A]}, True)]
    assert committed(house) == 5
    house.safe()
    assert ("c", A) not in hand.worker.spots
    assert [u.partition for f in hand.worker.feeds if f.view.id == "s" for u in f.normaliser.progress] == [1]
    hand.run(2)
    assert committed(house, B) == 4


def test_revoked_but_the_commit_is_refused() -> None:
    house = House(2)
    opened = house.open()
    hand = house.hand(opened)
    filled(house, range(5))
    hand.worker.step()
    house.cluster.refuses = BrokerError("no")
    hand.source.take(A)
    assert committed(house) == 0
    assert ("c", A) not in hand.worker.spots
    house.cluster.refuses = None
    house.hand(opened).run(2)
    assert ranges(house) == [(0, 0, 5), (0, 0, 5)]


def test_lost_commits_nothing() -> None:
    house = House(2, s=2, t=1)
    hand = house.hand(house.open())
    for partition in (0, 1):
        filled(house, range(5), partition)
    hand.run(0.5)
    assert hand.worker.writing.dirty
    hand.source.lose(A)
    assert not hand.source.commits
    hand.run(3)
    assert {p for c, _ in hand.source.commits for p in c} == {B}
    assert committed(house) == 0
    assert [u.partition for f in hand.worker.feeds if f.view.id == "s" for u in f.normaliser.progress] == [1]


def test_a_partition_that_comes_back_goes_on() -> None:
    house = House(2)
    opened = house.open()
    first, second = house.hand(opened), house.hand(opened, hold=False)
    for turn in range(4):
        filled(house, range(5 * turn, 5 * turn + 5))
        for hand in (first, second):
            hand.worker.step()
        giver, taker = (first, second) if turn % 2 == 0 else (second, first)
        giver.source.take(A)
        taker.source.give(A)
        assert taker.source.held[A] == 5 * turn + 5
    assert ranges(house) == [(0, 0, 5), (0, 5, 10), (0, 10, 15), (0, 15, 20)]
    assert house.cluster.saved("s").views["shop/s"].progress.counts == Counts(rows=20)


def test_what_was_on_its_way_when_a_partition_went_is_not_read() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(5))
    polled = hand.source.poll(100, 0)
    hand.source.take(A)
    hand.source.handed.append(replace(polled, ends={A: 5}, lost=[A]))
    hand.run(1)
    assert ranges(house) == []


def test_the_listener_is_told_before_anything_is_read() -> None:
    house = House(1)
    hand = house.hand(house.open(), hold=False)
    seen: list[list[tuple[str, int]]] = []
    hand.worker.holding.moved = lambda: seen.append([(p.topic, p.position) for p in hand.watch.report(0).partitions])
    hand.source.give(A)
    hand.source.give(T)
    assert seen == [[("s", 0)], [("s", 0), ("t", 0)]]


def test_closing_writes_and_commits_everything() -> None:
    house = House(2)
    hand = house.hand(house.open())
    filled(house, range(5))
    hand.worker.step()
    hand.worker.close()
    assert committed(house) == 5
    assert not hand.worker.spots
    house.safe()


# ---- positions without a message ---------------------------------------------------------------------------------------------


def test_markers_at_the_end_are_unused_positions() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(3))
    house.cluster.part(A).mark(2)
    hand.run(3)
    assert committed(house) == 5
    assert house.cluster.saved("s").views["shop/s"].progress.counts == Counts(rows=3, unused=2)
    house.cluster.part(A).mark()
    filled(house, range(3, 4))
    house.cluster.part(A).mark()
    hand.run(3)
    assert house.cluster.saved("s").views["shop/s"].progress == replace(
        house.cluster.saved("s").views["shop/s"].progress, position=8, counts=Counts(rows=4, unused=4)
    )
    assert ranges(house)[-1][2] == 8


def test_a_partition_of_markers_only() -> None:
    house = House(2)
    hand = house.hand(house.open())
    house.cluster.part(A).mark(7)
    hand.run(3)
    assert committed(house) == 7
    assert house.reached(0)[Upstream("s", "s", 0, house.cluster.topics["s"].id)] == 7
    house.safe()


def test_an_end_that_was_told_before_messages_ends_nothing() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(5))
    polled = hand.source.poll(100, 0)
    (stretch,) = polled.stretches
    hand.source.handed.append(Polled([stretch], {A: 3}, [], []))
    hand.worker.step()
    assert hand.worker.spots["c", A].ended is None
    hand.source.handed.append(Polled([], {A: 5}, [], []))
    hand.worker.step()
    assert hand.worker.spots["c", A].ended == 5


# ---- run --once --------------------------------------------------------------------------------------------------------------


def test_once_cuts_at_the_end_and_finishes() -> None:
    house = House(2)
    opened = house.open()
    filled(house, range(5))
    filled(house, range(4), 0, "t")
    ends = house.ends()
    filled(house, range(5, 9))
    hand = house.hand(opened, ends=ends)
    assert hand.worker.finished() == set()
    hand.worker.step()
    assert hand.worker.finished() == set()
    hand.run(3)
    assert hand.worker.finished() == {("c", A), ("c", T)}
    filled(house, range(9, 12))
    hand.run(3)
    assert committed(house) == 5
    assert ranges(house) == [(0, 0, 5)]
    report = hand.watch.report(0)
    assert report.finished == {("c", "s", 0), ("c", "t", 0)}
    assert {p.topic: p.rows for p in report.partitions} == {"s": 5, "t": 4}


@pytest.mark.parametrize("behind", [0, 3])
def test_once_finishes_where_the_last_positions_are_markers(behind: int) -> None:
    house = House(2)
    opened = house.open()
    filled(house, range(5))
    house.cluster.part(A).mark(2)
    ends = house.ends()
    filled(house, range(behind))
    hand = house.hand(opened, ends=ends)
    hand.run(3)
    assert hand.worker.finished() == {("c", A), ("c", T)}
    assert committed(house) == 7
    assert house.cluster.saved("s").views["shop/s"].progress.counts == Counts(rows=5, unused=2)


def test_once_finishes_where_there_is_nothing_to_read() -> None:
    house = House(2)
    opened = house.open()
    hand = house.hand(opened, ends=house.ends())
    hand.run(0.25)
    assert hand.worker.finished() == {("c", A), ("c", T)}
    house.cluster.part(A).mark(3)
    markers = house.hand(opened, ends=house.ends())
    assert markers.worker.finished() == {("c", T)}
    markers.run(3)
    assert markers.worker.finished() == {("c", A), ("c", T)}
    assert committed(house) == 3


def test_once_is_not_finished_before_it_is_safe() -> None:
    house = House(2)
    opened = house.open()
    filled(house, range(5))
    hand = house.hand(opened, ends=house.ends())
    hand.writer.deaf = {1}
    hand.run(3)
    assert hand.worker.finished() == {("c", T)}
    hand.writer.deaf = set()
    hand.run(2)
    assert hand.worker.finished() == {("c", A), ("c", T)}


def test_once_nothing_of_a_partition_that_appears_meanwhile_is_read() -> None:
    house = House(2)
    opened = house.open()
    filled(house, range(5))
    hand = house.hand(opened, ends=house.ends())
    house.cluster.topics["s"].parts.append(house.cluster.make("spare").parts[0])
    filled(house, range(5), 1)
    hand.source.give(B)
    hand.run(3)
    assert hand.worker.finished() >= {("c", A), ("c", T)}
    assert all(end == 0 for p, _, end in ranges(house) if p == 1)


def test_once_a_gap_over_the_end_finishes() -> None:
    house = House(1)
    opened = house.open()
    filled(house, range(5))
    ends = house.ends()
    filled(house, range(5, 20))
    house.cluster.part(A).keep_from(12)
    hand = house.hand(opened, ends=ends)
    hand.run(3)
    assert hand.worker.finished() == {("c", A), ("c", T)}


# ---- what is not there any more ----------------------------------------------------------------------------------------------


def test_retention_leaves_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    house = House(2)
    hand = house.hand(house.open())
    filled(house, range(4))
    hand.run(2)
    hand.source.limit = 1
    filled(house, range(4, 20))
    hand.worker.step()
    house.cluster.part(A).keep_from(12)
    hand.source.limit = 100
    hand.run(3)
    assert [r for r in ranges(house) if r[1] != r[2]] == [(0, 0, 4), (0, 4, 5), (0, 12, 20)]
    assert hand.source.held[A] == 20
    assert committed(house) == 20
    assert "retention took offsets 5 to 11" in caplog.text
    _, stand = house.answer()
    assert [v[5] for k, v in stand.items() if k.startswith("shop/") and "/s/s/0" in k and isinstance(v, tuple)] == [7, 7]
    assert house.cluster.saved("s").views["shop/s"].progress.counts == Counts(rows=13)


def test_a_gap_up_to_the_end_is_said_at_once() -> None:
    house = House(2)
    opened = house.open()
    filled(house, range(9))
    house.cluster.part(A).keep_from(9)
    hand = house.hand(opened)
    hand.run(3)
    assert [ranges(house, home)[0] for home in (0, 1)] == [(0, 9, 9)] * 2
    assert committed(house) == 9


def test_of_several_views_each_has_its_own_gap() -> None:
    house = House(1)
    opened = [house.open(plan(name)) for name in ("shop", "mall")]
    filled(house, range(9))
    house.hand(opened[0]).run(3)
    house.cluster.part(A).keep_from(6)
    house.hand(*opened).run(3)
    of = {
        n: [(r.start, r.end) for b in house.said(0, Block) if b.topology == n for r in b.ranges if r.topic == "s"]
        for n in ("shop", "mall")
    }
    assert of == {"shop": [(0, 9)], "mall": [(6, 6), (6, 9)]}


def test_a_position_that_is_there_after_all_is_read_on_from() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(5))
    hand.run(2)
    hand.source.handed.append(Polled([], {}, [A], []))
    filled(house, range(5, 7))
    hand.run(2)
    assert ranges(house) == [(0, 0, 5), (0, 5, 7)]


def test_a_position_beyond_the_end_is_refused() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(9))
    hand.run(2)
    house.cluster.part(A).cut_at(5)
    with pytest.raises(InputError, match=r"s/0 ends at 5, and was read up to 9"):
        hand.run(1)


def recreated(hand: Hand, house: House, rows: range) -> None:
    """A topic under a new id, with fewer messages than were read."""
    filled(house, range(9))
    hand.run(2)
    house.cluster.make("s")
    filled(house, rows)
    hand.run(3)


def test_a_topic_made_anew_is_announced_under_its_new_id() -> None:
    house = House(2)
    hand = house.hand(house.open())
    recreated(hand, house, range(20, 23))
    new = house.cluster.topics["s"].id
    for home in (0, 1):
        (record,) = house.said(home, Partition)
        assert (record.feed, record.topic, record.topic_id, record.partition, record.position) == ("s", "s", new, 0, 0)
        of = [(r.topic_id == new, r.start, r.end) for b in house.said(home, Block) for r in b.ranges if r.topic == "s"]
        assert of == [(False, 0, 9), (True, 0, 3)]
    (feed,) = [f for f in hand.worker.feeds if f.view.id == "s"]
    assert [u.topic_id for u in feed.normaliser.progress] == [new]
    saved = house.cluster.saved("s")
    assert (saved.topic_id, committed(house), set(saved.views)) == (new, 3, {"shop/s"})
    assert saved.views["shop/s"].progress.counts == Counts(rows=3)
    house.safe()


def test_a_topic_made_anew_is_found_though_its_positions_fit() -> None:
    house = House(2)
    hand = house.hand(house.open())
    filled(house, range(2))
    hand.run(2)
    house.cluster.make("s")
    house.cluster.part(A).mark(2)
    hand.live(12)
    (record,) = house.said(0, Partition)
    assert record.topic_id == house.cluster.topics["s"].id
    assert committed(house) == 2
    assert house.cluster.saved("s").topic_id == record.topic_id


def test_a_topic_made_anew_while_nobody_read() -> None:
    house = House(2, s=2, t=1)
    opened = house.open()
    hand = house.hand(opened)
    filled(house, range(9))
    filled(house, range(5), 1)
    hand.run(2)
    hand.worker.close()
    house.cluster.make("s", 2)
    filled(house, range(3))
    other = house.hand(opened)
    assert other.source.held == {A: 0, B: 0, T: 0}
    other.run(2)
    assert [(r.partition, r.position, r.watermark) for r in house.said(0, Partition)] == [(p, 0, BEGAN + 2 * S) for p in (0, 1)]
    house.safe()


def test_what_was_on_its_way_of_the_old_topic_is_not_committed_as_of_the_new() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(9))
    hand.worker.step()
    house.cluster.make("s")
    hand.run(3)
    saved = house.cluster.saved("s")
    assert committed(house) == 0
    assert (saved.topic_id, saved.views["shop/s"].progress.position) == (house.cluster.topics["s"].id, 0)
    house.safe()


def test_nothing_that_was_known_of_the_old_topic_is_committed_as_of_the_new() -> None:
    house = House(2)
    opened = house.open()
    mine = house.cluster.saved("s").views
    house.cluster.commits[A] = Saved(house.cluster.topics["s"].id, None, {"other/s": OTHER, **mine}).commit()
    hand = house.hand(opened)
    filled(house, range(9))
    hand.run(2)
    house.cluster.make("s")
    hand.writer.deaf = {1}
    hand.run(3)
    assert house.cluster.saved("s").topic_id != house.cluster.topics["s"].id, "its announcement is not safe yet"
    hand.writer.deaf = set()
    hand.run(2)
    saved = house.cluster.saved("s")
    assert saved.topic_id == house.cluster.topics["s"].id
    assert set(saved.views) == {"shop/s"}
    house.safe()


def test_a_topic_made_anew_is_idle_no_more() -> None:
    house = House(1)
    hand = house.hand(house.open())
    filled(house, range(9))
    filled(house, range(9), 0, "t")
    hand.live(45)
    assert house.cluster.saved("s").idle is not None
    house.cluster.make("s")
    hand.run(2)
    saved = house.cluster.saved("s")
    assert saved.topic_id == house.cluster.topics["s"].id
    assert saved.idle is None


def test_a_new_partition_is_announced_with_the_watermark_of_its_side() -> None:
    house = House(2, s=3, t=1)
    opened = house.open()
    hand, other = house.hand(opened, hold=False), house.hand(opened, hold=False)
    hand.source.give(A, T)
    other.source.give(B, ("s", 2))
    filled(house, range(30))
    filled(house, range(20), 1)
    filled(house, range(25), 2)
    hand.run(3)
    other.run(3)
    house.cluster.topics["s"].parts.append(house.cluster.make("spare").parts[0])
    hand.source.give(("s", 3))
    hand.run(2)
    for home in (0, 1):
        (record,) = house.said(home, Partition)
        assert (record.partition, record.position, record.watermark) == (3, 0, BEGAN + 17 * S)
    assert house.cluster.saved("s", 3).views["shop/s"].progress == Progress(0, ClockState(floor=BEGAN + 17 * S, leading=False))
    filled(house, range(3), 3)
    hand.run(2)
    third = house.hand(opened, hold=False)
    hand.source.take(("s", 3))
    third.source.give(("s", 3))
    assert third.source.held == {("s", 3): 3}
    assert len(house.said(0, Partition)) == 1, "announced once"
    assert house.cluster.saved("s", 3).views["shop/s"].progress.counts == Counts(rows=3, late=3)
    house.safe()


def test_a_new_partition_of_a_side_that_never_spoke_begins_with_nothing() -> None:
    house = House(1, s=2, t=1)
    hand = house.hand(house.open())
    filled(house, range(9))
    hand.run(2)
    house.cluster.topics["s"].parts.append(house.cluster.make("spare").parts[0])
    hand.source.give(("s", 2))
    hand.run(1)
    (said,) = house.said(0, Partition)
    assert said.watermark is None


def test_the_announcement_is_committed_once_it_is_safe() -> None:
    house = House(2)
    hand = house.hand(house.open())
    house.cluster.topics["s"].parts.append(house.cluster.make("spare").parts[0])
    hand.writer.deaf = {1}
    hand.source.give(B)
    hand.run(3)
    assert B not in house.cluster.commits
    hand.writer.deaf = set()
    hand.run(2)
    assert committed(house, B) == 0


def test_a_topic_with_fewer_partitions_is_refused() -> None:
    house = House(1, s=2, t=1)
    opened = house.open()
    hand = house.hand(opened)
    house.cluster.make("s", 1)
    with pytest.raises(StateError, match="topic s was made anew with fewer partitions, 1 instead of 2"):
        house.hand(opened, hold=False).source.give(A)
    with pytest.raises(StateError, match="fewer partitions"):
        hand.live(12)


# ---- back-pressure -----------------------------------------------------------------------------------------------------------


def test_nothing_more_is_read_while_too_much_is_on_its_way() -> None:
    house = House(1)
    hand = house.hand(house.open())
    hand.worker.pending_bytes = 10_000
    hand.writer.willing = False
    hand.source.limit = 20
    filled(house, range(400))
    hand.run(10)
    stuck = hand.source.held[A]
    on_its_way = sum(len(w.value) for w in hand.writer.waiting)
    assert 0 < stuck < 100
    assert 10_000 <= on_its_way < 20_000
    hand.writer.polls.clear()
    hand.worker.step()
    assert FLUSH_SECONDS in hand.writer.polls, "it waits for acknowledgements instead"
    hand.writer.acknowledge()
    hand.run(1)
    assert hand.source.held[A] > stuck
    hand.writer.willing = True
    hand.run(10)
    assert committed(house) == 400


def wide(keys: int, size: int, *, null_keys: bool = False) -> Stretch:
    bodies = [b'{"id": "%s", "value": 1, "at": %d}' % (b"%06d" % n + b"x" * size, BEGAN + n) for n in range(keys)]
    ids = [None if null_keys else b'{"id": "%s"}' % (b"%06d" % n + b"x" * size) for n in range(keys)]
    offset = np.arange(keys, dtype=np.int64)
    return Stretch(A, offset, offset + BEGAN // 1000, pa.array(ids, pa.binary()), pa.array(bodies, pa.binary()))


@pytest.mark.parametrize("null_keys", [False, True])
def test_what_is_flushed_together_is_bounded(monkeypatch: pytest.MonkeyPatch, *, null_keys: bool) -> None:
    monkeypatch.setattr(normalise, "PART_BYTES", 20_000)
    house = House(1)
    hand = house.hand(house.open())
    stretch = wide(300, 500, null_keys=null_keys)
    hand.source.handed.append(Polled([stretch], {}, [], []))
    hand.run(2)
    of = ranges(house)
    assert [a[2] for a in of[:-1]] == [b[1] for b in of[1:]]
    assert (of[0][1], of[-1][2]) == (0, 300)
    sizes = [len(e.value) for e in house.log.topics[NAMES.digests, 0]]
    assert 4 <= len(of) <= 16
    assert max(sizes) < 3 * 20_000
    assert committed(house) == 300


def test_bundles_make_up_the_stretches() -> None:
    for first in (0, 1, 7, 99):
        bundles = list(spots.bundles([(Upstream("s", *A), wide(100, 50), first)], 1_000))
        parts = [part for bundle in bundles for part in bundle]
        assert np.concatenate([p.offset for p in parts]).tolist() == list(range(first, 100))
        assert all(len(p) == len(p.key) == len(p.value) == len(p.timestamp) for p in parts)
        assert all(p.key[0].as_py()[8:14] == b"%06d" % p.offset[0] for p in parts)
        assert max(p.key.nbytes for p in parts) <= 2_000
        assert {len(bundle) for bundle in bundles} == {1}, "one partition, one stretch at a time"


def test_small_stretches_of_several_partitions_are_one_bundle() -> None:
    some = [(Upstream("s", "t", p), wide(10, 50), p) for p in range(4)]
    (bundle,) = spots.bundles(some, 100_000)
    assert [(m.upstream.partition, m.offset.tolist()) for m in bundle] == [(p, list(range(p, 10))) for p in range(4)]
    assert len(list(spots.bundles(some, 1_000))) > 2


# ---- dead letters stop one topology ------------------------------------------------------------------------------------------


def spoilt() -> tuple[House, Hand]:
    """Topologies shop (s, t) and mall (m, t): the messages of m are no rows."""
    house = House(1, s=1, t=1, m=1)
    opened = house.open(), house.open(plan("mall", side("m"), side("t")))
    hand = house.hand(*opened)
    filled(house, range(5))
    filled(house, range(5), 0, "t")
    house.cluster.put("m", 0, *((n, None, float(n)) for n in range(12)))
    return house, hand


def test_too_many_dead_letters_stop_their_topology_and_no_other() -> None:
    house, hand = spoilt()
    hand.run(3)
    mall = next(j for j in hand.worker.jobs if j.name == "mall")
    assert "topology mall stopped: 12 of the last 17 messages" in (mall.stopped or "")
    assert hand.watch.report(0).stopped == {"mall": mall.stopped}
    assert ("m", 0) in hand.source.paused
    assert committed(house, ("m", 0)) == 12
    assert len(house.letters()) == 12
    for topic in ("s", "t", "m"):
        filled(house, range(5, 9), 0, topic)
    hand.run(3)
    assert committed(house, ("m", 0)) == 12
    views = house.cluster.saved("t").views
    assert {n: k.progress.position for n, k in views.items()} == {"shop/t": 9, "mall/t": 5}
    assert committed(house, T) == 5, "what the stopped topology is to read still is kept"
    assert committed(house) == 9
    house.safe()


def test_the_last_topology_that_stops_ends_the_worker() -> None:
    house = House(1)
    hand = house.hand(house.open())
    house.cluster.put("s", 0, *((n, None, float(n)) for n in range(12)))
    with pytest.raises(InputError, match="topology shop stopped"):
        hand.run(3)
    assert committed(house) == 12
    assert len(house.letters()) == 12


def test_partitions_come_and_go_though_the_topology_that_reads_them_has_stopped() -> None:
    house, hand = spoilt()
    hand.run(3)
    before = house.cluster.commits["m", 0]
    hand.source.take(("m", 0))
    hand.source.give(("m", 0))
    filled(house, range(5, 9))
    filled(house, range(5), 0, "m")
    hand.run(3)
    assert committed(house) == 9
    assert house.cluster.commits["m", 0] == before
    hand.worker.close()
    assert house.cluster.commits["m", 0] == before


def test_a_few_dead_letters_stop_nothing() -> None:
    house = House(1)
    hand = house.hand(house.open())
    house.cluster.put("s", 0, *((n, None, float(n)) for n in range(9)))
    hand.run(3)
    assert committed(house) == 9


def test_letters_of_a_second_view_are_not_counted_twice() -> None:
    house = House(1, s=1, t=1, u=1)
    of = plan("shop", None, side("t"), side("u"))
    hand = house.hand(house.open(of, columns={"u": COLUMNS - {"value"}}))
    assert [f.view.id for f in hand.worker.feeds] == ["s", "t", "s~u", "u"]
    house.cluster.put("s", 0, *((n, None, float(n)) for n in range(9)))
    hand.run(3)
    assert committed(house) == 9
    assert sorted(x.get("view", "s") for x in house.letters()) == ["s"] * 9 + ["s~u"] * 9
    house.safe()


# ---- reports -----------------------------------------------------------------------------------------------------------------


def test_a_report_has_a_line_for_each_view_of_each_partition() -> None:
    house = House(1)
    hand = house.hand(house.open())
    house.cluster.put("s", 0, (1, "a", 5), (2, None, 6), (3, "c", 1))
    hand.run(2)
    lines = {p.topic: p for p in hand.watch.report(7).partitions}
    s = lines["s"]
    assert (s.topology, s.side, s.view, s.position, s.end, s.behind) == ("shop", "s", "s", 3, 3, 0)
    assert (s.watermark, s.latest, s.rows, s.dead_letters, s.late) == (BEGAN + 3 * S, BEGAN + 5 * S, 2, 1, 1)
    assert (lines["t"].watermark, lines["t"].latest) == (None, None)
    assert hand.watch.report(7).messages == 7


def test_a_block_says_where_its_ranges_stand() -> None:
    house = House(1)
    hand = house.hand(house.open())
    house.cluster.put("s", 0, (1, "a", 5))
    hand.run(1)
    (block,) = house.said(0, Block)
    assert block.ranges == (
        Range(
            "s",
            "s",
            house.cluster.topics["s"].id,
            0,
            0,
            1,
            BEGAN + 3 * S,
            BEGAN + 3 * S,
            None,
            BEGAN + 5 * S,
            False,
            BEGAN + 5 * S,
            Counts(rows=1),
        ),
    )


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "stream_recon")
    yield
    for record in caplog.records:
        assert record.getMessage()


def test_idle_state_is_kept_by_whoever_passes_it_on() -> None:
    house = House(1)
    opened = house.open()
    house.cluster.commits[A] = replace(house.cluster.saved("s"), idle=Idle(5, 6)).commit()
    hand = house.hand(opened)
    filled(house, range(1))
    hand.run(2)
    assert house.cluster.saved("s").idle is None, "it spoke, and another worker holds it now"
