"""``audit rederive``: what ``run --once`` certified of live topics comes out of their recordings again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.recording import lines
from stream_recon.adapters.recordings import _headers, read_recordings
from stream_recon.model.plan import Format, SidePlan
from tests.kafka.refusing import Here, Live, ids, live


def recorded(world: Live, short: str) -> Path:
    """The topic as ``kcat -J`` writes it."""
    topic, path = world.name(short), world.place / f"{short}.jsonl"
    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": "records", "enable.auto.commit": False})
    left = {p: end for p, end in world.ends(topic).items() if end}
    consumer.assign([TopicPartition(topic, p, 0) for p in left])
    lines = []
    while left:
        for message in consumer.consume(100, 1.0):
            assert message.error() is None
            value, place, offset = message.value() or b"", message.partition() or 0, message.offset() or 0
            ts = message.timestamp()[1]
            line = {"topic": topic, "partition": place, "offset": offset, "ts": ts, "key": None, "payload": value.decode()}
            lines.append(json.dumps(line) + "\n")
            if offset + 1 == left[place]:
                del left[place]
    consumer.close()
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_certificates_of_live_topics_come_out_of_recordings(
    bootstrap: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = Here(capfd)
    with live(bootstrap, prefix, tmp_path) as world:
        world.make("s", "t", partitions=2)
        began = int(time.time()) * 1_000 - 60_000
        for second in range(8):
            for partition in range(2):
                rows = ids(range(10 * partition, 10 * partition + 10), v=second)
                at = began + 1_000 * second
                world.write("s", *rows, partition=partition, at_ms=at)
                world.write("t", *rows[second == 3 and partition == 1 :], partition=partition, at_ms=at + 200)
        out, path = tmp_path / "out", world.topology(parallelism=3)
        assert world.start(path, "--once", "--out", out).end().code == 0
        bodies = (out / "audit.jsonl").read_bytes().splitlines()
        windows = sum(json.loads(b)["type"] == "window" for b in bodies)
        assert windows > 10
        by_kcat = [f"--side={s}={recorded(world, s)}" for s in "st"]
        assert here("record", path, "--out", tmp_path / "recordings").code == 0
        by_record = [f"--side={s}={tmp_path / 'recordings' / s}.jsonl.gz" for s in "st"]
        for sides in (by_kcat, by_record, []):
            found = here("audit", "rederive", path, "--audit", out, "--json", *sides)
            assert found.code == 0, found.stdout + found.stderr
            assert json.loads(found.stdout)["same"] == windows
        world.write("s", *ids([99], v=3), at_ms=began + 3_000)  # a row of a time that was certified, which the audit never read
        assert here("audit", "rederive", path, "--audit", out, "--json").code in {1, 2}
        here("record", path, "--out", tmp_path / "recordings").refused(3, "exists already; name another directory")


def test_a_recording_is_what_the_topic_holds_octet_by_octet(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    with live(bootstrap, prefix, tmp_path) as world:
        world.make("odd")
        topic = world.name("odd")
        _recorded_as_written(bootstrap, topic, tmp_path)


def _recorded_as_written(bootstrap: str, topic: str, tmp_path: Path) -> None:
    messages: list[tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]] = [
        (b"k", b"v", [("plain", b"x"), ("octets", b"\xff\x00"), ("none", None), ("plain", b"y")]),
        (None, b"\x00\xfe\xff", []),
        (b"\xc3\x28", None, []),
        ("\u0000\U0001f600".encode(), b'"\\', []),
        (b"", b"", []),
    ]
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    for aborted in (True, False):
        producer.begin_transaction()
        for key, value, headers in messages:
            producer.produce(topic, value, key, headers=headers, partition=0)
        producer.flush(20)
        (producer.abort_transaction if aborted else producer.commit_transaction)(20)
    found = list(lines(Cluster((("bootstrap.servers", bootstrap),)), [topic], lambda *_: None))
    (tmp_path / "odd.jsonl").write_bytes(b"".join(found))
    side = SidePlan("s", (topic,), Format.JSON, ("id",))
    (partition,) = read_recordings([side], {"s": [tmp_path / "odd.jsonl"]}).values()
    assert partition.messages.offset.tolist() == [6, 7, 8, 9, 10]
    pairs = zip(partition.messages.key.to_pylist(), partition.messages.value.to_pylist(), strict=True)
    assert list(pairs) == [(key, value) for key, value, _ in messages]
    assert [(name, value) for name, value in _headers(json.loads(found[0])["headers"])] == messages[0][2]
