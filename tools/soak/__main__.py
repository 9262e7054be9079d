"""The soak, from the command line.

    python -m tools.soak --minutes 80 --seed 7          what came out goes to standard output and into --out
    python -m tools.soak --write OUT/soak.json          no soak: puts what came out into docs/

Exit code 0: everything held; 1: something did not; the figures say what.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tools import documents
from tools.kafka.broker import BrokerError
from tools.kafka.cluster import Brokers
from tools.kafka.proxy import Proxy
from tools.kafka.transactions import transactions_open
from tools.soak.faults import Faults
from tools.soak.figures import picture, section, trends
from tools.soak.judging import broken
from tools.soak.reading import Reader, Said, ends, read
from tools.soak.running import ROOT, Run
from tools.soak.table import SECOND, SETTLE_US, SKEW_US, WINDOW_US, Table
from tools.soak.watching import Watch
from tools.soak.writing import Writer, now_us

DOCUMENT: Final = ROOT / "docs" / "reliability.md"
FIGURES: Final = ROOT / "docs" / "soak-service.json"
PICTURE: Final = ROOT / "docs" / "images" / "soak.svg"
BEGIN = "<!-- figures: make soak-service -->\n"

HOMES: Final = 4
"""Digest partitions."""
PREFIX: Final = "soak"
OUTPUTS: Final = tuple(f"{PREFIX}.{kind}" for kind in ("discrepancies", "audit", "dead-letters"))
SESSION_MS: Final = 6_000
SAMPLE_S: Final = 5.0
UP_TO_DATE_S: Final = 20.0
"""Results are up to date when they are no further behind: a window, settle and skew are 11 s, and a window closes as a whole."""
STANDS_S: Final = 240.0
"""A service that is not up to date so long after a fault stands still."""
PAUSES_S: Final = (10.0, 30.0)
"""Between two faults, at least."""
ENDS_S: Final = 240.0
SETTLED_S: Final = 15.0


class Soak:
    """One soak; what does not hold is said in ``broken``, and the rest goes on."""

    def __init__(self, options: argparse.Namespace, place: Path, brokers: Brokers, network: Proxy) -> None:
        self.broken: list[str] = []
        self.faults: list[dict[str, Any]] = []
        self._told = False
        self._options, self._brokers, self._place = options, brokers, place
        self._table = Table(options.seed, now_us(), keys=options.keys, rate=options.rate, every_s=options.differs_every)
        self._writer = Writer(brokers.bootstrap, f"{PREFIX}-rows-", self._table)
        topology = _topology(place / "soak.yaml", self._writer.topics)
        self._runs = [
            Run(name, bootstrap, [topology], place, workers=options.workers, digest_partitions=HOMES, memory=options.memory)
            for name, bootstrap in (("steady", brokers.by_doors), ("victim", brokers.bootstrap))
        ]
        self._reader = Reader(brokers.bootstrap, OUTPUTS)
        self._watch = Watch(self._runs, brokers.bootstrap, f"{PREFIX}.", lambda: self._reader.lag_s(HOMES), SAMPLE_S)
        self._trouble = Faults(options.seed, brokers, network, *self._runs)

    def run(self) -> dict[str, Any]:
        """All of it; returns what came out."""
        began = datetime.now(UTC)
        signal.signal(signal.SIGTERM, self._end_early)
        self._writer.start()
        for run in self._runs:
            run.start()
        try:
            _wait_for(lambda: all(run.metrics().get("workers") for run in self._runs), 60.0)
            self._reader.start()
            self._watch.start()
            self._up_to_date()
            while self._watch.at < self._options.minutes * 60 and not self._told:
                self._fault()
            seconds = self._watch.at
            outputs = self._ended()
        finally:
            for run in self._runs:
                run.kill()
        return self._result(began, seconds, outputs)

    def _end_early(self, *_: object) -> None:
        """What was seen until then is judged."""
        self._told = True

    # ---- what goes wrong -----------------------------------------------------------------------------------------------

    def _fault(self) -> None:
        """One fault, a pause, and until results are up to date again if they are not."""
        what, at, self._watch.worst = self._trouble.next(), self._watch.at, 0.0
        try:
            how = self._trouble.all[what]()
        except BrokerError as error:
            self._wrong(f"at {at:.0f} s: {what}: {error}")
            how = "the brokers did not come back"
        over = self._watch.at
        time.sleep(self._trouble.pause(*PAUSES_S))
        self._up_to_date()
        self.faults.append({"what": what, "how": how, "at": at, "lasted_s": over - at, "behind_s": self._watch.worst})
        _say(f"{at:6.0f} s  {what}: {how}; {over - at:.0f} s; results at most {self._watch.worst:.0f} s behind")

    def _up_to_date(self) -> None:
        """Waits until results are up to date."""

        def up_to_date() -> bool:
            self._alive()
            lag = self._reader.lag_s(HOMES)
            return lag is not None and lag < UP_TO_DATE_S

        if not _wait_for(up_to_date, STANDS_S):
            self._wrong(f"at {self._watch.at:.0f} s: not up to date for {STANDS_S:.0f} s: {self._reader.lag_s(HOMES)} s behind")

    def _alive(self) -> None:
        for run in self._runs:
            if not run.running:
                self._wrong(f"at {self._watch.at:.0f} s: {run.name} ended by itself: {run.log.read_text()[-600:]}")
                run.start()

    def _wrong(self, what: str) -> None:
        _say(what)
        self.broken.append(what)

    # ---- the end -------------------------------------------------------------------------------------------------------

    def _ended(self) -> list[Said]:
        """No more input; returns everything that was put out, when all windows are closed and all is stopped."""
        self._writer.end()
        last = now_us()
        if self._writer.failed is not None:
            self._wrong(self._writer.failed)
        if not _wait_for(lambda: len(self._reader.closed_us) == HOMES and min(self._reader.closed_us.values()) > last, ENDS_S):
            self._wrong(f"the last windows are not closed within {ENDS_S:.0f} s")
        self._watch.end()
        for run in self._runs:
            if (code := run.stop()) != 0:
                self._wrong(f"{run.name} was stopped in order and ended with {code}: {run.log.read_text()[-600:]}")
        if not _wait_for(lambda: not transactions_open(self._brokers.bootstrap, f"{PREFIX}."), SETTLED_S):
            self._wrong(f"transactions are open: {transactions_open(self._brokers.bootstrap, f'{PREFIX}.')}")
        topics = [*OUTPUTS, f"{PREFIX}.digests", f"{PREFIX}.topologies"]
        if ends(self._brokers.bootstrap, topics, committed=True) != ends(self._brokers.bootstrap, topics, committed=False):
            self._wrong("what is committed ends before what is written")
        seen, outputs = self._reader.finish(), read(self._brokers.bootstrap, OUTPUTS)
        if seen != outputs:
            self._wrong(f"a reader of committed messages saw {len(seen)} messages, and {len(outputs)} others are there")
        self._keep(outputs)
        for line in broken(outputs, self._table.planted, self._table.given):
            self._wrong(line)
        return outputs

    def _keep(self, outputs: Sequence[Said]) -> None:
        """What the verdict is about, as the brokers do not outlive it."""
        with (self._place / "outputs.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps([o.topic, o.partition, o.offset, o.value.decode()]) + "\n" for o in outputs)
        planted = {"planted": [asdict(one) for one in self._table.planted], "given": self._table.given}
        (self._place / "planted.json").write_text(json.dumps(planted), encoding="utf-8")

    def _result(self, began: datetime, seconds: float, outputs: Sequence[Said]) -> dict[str, Any]:
        options = {name: value for name, value in vars(self._options).items() if name not in {"out", "write"}}
        planted = self._table.planted
        said = Counter(o.body["status"] for o in outputs if o.topic == OUTPUTS[0])
        audit = [o.body["chain"] for o in outputs if o.topic == OUTPUTS[1] and o.body["type"] == "window"]
        samples = self._watch.samples.as_json()
        warm_up = min(self._options.warm_up * 60, seconds / 3)
        log = "\n".join(run.log.read_text(encoding="utf-8") for run in self._runs)
        return {
            "date": began.isoformat(timespec="seconds"),
            "command": f"RECON_SERVICE_MINUTES={options['minutes']:g} RECON_SERVICE_SEED={options['seed']} make soak-service",
            "options": options,
            "commit": _told("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
            "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
            "seconds": seconds,
            "warm_up_s": warm_up,
            "counts": {
                **self._table.given,
                "planted": len(planted),
                "mended": sum(one.mended is not None for one in planted),
                "opened": said["opened"],
                "resolved": said["resolved"],
                "certificates": len(audit),
                "chains": len(set(audit)),
                "writer_late_s": round(self._writer.late_s, 2),
                "started_again": log.count("started again in"),
                "tracebacks": log.count("Traceback"),
            },
            "broken": self.broken,
            "faults": self.faults,
            "trends": {name: asdict(it) for name, it in trends(samples, warm_up, seconds).items()},
            "samples": samples,
        }


def _topology(path: Path, topics: dict[str, str]) -> Path:
    sides = {side: {"name": side, "topics": [topic], "format": "debezium-json", "key": ["id"]} for side, topic in topics.items()}
    settings = {
        "version": 1,
        "name": "soak",
        "source": sides["source"],
        "targets": [sides["target"]],
        "window": f"{WINDOW_US // SECOND}s",
        "settle": f"{SETTLE_US // SECOND}s",
        "clock_skew": f"{SKEW_US // SECOND}s",
        "out_of_orderness": "0s",
        "outputs": {"prefix": PREFIX},
        "checkpoints": {"location": str(path.parent / "checkpoints"), "every": "1m"},
        "kafka": {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 1000},
    }
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def _wait_for(done: Any, within: float) -> bool:
    deadline = time.monotonic() + within
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write(result: dict[str, Any]) -> None:
    """Figures, picture and the part of the document between its two marks."""
    FIGURES.write_text(json.dumps(result) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(result), encoding="utf-8")
    documents.put(DOCUMENT, BEGIN, section(result))


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=83.0, help="of input and faults")
    parser.add_argument("--seed", type=int, default=None, help="of rows and faults; a random one is printed")
    parser.add_argument("--rate", type=float, default=400.0, help="rows a second of the source")
    parser.add_argument("--keys", type=int, default=2_000, help="of the table")
    parser.add_argument("--differs-every", type=float, default=4.0, help="seconds between two differences, on the average")
    parser.add_argument("--workers", type=int, default=1, help="of each stage, of each of the two runs")
    parser.add_argument("--memory", default="128MiB", help="of each worker: so little that it is full when the warm-up is over")
    parser.add_argument("--warm-up", type=float, default=21.0, help="minutes that no trend is taken from")
    parser.add_argument("--out", type=Path, default=Path(".soak"), help="logs, states and figures")
    parser.add_argument("--write", type=Path, metavar="JSON", help="only put the figures of a soak into the documentation")
    options = parser.parse_args()
    if options.write is not None:
        write(json.loads(options.write.read_text(encoding="utf-8")))
        return 0
    options.seed = random.randrange(10_000) if options.seed is None else options.seed
    _say(f"seed {options.seed}")
    place = options.out / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    place.mkdir(parents=True)
    with Brokers() as brokers, Proxy(brokers.doors) as network:
        result = Soak(options, place.absolute(), brokers, network).run()
    (place / "soak.json").write_text(json.dumps(result), encoding="utf-8")
    print(section(result))
    _say(f"figures, logs and states are in {place}")
    return 1 if result["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
