"""What is looked after between batches: quiet partitions and their lifts, stalled sides, sides that run ahead.

Times are seconds after the clocks began. Rows carry them as event times; the broker's time is the clock's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stream_recon.engine.pipeline import View
from stream_recon.model.digest import Block, Lift, Stall
from stream_recon.ports import Place, Polled
from stream_recon.service import normalise
from stream_recon.service.positions import Idle
from tests.unit.service.fakes import BEGAN, Hand, House, S, plan, side

A, B, T = ("s", 0), ("s", 1), ("t", 0)
EMPTY = Polled([], {}, [], [])


def at(seconds: float) -> int:
    return BEGAN + round(seconds * S)


def after(time: int) -> float:
    """Inverse of ``at``."""
    return (time - BEGAN) / S


def put(house: House, place: Place, *times: float) -> None:
    house.cluster.put(*place, *((int(t) % 7, f"v{t}", t) for t in times))


def rested(house: House, seconds: float = 29.75, *, of: Sequence[Place] = (A, T)) -> Hand:
    """A worker whose partitions brought a row at 0 and nothing since; 0.25 s later they have been quiet for ``idle_after``."""
    hand = house.hand(house.open())
    for place in of:
        put(house, place, -20)
    hand.live(seconds)
    assert not hand.lifts()
    return hand


def marks(hand: Hand) -> dict[Place, Idle | None]:
    """Idle, as other workers see it."""
    return {p: hand.house.cluster.saved(*p).idle for p in sorted(hand.source.held)}


# ---- lifts -------------------------------------------------------------------------------------------------------------------


def test_what_has_been_quiet_is_lifted_every_five_seconds_to_idle_after_before_now() -> None:
    house = House(2)
    hand = rested(house)
    hand.live(25)
    for home in (0, 1):
        lifts = hand.lifts(home)
        for place in (A, T):
            mine = [x for x in lifts if (x.topic, x.partition) == place]
            first = after(mine[0].to)
            assert 0 <= first <= 1.25
            assert [after(x.to) - first for x in mine] == [0, 5, 10, 15, 20]
            assert {(x.topology, x.feed, x.topic_id, x.position) for x in mine} == {
                ("shop", place[0], house.cluster.topics[place[0]].id, 1)
            }
    assert hand.lifts(0) == hand.lifts(1)
    _, stand = house.answer()
    for feed in ("s", "t"):
        assert stand[f"shop/0/{feed}/{feed}/0"][1] == hand.lifts()[-1].to, "the reader took it"
    house.safe()


def test_the_end_is_asked_anew_before_anything_is_lifted() -> None:
    house = House(1)
    hand = rested(house)
    hand.source.handed = [EMPTY] * 1000
    put(house, A, -20)
    house.cluster.asked.clear()
    hand.live(20)
    assert marks(hand)[A] is None
    assert not hand.lifts()
    assert house.cluster.asked.count("ends") >= 15, "asked again each second"
    hand.source.handed.clear()
    hand.live(60)
    assert {after(x.to) > 35 for x in hand.lifts()} == {True}


def test_an_end_that_moved_after_a_lift_stops_the_next_one() -> None:
    house = House(1)
    hand = rested(house)
    hand.live(1)
    before = hand.lifts()
    assert before
    hand.source.handed = [EMPTY] * 1000
    house.cluster.part(A).mark()
    hand.live(12)
    assert hand.lifts() == before
    assert hand.worker.spots["c", A].idle is None


def silent(house: House, *rows: float) -> Hand:
    """A worker that was handed a row of each side, and no word of their ends; ``rows`` of one side are still to come."""
    hand = house.hand(house.open())
    put(house, A, -20)
    put(house, T, -20)
    polled = hand.source.poll(100, 0)
    put(house, A, *rows)
    hand.source.handed = [replace(polled, ends={}), *[EMPTY] * 1000]
    return hand


def test_what_is_still_behind_its_end_is_not_quiet() -> None:
    house = House(1)
    hand = silent(house, -19)
    hand.live(60)
    assert marks(hand)[A] is None
    assert not hand.lifts()


def test_an_end_that_nobody_told_is_asked_for() -> None:
    house = House(1)
    hand = silent(house)
    hand.live(60)
    assert {x.topic for x in hand.lifts()} == {"s", "t"}
    house.safe()


def test_what_does_not_come_is_fetched_anew_every_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(1)
    hand = silent(house, -19)
    sought: list[tuple[Place, int]] = []
    monkeypatch.setattr(hand.source, "seek", lambda place, position: sought.append((place, position)))
    hand.live(100)
    assert sought == [(A, 1)] * 3


def test_a_busy_partition_is_left_alone() -> None:
    house = House(1)
    hand = house.hand(house.open())
    hand.source.limit = 1
    put(house, A, *range(-100, 0))
    house.cluster.asked.clear()
    hand.live(20)
    assert "ends" not in house.cluster.asked


def test_never_where_idle_after_is_never() -> None:
    house = House(1)
    hand = house.hand(house.open(plan("shop", side("s", idle_after=None), side("t", idle_after=None))))
    put(house, A, 0)
    put(house, T, 0)
    hand.live(100)
    assert not hand.lifts()
    assert "ends" not in house.cluster.asked


def test_the_shorter_idle_after_of_two_topologies_lifts_only_its_own() -> None:
    house = House(1)
    slow = plan("slow", side("s", idle_after=60 * S), side("t", idle_after=60 * S))
    hand = house.hand(house.open(), house.open(slow))
    put(house, A, -50)
    put(house, T, -50)
    hand.live(50)
    assert {x.topology for x in hand.lifts()} == {"shop"}
    hand.live(15)
    assert {x.topology for x in hand.lifts()} == {"shop", "slow"}
    slowly = [after(x.to) for x in hand.lifts() if x.topology == "slow"]
    assert all(to <= 5 for to in slowly)


def test_quiet_for_long_enough_for_one_topology_is_not_quiet_for_another() -> None:
    house = House(1, s=2, t=1)
    slow = plan("slow", side("s", idle_after=60 * S), side("t", idle_after=60 * S))
    hand = house.hand(house.open(), house.open(slow))
    for place in (A, B, T):
        put(house, place, -50)
    put(house, B, 5)
    put(house, T, 5)
    hand.live(58)
    assert {(x.topology, x.feed, x.partition) for x in hand.lifts()} >= {("shop", "s", 0)}
    assert "slow" not in {x.topology for x in hand.lifts()}
    hand.live(10)
    assert {(x.topology, x.feed, x.partition) for x in hand.lifts()} >= {("slow", "s", 0)}


def test_never_beyond_idle_after_before_now_whatever_else_is_ahead() -> None:
    house = House(1, s=2, t=1)
    hand = rested(house, 20, of=(A, B, T))
    put(house, B, 500)
    put(house, T, 500)
    hand.live(25)
    lifts = hand.lifts()
    assert {(x.topic, x.partition) for x in lifts} == {A}
    assert all(after(x.to) <= house.clock.now - 1000 - 30 for x in lifts)
    assert after(lifts[-1].to) >= 9


def test_a_paused_partition_is_not_idle() -> None:
    house = House(1, s=2, t=1)
    hand = house.hand(house.open(plan(max_ahead=100 * S)))
    put(house, A, -20)
    put(house, T, -20)
    put(house, B, 500)
    hand.live(60)
    assert hand.source.paused == {B}
    assert hand.worker.spots["c", B].ended == 1
    assert {(x.topic, x.partition) for x in hand.lifts()} == {A}
    assert {p for p, mark in marks(hand).items() if mark is not None} == {A, T}


def test_without_the_brokers_time_nothing_is_lifted_and_it_is_asked_for_once() -> None:
    house = House(2)
    hand = rested(house)
    hand.writer.timed = False
    hand.live(20)
    assert not hand.lifts()
    assert "ends" not in house.cluster.asked
    empty = [(home, b) for home in (0, 1) for b in house.said(home, Block) if not b.ranges]
    assert [(home, b.topology, len(b.rows)) for home, b in empty] == [(0, "shop", 0)]
    hand.writer.timed = True
    hand.live(2)
    assert hand.lifts()
    house.answer()


def test_the_question_for_the_time_changes_nothing_for_the_reader() -> None:
    quiet = House(1)
    hand = quiet.hand(quiet.open())
    hand.live(40)
    assert [b.ranges for b in quiet.said(0, Block)] == [()]
    events, _ = quiet.answer()
    assert events == []


def test_a_lift_stands_behind_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "FLUSH_SECONDS", 10_000.0)
    house = House(2)
    hand = rested(house)
    hand.writer._known = True
    assert not house.said(0, Block)
    hand.live(11)
    for home in (0, 1):
        told = [r for r in house.records(home) if isinstance(r, Block | Lift)]
        for place in (A, T):
            ends = [r.end for b in told if isinstance(b, Block) for r in b.ranges if (r.topic, r.partition) == place]
            (block,) = [n for n, b in enumerate(told) if isinstance(b, Block) and any(r.topic == place[0] for r in b.ranges)]
            (lift, *_) = [n for n, x in enumerate(told) if isinstance(x, Lift) and x.topic == place[0]]
            assert ends == [1]
            assert block < lift
    assert {x.position for x in hand.lifts()} == {1}


def test_a_lift_is_committed_before_it_is_safe() -> None:
    house = House(2)
    opened = house.open()
    hand = house.hand(opened)
    put(house, A, -20)
    put(house, T, -20)
    hand.live(29.75)
    hand.writer.willing = False
    hand.live(3)
    clock = house.cluster.saved("s").views["shop/s"].progress.clock
    assert not hand.lifts()
    heir = house.hand(opened)
    hand.writer.acknowledge()
    lift = next(x for x in hand.lifts() if x.feed == "s")
    assert lift.to == clock.lift > at(-20)
    assert heir.worker.spots["c", A].position(heir.worker.feeds[0]).clock == clock


def test_lifts_can_be_left_out() -> None:
    house = House(1)
    opened = house.open()
    put(house, A, 0)
    put(house, T, 0)
    hand = house.hand(opened, ends=house.ends())
    hand.live(60)
    assert not hand.lifts()
    assert not hand.stalls()


def test_a_heartbeat_vouches_and_is_looked_at_before_the_ends_are_asked() -> None:
    house = House(1)
    order: list[str] = []

    def beat(view: View) -> int | None:
        order.append(f"beat {view.id}")
        return at(12) if view.id == "s" else None

    def touch(call: str) -> None:
        order.append(call)

    opened = house.open()
    hand = house.hand(opened, beats=beat, touch=touch)
    put(house, A, -20)
    put(house, T, -20)
    hand.live(20)
    put(house, T, 19)
    order.clear()
    hand.live(25)
    lifts = [after(x.to) for x in hand.lifts()]
    assert lifts
    assert {x.feed for x in hand.lifts()} == {"s"}
    assert lifts[-1] == 10, "its time, less the disorder"
    asked = [call for call in order if call in {"beat s", "beat t", "ends"}]
    assert asked[: len(asked) // 3 * 3] == ["beat s", "beat t", "ends"] * (len(asked) // 3)


# ---- idle, as others see it --------------------------------------------------------------------------------------------------


def test_idle_is_published_and_renewed() -> None:
    house = House(1)
    hand = rested(house)
    assert marks(hand) == {A: None, T: None}
    hand.live(3)
    first = marks(hand)[A]
    assert first is not None
    assert 30 <= after(first.as_of) <= 31.25
    assert first.quiet == first.as_of - at(0)
    hand.live(5)
    second = marks(hand)[A]
    assert second is not None
    assert (second.as_of - first.as_of, second.quiet - first.quiet) == (5 * S, 5 * S)


def test_a_row_that_arrives_ends_it() -> None:
    house = House(1)
    hand = rested(house)
    hand.live(5)
    assert None not in marks(hand).values()
    put(house, A, 33)
    hand.worker.step()
    assert hand.worker.spots["c", A].idle is None
    hand.live(2)
    assert marks(hand)[A] is None
    assert marks(hand)[T] is not None


def two(house: House, first: Sequence[Place], second: Sequence[Place]) -> tuple[Hand, Hand]:
    opened = house.open()
    hands = house.hand(opened, hold=False), house.hand(opened, hold=False)
    hands[0].source.give(*first)
    hands[1].source.give(*second)
    return hands


def together(hands: Sequence[Hand], seconds: float) -> None:
    for _ in range(round(seconds * 4)):
        for hand in hands:
            hand.worker.step()
            hand.watch.tend()
        hands[0].house.clock.wait(0.25)


def test_workers_that_hold_one_side_each_lift_each_other() -> None:
    house = House(1)
    hands = two(house, [A], [T])
    put(house, A, -20)
    put(house, T, -20)
    together(hands, 45)
    lifts = hands[0].lifts()
    assert {x.feed for x in lifts} == {"s", "t"}
    assert max(after(x.to) for x in lifts) >= 4
    house.safe()


@pytest.mark.parametrize(("age", "counts"), [(14, True), (16, False)])
def test_what_another_worker_said_of_an_idle_partition_counts_for_fifteen_seconds(age: float, *, counts: bool) -> None:
    house = House(1)
    first, second = two(house, [A], [T])
    put(house, A, -20)
    put(house, T, -20)
    for _ in range(4 * 33):
        first.worker.step()
        second.worker.step()
        second.watch.tend()
        house.clock.wait(0.25)
    mark = house.cluster.saved("t").idle
    assert mark is not None
    house.clock.wait(after(mark.as_of) + age - (house.clock.now - 1000))
    first.watch.tend()
    first.worker.step()
    lifts = [after(x.to) for x in first.lifts() if x.feed == "s"]
    assert lifts == ([after(mark.as_of) - 30] if counts else [])


def test_a_partition_elsewhere_that_is_not_idle_holds_up_the_pair() -> None:
    house = House(1, s=2, t=1)
    hands = two(house, [A, T], [B])
    for place in (A, B, T):
        put(house, place, -20)
    for n in range(60):
        put(house, B, n / 100 - 20)
        together(hands, 1)
    assert {(x.feed, x.partition) for x in hands[0].lifts()} <= {("s", 0)}
    assert all(after(x.to) <= -20 for x in hands[0].lifts()), "no further than the other partition of its topic"


# ---- stalled -----------------------------------------------------------------------------------------------------------------


def said(hand: Hand) -> list[Stall]:
    """Without the first word of a worker that nothing is wrong."""
    stalls = hand.stalls()
    begins = next((n for n, s in enumerate(stalls) if not s.resumed), len(stalls))
    return [s for s in stalls[begins:] if s.feed == stalls[begins].feed] if begins < len(stalls) else []


def stalled(house: House, hands: Sequence[Hand]) -> None:
    """The target stops at 0; the source goes on for a minute, a row every second."""
    put(house, A, -5, 0)
    put(house, T, -5, 0)
    together(hands, 2)
    for n in range(60):
        put(house, A, 2 + n)
        together(hands, 1)


def test_a_side_that_is_quiet_while_the_other_moves_is_stalled_once_and_resumes_once() -> None:
    house = House(2)
    hand = house.hand(house.open())
    stalled(house, [hand])
    (begin,) = said(hand)
    assert (begin.topology, begin.feed, begin.since, begin.resumed, begin.generation) == ("shop", "t", at(0), False, 1)
    assert 25 <= begin.waiting <= 36
    (report,) = hand.watch.report(0).stalls
    assert (report.topology, report.side, report.since) == ("shop", "t", at(0))
    assert 55 <= report.waiting <= 60
    assert not [x for x in hand.lifts() if x.feed == "t"]
    put(house, T, *range(1, 62))
    together([hand], 10)
    begin_, end = said(hand)
    assert begin_ == begin
    assert (end.feed, end.since, end.waiting, end.resumed) == ("t", None, 0, True)
    assert hand.watch.report(0).stalls == ()
    together([hand], 60)
    assert len(said(hand)) == 2
    events, _ = house.answer()
    assert [(e["type"], e["side"]) for e in events if e["type"] in {"stalled", "resumed"}] == [("stalled", "t"), ("resumed", "t")]


def test_a_side_that_never_spoke_is_stalled_without_a_time() -> None:
    house = House(1)
    hand = house.hand(house.open(plan(max_ahead=1 << 60)))
    put(house, A, *range(5))
    hand.live(45)
    (stall,) = said(hand)
    assert (stall.feed, stall.since, stall.resumed) == ("t", None, False)


def test_only_the_worker_with_the_first_partition_speaks() -> None:
    house = House(1, s=1, t=2)
    first, second = two(house, [T], [A, ("t", 1)])
    put(house, ("t", 1), -5)
    stalled(house, [first, second])
    assert [s.feed for s in said(first)] == ["t"]
    assert [s.feed for s in first.stalls() if not s.resumed] == ["t"]
    assert [s.side for s in first.watch.report(0).stalls] == ["t"]
    assert second.watch.report(0).stalls == ()


def test_a_stall_goes_on_when_another_worker_takes_over() -> None:
    house = House(1)
    opened = house.open()
    hand = house.hand(opened)
    stalled(house, [hand])
    assert len(said(hand)) == 1
    hand.worker.close()
    heir = house.hand(opened)
    for n in range(60, 120):
        put(house, A, 2 + n)
        together([heir], 1)
    events, _ = house.answer()
    assert [(e["type"], e["side"]) for e in events if e["type"] in {"stalled", "resumed"}] == [("stalled", "t")]
    put(house, T, *range(1, 122))
    together([heir], 10)
    events, _ = house.answer()
    assert [(e["type"], e["side"]) for e in events if e["type"] in {"stalled", "resumed"}] == [("stalled", "t"), ("resumed", "t")]


def test_a_stall_that_ended_between_two_workers_is_said_to_have_ended() -> None:
    house = House(1)
    opened = house.open()
    hand = house.hand(opened)
    stalled(house, [hand])
    hand.worker.close()
    put(house, T, *range(1, 62))
    heir = house.hand(opened)
    together([heir], 10)
    events, _ = house.answer()
    assert [(e["type"], e["side"]) for e in events if e["type"] in {"stalled", "resumed"}] == [("stalled", "t"), ("resumed", "t")]


def test_rows_that_wait_are_never_fewer_than_none() -> None:
    house = House(1)
    hand = house.hand(house.open())
    put(house, A, *range(-20, 0))
    put(house, T, -5, 0)
    hand.live(2)
    house.cluster.make("s")
    put(house, A, 100)
    hand.live(60)
    assert [s.feed for s in said(hand)] == ["t"]
    assert all(s.waiting >= 0 for s in hand.stalls())


# ---- pace --------------------------------------------------------------------------------------------------------------------


def ahead(seconds: int, **topics: int) -> tuple[House, Hand]:
    house = House(1, **topics)
    hand = house.hand(house.open(plan(max_ahead=seconds * S)))
    return house, hand


def test_who_runs_ahead_is_paused_until_the_other_has_followed() -> None:
    house, hand = ahead(100)
    put(house, A, 0)
    put(house, T, 0)
    hand.live(2)
    put(house, A, 100)
    hand.live(2)
    assert hand.source.paused == set()
    put(house, A, 101)
    hand.live(2)
    assert hand.source.paused == {A}
    assert {p.topic: p.paused for p in hand.watch.report(0).partitions} == {"s": True, "t": False}
    put(house, A, 104)
    hand.live(2)
    assert hand.source.held[A] == 3
    put(house, T, 0.5)
    hand.live(2)
    assert hand.source.paused == {A}
    put(house, T, 1)
    hand.live(3)
    assert hand.source.held[A] == 4
    assert hand.source.paused == {A}
    put(house, T, 4)
    hand.live(2)
    assert hand.source.paused == set()


def test_whoever_has_not_spoken_holds_up_all_that_has() -> None:
    house, hand = ahead(100)
    put(house, A, 0)
    hand.live(2)
    assert hand.source.paused == {A}
    put(house, T, 0)
    hand.live(2)
    assert hand.source.paused == set()


def test_partitions_of_other_workers_count_and_are_theirs_to_pause() -> None:
    house = House(1, s=2, t=1)
    opened = house.open(plan(max_ahead=100 * S))
    hands = house.hand(opened, hold=False), house.hand(opened, hold=False)
    hands[0].source.give(A)
    hands[1].source.give(B, T)
    put(house, A, 200)
    put(house, B, 200)
    put(house, T, 0)
    together(hands, 4)
    assert [h.source.paused for h in hands] == [{A}, {B}]
    put(house, T, 150)
    together(hands, 4)
    assert [h.source.paused for h in hands] == [set(), set()]


def test_a_gap_while_paused_ends_the_pause() -> None:
    house, hand = ahead(100)
    put(house, A, 0, 200)
    put(house, T, 0)
    hand.live(2)
    assert hand.source.paused == {A}
    put(house, A, 201, 202)
    house.cluster.part(A).keep_from(3)
    hand.source.handed = [Polled([], {}, [A], [])]
    hand.worker.step()
    assert hand.source.paused == set()
    assert not hand.worker.spots["c", A].paused
    hand.live(2)
    assert hand.source.paused == {A}


def test_once_a_partition_that_is_read_to_its_end_holds_up_nobody() -> None:
    house = House(1)
    opened = house.open(plan(max_ahead=100 * S))
    put(house, A, *range(0, 10_000, 200))
    put(house, T, 0)
    hand = house.hand(opened, ends=house.ends())
    hand.source.limit = 1
    hand.live(20)
    assert hand.worker.finished() == {("c", A), ("c", T)}


def test_once_nor_does_one_that_another_worker_has_read_to_its_end() -> None:
    house = House(1)
    opened = house.open(plan(max_ahead=100 * S))
    put(house, A, *range(0, 10_000, 200))
    put(house, T, 0)
    hands = [house.hand(opened, ends=house.ends(), hold=False) for _ in range(2)]
    hands[0].source.give(A)
    hands[1].source.give(T)
    for hand in hands:
        hand.source.limit = 1
    together(hands, 20)
    assert [h.worker.finished() for h in hands] == [{("c", A)}, {("c", T)}]


# ---- clusters that do not answer ---------------------------------------------------------------------------------------------


def test_a_cluster_that_does_not_answer_leaves_everything_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    house = House(1, s=2, t=1)
    hands = hand, _ = two(house, [A, T], [B])
    for place in (A, B, T):
        put(house, place, -20)
    together(hands, 43)
    before = hand.lifts()
    assert before
    idle = {p: s.idle for p, s in hand.worker.spots.items()}
    assert None not in idle.values()
    house.cluster.down = True
    house.cluster.asked.clear()
    hand.live(20)
    assert hand.lifts() == before
    assert hand.source.paused == set()
    assert {p: s.idle for p, s in hand.worker.spots.items()} == idle
    assert len(house.cluster.asked) >= 18, "asked again each second"
    assert "does not answer" in caplog.text
    house.cluster.down = False
    together(hands, 8)
    assert len(hand.lifts()) > len(before)


def test_ends_that_are_not_told_lift_nothing() -> None:
    house = House(1)
    hand = rested(house)
    house.cluster.down = True
    hand.live(20)
    assert not hand.lifts()
    assert marks(hand) == {A: None, T: None}
    house.cluster.down = False
    hand.live(1.25)
    assert hand.lifts()


def test_a_pause_stays_while_the_cluster_is_away() -> None:
    house = House(1, s=2, t=1)
    hand = house.hand(house.open(plan(max_ahead=100 * S)), hold=False)
    hand.source.give(A, T)
    put(house, A, 200)
    put(house, T, 0)
    hand.live(2)
    assert hand.source.paused == {A}
    house.cluster.down = True
    hand.source.handed = []
    hand.live(5)
    assert hand.source.paused == {A}


def test_others_are_asked_once_a_second_and_topics_every_ten() -> None:
    house = House(1, s=2, t=1)
    hand = house.hand(house.open(), hold=False)
    hand.source.give(A, T)
    house.cluster.asked.clear()
    hand.live(25)
    assert 23 <= house.cluster.asked.count("committed") <= 25
    assert house.cluster.asked.count("describe") == 2
