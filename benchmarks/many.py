"""Many small tables in one deployment: what each costs while it brings a few rows a second, and while it brings none.

    python benchmarks/many.py --topologies 100 --rate 2      on KAFKA_BOOTSTRAP or on a broker of its own

A topology is a source and a target topic of one partition, its file with default times; one `run` takes all. After a warm-up its
processes' CPU is read over --seconds, once with rows and once without, and their memory at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.kafka.broker import broker  # noqa: E402
from tools.soak.running import Run  # noqa: E402

START_S = 300.0
_FILE = """\
version: 1
name: {name}
source: {{name: source, topics: [{source}], {side}}}
targets: [{{name: target, topics: [{target}], {side}}}]
kafka: {{bootstrap.servers: "{bootstrap}"}}
outputs: {{prefix: many}}
{more}"""
_SIDE = "format: json, key: [id], types: {at: timestamp(us)}, event_time: at"


class Rows:
    """Writes to all tables in turn, from a thread; the target gets each row with the source's."""

    def __init__(self, bootstrap: str, tables: Sequence[tuple[str, str]], rate: float) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
        self._tables = tables
        self._pause = 1 / (rate * len(tables))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def once(self) -> None:
        """A row of every table."""
        for number in range(len(self._tables)):
            self._row(number)
        self._producer.flush()

    def _row(self, number: int) -> None:
        now = time.time_ns() // 1000
        table, key = number % len(self._tables), number // len(self._tables) % 1000
        value = json.dumps({"id": key, "text": f"row {number}", "at": now}).encode()
        for topic in self._tables[table]:
            self._producer.produce(topic, value, json.dumps({"id": key}).encode())

    def _write(self) -> None:
        number, begin = 0, time.monotonic()
        while not self._over.is_set():
            due = int((time.monotonic() - begin) / self._pause)
            while number < due:
                self._row(number)
                number += 1
            self._producer.poll(0.01)
            time.sleep(0.01)
        self._producer.flush()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """All the time, meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()


def cpu(run: Run) -> dict[str, float]:
    """CPU seconds of each stage so far."""
    return {stage: use.cpu for _, stage, use in run.uses()}  # one worker of each


def over(run: Run, seconds: float) -> dict[str, float]:
    """Cores that each stage used meanwhile."""
    before = cpu(run)
    time.sleep(seconds)
    assert run.running, run.log.read_text()[-2000:]
    return {stage: round((used - before[stage]) / seconds, 4) for stage, used in cpu(run).items()}


def measure(bootstrap: str, options: argparse.Namespace, place: Path) -> dict[str, object]:
    count, rate, seconds = options.topologies, options.rate, options.seconds
    more = "" if options.parallelism is None else f"parallelism: {options.parallelism}\n"
    tables = [(f"many-{n}-source", f"many-{n}-target") for n in range(count)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics([NewTopic(t, 1, 1) for pair in tables for t in pair]).values():
        done.result(60)
    files = [place / f"t{n}.yaml" for n in range(count)]
    for n, (file, (source, target)) in enumerate(zip(files, tables, strict=True)):
        named = {"name": f"t{n}", "source": source, "target": target, "side": _SIDE}
        file.write_text(_FILE.format(**named, bootstrap=bootstrap, more=more))
    rows = Rows(bootstrap, tables, rate)
    rows.once()
    run = Run("many", bootstrap, files, place, workers=1, digest_partitions=8)
    began = time.monotonic()
    run.start()
    try:
        while len(run.metrics().get("partitions", [])) < 2 * count or 0 in run.metrics()["partitions"]:
            assert time.monotonic() - began < START_S, run.log.read_text()[-2000:]
            time.sleep(0.5)
        ready = time.monotonic() - began
        with rows.coming():
            time.sleep(60)  # until the first windows close
            busy = over(run, seconds)
        time.sleep(90)  # until the last have closed
        idle = over(run, seconds)
        held = {stage: use.rss for _, stage, use in run.uses()}
    finally:
        run.kill()
    return {
        "topologies": count,
        "parallelism": options.parallelism,
        "rows_a_second_each": 2 * rate,
        "ready_after_s": round(ready, 1),
        "cores_with_rows": busy,
        "cores_without": idle,
        "resident_mb": {stage: round(octets / 1e6) for stage, octets in held.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topologies", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2.0, help="rows a second of each side of each")
    parser.add_argument("--parallelism", type=int, default=None, help="digest partitions of each; default: all 8")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, broker() as bootstrap:
        found = measure(bootstrap, options, Path(place))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
