"""The command line: what the commands are called, what they take, and how every failure becomes one clear message and a code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from stream_recon import __version__
from stream_recon.cli import listing, replaying, validating
from stream_recon.cli.auditing import audit, gate, keys, ledger
from stream_recon.cli.options import Json, Memory, Prefix, memory_bytes
from stream_recon.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_UNDELIVERED, delivering, print_json, print_text, say
from stream_recon.errors import ReconError, Undelivered

commands = typer.Typer(
    name="stream-recon",
    help="Do two systems hold the same data? Reads both CDC topics and says, window after window, which rows differ.",
    epilog="Exit codes: 0 fine; 1 data differ; 2 inconclusive; 3 tool, configuration or usage; 4 a result was not delivered.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
schemas = typer.Typer(help="The JSON Schemas of topologies and of what is put out.", rich_markup_mode=None)
acl = typer.Typer(help="What a deployment must be allowed to do on its clusters.", rich_markup_mode=None)
commands.add_typer(audit, name="audit")
commands.add_typer(keys, name="keys")
commands.add_typer(schemas, name="schemas")
commands.add_typer(acl, name="acl")
commands.command()(gate)
commands.command()(ledger)

Topologies = Annotated[list[Path], typer.Argument(metavar="TOPOLOGY...")]
State = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where RocksDB keeps state, a cache of the log; default: .stream-recon")
]

_USAGE_ERROR: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""Typer carries its own copy of click, or needs the package, by version: the class is the same by name."""


def _version(*, asked: bool) -> None:
    if asked:
        print_text(f"stream-recon {__version__}")
        raise typer.Exit


@commands.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure (before the command's name).")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=lambda asked: _version(asked=asked), help="Show the version and end."),
    ] = False,
) -> None:
    """``--debug`` is read by ``run`` itself, so that it holds for failures of the command line, too."""
    del debug, version


@commands.command()
def validate(topologies: Annotated[list[Path], typer.Argument(metavar="TOPOLOGY...")], as_json: Json = False) -> None:
    """Check topology files, and say what to mend by file and line."""
    raise typer.Exit(validating.validate(topologies, as_json=as_json))


@commands.command()
def replay(
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY")],
    side: Annotated[
        list[str], typer.Option(metavar="NAME=FILE", help="A recording of one side (kcat -J lines, also .gz); repeat for more.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results are written; made if missing.")],
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where state is kept, to go on after an interruption; default: a temporary one."),
    ] = None,
    digest_partitions: Annotated[int, typer.Option(min=1, max=4096, help="Partitions of the digest log.")] = 8,
    batch_rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows in a digest block. Shapes no answer.")] = 4000,
    as_json: Json = False,
) -> None:
    """Reconcile recorded topics, without a broker: the engine of the service over files."""
    options = replaying.Options(out, state, digest_partitions, batch_rows)
    raise typer.Exit(replaying.replay(topology, side, options, as_json=as_json))


@commands.command()
def record(
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the recording of each side is written; made if missing.")],
    as_json: Json = False,
) -> None:
    """Record a topology's topics as they are now, a file for each side, for replay and audit rederive."""
    from stream_recon.cli import recording

    raise typer.Exit(recording.record(topology, out, as_json=as_json))


@commands.command("run")
def run_service(
    topologies: Topologies,
    stage: Annotated[str, typer.Option(help="normalise, reconcile or all: what the workers of this process tree do.")] = "all",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes of each stage.")] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="To the ends that the topics have now; then the verdict, as replay.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="With --once: write the results there, as replay does.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Tells this process tree from others of the deployment; default: the host's name.")
    ] = None,
    state: State = None,
    prefix: Prefix = None,
    digest_partitions: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Partitions of a digest log that is made now; default 8.")
    ] = None,
    memory: Memory = "512MiB",
    metrics: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Serve /metrics for Prometheus there; default: not.")
    ] = None,
    every: Annotated[float, typer.Option(min=1, help="Without a terminal: seconds between status lines.")] = 10.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per status on stdout; with --once: the summary.")
    ] = False,
) -> None:
    """Reconcile live topics, until stopped."""
    from stream_recon.cli import running  # Kafka's client is loaded for the service only

    options = running.Options(
        running.stages(stage),
        workers,
        once,
        name,
        state,
        out,
        digest_partitions,
        metrics,
        every,
        as_json,
        prefix,
        memory_bytes(memory),
    )
    raise typer.Exit(running.run(topologies, options))


@commands.command()
def status(topologies: Topologies, prefix: Prefix = None, as_json: Json = False) -> None:
    """Show how far a deployment is, running or stopped, from outside: positions, watermarks, lag, members of its groups.

    It reads no results: for open discrepancies see the metrics of run, or the discrepancies topic.
    """
    from stream_recon.cli.status import status as show

    raise typer.Exit(show(topologies, prefix=prefix, as_json=as_json))


@commands.command()
def rebuild(
    topologies: Topologies,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the audit: a change, a ticket.")] = None,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Begin topologies anew under changed settings: everything is read again. Their workers must be stopped."""
    from stream_recon.cli import upkeep

    raise typer.Exit(upkeep.rebuild(topologies, prefix, reason, as_json=as_json))


@acl.command("render")
def render_acls(
    topologies: Topologies,
    principal: Annotated[
        str, typer.Option(metavar="TYPE:NAME", help="Who: User:recon, or User:CN=recon,O=...")
    ] = "User:stream-recon",
    form: Annotated[
        str, typer.Option("--format", help="kafka-acls: commands; strimzi: KafkaUser and KafkaTopic.")
    ] = "kafka-acls",
    sign: Annotated[bool, typer.Option("--sign", help="Of audit sign, in place of those of run.")] = False,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Print the least rights with which everything works, for each cluster. Nothing is changed, no cluster is asked."""
    from stream_recon.cli import acls

    raise typer.Exit(acls.render(topologies, prefix, principal, form, sign=sign, as_json=as_json))


@schemas.command("show")
def show_schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="discrepancies, audit or topology.")],
) -> None:
    """Print a JSON Schema."""
    from stream_recon.cli import contracts

    raise typer.Exit(contracts.show(name))


@schemas.command("register")
def register_schemas(
    topologies: Topologies,
    registry: Annotated[str | None, typer.Option(metavar="URL", help="Default: the one that a topology names.")] = None,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Register the schemas of PREFIX.discrepancies and PREFIX.audit in a registry, so that consumers and catalogues find them."""
    from stream_recon.cli import contracts

    raise typer.Exit(contracts.register(topologies, prefix, registry, as_json=as_json))


@commands.command()
def reset(
    topologies: Topologies,
    prefix: Prefix = None,
    state: State = None,
    outputs: Annotated[bool, typer.Option("--outputs", help="Delete the output topics, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget a deployment: its log, its positions, its state here and its checkpoints. Its workers must be stopped."""
    from stream_recon.cli import upkeep

    raise typer.Exit(upkeep.reset(topologies, prefix, state, outputs=outputs, yes=yes, as_json=as_json))


@commands.command()
def discrepancies(
    where: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A result directory, or its discrepancies.jsonl.")],
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; repeat for more.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only this status; repeat for more. Default: those that are open.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="[COLUMN=]VALUE", help="Only this key; repeat for a compound one.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    sort: Annotated[str, typer.Option(help="first_seen, window, key, kind, status, target or occurrences.")] = "first_seen",
    reverse: Annotated[bool, typer.Option("--reverse", help="The last first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, the event's body as it was written.")] = False,
) -> None:
    """List discrepancies by their newest status: what is open, if not asked otherwise."""
    choice = listing.Choice(
        kinds=tuple(kind or ()),
        statuses=tuple(status or ()),
        keys=tuple(key or ()),
        closed=everything,
        sort=sort,
        reverse=reverse,
        limit=limit,
    )
    raise typer.Exit(listing.show(where, choice, as_json=as_json))


@commands.command("dead-letters")
def dead_letters(
    where: Annotated[
        list[Path], typer.Argument(metavar="DIR|TOPOLOGY...", help="A result directory, or the topologies of a deployment.")
    ],
    again: Annotated[bool, typer.Option("--again", help="Read each message again, and say whether it decodes now.")] = False,
    kind: Annotated[list[str] | None, typer.Option("--class", help="Only this class of reasons; repeat for more.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 1_000,
    prefix: Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as it was written.")] = False,
) -> None:
    """List the messages that could not be understood: where they are, and why."""
    from stream_recon.cli import letters

    choice = letters.Choice(tuple(kind or ()), limit, again=again)
    raise typer.Exit(letters.show(where, choice, prefix, as_json=as_json))


@commands.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the results here; default: a temporary directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A dual write with planted faults: ends with found against planted. KAFKA_BOOTSTRAP=HOST:PORT: through the live service."""
    from stream_recon.demo import run_demo  # the simulator's world is loaded for this command only

    raise typer.Exit(run_demo(out=out, as_json=as_json))


@commands.command()
def bench(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages of both sides together.")] = 400_000,
    keys: Annotated[int, typer.Option(min=1, help="Distinct keys.")] = 100_000,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 4,
    rate: Annotated[int, typer.Option(min=1, help="Rows a second of event time, each side.")] = 2_000,
    faults: Annotated[float, typer.Option(min=0, max=0.01, help="Share of the source's rows that go wrong.")] = 0.001,
    encoding: Annotated[str, typer.Option("--format", help="json, debezium-json or debezium-avro.")] = "json",
    schema: Annotated[bool, typer.Option("--schema", help="debezium-json with schemas embedded.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes of each stage.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often; the figures are medians.")] = 1,
    window: Annotated[int, typer.Option(min=1, help="Seconds of a window.")] = 10,
    settle: Annotated[int, typer.Option(min=2, help="Seconds to settle.")] = 30,
    live: Annotated[
        int | None,
        typer.Option(
            min=5, metavar="SECONDS", help="Rows come in real time, measured for so long: latency, and what workers use."
        ),
    ] = None,
    catch_up: Annotated[
        int, typer.Option("--catch-up", min=0, metavar="SECONDS", help="With --live: then so long without the service.")
    ] = 0,
    digest_partitions: Annotated[int | None, typer.Option(min=1, max=4096, help="Partitions of the digest log.")] = None,
    memory: Memory = "512MiB",
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The broker; default: KAFKA_BOOTSTRAP.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON there, too.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the topics.")] = False,
    as_json: Json = False,
) -> None:
    """Measure this machine on a real broker: CPU a message of every stage, against reading and hashing alone."""
    from stream_recon.bench.data import Workload
    from stream_recon.bench.stages import Crew
    from stream_recon.cli import benching

    work = Workload(messages, keys, partitions, faults, rate, window, settle)
    crew = Crew(workers, memory_bytes(memory))
    options = benching.Options(
        work, encoding, schema, crew, rounds, live, catch_up, digest_partitions, bootstrap, out, keep=keep, as_json=as_json
    )
    raise typer.Exit(benching.bench(options))


@commands.command()
def simulate(
    topology: Annotated[
        Path | None, typer.Argument(metavar="[TOPOLOGY]", help="Its times and pairs are tried; default: small ones.")
    ] = None,
    first: Annotated[int, typer.Option("--from", min=0, help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that try them; default: one a core.")] = None,
    as_json: Json = False,
) -> None:
    """Try the service in a simulated world: workers are killed and stopped, brokers go away, disks lose what was not synced.

    The workers are the real ones; Kafka, disks and time are modelled, and a dual write with planted faults runs through them.
    Each seed gives the same run every time. Exit code 3: a law did not hold.
    """
    from stream_recon.cli import simulating

    raise typer.Exit(simulating.simulate(simulating.Options(topology, first, seeds, workers, as_json)))


@commands.command()
def formats(as_json: Json = False) -> None:
    """List the message formats, and what decides operation, time, key and types in each."""
    from stream_recon.cli.formats import show

    raise typer.Exit(show(as_json=as_json))


@commands.command()
def version(as_json: Json = False) -> None:
    """Show the version."""
    if as_json:
        print_json({"version": __version__, "python": ".".join(map(str, sys.version_info[:3]))})
    else:
        print_text(f"stream-recon {__version__}")


def app(arguments: Sequence[str] | None = None) -> None:
    """The console command. Always ends by ``SystemExit``."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code; whatever fails is told on stderr (with ``--json`` on stdout as well)."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    if not __debug__:
        text = "python -O is refused: it removes the checks that this program does on itself; run python without -O"
        return _fail(text, EXIT_FAILED, as_json=as_json)
    try:
        code = typer.main.get_command(commands).main(arguments or ["--help"], prog_name="stream-recon", standalone_mode=False)
        with delivering():
            sys.stdout.flush()
    except ReconError as error:
        text = "".join(traceback.format_exception(error)) if debug else str(error)
        return _fail(text, EXIT_UNDELIVERED if isinstance(error, Undelivered) else EXIT_FAILED, as_json=as_json)
    except _USAGE_ERROR as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "stream-recon"
        text = f"{error.format_message()} Try: {path} --help"  # type: ignore[attr-defined]
        return _fail(text, EXIT_FAILED, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours, told as one
        text = f"a fault of stream-recon itself: {type(error).__name__}: {error} (run stream-recon --debug ... for the traceback)"
        return _fail(traceback.format_exc() if debug else text, EXIT_FAILED, as_json=as_json)
    if code == EXIT_INTERRUPTED:  # typer turns Ctrl-C into this code
        say("interrupted")
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int, *, as_json: bool) -> int:
    """Says what failed. A reader of ``--json`` gets an object as well, so that no output is never taken for a good result."""
    say(f"error: {message}")
    try:
        if as_json:
            typer.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
        sys.stdout.flush()
    except OSError:  # stdout itself is what failed: without this the interpreter would fail again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
