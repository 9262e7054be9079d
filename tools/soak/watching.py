"""Samples of a soak, every few seconds: what its processes hold, what is open, and how far it is behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from tools.kafka.transactions import transactions_open
from tools.soak.running import Run

_LOOK_S: Final = 0.5

Series = list[tuple[float, float]]
"""(seconds since the beginning, value)."""


@dataclass(slots=True)
class Samples:
    """``series`` of the whole; ``processes``: the same of each, by run and pid; ``stages``: what these are."""

    series: dict[str, Series] = field(default_factory=dict)
    processes: dict[str, dict[str, Series]] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, at: float, value: float | None) -> None:
        """None: it could not be asked, which leaves a hole."""
        if value is not None:
            self.series.setdefault(name, []).append((round(at, 1), round(value, 3)))

    def as_json(self) -> dict[str, Any]:
        return {"series": self.series, "processes": self.processes, "stages": self.stages}


class Watch:
    """Samples in a thread of its own. ``lag``: asks how far results are behind, in seconds; ``worst``: the most that it was since
    somebody set it to 0.
    """

    def __init__(self, runs: Sequence[Run], bootstrap: str, prefix: str, lag: Callable[[], float | None], every: float) -> None:
        self.samples = Samples()
        self.worst = 0.0
        self._runs, self._bootstrap, self._prefix, self._lag, self._every = runs, bootstrap, prefix, lag, every
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    @property
    def at(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        busy, due = _busy(), self.at
        while not self._over.wait(_LOOK_S):
            self.worst = max(self.worst, self._lag() or 0.0)
            if self.at >= due:
                due += self._every
                self._sample()
                before, busy = busy, _busy()
                share = (busy[0] - before[0]) / (busy[1] - before[1])
                self.samples.add("cores_busy", self.at, share * (os.cpu_count() or 1))

    def _sample(self) -> None:
        at, samples = self.at, self.samples
        total = dict.fromkeys(("rss", "own", "files", "threads", "processes"), 0)
        for run in self._runs:
            for pid, stage, use in run.uses():
                held = {"rss": use.rss, "own": use.own, "files": use.files, "threads": use.threads}
                one = f"{run.name}/{pid}"
                samples.stages[one] = stage  # one of reconcile is known by the states that it opens, later than it starts
                of = samples.processes.setdefault(one, {})
                for name, value in held.items():
                    total[name] += value
                    of.setdefault(name, []).append((round(at, 1), value))
                total["processes"] += 1
            samples.add(f"{run.name}_state_bytes", at, run.state_bytes())
        for name, value in total.items():
            samples.add(name, at, value)
        metrics = [run.metrics() for run in self._runs]
        for name in ("event_time_lag_seconds", "messages_behind", "log_backlog", "open_discrepancies"):
            found = [value for of in metrics for value in of.get(name, ())]
            samples.add(name, at, max(found, default=None))
        samples.add("output_lag_seconds", at, self._lag())
        samples.add("open_transactions", at, self._open())

    def _open(self) -> float | None:
        try:
            return len(transactions_open(self._bootstrap, self._prefix))
        except (OSError, KafkaException):  # a broker is away: what it knows cannot be asked
            return None


def _busy() -> tuple[float, float]:
    """(busy, all) ticks of all cores, others' work too."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
