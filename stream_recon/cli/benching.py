"""``bench``: measures this machine and this program on a real broker, and whether what was found is what was planted.

    topics filled -> (roofline -> normalise alone -> reconcile alone -> both at once) x rounds -> figures
    --live: rows as they come (``timing``)

All topics and groups are made under a prefix that no other run has, and deleted in the end.
"""

from __future__ import annotations

import multiprocessing
import shlex
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.bench import avro, figures, produce, roofline, topology
from stream_recon.bench.data import LEAST_SETTLE, Workload, planned
from stream_recon.bench.figures import Measured, Round, Used
from stream_recon.bench.found import Found
from stream_recon.bench.stages import USUAL, Crew, share
from stream_recon.cli import timing
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.deployment import Deployment
from stream_recon.cli.output import EXIT_FAILED, EXIT_FINE, print_json, print_text, say
from stream_recon.cli.progress import ProgressReport
from stream_recon.cli.wire import write
from stream_recon.config import load_topology
from stream_recon.errors import BrokerError, ConfigError
from stream_recon.limits import MEMORY_BYTES
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

ENCODINGS: Final = ("json", "debezium-json", "debezium-avro")
_LEAVE_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """How ``bench`` measures."""

    work: Workload
    encoding: str = "json"
    schema: bool = False
    crew: Crew = USUAL
    rounds: int = 1
    live: int | None = None
    catch_up: int = 0
    digest_partitions: int | None = None
    bootstrap: str | None = None
    out: Path | None = None
    keep: bool = False
    as_json: bool = False

    @property
    def command(self) -> str:
        """What a user types to measure the same."""
        work, usual = self.work, Workload()
        told = "messages" if self.live is None else "rate"
        given = {f"--{name}": value for name, value in asdict(work).items() if value != getattr(usual, name) or name == told}
        given |= {"--format": self.encoding, "--workers": self.crew.workers}
        given |= {} if self.crew.memory == MEMORY_BYTES else {"--memory": f"{self.crew.memory}B"}
        if self.live is None:
            given["--rounds"] = self.rounds
        else:
            given.pop("--messages", None)
            given |= {"--live": self.live} | ({"--catch-up": self.catch_up} if self.catch_up else {})
        given |= {} if self.digest_partitions is None else {"--digest-partitions": self.digest_partitions}
        flags = ["--schema"] if self.schema else []
        return shlex.join(["stream-recon", "bench", *(str(part) for pair in given.items() for part in pair), *flags])


def bench(options: Options) -> int:
    """Measures, shows the figures, and returns the exit code: 3 if what was found is not what was planted.

    Raises:
        ReconError: the broker is not there or refuses, an option cannot work, or the figures cannot be written.
    """
    result = measured(options)
    if options.out is not None:
        write(options.out, [orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])
    if not result["holds"]:
        say(f"error: what was found is not what was planted, so the figures are worth nothing: {result['found']}")
    if options.as_json:
        print_json(result)
    elif options.live is None:
        print_text(heading(result), figures.table(result["stages"]), ending(result))
    else:
        print_text(heading(result), timing.table(result), *timing.sentences(result), ending(result))
    return EXIT_FINE if result["holds"] else EXIT_FAILED


def measured(options: Options) -> dict[str, Any]:
    """All figures, as ``--json`` gives them. Raises ``ReconError``."""
    if options.encoding not in ENCODINGS:
        raise ConfigError(f"--format {options.encoding}: expected {' or '.join(ENCODINGS)}")
    if options.work.settle < LEAST_SETTLE:
        raise ConfigError(
            f"--settle {options.work.settle}: the target is written up to 2 s later; expected {LEAST_SETTLE} or more"
        )
    if options.catch_up and options.live is None:
        raise ConfigError("--catch-up: needs rows that come in real time; add --live SECONDS")
    if options.schema and options.encoding != "debezium-json":
        raise ConfigError("--schema: a message of format json has none; add --format debezium-json, or leave --schema out")
    cluster = cluster_of(() if options.bootstrap is None else (("bootstrap.servers", options.bootstrap),))
    cluster.reach(REACH_SECONDS)
    prefix = f"stream-recon-bench-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    with ProgressReport(silent=options.as_json) as progress, _topology(options, cluster, prefix) as plan:
        run = (_Rounds if options.live is None else _Live)(options, cluster, plan, progress)
        try:
            return {**_heading(options), **run.measured()}
        finally:
            if options.keep:
                say(f"kept: topics {prefix}.*, and {prefix}.yaml to run them again")
            else:
                run.remove()


class _Bench(ABC):
    """One run on topics of its own. ``kinds``: of its deployments."""

    kinds: Sequence[str]

    def __init__(self, options: Options, cluster: Cluster, plan: TopologyPlan, progress: ProgressReport) -> None:
        self._options = options
        self._cluster = cluster
        self._plan = plan
        self._progress = progress
        self._topics = plan.source.topics[0], plan.targets[0].topics[0]
        self._form = produce.Form(options.encoding, options.schema)

    def measured(self) -> dict[str, Any]:
        """Makes the topics, and measures. Raises ``ReconError``."""
        produce.make(self._cluster, self._topics, self._options.work.partitions)
        return self._measured()

    @abstractmethod
    def _measured(self) -> dict[str, Any]:
        """Fills the topics, and measures."""

    def remove(self) -> None:
        """Deletes what this run made, or says what is left behind: whatever else went wrong is not hidden by that."""
        deployments = [self._deployment(kind, n) for kind in self.kinds for n in range(self._options.rounds)]
        deadline = time.monotonic() + _LEAVE_SECONDS
        while True:
            try:
                Topics(self._cluster).delete(self._topics)
                for deployment in deployments:
                    deployment.remove(outputs=True)
            except BrokerError as error:  # a worker that was killed is a member of its group for a while
                if time.monotonic() > deadline:
                    say(f"left behind: topics and groups that begin with {self._plan.prefix}: {error}")
                    return
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _deployment(self, kind: str, number: int) -> Deployment:
        return Deployment([self._plan], Names(self._plan.prefix, f"{kind}-{number}"), self._options.digest_partitions)


class _Live(_Bench):
    """Rows as they come."""

    kinds = ("live",)

    def _measured(self) -> dict[str, Any]:
        options = self._options
        times = timing.Times.of(options.work, options.live or 0, options.catch_up)
        work = replace(options.work, messages=2 * options.work.rate * times.all)
        run = timing.Timing(self._cluster, work, self._topics, self._form, times, options.crew)
        result = run.measured(self._deployment("live", 0), self._progress)
        return {"workload": _workload(options, work, len(run.plan), run.octets), **result}


class _Rounds(_Bench):
    """Topics that are filled before anything reads them."""

    kinds = ("alone", "both")

    def _measured(self) -> dict[str, Any]:
        options = self._options
        self._data = planned(options.work)
        self._found: list[Found] = []
        filled = produce.fill(self._cluster, self._data, self._topics, self._form, options.work.partitions, self._progress)
        rounds = [self._round(number) for number in range(options.rounds)]
        found = figures.figures(rounds)
        return {
            "workload": _workload(options, options.work, filled.messages, filled.octets / filled.messages),
            "stages": {stage: figure.to_json() for stage, figure in found.items()},
            "percent_of_roofline": round(100 * found[figures.BOTH].share, 1),
            "rounds": [{stage: one.to_json() for stage, one in taken.items()} for taken in rounds],
            "found": [one.to_json() for one in self._found],
            "holds": all(one.holds(self._data) for one in self._found),
        }

    def _round(self, number: int) -> Round:
        """Everything once, on the same topics."""
        tell = self._teller(number)
        tell(figures.ROOFLINE)
        taken: dict[str, Measured] = {figures.ROOFLINE: self._roofline()}
        with share(self._deployment("alone", number), self._options.crew) as alone:
            tell(figures.NORMALISE)
            taken[figures.NORMALISE] = alone.normalise()
            tell(figures.RECONCILE)
            taken[figures.RECONCILE] = alone.reconcile()
            self._found.append(alone.found(self._data))
        with share(self._deployment("both", number), self._options.crew) as both:
            tell(figures.BOTH)
            taken[figures.BOTH] = both.both()
            self._found.append(both.found(self._data))
        return taken

    def _teller(self, number: int) -> Callable[[str], None]:
        steps = 4 * self._options.rounds
        done = iter(range(4 * number, steps))
        return lambda stage: self._progress(f"round {number + 1} of {self._options.rounds}: {stage}", next(done), steps)

    def _roofline(self) -> Measured:
        places = [(topic, p) for topic in self._topics for p in range(self._options.work.partitions)]
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        settings = tuple(sorted(self._cluster.settings.items()))
        process = context.Process(
            target=roofline.work, args=(settings, Topics(self._cluster).ends(places), theirs), name="roofline", daemon=True
        )
        process.start()
        theirs.close()
        try:
            told = mine.recv()
        except EOFError:
            raise BrokerError("the roofline: its process ended without a result; run it again") from None
        process.join()
        if isinstance(told, str):
            raise BrokerError(told)
        first, last = told
        return Measured(len(self._data), last.wall - first.wall, {figures.ROOFLINE: Used.between(first, last)})


@contextmanager
def _topology(options: Options, cluster: Cluster, prefix: str) -> Iterator[TopologyPlan]:
    """The plan, from a file as a user would write it; it stays with ``--keep``."""
    text = topology.text(options.work, options.encoding, (f"{prefix}.source", f"{prefix}.target"), prefix, cluster.name)
    with tempfile.TemporaryDirectory(prefix="stream-recon-") as directory:
        path = Path(f"{prefix}.yaml") if options.keep else Path(directory) / "bench.yaml"
        write(path, [text.encode()])
        if options.encoding == "debezium-avro":
            write(path.with_name("schemas.json"), [avro.schemas().encode()])
        yield load_topology(path)


# ---- what is said ------------------------------------------------------------------------------------------------------


def _heading(options: Options) -> dict[str, Any]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": options.command,
        "machine": figures.machine(),
        "versions": figures.versions(),
    }


def _workload(options: Options, work: Workload, messages: int, octets: float) -> dict[str, Any]:
    told = {**asdict(work), "format": options.encoding, "schema": options.schema, **asdict(options.crew)}
    return {**told, "messages": messages, "octets_a_value": round(octets, 1)}


def heading(result: Mapping[str, Any]) -> str:
    """What was measured, and where."""
    work, where = result["workload"], result["machine"]
    return (
        f"{work['messages']:,} messages of {work['octets_a_value']:.0f} octets ({work['format']}"
        f"{' with schema' if work['schema'] else ''}), {work['keys']:,} keys, {work['partitions']} partitions a topic, "
        f"{work['rate']:,} rows a second and side, {work['workers']} {'worker' if work['workers'] == 1 else 'workers'} a stage; "
        f"{where['cpu']}, {where['cores']} cores"
    )


def ending(result: Mapping[str, Any]) -> str:
    """What was found; the last round stands for all if all hold."""
    found = result["found"][-1]
    slow = f"{found['singly']:,} of {result['workload']['messages']:,} messages took the slow path"
    return (
        f"found {found['found']} of {found['planted']} planted differences, and {found['invented']} that nobody planted; {slow}"
    )
