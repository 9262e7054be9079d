"""A live service on three brokers, while brokers, workers and the network fail: nothing is lost, and nothing is said twice.

    test ──── histories, a few messages at a time ────> three brokers <──── workers of one or more ``run``
                                                             ^                       │
    readers of what is committed, all the time ──────────────┘      a network that can fail, in one test

Each test has a deployment of its own, on brokers that all tests share; those that leave the brokers alone go on at the same time.
Afterwards what was said is compared with the oracle, and with the digest log folded again.

``RECON_CLUSTER_ROUNDS`` says how often everything is done, each time with histories and moments of another seed;
``RECON_CLUSTER_FROM`` the first seed. The seed stands in the name of the test. With more than one round each does more.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.kafka.histories import HOMES, lived
from tests.kafka.loading import held, until
from tests.kafka.serving import Aftermath, Reader, Service, Stage, everything, outputs_of
from tools.kafka.cluster import Brokers
from tools.kafka.proxy import Proxy

ROUNDS = int(os.environ.get("RECON_CLUSTER_ROUNDS", "1"))
FROM = int(os.environ.get("RECON_CLUSTER_FROM", "1"))
LONG = ROUNDS > 1
HISTORIES, SIZE = (3, 100) if LONG else (1, 100)
LONGER = 200
"""Messages of a history: some are left for each moment."""
KILLED = 3 if LONG else 2
"""Brokers that are killed, one after the other."""
TIMES = 6 if LONG else 3
"""How often workers are killed, and connections cut."""
SESSION_S = 6.0
WITHIN_S = 30.0
STORY_S = 600.0
FIRST = 0.8
"""The share of the input that still waits when the service starts."""
LAST = 0.2
"""The share that comes when all that goes wrong is over."""
PAUSE_S = 0.6
"""Between two bits of the input, at most: so that it lasts about as long as what goes wrong meanwhile."""


@pytest.fixture(scope="module", params=range(FROM, FROM + ROUNDS), ids="seed-{}".format)
def seed(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


class Play:
    """A stage on the three brokers, and the services that play on it; at the end they are gone, whatever happened."""

    def __init__(self, brokers: Brokers, name: str, place: Path, seed: int) -> None:
        self.dice = random.Random(f"{seed} {name}")
        self.brokers = brokers
        self._place = place
        prefix = f"{name[5:45]}-{uuid4().hex[:8]}-"
        seeds = iter(self.dice.sample(range(1_000), 1_000))
        longer = (
            it for seed in seeds if len((it := lived(f"h{seed}", f"{prefix}h{seed}-", seed, size=SIZE)).messages()) > LONGER
        )
        histories = [next(longer) for _ in range(HISTORIES)]
        kafka = {"session.timeout.ms": int(SESSION_S * 1000), "heartbeat.interval.ms": 1000}
        self.stage = Stage(brokers.bootstrap, f"{prefix}out", place, histories, kafka=kafka)
        self.stage.feeder.feed(FIRST, pause=0)
        self._services = ExitStack()

    def service(self, name: str, *, workers: int, bootstrap: str | None = None) -> Service:
        service = Service(bootstrap or self.brokers.bootstrap, self._place, self.stage.topologies, name, workers=workers)
        self._services.callback(service.kill)
        return service.start()

    def moment(self) -> None:
        """A random one, with input still to come."""
        time.sleep(2 * self.dice.random())
        assert self.stage.feeder.share > 0

    def goes_on(self, service: Service) -> None:
        """More input becomes more of the digest log."""
        wanted = len(self.stage.log.seen) + 1
        assert self.stage.feeder.share > 0
        self.stage.feeder.put()

        def more() -> bool:
            assert service.running, service.told[-3000:]
            return len(self.stage.log.seen) >= wanted

        until(more)

    def close(self) -> None:
        self._services.close()

    def over(self, *services: Service) -> None:
        """All is said, and is as it must be."""
        self.stage.rest(services[0])
        for service in services:
            assert service.running, service.log[-3000:]
            assert service.stop() == 0, service.log[-3000:]
        of = self.stage.over()
        everything(of)
        no_gap(of)


def no_gap(of: Aftermath) -> None:
    causes = [cause for o in of.of("audit") for cause in o.body.get("causes", ())]
    assert not [cause for cause in causes if cause["kind"] in {"gap", "recreated"}]


def share_out(*services: Service) -> None:
    """Until these hold all digest partitions among them, each of them some."""

    def done() -> bool:
        for service in services:
            assert service.running, service.told[-3000:]
        return all(s.held for s in services) and set().union(*(s.held for s in services)) == set(range(HOMES))

    until(done)


def killed(service: Service, pids: Sequence[int]) -> None:
    """Returns when they are gone."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(pids) & {pid for of in service.workers().values() for pid in of})


# ---- brokers ---------------------------------------------------------------------------------------------------------------


def test_brokers_that_are_killed_and_restarted_one_after_the_other_lose_nothing_and_stop_nothing(
    brokers: Brokers, seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    play = Play(brokers, request.function.__name__, tmp_path, seed)
    try:
        service = play.service("one", workers=1)
        share_out(service)
        with play.stage.feeder.beside(PAUSE_S, LAST):
            for node in play.dice.sample(brokers.nodes, KILLED):
                play.moment()
                node.kill()
                play.goes_on(service)
                node.start()
                brokers.await_in_sync()
            for node in brokers.nodes:
                play.moment()
                node.stop()
                play.goes_on(service)
                node.start()
                brokers.await_in_sync()
        play.over(service)
    finally:
        play.close()


# ---- stories that go on at the same time -----------------------------------------------------------------------------------

STORIES: dict[str, Callable[[Play], None]] = {}
Told = Mapping[str, Future[None]]


def story(tell: Callable[[Play], None]) -> Callable[[Told], None]:
    """Makes a story a test that waits for it."""
    name = tell.__name__
    STORIES[name] = tell

    def test(told: Told) -> None:
        told[name].result(STORY_S)

    test.__name__, test.__doc__ = name, tell.__doc__
    return test


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, brokers: Brokers, seed: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The stories that are asked for."""
    brokers.await_in_sync()
    asked = {item.name.partition("[")[0] for item in request.session.items}

    def tell(name: str) -> None:
        play = Play(brokers, name, tmp_path_factory.mktemp(name[5:30]), seed)
        try:
            STORIES[name](play)
        finally:
            play.close()

    with ThreadPoolExecutor(len(STORIES)) as pool:
        yield {name: pool.submit(tell, name) for name in STORIES if name in asked}


@story
def test_workers_that_stood_still_until_others_took_over_put_nothing_out_twice(play: Play) -> None:
    service = play.service("one", workers=2)
    workers = service.settled()
    uncommitted = Reader(play.brokers.bootstrap, outputs_of(play.stage.prefix), committed=False)
    stopped = [play.dice.choice(pids) for pids in workers.values()]
    others = set(workers["reconcile"]) - set(stopped)
    with play.stage.feeder.beside(PAUSE_S, LAST):
        uncommitted.await_more(1)  # a transaction may be open now
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: set().union(*(held(pid, service.state) for pid in others)) == set(range(HOMES)))
            play.goes_on(service)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        until(lambda: all(held(pid, service.state) for pid in service.workers()["reconcile"]))
    uncommitted.finish()
    play.over(service)


@story
def test_workers_that_are_killed_again_and_again_say_everything_once(play: Play) -> None:
    service = play.service("one", workers=2)
    with play.stage.feeder.beside(PAUSE_S, LAST):
        for _ in range(TIMES):
            workers = service.settled()
            play.moment()
            one_of_each = [play.dice.choice(pids) for pids in workers.values()]
            killed(service, play.dice.choice([one_of_each[:1], one_of_each[1:], one_of_each]))
        service.settled()
        service.kill()
        service.start()
        share_out(service)
    play.over(service)


@story
def test_a_backlog_is_worked_off_once_while_workers_come_and_go(play: Play) -> None:
    first = play.service("first", workers=1)
    share_out(first)
    with play.stage.feeder.beside(PAUSE_S, LAST):
        second, third = (play.service(name, workers=1) for name in ("second", "third"))
        share_out(first, second, third)
        play.moment()
        assert first.stop() == 0, first.log[-3000:]
        share_out(second, third)
        play.moment()
    play.over(second, third)


@story
def test_workers_cut_off_beyond_their_session_and_then_again_and_again_put_nothing_out_twice(play: Play) -> None:
    """Those of one service reach the brokers through a network that fails, those of the other directly."""
    with Proxy(play.brokers.doors) as network:
        one = play.service("one", workers=1, bootstrap=play.brokers.by_doors)
        share_out(one)
        other = play.service("other", workers=1)
        share_out(one, other)
        with play.stage.feeder.beside(PAUSE_S, LAST):
            play.moment()
            with network.hole():
                share_out(other)
                play.goes_on(other)
            share_out(one, other)
            for _ in range(TIMES):
                play.moment()
                until(network.cut)  # after the last time some may not be there again
            with network.delayed(0.2):
                play.goes_on(one)
                play.moment()
        play.over(one, other)
