"""``bench``: measures this machine and this program on a real broker, and whether what was found is what was planted.

    topics filled -> (roofline -> normalise alone -> reconcile alone -> both at once) x rounds -> figures

All topics and groups are made under a prefix that no other run has, and deleted in the end.
"""

from __future__ import annotations

import multiprocessing
import shlex
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.bench import avro, figures, produce, roofline, topology
from stream_recon.bench.data import Workload, planned
from stream_recon.bench.figures import Measured, Round, Used
from stream_recon.bench.found import Found
from stream_recon.bench.stages import share
from stream_recon.cli.clusters import cluster_of
from stream_recon.cli.deployment import REACH_SECONDS, Deployment
from stream_recon.cli.output import EXIT_FAILED, EXIT_FINE, print_json, print_text, say
from stream_recon.cli.progress import ProgressReport
from stream_recon.cli.wire import write
from stream_recon.config import load_topology
from stream_recon.errors import BrokerError, ConfigError
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

ENCODINGS: Final = ("json", "debezium-json", "debezium-avro")
_KINDS: Final = ("alone", "both")
_LEAVE_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """How ``bench`` measures."""

    work: Workload
    encoding: str = "json"
    schema: bool = False
    workers: int = 1
    rounds: int = 1
    digest_partitions: int | None = None
    bootstrap: str | None = None
    out: Path | None = None
    keep: bool = False
    as_json: bool = False

    @property
    def command(self) -> str:
        """What a user types to measure the same."""
        work, usual = self.work, Workload()
        given = {
            f"--{name}": value for name, value in asdict(work).items() if value != getattr(usual, name) or name == "messages"
        }
        given |= {"--format": self.encoding, "--workers": self.workers, "--rounds": self.rounds}
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
    else:
        print_text(heading(result), figures.table(result["stages"]), ending(result))
    return EXIT_FINE if result["holds"] else EXIT_FAILED


def measured(options: Options) -> dict[str, Any]:
    """All figures, as ``--json`` gives them. Raises ``ReconError``."""
    if options.encoding not in ENCODINGS:
        raise ConfigError(f"--format {options.encoding}: expected {' or '.join(ENCODINGS)}")
    if options.schema and options.encoding != "debezium-json":
        raise ConfigError("--schema: a message of format json has none; add --format debezium-json, or leave --schema out")
    cluster = cluster_of(() if options.bootstrap is None else (("bootstrap.servers", options.bootstrap),))
    cluster.reach(REACH_SECONDS)
    prefix = f"stream-recon-bench-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    with ProgressReport(silent=options.as_json) as progress, _topology(options, cluster, prefix) as plan:
        run = _Bench(options, cluster, plan, progress)
        try:
            filled = run.fill()
            rounds = [run.round(number) for number in range(options.rounds)]
        finally:
            if options.keep:
                say(f"kept: topics {prefix}.*, and {prefix}.yaml to run them again")
            else:
                run.remove()
    return _result(options, filled, rounds, run)


class _Bench:
    """One run on topics of its own."""

    def __init__(self, options: Options, cluster: Cluster, plan: TopologyPlan, progress: ProgressReport) -> None:
        self._options = options
        self._cluster = cluster
        self._plan = plan
        self._progress = progress
        self._topics = plan.source.topics[0], plan.targets[0].topics[0]
        self.data = planned(options.work)
        self.found: list[Found] = []

    def fill(self) -> produce.Filled:
        """Makes the topics and writes both sides."""
        options, partitions = self._options, self._options.work.partitions
        produce.make(self._cluster, self._topics, partitions)
        form = produce.Form(options.encoding, options.schema)
        return produce.fill(self._cluster, self.data, self._topics, form, partitions, self._progress)

    def remove(self) -> None:
        """Deletes what this run made, or says what is left behind: whatever else went wrong is not hidden by that."""
        deployments = [self._deployment(kind, n) for kind in _KINDS for n in range(self._options.rounds)]
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

    # ---- one round -----------------------------------------------------------------------------------------------------

    def round(self, number: int) -> Round:
        """Everything once, on the same topics."""
        tell = self._teller(number)
        tell(figures.ROOFLINE)
        taken: dict[str, Measured] = {figures.ROOFLINE: self._roofline()}
        with share(self._deployment("alone", number), self._options.workers) as alone:
            tell(figures.NORMALISE)
            taken[figures.NORMALISE] = alone.normalise()
            tell(figures.RECONCILE)
            taken[figures.RECONCILE] = alone.reconcile()
            self.found.append(alone.found(self.data))
        with share(self._deployment("both", number), self._options.workers) as both:
            tell(figures.BOTH)
            taken[figures.BOTH] = both.both()
            self.found.append(both.found(self.data))
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
        return Measured(len(self.data), last.wall - first.wall, {figures.ROOFLINE: Used.between(first, last)})


@contextmanager
def _topology(options: Options, cluster: Cluster, prefix: str) -> Iterator[TopologyPlan]:
    """The plan, from a file as a user would write it; it stays with ``--keep``."""
    text = topology.text(options.encoding, (f"{prefix}.source", f"{prefix}.target"), prefix, cluster.name)
    with tempfile.TemporaryDirectory(prefix="stream-recon-") as directory:
        path = Path(f"{prefix}.yaml") if options.keep else Path(directory) / "bench.yaml"
        write(path, [text.encode()])
        if options.encoding == "debezium-avro":
            write(path.with_name("schemas.json"), [avro.schemas().encode()])
        yield load_topology(path)


# ---- what is said ------------------------------------------------------------------------------------------------------


def _result(options: Options, filled: produce.Filled, rounds: list[Round], run: _Bench) -> dict[str, Any]:
    found = figures.figures(rounds)
    work = {**asdict(options.work), "format": options.encoding, "schema": options.schema, "workers": options.workers}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": options.command,
        "machine": figures.machine(),
        "versions": figures.versions(),
        "workload": {**work, "messages": filled.messages, "octets_a_value": round(filled.octets / filled.messages, 1)},
        "stages": {stage: figure.to_json() for stage, figure in found.items()},
        "percent_of_roofline": round(100 * found[figures.BOTH].share, 1),
        "rounds": [{stage: one.to_json() for stage, one in taken.items()} for taken in rounds],
        "found": [one.to_json() for one in run.found],
        "holds": all(one.holds(run.data) for one in run.found),
    }


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
