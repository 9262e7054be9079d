"""``bench --live``: rows come in real time; how long certificates take, what that costs, how an outage is made good.

    rows begin -> service starts -> warm-up -> --live seconds, measured -> --catch-up seconds without it -> catching up -> the end

Rates and figures are of this machine, on which the broker and the program that writes the rows work, too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.bench import live, produce
from stream_recon.bench.data import DISORDER_US, SKEW_US, Plan, Workload, planned, shifted
from stream_recon.bench.figures import Used
from stream_recon.bench.latency import Latency, allowed, up_to_date
from stream_recon.bench.pace import Paced, micros
from stream_recon.bench.stages import Crew
from stream_recon.bench.topology import IDLE_SECONDS
from stream_recon.bench.workers import Sample
from stream_recon.cli.deployment import Deployment
from stream_recon.errors import StateError
from stream_recon.limits import MICROS

START_SECONDS: Final = 10
"""For the service to start, and as much again until it is as warm as it gets."""
PROMPT_US: Final = MICROS
"""A service whose certificates take no longer is up to date."""
AFTER_SECONDS: Final = 20
"""Rows go on so long after an outage, and as long as it lasted: so much it may take to be up to date."""
_END_SECONDS: Final = 60

Tell = Callable[[str, int, int], None]
"""What goes on, and the seconds of it that are over, of how many."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: until measuring begins, of measuring, without the service (0: no outage), until rows end."""

    warm_up: int
    steady: int
    outage: int
    after: int

    @staticmethod
    def of(work: Workload, steady: int, outage: int) -> Times:
        """A warm-up sees the first windows close."""
        first = 2 * work.window + work.settle + (SKEW_US + DISORDER_US) // MICROS
        return Times(2 * START_SECONDS + first, steady, outage, AFTER_SECONDS + outage if outage else 0)

    @property
    def all(self) -> int:
        """Rows come so long."""
        return self.warm_up + self.steady + self.outage + self.after


@dataclass(slots=True)
class Seen:
    """What was measured. ``before``, ``after``: of each worker when measuring began and ended; ``last``: in the end."""

    before: Mapping[str, Sample]
    after: Mapping[str, Sample]
    last: Mapping[str, Sample]
    began: int
    ended: int
    restarted: int | None = None
    waited: int = 0


class Timing:
    """One run over topics that are there and empty."""

    def __init__(
        self, cluster: Cluster, work: Workload, topics: tuple[str, str], form: produce.Form, times: Times, crew: Crew
    ) -> None:
        self._times = times
        self._work = work
        self._crew = crew
        window = work.window * MICROS
        plan = planned(work)
        begin = micros() + window  # rows of the past would all be written at once
        self.plan: Plan = shifted(plan, (begin - int(plan.source.time[0])) // window * window + window)
        sides = zip(topics, (self.plan.source, self.plan.target), strict=True)
        self._sides = [Paced(cluster, topic, rows, form, work.partitions) for topic, rows in sides]

    def measured(self, deployment: Deployment, tell: Tell) -> dict[str, Any]:
        """Raises ``ReconError``."""
        for side in self._sides:
            side.start()
        try:
            self._first_rows(tell)
            (opened,) = deployment.open(deployment.prepare())
            outputs = live.Outputs(deployment)
            outputs.start()
            try:
                with tempfile.TemporaryDirectory(prefix="stream-recon-") as state:
                    service = live.Service(deployment, opened, Path(state), self._crew)
                    seen = self._seen(service, outputs, opened.parallelism, tell)
            finally:
                outputs.stop()
        finally:
            for side in self._sides:
                side.stop()
        return self._result(seen, outputs)

    def _first_rows(self, tell: Tell) -> None:
        tell("the first rows", 0, 1)
        while not all((side.sent <= micros()).any() for side in self._sides):
            self._check()
            time.sleep(0.1)
        time.sleep(1.0)

    def _check(self) -> None:
        for side in self._sides:
            side.check()

    def _seen(self, service: live.Service, outputs: live.Outputs, chains: int, tell: Tell) -> Seen:
        times = self._times
        service.start()
        try:
            before = self._wait(service, times.warm_up, "warming up", tell)
            began = micros()
            after = self._wait(service, times.steady, "measuring", tell)
            seen = Seen(before, after, after, began, micros())
            if times.outage:
                self._outage(service, seen, tell)
            seen.last = self._end(service, outputs, chains, tell)
        finally:
            service.workers.stop()
        return seen

    def _wait(self, service: live.Service, seconds: int, what: str, tell: Tell) -> Mapping[str, Sample]:
        for second in range(seconds):
            tell(what, second, seconds)
            self._check()
            service.wait(1.0)
        return service.workers.samples

    def _outage(self, service: live.Service, seen: Seen, tell: Tell) -> None:
        stopped = live.taken(seen.after)
        service.workers.stop()
        tell("without the service", 0, self._times.outage)
        time.sleep(self._times.outage)
        seen.restarted, seen.waited = micros(), self._written() - stopped
        service.start()
        self._wait(service, self._times.after, "catching up", tell)

    def _written(self) -> int:
        now = micros()
        return sum(int((side.sent <= now).sum()) for side in self._sides)

    def _end(self, service: live.Service, outputs: live.Outputs, chains: int, tell: Tell) -> Mapping[str, Sample]:
        last = int(max(self.plan.source.time[-1], self.plan.target.time.max()))
        work = self._work
        patience = IDLE_SECONDS + work.settle + 2 * work.window + _END_SECONDS + self._times.after
        for second in range(patience):
            outputs.check()
            if outputs.ended(last, chains):
                return service.workers.samples
            tell("the last windows close", second, patience)
            self._check()
            service.wait(1.0)
        raise StateError("bench: the last windows do not close; look at the broker's log, or take a lower --rate")

    @property
    def octets(self) -> float:
        """Of a value, on the average."""
        return sum(side.octets for side in self._sides) / max(self._written(), 1)

    # ---- figures -------------------------------------------------------------------------------------------------------

    def _result(self, seen: Seen, outputs: live.Outputs) -> dict[str, Any]:
        may = allowed(self.plan, (self._sides[0].sent, self._sides[1].sent), self._work)
        late = [
            (one.chain, one.came, one.came - may[one.end]) for one in outputs.certificates if one.windows == 1 and one.end in may
        ]
        steady = [lag for _, came, lag in late if seen.began <= came - lag < seen.ended - PROMPT_US]
        if not steady:
            raise StateError("bench: no window could close while it was measured; take a longer --live")
        found = live.found(self.plan, outputs.discrepancies, outputs.certificates, seen.last)
        result = {
            "latency": Latency.of(steady).to_json(),
            "steady": self._steady(seen),
            "found": [found.to_json()],
            "holds": found.holds(self.plan),
        }
        if seen.restarted is not None:
            again = up_to_date(late, seen.restarted, PROMPT_US)
            seconds = None if again is None else round((again - seen.restarted) / MICROS, 1)
            result["catch_up"] = {"outage_s": self._times.outage, "messages_waited": seen.waited, "up_to_date_after_s": seconds}
        return result

    def _steady(self, seen: Seen) -> dict[str, Any]:
        seconds = (seen.ended - seen.began) / MICROS
        messages = live.taken(seen.after) - live.taken(seen.before)
        each: dict[str, Used] = live.used(seen.before, seen.after)
        return {
            "messages_per_s": round(messages / seconds),
            "workers": {
                name: {
                    "cores": round(used.cpu / seconds, 3),
                    "cpu_s_per_million": round(used.cpu / messages * MICROS, 2),
                    "peak_mb": round(used.peak / MICROS),
                }
                for name, used in each.items()
            },
        }


def table(result: Mapping[str, Any]) -> Table:
    """What workers use, for people."""
    shown = Table("worker", "cores", "CPU s/million", "peak MB")
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, used in result["steady"]["workers"].items():
        shown.add_row(name, f"{used['cores']:.2f}", f"{used['cpu_s_per_million']:.2f}", f"{used['peak_mb']:,}")
    return shown


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Latency and catching up, for people."""
    latency = result["latency"]
    lines = [
        f"{result['steady']['messages_per_s']:,} messages/s; {latency['certificates']} certificates, from the row that let their "
        f"window close to a reader of committed messages: median {latency['median_s']:.2f} s, 90% {latency['p90_s']:.2f} s, "
        f"99% {latency['p99_s']:.2f} s, longest {latency['longest_s']:.2f} s"
    ]
    if "catch_up" in result:
        told = result["catch_up"]
        after = told["up_to_date_after_s"]
        when = f"up to date {after:.1f} s after it was started" if after is not None else "not up to date before rows ended"
        lines.append(f"after {told['outage_s']} s without it, {told['messages_waited']:,} messages behind: {when}")
    return lines
