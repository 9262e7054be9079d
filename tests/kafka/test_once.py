"""``run --once`` on real topics says what ``replay`` says of the same messages in files, whoever shares the work out and how."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient
from ruamel.yaml import YAML

from stream_recon.cli.main import run
from stream_recon.demo import files
from stream_recon.demo.envelope import messages
from stream_recon.demo.world import make
from tests.cli.harness import COMMAND, ROOT
from tests.kafka.loading import (
    WITHIN_S,
    Json,
    Loader,
    Message,
    Output,
    children,
    ends,
    held,
    load,
    output,
    read,
    record,
    recorded,
    there,
    until,
)

FIXTURES = ROOT / "tests" / "fixtures" / "dual-write"
TABLES = ("orders", "payments", "customers")
HEADER = "stream-recon-run"
ENOUGH_S = 180.0


# ---- what is run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A topology, and the messages of its sides."""

    name: str
    topology: Path
    sides: Mapping[str, Sequence[Message]]

    @property
    def messages(self) -> list[Message]:
        return [m for side in self.sides.values() for m in side]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    code: int
    summary: Json
    events: list[Json]
    certificates: list[Json]
    letters: list[Json]
    bodies: Mapping[str, list[bytes]]


def case(place: Path, topology: Path, prefix: str, recordings: Mapping[str, Path], **settings: Any) -> Case:
    """A topology file under topics and outputs of our own; ``settings`` go on top."""
    plan = YAML(typ="safe").load(topology)
    for side in (plan["source"], *plan["targets"]):
        side["topics"] = [prefix + topic for topic in side["topics"]]
    path = place / f"{prefix}{plan['name']}.yaml"
    path.write_text(json.dumps(plan | {"outputs": {"prefix": f"{prefix}recon"}} | settings), encoding="utf-8")
    return Case(plan["name"], path, {side: recorded(file, prefix) for side, file in recordings.items()})


def replayed(place: Path, of: Case) -> Result:
    """What ``replay`` says."""
    out = place / f"replayed-{of.name}"
    recordings = [f"{side}={record(place / f'{of.name}-{side}.jsonl', of.sides[side])}" for side in of.sides]
    sides = [text for file in recordings for text in ("--side", file)]
    return result(run(["replay", str(of.topology), *sides, "--out", str(out), "--json"]), out)


def once(bootstrap: str, out: Path, cases: Iterable[Case], *extra: str) -> Result:
    """What ``run --once`` says."""
    return finished(started(bootstrap, out, cases, *extra), out)


def started(bootstrap: str, out: Path, cases: Iterable[Case], *extra: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "run", *(str(c.topology) for c in cases), "--once", "--json", "--out", str(out), *extra]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str], out: Path) -> Result:
    """Its words on stdout are those in its file."""
    try:
        stdout, stderr = process.communicate(timeout=ENOUGH_S)
    finally:
        process.kill()
    assert (out / "summary.json").exists(), stderr
    found = result(process.returncode, out)
    assert json.loads(stdout) == found.summary
    return found


def result(code: int, out: Path) -> Result:
    bodies = {name: (out / f"{name}.jsonl").read_bytes().splitlines() for name in ("discrepancies", "audit", "dead_letters")}
    events, certificates, letters = ([json.loads(body) for body in lines] for lines in bodies.values())
    return Result(code, json.loads((out / "summary.json").read_bytes()), events, certificates, letters, bodies)


# ---- what must be alike --------------------------------------------------------------------------------------------------

WHEN = {"time", "prev", "events_root", "seq"}
"""What tells when something was said."""


def said(events: Iterable[Json], name: str) -> list[str]:
    """Of one topology, without when it was."""
    mine = (e for e in events if e["topology"] == name)
    return sorted(json.dumps({k: v for k, v in e.items() if k not in WHEN}, sort_keys=True) for e in mine)


def judged(certificates: Iterable[Json], name: str) -> dict[tuple[str, int], Json]:
    """Each window that holds something, by chain: its verdict, counts and proof."""
    mine = [c for c in certificates if c["topology"] == name and c["type"] == "window"]
    held = [c for c in mine if c["causes"] or any(v for k, v in c["counts"].items() if k != "repeated")]
    names = ("window", "windows", "verdict", "open", "root", "rules", "idle_assumed", "causes")
    return {
        (c["chain"], c["number"]): {n: c[n] for n in names} | {k: v for k, v in c["counts"].items() if k != "repeated"}
        for c in held
    }


def summed(summary: Json) -> Json:
    return {k: v for k, v in summary.items() if k not in {"topology", "warnings", "partitions", "chains"}}


def accounted(summary: Json) -> list[Json]:
    """The accounting by side, topic and partition, after a look at law 3."""
    partitions: list[Json] = sorted(summary["partitions"], key=lambda p: (p["side"], p["topic"], p["partition"]))
    for p in partitions:
        assert p["to"] - p["from"] == p["rows"] + p["control"] + p["dead_letters"] + p["unused"] + p["gaps"], p
    return partitions


def letters(of: Iterable[Json]) -> list[str]:
    names = ("side", "topic", "partition", "offset", "reason")
    return sorted({json.dumps({n: letter[n] for n in names}) for letter in of})


def assert_alike(name: str, got: Result, summary: Json, want: Result) -> None:
    """All but the accounting, which depends on what else stands in the topics."""
    assert said(got.events, name) == said(want.events, name)
    assert judged(got.certificates, name) == judged(want.certificates, name)
    assert summed(summary) == summed(want.summary)
    assert letters(x for x in got.letters if x["topology"] == name) == letters(want.letters)


# ---- the captured dual write, three topologies in one run ------------------------------------------------------------------


@dataclass(frozen=True)
class Captured:
    """Three topologies of one deployment, what ``replay`` says of each, and one run over all of them a number of workers."""

    prefix: str
    cases: Sequence[Case]
    replays: Mapping[str, Result]
    runs: Mapping[int, Result]


@pytest.fixture(scope="module")
def captured(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    place, prefix = tmp_path_factory.mktemp("captured"), f"captured-{uuid4().hex[:8]}-"
    cases = [
        case(
            place,
            ROOT / "topologies" / f"{table}.yaml",
            prefix,
            {"postgres": FIXTURES / f"pg-json-{table}.jsonl.gz", "mariadb": FIXTURES / f"maria-json-{table}.jsonl.gz"},
        )
        for table in TABLES
    ]
    load(broker.bootstrap, [m for c in cases for m in c.messages])
    replays = {c.name: replayed(place, c) for c in cases}
    runs = {n: once(broker.bootstrap, place / f"once-{n}", cases, "--workers", str(n)) for n in (1, 3)}
    return Captured(prefix, cases, replays, runs)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("table", TABLES)
def test_one_run_over_several_topologies_says_of_each_what_replay_says(captured: Captured, workers: int, table: str) -> None:
    got, want = captured.runs[workers], captured.replays[table]
    assert want.summary["open"] > 0, "a recording in which nothing differs shows little"
    assert_alike(table, got, got.summary["topologies"][table], want)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("table", TABLES)
def test_every_position_is_accounted_for_as_in_replay_holes_and_all(captured: Captured, workers: int, table: str) -> None:
    got, want = accounted(captured.runs[workers].summary["topologies"][table]), accounted(captured.replays[table].summary)
    assert any(p["unused"] for p in want)
    assert got == want


def test_the_worst_of_several_topologies_is_the_verdict_and_the_exit_code(captured: Captured) -> None:
    for got in captured.runs.values():
        assert (got.code, got.summary["exit_code"], got.summary["verdict"]) == (1, 1, "discrepant")


def test_what_is_in_the_files_is_in_the_topics_under_the_runs_name(captured: Captured, bootstrap: str) -> None:
    names = {"discrepancies": "discrepancies", "audit": "audit", "dead_letters": "dead-letters"}
    topics = {kind: f"{captured.prefix}recon.{topic}" for kind, topic in names.items()}
    found = read(bootstrap, list(topics.values()))
    by_run: dict[bytes, list[Output]] = {}
    for message in found:
        by_run.setdefault(dict(message.headers)[HEADER], []).append(message)
    in_files = sorted(sorted(run.bodies["audit"]) for run in captured.runs.values())
    assert sorted(sorted(m.value for m in of if m.topic == topics["audit"]) for of in by_run.values()) == in_files
    for kind, topic in topics.items():
        want = sorted(body for run in captured.runs.values() for body in run.bodies[kind])
        assert sorted(m.value for m in found if m.topic == topic) == want
    assert all(m.key == m.body["id"].encode() for m in found if m.topic == topics["discrepancies"])


def test_what_is_said_is_a_cloud_event_with_the_body_as_it_was_signed(captured: Captured, bootstrap: str) -> None:
    """By the words of the Kafka protocol binding, binary content mode: required are id, source, specversion, type."""
    topics = [f"{captured.prefix}recon.{name}" for name in ("discrepancies", "audit")]
    found = read(bootstrap, topics)
    ids: dict[tuple[bytes, bytes], bytes] = {}
    for message in found:
        told = dict(message.headers)
        assert (told["content-type"], told["ce_specversion"]) == (b"application/json", b"1.0")
        kind = "discrepancy" if message.topic == topics[0] else f"audit.{message.body['type']}"
        assert told["ce_type"].decode() == f"stream-recon.{kind}.v1"
        assert told["ce_source"].decode() == f"/stream-recon/{message.body['chain']}"
        assert told["ce_time"].decode() == message.body["time"]
        assert ids.setdefault((told["ce_source"], told["ce_id"]), message.value) == message.value
    assert len(ids) == len({(m.body["chain"], m.value) for m in found}) > 50


def test_the_topic_of_discrepancies_compacted_is_the_table_of_what_is_open(captured: Captured, bootstrap: str) -> None:
    newest = {m.key: m.body for m in read(bootstrap, [f"{captured.prefix}recon.discrepancies"])}
    still_open = [e for e in newest.values() if e["status"] in {"opened", "updated", "confirmed"}]
    assert len(still_open) == sum(want.summary["open"] for want in captured.replays.values())


def test_a_run_to_the_end_leaves_nothing_but_what_it_put_out(captured: Captured, bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    ours = {topic for topic in admin.list_topics(timeout=WITHIN_S).topics if topic.startswith(f"{captured.prefix}recon")}
    assert ours == {f"{captured.prefix}recon.{name}" for name in ("discrepancies", "audit", "dead-letters")}
    groups = [group.group_id for group in admin.list_consumer_groups(request_timeout=WITHIN_S).result().valid or []]
    assert not [group for group in groups if group.startswith(f"{captured.prefix}recon")]


# ---- the world of the demo -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its topology and recordings."""
    place = tmp_path_factory.mktemp("demo")
    files.prepare(place)
    files.record(place, messages(make()))
    return place


def of_demo(demo: Path, place: Path, prefix: str, **settings: Any) -> Case:
    recordings = {side: demo / f"{side}.jsonl" for side in ("postgres", "mariadb")}
    return case(place, demo / "topology.yaml", prefix, recordings, **settings)


def test_workers_that_the_broker_shares_the_work_out_to_say_what_replay_says(
    bootstrap: str, prefix: str, demo: Path, tmp_path: Path
) -> None:
    it = of_demo(demo, tmp_path, prefix, kafka={"group.protocol": "consumer"})
    load(bootstrap, it.messages)
    got, want = once(bootstrap, tmp_path / "once", [it], "--workers", "2"), replayed(tmp_path, it)
    assert_alike("orders", got, got.summary, want)
    assert (got.code, accounted(got.summary)) == (want.code, accounted(want.summary))


def test_a_run_to_the_end_whose_workers_are_killed_says_what_replay_says(
    bootstrap: str, prefix: str, demo: Path, tmp_path: Path
) -> None:
    it = of_demo(demo, tmp_path, prefix, kafka={"session.timeout.ms": 6000})
    load(bootstrap, it.messages)
    process = started(bootstrap, tmp_path / "once", [it], "--workers", "2", "--state", str(tmp_path))
    try:
        until(lambda: any(held(pid, tmp_path) for pid in children(process.pid)), every=0.01)
        workers = children(process.pid)
        holder = next(pid for pid in workers if held(pid, tmp_path))
        for pid in (workers[0], holder):
            os.kill(pid, signal.SIGKILL)
        got = finished(process, tmp_path / "once")
    finally:
        process.kill()
    want = replayed(tmp_path, it)
    assert_alike("orders", got, got.summary, want)
    assert (got.code, accounted(got.summary)) == (want.code, accounted(want.summary))


def test_what_was_aborted_or_is_not_committed_yet_is_never_read(bootstrap: str, prefix: str, demo: Path, tmp_path: Path) -> None:
    it = of_demo(demo, tmp_path, prefix)
    writer = Interleaved(bootstrap, random.Random(7))
    sides = {side: writer.write(messages) for side, messages in it.sides.items()}
    writer.leave_open([m for m in it.messages if m.offset == 0])
    try:
        got = once(bootstrap, tmp_path / "once", [it], "--workers", "2")
    finally:
        writer.close()
    want = replayed(tmp_path, replace(it, sides=sides))
    assert_alike("orders", got, got.summary, want)
    stable = writer.stable
    assert accounted(got.summary) == [_with_markers(p, stable[p["topic"], p["partition"]]) for p in accounted(want.summary)]
    assert (got.code, writer.aborted > 1000) == (want.code, True)


def _with_markers(p: Json, end: int) -> Json:
    """As ``replay`` has it, and the positions before and behind its messages, which nobody could read."""
    return {**p, "from": 0, "to": end, "unused": p["unused"] + p["from"] + end - p["to"]}


class Interleaved:
    """Writes messages in transactions of any size, with aborted ones between them whose rows would all differ."""

    def __init__(self, bootstrap: str, dice: random.Random) -> None:
        self._client = {"bootstrap.servers": bootstrap, "linger.ms": 1}
        self._bootstrap = bootstrap
        self._dice = dice
        self._loader = Loader(bootstrap)
        self._made: list[Producer] = []
        self.aborted = 0
        self.stable: dict[tuple[str, int], int] = {}

    def write(self, messages: Sequence[Message]) -> list[Message]:
        """The messages at the offsets that they were given."""
        self._loader.make(messages)
        by_place: dict[tuple[str, int], list[Message]] = {}
        for message in messages:
            by_place.setdefault(message.place, []).append(message)
        placed: list[Message] = []
        producer = self._producer()
        for place in sorted(by_place):
            rest = by_place[place]
            while rest:
                size = self._dice.choice([1, 2, 20, 100, 400])
                now, rest = rest[:size], rest[size:]
                if self._dice.random() < 0.4:
                    self._abort(producer, now[: self._dice.choice([1, 50, 400])])
                placed += self._commit(producer, now)
        return placed

    def _producer(self) -> Producer:
        producer = Producer(self._client | {"transactional.id": f"app-{uuid4().hex}"})
        producer.init_transactions(WITHIN_S)
        self._made.append(producer)
        return producer

    def _commit(self, producer: Producer, messages: Sequence[Message]) -> list[Message]:
        placed: list[Message] = []

        def placing(m: Message) -> Callable[[KafkaError | None, KafkaMessage], None]:
            def delivered(error: KafkaError | None, sent: KafkaMessage) -> None:
                assert error is None, error
                placed.append(replace(m, offset=output(sent).offset))

            return delivered

        producer.begin_transaction()
        for m in messages:
            producer.produce(m.topic, m.value, m.key, m.partition, placing(m), timestamp=m.ts)
        producer.commit_transaction(WITHIN_S)
        assert len(placed) == len(messages)
        return placed

    def _abort(self, producer: Producer, messages: Sequence[Message]) -> None:
        producer.begin_transaction()
        self._garbage(producer, messages)
        producer.abort_transaction(WITHIN_S)
        self.aborted += len(messages)

    def _garbage(self, producer: Producer, messages: Sequence[Message]) -> None:
        for m in messages:
            value = None if m.value is None else m.value.replace(b'"amount":', b'"amount":9')
            producer.produce(m.topic, value, m.key, m.partition, timestamp=m.ts)
        assert producer.flush(WITHIN_S) == 0

    def leave_open(self, messages: Sequence[Message]) -> None:
        """A transaction that is not over, in each partition; what was committed behind it cannot be read yet either."""
        topics = {m.topic for m in messages}
        self.stable = ends(self._bootstrap, topics, committed=True)
        self._garbage_open(messages)
        self._commit(self._producer(), messages)
        assert ends(self._bootstrap, topics, committed=True) == self.stable
        assert all(end > self.stable[place] for place, end in ends(self._bootstrap, topics, committed=False).items()), (
            "each partition has messages that cannot be read"
        )

    def _garbage_open(self, messages: Sequence[Message]) -> None:
        producer = self._producer()
        producer.begin_transaction()
        self._garbage(producer, messages)

    def close(self) -> None:
        for producer in self._made:
            producer.purge()


def test_the_topics_of_a_test_are_where_it_put_them(bootstrap: str, prefix: str) -> None:
    """The tests' own footing: offsets, holes and times are as asked for."""
    topic = f"{prefix}t"
    wanted = [
        Message(topic, p, o, 1_000 + o, b"k%d" % o, b"v%d" % p) for p, o in ((0, 3), (0, 4), (0, 6), (0, 7), (0, 10), (2, 0))
    ]
    load(bootstrap, wanted)
    found = [Message(o.topic, o.partition, o.offset, o.time, o.key, o.value) for o in read(bootstrap, [topic])]
    assert found == wanted
    assert there(AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}), [topic]) == [(topic, p) for p in range(3)]
