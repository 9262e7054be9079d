"""The reconcile worker: everything said once, whatever fails between the log, the transactions and the state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.engine import delivery
from stream_recon.engine.reconciler import Reconciler
from stream_recon.errors import BrokerError, Fenced, LogError, Undelivered
from stream_recon.model.digest import Block, End, Stall, encode
from stream_recon.ports import Commit
from stream_recon.service.reconcile import COMMIT_SECONDS, RETAKE_SECONDS, ReconcileWorker
from stream_recon.sim.disk import MemoryStore
from tests.laws.world import MemoryLog
from tests.unit.service.fakes import NAMES, Clock, Cut, Digests, House, Outputs, Said, bodies

STEP_SECONDS = 0.25
HOMES = (0, 1)
MEGA = 1 << 20


class Disk(MemoryStore):
    """Tells whether it was closed."""

    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Desk:
    """The log of two digest partitions, what was said of it, and the disks; workers come and go."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.clock = Clock()
        self.said: list[Said] = []
        self.commits: dict[int, Commit] = {}
        self.disks: dict[int, Disk] = {}
        self.outputs: dict[int, list[Outputs]] = {}
        self.fails: list[tuple[BaseException, bool] | None] = []
        self.order: list[str] = []
        self.start()

    def start(self, cache_bytes: int = MEGA) -> None:
        """A worker that knows nothing."""
        self.digests = Digests(self.log, self.commits)
        self.worker = ReconcileWorker(self.digests, self._outputs, self._store, NAMES, self.clock, cache_bytes=cache_bytes)

    def _outputs(self, home: int) -> Outputs:
        self.order.append(f"outputs {home}")
        outputs = Outputs(home, self.said, self.commits, self.fails)
        self.outputs.setdefault(home, []).append(outputs)
        return outputs

    def _store(self, home: int) -> Disk:
        self.order.append(f"store {home}")
        disk = Disk(self.disks[home].values if home in self.disks else {})
        self.disks[home] = disk
        return disk

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds * 4)):
            self.worker.step()
            self.clock.wait(STEP_SECONDS)

    def die(self) -> None:
        """All that was in memory is gone."""
        self.start()

    def entries(self, home: int) -> int:
        return len(self.log.topics[NAMES.digests, home])


def filled(limit: int = 4) -> MemoryLog:
    """Some blocks with differences, and the end of the input. ``limit``: messages a poll."""
    house = House(2)
    hand = house.hand(house.open())
    hand.source.limit = limit
    for n in range(12):
        house.cluster.put("s", 0, (n, "a", 10.0 * n), (n + 1, "a", 10.0 * n + 1))
        house.cluster.put("t", 0, (n, "a" if n % 3 else "b", 10.0 * n))
    hand.run(12 / limit)
    for home in HOMES:
        house.log.append([(NAMES.digests, home, 1, None, encode(End("shop")))], {})
    return house.log


LOG = filled()


def folded(log: MemoryLog, home: int) -> list[tuple[str, bytes, bytes]]:
    """All there is to say, one entry after the other."""
    reader = Reconciler(home, MemoryStore())
    return [
        (f"recon.{e.topic}", e.key.encode(), e.body)
        for entry in log.read(NAMES.digests, home, 0, 1 << 40)
        for e in reader.fold(entry)
    ]


WANT = {home: folded(LOG, home) for home in HOMES}


def said(desk: Desk, home: int) -> list[tuple[str, bytes, bytes]]:
    return [m for s in desk.said if s.home == home for m in s.messages]


@pytest.fixture
def desk() -> Desk:
    return Desk(LOG)


# ---- what is said ------------------------------------------------------------------------------------------------------------


def test_everything_is_said_in_order_to_its_topic_and_under_its_key(desk: Desk) -> None:
    desk.digests.give(*HOMES)
    desk.run(2)
    for home in HOMES:
        assert said(desk, home) == WANT[home]
        assert desk.commits[home] == Commit(desk.entries(home), b"")
    messages = [m for home in HOMES for m in said(desk, home)]
    assert {t for t, _, _ in messages} == {"recon.discrepancies", "recon.audit"}
    for topic, key, body in messages:
        event = orjson.loads(body)
        assert key.decode() == (event["id"] if topic == "recon.discrepancies" else event["chain"])
    assert len(list(bodies(desk.said))) == len(messages) > 20


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_however_few_entries_come_at_once(desk: Desk, limit: int) -> None:
    desk.digests.limit = limit
    desk.digests.give(*HOMES)
    desk.run(10)
    assert all(said(desk, home) == WANT[home] for home in HOMES)


def test_a_transaction_holds_events_and_the_position_behind_them(desk: Desk) -> None:
    desk.digests.limit = 1
    desk.digests.give(0)
    reader = Reconciler(0, MemoryStore())
    for entry in LOG.read(NAMES.digests, 0, 0, 100):
        events = [e.body for e in reader.fold(entry)]
        before = len(desk.said)
        desk.worker.step()
        if events:
            assert [(s.commit, [m[2] for m in s.messages]) for s in desk.said[before:]] == [
                (Commit(entry.offset + 1, b""), events)
            ]
        else:
            assert len(desk.said) == before


def test_the_report_counts_what_was_said(desk: Desk) -> None:
    desk.digests.give(*HOMES)
    desk.run(2)
    report = desk.worker.report()
    events = [orjson.loads(b) for home in HOMES for _, _, b in WANT[home]]
    for status in ("opened", "resolved"):
        count = sum(e.get("status") == status for e in events)
        assert report.said.get(("shop", "t", "discrepancies", status), 0) == count
    for verdict in ("clean", "discrepant"):
        assert report.said["shop", "t", "audit", verdict] == sum(e.get("verdict") == verdict for e in events) > 0
    assert sum(count for (*_, what, _), count in report.said.items() if what in {"audit", "discrepancies"}) == len(events)
    for judgement in ("equal", "different", "inconclusive"):
        count = sum(e["counts"][judgement] for e in events if e["type"] == "window")
        assert report.said["shop", "t", "keys", judgement] == count
    assert report.positions == report.ends == {home: desk.entries(home) for home in HOMES}
    assert report.entries == sum(map(desk.entries, HOMES))
    assert report.transactions == len(desk.said)
    assert report.finished == set(HOMES)
    assert [(p.topology, p.target, p.home, p.ended) for p in report.pairs] == [("shop", "t", home, True) for home in HOMES]
    assert all(p.source_watermark is None and p.closed is not None for p in report.pairs)
    desk.worker.close()
    after = desk.worker.report()
    assert (after.transactions, after.said, after.pairs, after.positions) == (report.transactions, report.said, (), {})


def test_what_has_not_ended_is_not_finished() -> None:
    house = House(2)
    house.open()
    desk = Desk(house.log)
    desk.digests.give(0)
    assert desk.worker.report().finished == frozenset()
    desk.run(1)
    assert desk.worker.report().finished == frozenset()
    house.log.append([(NAMES.digests, 0, 1, None, encode(End("shop")))], {})
    desk.run(1)
    assert desk.worker.report().finished == {0}


def test_times_are_measured_once_for_each_thing_that_is_out(desk: Desk) -> None:
    desk.digests.give(*HOMES)
    desk.run(2)
    events = [orjson.loads(body) for home in HOMES for _, _, body in said(desk, home)]
    observed = desk.worker.report().observed
    pair = ("shop", "t")
    count = {what: sum(one.counts) for (what, *place), one in observed.items() if tuple(place) in (pair, ("", ""))}
    rows = [b for b in events if b["type"] == "window" and b["counts"]["source_rows"] + b["counts"]["target_rows"]]
    statuses = Counter(b["status"] for b in events if b["type"] == "discrepancy")
    assert count == {"closed": len(rows), "detected": statuses["opened"], "converged": statuses["resolved"]} | {
        "transaction": sum(o.transactions for outputs in desk.outputs.values() for o in outputs)
    }
    assert min(count.values()) > 0
    resolved = [b["open_for_us"] / 1e6 for b in events if b.get("status") == "resolved"]
    assert observed["converged", *pair].total == pytest.approx(sum(resolved))


def test_a_stall_is_counted_without_a_target() -> None:
    house = House(1)
    house.open()
    house.log.append([(NAMES.digests, 0, 1, None, encode(Stall("shop", "t", 5, 3, False)))], {})
    desk = Desk(house.log)
    desk.digests.give(0)
    desk.run(1)
    assert desk.worker.report().said == {("shop", "", "audit", "stalled"): 1}


# ---- state and position ------------------------------------------------------------------------------------------------------


def states(home: int, log: MemoryLog = LOG) -> Iterator[tuple[MemoryStore, int]]:
    """The disk after each entry, and how many events were said by then."""
    store = MemoryStore()
    reader, count = Reconciler(home, store), 0
    yield store.copy(), 0
    for entry in log.read(NAMES.digests, home, 0, 100):
        count += len(list(reader.fold(entry)))
        reader.commit()
        yield store.copy(), count


STATES = list(states(0))


@pytest.mark.parametrize("kept", range(0, len(STATES), 3))
def test_from_the_state_to_the_committed_position_nothing_is_said(kept: int) -> None:
    for position in range(kept, len(STATES), 4):
        desk = Desk(LOG)
        desk.disks[0] = Disk(dict(STATES[kept][0].values))
        desk.commits[0] = Commit(position, b"")
        desk.digests.give(0)
        assert desk.digests.held == {0: kept}
        assert desk.worker.report().positions == {0: kept}
        desk.run(1)
        assert said(desk, 0) == WANT[0][STATES[position][1] :]
        assert desk.disks[0].values == STATES[-1][0].values


def test_a_state_that_is_ahead_of_a_position_without_events_goes_on(desk: Desk) -> None:
    """Positions alone are committed now and then only."""
    silent = max(n for n in range(len(STATES)) if not STATES[n][1])
    assert silent > 1
    desk.disks[0] = Disk(dict(STATES[silent][0].values))
    desk.digests.give(0)
    assert desk.digests.held == {0: silent}
    desk.run(1)
    assert said(desk, 0) == WANT[0]


def test_the_former_owner_is_fenced_before_anything_is_asked(desk: Desk) -> None:
    desk.digests.touch = desk.order.append
    desk.digests.give(0)
    assert desk.order == ["outputs 0", "committed", "store 0"]


def test_a_log_that_lost_entries_is_told(desk: Desk) -> None:
    desk.digests.give(0)
    desk.run(1)
    desk.digests.held[0] = 2
    with pytest.raises(LogError):
        desk.run(1)


# ---- cut transactions --------------------------------------------------------------------------------------------------------


def test_a_long_step_is_cut_over_several_transactions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "EVENTS_A_TRANSACTION", 2)
    desk.digests.give(0)
    desk.run(1)
    assert said(desk, 0) == WANT[0]
    assert max(len(s.messages) for s in desk.said) == 2
    cut = [s.commit for s in desk.said if s.commit.metadata]
    assert cut
    assert [int(c.metadata) for c in cut if c.position == cut[-1].position] == [
        2 * n + 2 for n in range(sum(c.position == cut[-1].position for c in cut))
    ]


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("kept", ["disk", "nothing"])
def test_cut_off_at_any_transaction_nothing_is_said_twice(monkeypatch: pytest.MonkeyPatch, kept: str, *, through: bool) -> None:
    monkeypatch.setattr(delivery, "EVENTS_A_TRANSACTION", 3)
    at = 0
    while True:
        desk = Desk(LOG)
        desk.fails += [*[None] * at, (Cut(), through)]
        desk.digests.give(0)
        try:
            desk.run(1)
        except Cut:
            if kept == "nothing":
                desk.disks.clear()
            desk.die()
            desk.digests.give(0)
            desk.run(1)
            assert said(desk, 0) == WANT[0], at
        else:
            break
        at += 1
    assert at > 5


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), max_size=8), st.integers(1, 5), st.integers(1, 9))
@settings(max_examples=30)
def test_whenever_it_dies_and_whatever_disk_it_comes_back_on(
    deaths: list[tuple[int, bool, bool]], bound: int, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "EVENTS_A_TRANSACTION", bound)
        desk = Desk(LOG)
        old: Disk | None = None
        for after, through, older in deaths:
            desk.digests.limit = limit
            desk.fails[:] = [*[None] * after, (Cut(), through)]
            desk.digests.give(0)
            with suppress(Cut):
                desk.run(2)
            if older and old is not None:
                desk.disks[0] = old
            old = Disk(dict(desk.disks[0].values))
            desk.die()
        desk.fails.clear()
        desk.digests.give(0)
        desk.run(2)
        assert said(desk, 0) == WANT[0]


def test_what_cannot_be_delivered_ends_the_worker(desk: Desk) -> None:
    desk.fails.append((Undelivered("too large"), False))
    desk.digests.give(0)
    with pytest.raises(Undelivered):
        desk.run(1)


# ---- fenced ------------------------------------------------------------------------------------------------------------------


def fenced(desk: Desk, after: int = 1) -> float:
    """Home 0 is fenced at a transaction; returns when."""
    desk.digests.limit = 3
    desk.digests.give(0)
    desk.fails += [*[None] * after, (Fenced("another worker"), False)]
    for _ in range(20):
        if 0 in desk.worker.seats:
            desk.run(0.25)
    assert 0 not in desk.worker.seats
    return desk.clock.now - STEP_SECONDS


def test_who_is_fenced_gives_the_digest_partition_up(desk: Desk) -> None:
    fenced(desk)
    assert desk.outputs[0][0].closed
    assert desk.disks[0].closed
    before = list(desk.said)
    desk.run(RETAKE_SECONDS - 1)
    assert desk.said == before
    assert len(desk.outputs[0]) == 1
    assert desk.worker.report().transactions == len(before)


def test_it_is_taken_again_after_a_while_and_goes_on(desk: Desk) -> None:
    at = fenced(desk)
    while len(desk.outputs[0]) == 1:
        assert desk.clock.now - at < RETAKE_SECONDS + 1
        desk.run(0.25)
    assert desk.clock.now - STEP_SECONDS - at >= RETAKE_SECONDS
    assert len(desk.digests.sought) == 1
    desk.run(3)
    assert len(desk.outputs[0]) == 2
    assert said(desk, 0) == WANT[0]


def test_what_another_worker_said_meanwhile_is_not_said_again(desk: Desk) -> None:
    fenced(desk)
    (heir := Desk(LOG)).commits, heir.said = desk.commits, desk.said
    heir.start()
    heir.digests.limit = 3
    heir.digests.give(0)
    heir.run(0.75)
    assert len(desk.said) > 1
    desk.run(RETAKE_SECONDS + 3)
    assert said(desk, 0) == WANT[0]


def test_revoked_after_all_it_is_not_taken_again(desk: Desk) -> None:
    fenced(desk)
    desk.digests.take(0)
    desk.run(RETAKE_SECONDS + 3)
    assert len(desk.outputs[0]) == 1
    assert not desk.digests.sought


def test_a_position_alone_may_be_fenced_too(desk: Desk) -> None:
    desk.digests.limit = 1
    desk.digests.give(0)
    desk.worker.step()
    desk.digests.held.pop(0)
    desk.fails.append((Fenced("another worker"), False))
    desk.run(2)
    assert 0 not in desk.worker.seats


def test_the_others_go_on(desk: Desk) -> None:
    fenced(desk)
    desk.digests.give(1)
    desk.run(3)
    assert said(desk, 1) == WANT[1]


# ---- revoked -----------------------------------------------------------------------------------------------------------------


def silent_log(entries: int = 40) -> MemoryLog:
    """Blocks of which nothing follows."""
    house = House(2)
    opened = house.open()
    rows = house.hand(opened).worker.jobs[0].empty_rows()
    block = encode(Block("shop", (), rows))
    house.log.append([(NAMES.digests, home, 1, None, block) for _ in range(entries) for home in HOMES], {})
    return house.log


def test_revoked_the_position_is_committed() -> None:
    desk = Desk(silent_log())
    desk.digests.limit = 3
    desk.digests.give(*HOMES)
    desk.worker.step()
    assert not desk.said
    desk.digests.take(0)
    assert desk.said == [Said(0, [], Commit(3, b""))]
    assert desk.outputs[0][0].closed
    assert desk.disks[0].closed
    assert set(desk.worker.seats) == {1}
    desk.worker.step()
    assert desk.worker.report().positions == {1: 6}


def test_revoked_with_nothing_new_nothing_is_committed(desk: Desk) -> None:
    desk.commits[0] = Commit(5, b"")
    desk.digests.give(0)
    desk.digests.take(0)
    assert not desk.said
    assert desk.commits[0] == Commit(5, b"")


def test_revoked_but_the_log_refuses() -> None:
    desk = Desk(silent_log())
    desk.digests.give(*HOMES)
    desk.worker.step()
    desk.fails.append((BrokerError("away"), False))
    desk.digests.take(*HOMES)
    assert not desk.worker.seats
    assert [s.home for s in desk.said] == [1]
    assert all(o.closed for of in desk.outputs.values() for o in of)


def test_a_digest_partition_that_comes_back_goes_on(desk: Desk) -> None:
    desk.digests.limit = 2
    for _ in range(10):
        desk.digests.give(*HOMES)
        desk.run(0.5)
        desk.digests.take(*HOMES)
    assert all(said(desk, home) == WANT[home] for home in HOMES)


def test_closing_commits_and_releases_everything() -> None:
    desk = Desk(silent_log())
    desk.digests.give(*HOMES)
    desk.worker.step()
    desk.worker.close()
    assert {h: c.position for h, c in desk.commits.items()} == {0: 41, 1: 41}
    assert not desk.worker.seats
    assert all(d.closed for d in desk.disks.values())


# ---- positions alone ---------------------------------------------------------------------------------------------------------


def test_positions_alone_are_committed_once_a_second() -> None:
    desk = Desk(silent_log())
    desk.digests.limit = 1
    desk.digests.give(0)
    times = []
    for _ in range(41):
        before = len(desk.said)
        desk.worker.step()
        times += [desk.clock.now] * (len(desk.said) - before)
        desk.clock.wait(0.25)
    assert all(s.messages == [] and s.commit.metadata == b"" for s in desk.said)
    assert {b - a for a, b in pairwise(times)} == {COMMIT_SECONDS}
    assert len(times) == 10
    desk.run(3)
    assert desk.commits[0].position == 41
    count = len(desk.said)
    desk.run(10)
    assert len(desk.said) == count, "a position that did not move is not committed again"


def test_events_commit_the_position_with_them(desk: Desk) -> None:
    desk.digests.give(0)
    desk.run(5)
    assert all(s.messages for s in desk.said)


# ---- memory ------------------------------------------------------------------------------------------------------------------


def caches(desk: Desk) -> list[int]:
    return [s.reconciler.cache_bytes for s in desk.worker.seats.values()]


def test_the_bound_on_memory_is_shared_out(desk: Desk) -> None:
    desk.digests.give(0)
    assert caches(desk) == [MEGA]
    desk.digests.give(1)
    assert caches(desk) == [MEGA // 2] * 2
    desk.digests.take(0)
    assert caches(desk) == [MEGA]


def test_with_hardly_any_memory_the_same_is_said() -> None:
    desk = Desk(LOG)
    desk.start(cache_bytes=2)
    desk.digests.limit = 1
    desk.digests.give(*HOMES)
    desk.run(10)
    assert all(said(desk, home) == WANT[home] for home in HOMES)
