"""The demo's Kafka side without a broker: the world moved, the topology, and when all of it is over."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from stream_recon import demo
from stream_recon.cli.hosting import Hosted, Sources
from stream_recon.config import load_topology
from stream_recon.demo import files, kafka
from stream_recon.demo.drive import Played
from stream_recon.demo.envelope import CONNECTORS, Message, messages
from stream_recon.demo.kafka import KafkaDrive, Sender
from stream_recon.demo.score import Certificates, Result
from stream_recon.demo.world import SECONDS, START, TRAFFIC_FROM, World, make, moved
from stream_recon.engine.terms import Event
from stream_recon.errors import BrokerError
from stream_recon.limits import MICROS
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.picture import PairPicture, Picture, TopologyPicture
from stream_recon.service.report import PartitionReport

LATER = 86_400 * MICROS
END = START + SECONDS * MICROS
TICK = 60 * MICROS


@dataclass
class Topics:
    """Takes what is sent."""

    sent: list[tuple[str, int, int]] = field(default_factory=list)
    flushed: int = 0

    def send(self, topic: str, partition: int, timestamp: int, key: bytes, value: bytes | None) -> None:
        self.sent.append((topic, partition, timestamp))

    def flush(self) -> None:
        self.flushed = len(self.sent)


class Service:
    """Reads all that was sent at once; its windows are closed up to ``closed``."""

    def __init__(self, topics: Topics) -> None:
        self.closed: int | None = None
        self.reads = True
        self._topics = topics

    def said(self, seconds: float) -> list[Event]:
        return []

    def rest(self) -> list[Event]:
        return []

    @property
    def partitions(self) -> tuple[PartitionReport, ...]:
        if not self.reads:
            return ()
        sides = {c.topic: c.side for c in CONNECTORS}
        return tuple(self._partition(side, topic) for topic, side in sides.items())

    def _partition(self, side: str, topic: str) -> PartitionReport:
        times = [time * 1_000 for name, _, time in self._topics.sent if name == topic]
        last, count = max(times), len(times)
        return PartitionReport("orders", side, side, topic, 0, count, count, last, last, count, 0, 0, 0, 0, False, False)

    def picture(self) -> Picture:
        pair = PairPicture("mariadb", 2, 2, 0, None, None, self.closed, 0, False, {}, {})
        return Picture(0, {}, (TopologyPicture("orders", None, (), (pair,)),))


@dataclass
class Stage:
    topics: Topics
    service: Service
    drive: KafkaDrive


@pytest.fixture(scope="module")
def world() -> World:
    return make()


@pytest.fixture(scope="module")
def sent(world: World) -> tuple[Message, ...]:
    return messages(world)


@pytest.fixture
def plan(tmp_path: Path) -> TopologyPlan:
    return load_topology(files.prepare(tmp_path, files.on_kafka("mine", kafka.IDLE_AFTER)))


@pytest.fixture
def stage(world: World, sent: tuple[Message, ...], plan: TopologyPlan) -> Stage:
    topics = Topics()
    service = Service(topics)
    sender = Sender(cast("Sources", topics), sent)
    sender.until(START + TRAFFIC_FROM)
    return Stage(topics, service, KafkaDrive(cast("Hosted", service), sender, world, plan))


def test_a_world_that_is_moved_is_the_same_world(world: World, sent: tuple[Message, ...]) -> None:
    other = moved(world, LATER)
    assert other.start == START + LATER
    assert [replace(m, timestamp=m.timestamp - LATER // 1_000, value=None) for m in messages(other)] == [
        replace(m, value=None) for m in sent
    ]
    assert moved(other, -LATER) == world
    assert [(p.kind, p.key, p.at - LATER, p.story) for p in other.planted] == [
        (p.kind, p.key, p.at, p.story) for p in world.planted
    ]


def test_the_topology_names_topics_of_the_prefix(plan: TopologyPlan) -> None:
    assert [side.topics for side in plan.sides] == [("mine.pg.public.orders",), ("mine.maria.shop.orders",)]
    assert (plan.prefix, plan.source.idle_after) == ("mine", 5 * MICROS)


def test_it_is_over_when_all_is_read_and_every_window_closed(stage: Stage, sent: tuple[Message, ...]) -> None:
    stage.drive.play(lambda _: None)
    while stage.topics.flushed < len(sent):
        assert not stage.drive.done
        stage.drive.tick(TICK)
    assert len(stage.topics.sent) == len(sent)
    assert stage.drive.board.note
    over = []
    for closed in (None, END, END + 10 * MICROS):  # the last message comes a moment after the end
        stage.service.closed = closed
        stage.drive.tick(TICK)
        over.append(stage.drive.done)
    assert over == [False, False, True]
    stage.drive.end()
    assert stage.drive.unfinished is None


def test_windows_that_stay_open_are_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "END_SECONDS", 0.0)
    while not stage.drive.done:
        stage.drive.tick(TICK)
    stage.drive.end()
    assert stage.drive.unfinished is not None
    result = Result([], Certificates(1, {}, []), {"partitions": []}, 0, "here", stage.drive.unfinished)
    assert (result.exit_code, result.wrong) == (3, [stage.drive.unfinished])


def test_a_service_that_reads_nothing_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "START_SECONDS", 0.0)
    stage.service.reads = False
    with pytest.raises(BrokerError, match="was not read within"):
        stage.drive.play(lambda _: None)


def test_the_environment_chooses_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:9092")
    shown: list[bool] = []

    def play(place: Path, show: object, *, silent: bool) -> Result:
        shown.append(silent)
        raise KeyboardInterrupt

    monkeypatch.setattr(kafka, "play", play)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(out=None, as_json=True)
    assert shown == [True]


def test_both_drives_are_shown_alike(stage: Stage) -> None:
    drive: Played = stage.drive
    assert drive.messages == 9_813
