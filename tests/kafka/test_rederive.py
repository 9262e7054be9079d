"""``audit rederive``: what ``run --once`` certified of live topics comes out of their recordings again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

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
        sides = [f"--side={s}={recorded(world, s)}" for s in "st"]
        found = here("audit", "rederive", path, "--audit", out, "--json", *sides)
        assert found.code == 0, found.stdout + found.stderr
        bodies = (out / "audit.jsonl").read_bytes().splitlines()
        assert json.loads(found.stdout)["same"] == sum(json.loads(b)["type"] == "window" for b in bodies) > 10
