"""A live service is killed wherever it can be, and still says everything once: laws 1, 3 and 4 end to end on a real broker."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stream_recon.limits import EVENTS_A_TRANSACTION
from stream_recon.model.digest import Block, Lift, decode
from tests.kafka.histories import HOMES, by_hand, lived
from tests.kafka.loading import Output, ends, held, until
from tests.kafka.serving import Aftermath, Reader, Service, Stage, everything, outputs_of

# ---- one life, many deaths -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Workers of both stages and whole trees were killed while the input came, and states were lost."""
    place, prefix = tmp_path_factory.mktemp("killed"), f"killed-{uuid4().hex[:8]}"
    sorts: Mapping[int, Any] = {3: "replayable", 19: "replayable", 21: "replayable", 53: "replayable", 33: "healthy"}
    histories = [lived(f"h{seed}", f"{prefix}-h{seed}-", seed, sort) for seed, sort in sorts.items()]
    dice = random.Random(5)
    stage = Stage(broker.bootstrap, prefix, place, histories, kafka={"session.timeout.ms": 6000})
    service = Service(broker.bootstrap, place, stage.topologies, "one")
    try:
        stage.feeder.feed(0.8, pause=0)
        service.start()
        for share, of in ((0.7, "reconcile"), (0.6, "normalise"), (0.5, "reconcile")):
            pids = service.settled()[of]
            stage.feeder.feed(share)
            time.sleep(dice.random())
            os.kill(dice.choice(pids), signal.SIGKILL)
        stage.feeder.feed(0.4)
        service.kill()
        service.start()
        for share, of in ((0.3, "normalise"), (0.2, "reconcile")):
            pids = service.settled()[of]
            stage.feeder.feed(share)
            time.sleep(dice.random())
            os.kill(dice.choice(pids), signal.SIGKILL)
        stage.feeder.feed(0.1)
        service.kill()
        service.start("empty")
        service.settled()
        stage.feeder.feed(0)
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
        yield stage.over()
    finally:
        service.kill()


def test_whatever_is_killed_nothing_is_said_twice(killed: Aftermath) -> None:
    killed.nothing_twice()


def test_whatever_is_killed_the_log_is_said_to_the_byte(killed: Aftermath) -> None:
    killed.what_the_log_says()


def test_whatever_is_killed_everything_is_said_as_the_page_has_it(killed: Aftermath) -> None:
    killed.what_the_oracle_says()


def test_whatever_is_killed_what_is_open_is_what_differs(killed: Aftermath) -> None:
    killed.final_truth()


def test_whatever_is_killed_every_position_is_accounted_for_once(killed: Aftermath) -> None:
    killed.every_position()


def test_whatever_is_killed_no_transaction_stays_open(killed: Aftermath) -> None:
    killed.nothing_left_open()


def test_whatever_is_killed_what_was_seen_once_stays(killed: Aftermath) -> None:
    killed.nothing_vanished()


# ---- one worker takes over from another ------------------------------------------------------------------------------------


def test_what_a_killed_run_held_is_taken_over_by_another(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    histories = [lived(f"h{seed}", f"{prefix}h{seed}-", seed) for seed in (10, 33)]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    one, other = (Service(bootstrap, tmp_path, stage.topologies, name, workers=1) for name in ("one", "other"))
    try:
        stage.feeder.feed(0.7, pause=0)
        one.start()
        one.settled()
        other.start()
        other.settled()
        stage.feeder.feed(0.4)
        one.kill()
        stage.feeder.feed(0)
        stage.rest(other)
        assert len(other.held) == HOMES
        assert other.stop() == 0, other.log[-3000:]
    finally:
        one.kill()
        other.kill()
    everything(stage.over())


def test_killed_workers_come_back_where_the_broker_shares_the_work_out(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    it = by_hand("one", prefix, [(0, 1), (1, 2), (8, 3)], [(0, 1), (8, 3)])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it], kafka={"group.protocol": "consumer"})
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in stage.loader.waiting:
            stage.loader.put(place)
        service.start()
        for pids in service.settled().values():
            os.kill(pids[0], signal.SIGKILL)
        stage.loader.put_all()
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    everything(stage.over())


def test_workers_that_stood_still_beyond_their_time_say_nothing_twice_and_work_on(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    histories = [lived(f"h{seed}", f"{prefix}h{seed}-", seed) for seed in (8, 58)]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    uncommitted = Reader(bootstrap, outputs_of(stage.prefix), committed=False)
    service = Service(bootstrap, tmp_path, stage.topologies, "one")
    try:
        stage.feeder.feed(0.7, pause=0)
        service.start()
        workers = service.settled()
        stopped = [workers["normalise"][0], workers["reconcile"][0]]
        uncommitted.woken.clear()
        while not uncommitted.woken.is_set() and stage.feeder.share > 0.2:
            stage.feeder.feed(stage.feeder.share - 0.01)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            left = set(workers["reconcile"]) - set(stopped)
            until(lambda: set().union(*(held(pid, service.state) for pid in left)) == set(range(HOMES)))
            stage.feeder.feed(stage.feeder.share / 2)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        stage.feeder.feed(0)
        stage.rest(service)
        until(lambda: all(held(pid, service.state) for pid in service.workers()["reconcile"]))
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    uncommitted.finish()
    everything(stage.over())


# ---- what is cut in the middle ---------------------------------------------------------------------------------------------


def test_a_step_of_several_transactions_that_is_cut_off_twice_is_said_once(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    many = 8 * EVENTS_A_TRANSACTION
    it = by_hand("wide", prefix, [*((0, key) for key in range(many)), (8, 0)], [(0, 0), (8, 0)])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it], parallelism=1)
    uncommitted = Reader(bootstrap, [f"{stage.prefix}.discrepancies"], committed=False)
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        stage.feeder.feed(0, pause=0)
        service.start()
        killed: set[int] = set()
        for _ in range(2):
            (pid,) = until(lambda: set(service.workers()["reconcile"]) - killed)
            uncommitted.await_more(1)
            _kill_in_a_transaction(pid, bootstrap, outputs_of(stage.prefix))
            killed.add(pid)
        until(lambda: len(stage.reader.shown("discrepancies")) >= many - 1)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    uncommitted.finish()
    of = stage.over()
    opened = [o.body["key"]["id"] for o in of.of("discrepancies")]
    assert (len(opened), len(set(opened))) == (many - 1, many - 1)
    of.nothing_twice()
    of.what_the_log_says()
    of.nothing_left_open()
    of.nothing_vanished()


def _kill_in_a_transaction(pid: int, bootstrap: str, topics: Sequence[str]) -> None:
    """Lets it go on a little at a time until it stands in the middle of one."""
    deadline = time.monotonic() + 30
    while True:
        os.kill(pid, signal.SIGSTOP)
        if ends(bootstrap, topics, committed=True) != ends(bootstrap, topics, committed=False):
            os.kill(pid, signal.SIGKILL)
            return
        os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < deadline, "no transaction is open any more: it came too late"
        time.sleep(0.005)


def test_a_lift_that_was_said_holds_although_its_giver_was_killed(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    late = [(10 + n, 1) for n in range(6)]
    it = by_hand("lifted", prefix, [(0, 1), (1, 2), *late], [(0, 1), (1, 2), *late])
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, [it])
    service = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in stage.loader.waiting:
            stage.loader.put(place, 2)
        service.start()
        (giver,) = service.settled()["normalise"]
        until(lambda: any(isinstance(decode(o.value), Lift) for o in list(stage.log.seen)), every=0.001)
        os.kill(giver, signal.SIGKILL)
        stage.loader.put_all()
        stage.rest(service)
        assert service.stop() == 0, service.log[-3000:]
    finally:
        service.kill()
    of = stage.over()
    assert not [o.body for o in of.of("discrepancies")], "both sides are alike, and always were"
    everything(of)


# ---- what comes later ------------------------------------------------------------------------------------------------------


def test_topologies_that_come_later_are_read_from_their_beginning(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """One has its first message when the service runs already, another is added when it starts again."""
    histories = [by_hand(name, prefix, [(0, 1), (1, 2), (8, 3)], [(0, 1), (8, 3)]) for name in ("first", "waits", "added")]
    stage = Stage(bootstrap, f"{prefix}out", tmp_path, histories, kafka={"session.timeout.ms": 6000})
    service = Service(bootstrap, tmp_path, stage.topologies[:2], "one", workers=1)
    grown = Service(bootstrap, tmp_path, stage.topologies, "one", workers=1)
    try:
        for place in histories[0].partitions():
            stage.loader.put((place, 0), 3)
        service.start()
        service.settled()
        stage.loader.put_all()
        until(lambda: rows_in(stage.log.seen, "waits") == 5)
        assert service.stop() == 0, service.log[-3000:]
        grown.start()
        stage.rest(grown)
        assert grown.stop() == 0, grown.log[-3000:]
    finally:
        service.kill()
        grown.kill()
    everything(stage.over())


def rows_in(log: Iterable[Output], name: str) -> int:
    """Of a topology, in the digest log."""
    records = (decode(o.value) for o in list(log))
    return sum(len(r.rows) for r in records if isinstance(r, Block) and r.topology == name)
