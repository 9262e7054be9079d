"""``stream-recon demo``: a dual write with planted faults, live; ends with found against planted.

    faults -> world -> envelope -> drive -> score         pure: the same every time; on the embedded log
                           |         |
                           |       show                   here: the only place that knows a terminal
                           |         |
                           └─────> kafka -> score         the service itself, where KAFKA_BOOTSTRAP names a broker

On a terminal it runs 20 times as fast as the world that it plays; elsewhere as fast as it can. It refuses nothing: if found is
not what was planted, or a chain of certificates does not hold, that is its exit code.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.live import Live

from stream_recon.cli.output import print_json, print_text
from stream_recon.cli.wire import deliver, opened
from stream_recon.config import load_topology
from stream_recon.demo import files, screen
from stream_recon.demo.drive import Drive, Played, layout
from stream_recon.demo.envelope import Message, messages
from stream_recon.demo.score import Certificates, Result
from stream_recon.demo.world import World, make
from stream_recon.engine.pipeline import AUDIT, Pipeline
from stream_recon.engine.replay import bodies, summarise
from stream_recon.limits import MICROS

__all__ = ["run_demo"]

SPEED = 20
"""The world's time against the wall clock, on a terminal: its ten minutes in half a minute."""

LIVE_TICK = 2 * MICROS
"""Of the world's time: 100 ms on the wall, about what the eye can follow."""

FAST_TICK = 10 * MICROS
"""Where nobody looks: a tick has its price, however few its rows."""

_FRAME_LINES = 14
"""Lines of the board beside the list of faults."""


def run_demo(*, out: Path | None, as_json: bool) -> int:
    """Runs the demo; 0 if what was found is what was planted and every certificate checks, else 3.

    Raises:
        ReconError: a directory cannot be used, or a result not be written.
    """
    with _place(out) as place:
        live = _live(as_json=as_json)
        if os.environ.get("KAFKA_BOOTSTRAP"):
            result = play_on_kafka(place, live=live, silent=as_json)
        else:
            result = play(make(), place, live=live, silent=as_json)
    kept = None if out is None else str(out)
    if as_json:
        print_json(result.to_json() | {"out": kept})
    else:
        print_text(screen.result_table(result), *screen.result_lines(result))
        print_text(*([] if out is None else _where(out)))
    return result.exit_code


def play(world: World, place: Path, *, live: bool, silent: bool) -> Result:
    """The whole world through a pipeline in ``place``; leaves topology, recordings and results there."""
    sent = messages(world)
    plan = load_topology(files.prepare(place))
    files.record(place, sent)
    resolved = layout(plan)
    with opened(resolved, place, plan.parallelism or 1, keep=False) as pipeline:
        drive = Drive(pipeline, sent, world.planted)
        _show(drive, live=live, silent=silent)
        return _result(pipeline, drive, sent, place)


def play_on_kafka(place: Path, *, live: bool, silent: bool) -> Result:
    """The same world on the broker that the environment names, moved to the present."""
    from stream_recon.demo import kafka  # its client is loaded where there is a broker only

    return kafka.play(place, partial(_show, live=live, silent=silent), silent=silent)


def _result(pipeline: Pipeline, drive: Drive, sent: tuple[Message, ...], place: Path) -> Result:
    summary = summarise(pipeline, [])
    deliver(place, pipeline.log, summary)
    certificates = Certificates.of(bodies(pipeline.log, AUDIT))
    return Result(drive.board.score.lines(), certificates, summary.to_json(), len(sent))


def _live(*, as_json: bool) -> bool:
    return sys.stdout.isatty() and not as_json and not os.environ.get("CI")


def _show(drive: Played, *, live: bool, silent: bool) -> None:
    _show_live(drive) if live else _show_lines(drive, silent=silent)


def _show_live(drive: Played) -> None:
    """One frame a tick, at ``SPEED``; a machine that is slower than that takes longer, and says the same."""
    console = Console()
    rows = max(3, console.height - _FRAME_LINES)
    begun = time.monotonic()
    ticks = 0
    with Live(screen.board(drive.board, SPEED, rows), console=console, auto_refresh=False, transient=False) as shown:
        while not drive.done:
            drive.tick(LIVE_TICK)
            ticks += 1
            shown.update(screen.board(drive.board, SPEED, rows), refresh=True)
            time.sleep(max(0.0, begun + ticks * LIVE_TICK / MICROS / SPEED - time.monotonic()))
        drive.end()
        shown.update(screen.board(drive.board, SPEED, None), refresh=True)


def _show_lines(drive: Played, *, silent: bool) -> None:
    if not silent:
        print_text(*screen.heading(drive.board, drive.messages))
    while not drive.done:
        drive.tick(FAST_TICK)
        _print_said(drive, silent=silent)
    drive.end()
    _print_said(drive, silent=silent)


def _print_said(drive: Played, *, silent: bool) -> None:
    if not silent:
        print_text(*(screen.event_line(event) for event in drive.board.said))


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    """The directory to work in: the one that was asked for, or a temporary one that goes."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="stream-recon-demo-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def _where(out: Path) -> list[str]:
    return [
        f"written to {out}; the same from its recordings:",
        f"  stream-recon replay {out}/topology.yaml --side postgres={out}/postgres.jsonl --side mariadb={out}/mariadb.jsonl "
        f"--out {out}/replayed",
    ]
