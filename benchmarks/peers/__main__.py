"""Other engines at the same job, on the same topics, broker and machine.

make bench-peers                                             everything: one round
make bench-peers ARGS="--rounds 3 --write"                   puts the figures into docs/peers.md and docs/peers.json
make bench-peers ARGS="--only 'stream-recon|flink' --size 200000"
make bench-peers ARGS=--check                                only installs and checks the engines
"""

from __future__ import annotations

import argparse
import shlex
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.peers import fetching, job, report
from benchmarks.peers.catalogue import ENGINES, OURS, Engine, chosen
from benchmarks.peers.measuring import Bench, Filled, Outcome
from stream_recon.bench import figures
from stream_recon.errors import ReconError
from tools import documents
from tools.kafka.broker import Broker, BrokerError

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENT: Final = ROOT / "docs" / "peers.md"
FIGURES: Final = ROOT / "docs" / "peers.json"
BEGIN = "<!-- figures: make bench-peers ARGS=--write -->\n"

_SMALLER: Final = 5
_SLOWER: Final = 5
"""A slow engine's two sizes are so much smaller than those of the others."""
_EXERCISE_S: Final = 75.0
"""Long enough for what waits for half a minute of silence."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"peers: {text}", file=sys.stderr, flush=True)


def sizes(size: int, *, slow: bool) -> report.Sizes:
    """Messages of the small and the large run."""
    large = size // _SLOWER if slow else size
    return large // _SMALLER, large


class Run:
    """Everything that is measured, on topics that are filled when they are first needed."""

    def __init__(self, bench: Bench, engines: Sequence[Engine], size: int) -> None:
        self._bench, self._engines, self._size = bench, engines, size
        self._filled: dict[int, Filled] = {}
        self.failed: dict[str, str] = {}
        """Engines that ended by themselves or did not finish, and why. The others go on without them."""

    def round(self, number: int) -> report.Round:
        """Every engine at its sizes; every second round backwards."""
        order = [(e, s) for e in self._engines if e.timed and e.name not in self.failed for s in self._sizes(e)]
        step = -1 if number % 2 else 1
        taken: dict[str, list[report.Pair]] = {engine.name: [] for engine, _ in order}
        for engine, (small, large) in order[::step]:
            with self._noting(engine):
                of = {messages: self._timed(engine, messages) for messages in (small, large)[::step]}
                taken[engine.name].append(report.Pair((small, large), of[small], of[large]))
        return taken

    def exercises(self) -> dict[str, dict[str, Outcome]]:
        """By exercise and engine."""
        found: dict[str, dict[str, Outcome]] = {}
        for name, one in (("the target stalls", job.stall()), ("one idle partition", job.idle())):
            filled = self._bench.fill(name.replace(" ", "-"), one)
            found[name] = {}
            for engine in self._engines:
                if engine.exercised and engine.name not in self.failed:
                    with self._noting(engine):
                        found[name][engine.name] = outcome = self._bench.exercised(engine, filled, _EXERCISE_S)
                        say(f"{name}: {engine.name}: {outcome.said}")
        return found

    @contextmanager
    def _noting(self, engine: Engine) -> Iterator[None]:
        try:
            yield
        except fetching.PeerError as error:
            say(str(error))
            self.failed[engine.name] = str(error)

    def _sizes(self, engine: Engine) -> list[report.Sizes]:
        """Ours is run at all sizes at which others are, so that each ratio is of equal work."""
        if engine.name != OURS:
            return [sizes(self._size, slow=engine.slow)]
        slow = {e.slow for e in self._engines if e.timed and e.name != OURS} or {False}
        return [sizes(self._size, slow=s) for s in sorted(slow)]

    def _timed(self, engine: Engine, messages: int) -> Outcome:
        if messages not in self._filled:
            self._filled[messages] = self._bench.fill(f"messages-{messages}", job.whole(messages))
        outcome = self._bench.timed(engine, self._filled[messages])
        say(
            f"{engine.name}: {outcome.messages:,} messages, {outcome.wall_s:.1f} s, {outcome.cpu_s:.1f} CPU s, "
            f"{outcome.peak_mb:,.0f} MB, {outcome.said}"
        )
        return outcome


def section(result: dict[str, Any], tables: Sequence[Sequence[str]]) -> str:
    """The part of the document that holds figures."""
    where, versions = result["machine"], result["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = textwrap.wrap(
        f"Measured on {result['date'][:10]} with `{result['command']}`: {where['cpu']}, {where['cores']} cores "
        f"shared with the broker; {named}. {result['round_count']} rounds, the middle of them ([raw figures](peers.json)):",
        width=150,
        break_on_hyphens=False,
    )
    for one in tables:
        lines += ["", *one]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, default=2_000_000, help="messages of both sides in a large run; slow engines get a fifth"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", metavar="REGEX", help="engines whose name has something that matches")
    parser.add_argument("--patience", type=float, default=900.0, help="seconds after which a run has failed")
    parser.add_argument("--no-exercises", action="store_true", help="only what is timed")
    parser.add_argument("--no-timing", action="store_true", help="only the exercises")
    parser.add_argument("--out", type=Path, metavar="FILE", help="all figures as JSON")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    parser.add_argument("--check", action="store_true", help="only install, compile and check the engines")
    options = parser.parse_args()
    if options.write and (options.only or options.no_exercises or options.no_timing):
        parser.error("--write is for all figures: leave --only, --no-exercises and --no-timing out")
    try:
        engines = chosen(options.only)
        kinds = {engine.kind for engine in engines}
        if options.check:
            fetching.check(kinds)
            return 0
        return measure(options, engines, kinds)
    except (ValueError, fetching.PeerError, BrokerError, ReconError) as error:
        say(str(error))
        return 1


def measure(options: argparse.Namespace, engines: Sequence[Engine], kinds: set[str]) -> int:
    """Measures and shows; 1 if an engine failed, or ours said what is not true."""
    tools = fetching.tools(kinds)
    with Broker(settings={"log.retention.ms": "-1"}) as broker:  # event time is long ago
        run = Run(Bench(broker.bootstrap, tools, options.patience), engines, options.size)
        rounds = [] if options.no_timing else [run.round(number) for number in range(options.rounds)]
        exercised = {} if options.no_exercises else run.exercises()
    found = report.figures(rounds, run.failed)
    exercised = {name: {e: one for e, one in of.items() if e not in run.failed} for name, of in exercised.items()}
    result = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": shlex.join(["python", "-m", "benchmarks.peers", *sys.argv[1:]]),
        "machine": figures.machine(),
        "versions": {**figures.versions(), **fetching.versions()},
        "engines": {engine.name: engine.keeps for engine in engines},
        "figures": [one.to_json() for one in found],
        "exercises": {name: {e: o.to_json() for e, o in of.items()} for name, of in exercised.items()},
        "failed": run.failed,
        "round_count": len(rounds),
        "rounds": [{name: [pair.to_json() for pair in pairs] for name, pairs in one.items()} for one in rounds],
    }
    tables = [report.table(found, ENGINES)] * bool(found) + [report.exercises(exercised)] * bool(exercised)
    tables += [[f"Failed, and not in the tables: {', '.join(run.failed)}."]] * bool(run.failed)
    print("\n\n".join("\n".join(lines) for lines in tables))
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if options.out:
        options.out.write_bytes(data)
    if options.write:
        FIGURES.write_bytes(data)
        documents.put(DOCUMENT, BEGIN, section(result, tables))
    said = [pair.large.said for one in rounds for pair in one.get(OURS, ())]
    said += [of[OURS].said for of in exercised.values() if OURS in of]
    wrong = [one for one in said if one["found"] != one["planted"] or one["invented"]]
    if wrong:
        say(f"ours said what is not true: {wrong}")
    return 1 if wrong or run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
