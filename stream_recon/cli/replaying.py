"""``replay``: reads the command's options into a call of the engine, and shows the summary to people or machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from stream_recon.cli import listing
from stream_recon.cli.output import print_json, print_text, say
from stream_recon.cli.progress import ProgressReport
from stream_recon.config import load_topology
from stream_recon.errors import ConfigError, InputError
from stream_recon.model.plan import TopologyPlan

FIRST_SHOWN = 10
"""Open discrepancies in the summary for people; the file holds all."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where ``replay`` writes, and how it cuts its work."""

    out: Path
    state: Path | None
    digest_partitions: int
    batch_rows: int


def replay(topology: Path, sides: Sequence[str], options: Options, *, as_json: bool) -> int:
    """Runs ``replay`` and returns its exit code. Raises ``ReconError``."""
    from stream_recon.cli.wire import replay as run  # the engine takes half a second to load

    plan = load_topology(topology)
    recordings = recordings_of(plan, sides)
    with ProgressReport(silent=as_json) as progress:
        summary = run(
            plan,
            recordings,
            options.out,
            state=options.state,
            digest_partitions=options.digest_partitions,
            batch_rows=options.batch_rows,
            progress=progress,
        )
    for warning in summary.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json(summary.to_json())
    else:
        _show(summary.to_json(), options.out)
    code: int = summary.exit_code
    return code


def recordings_of(plan: TopologyPlan, sides: Sequence[str]) -> dict[str, list[Path]]:
    """``["postgres=a.jsonl", "mariadb="]`` -> the files of each side, in the plan's order. Raises ``ReconError``."""
    names = [side.name for side in plan.sides]
    files: dict[str, list[Path]] = {}
    for text in sides:
        name, equals, file = text.partition("=")
        if not equals:
            raise ConfigError(f"--side {text}: expected NAME=FILE, with NAME one of {', '.join(names)}")
        if name not in names:
            raise ConfigError(f"--side {text}: {plan.name} has no side {name!r}; its sides are {', '.join(names)}")
        paths = files.setdefault(name, [])
        if file:
            paths.append(_existing(text, Path(file)))
    missing = [name for name in names if name not in files]
    if missing:
        raise ConfigError(
            f"no recording of side {', '.join(missing)}; add --side {missing[0]}=FILE, or --side {missing[0]}= if there is none"
        )
    return {name: files[name] for name in names}


def _existing(text: str, path: Path) -> Path:
    if not path.exists():
        raise InputError(f"--side {text}: there is no file {path}")
    if path.is_dir():
        raise InputError(f"--side {text}: {path} is a directory; name its files, one --side each")
    return path


def _show(summary: Mapping[str, Any], out: Path) -> None:
    windows = summary["windows"]
    print_text(
        f"verdict: {summary['verdict']}",
        f"windows: {windows['clean']} clean, {windows['discrepant']} discrepant, {windows['inconclusive']} inconclusive",
        "discrepancies: " + ", ".join(f"{summary[name]} {name}" for name in ("open", "opened", "resolved", "dismissed")),
        shown_partitions(summary["partitions"]),
    )
    if summary["open"]:
        chosen = listing.chosen(listing.newest(out / "discrepancies.jsonl"), listing.Choice())
        print_text(listing.table(chosen[:FIRST_SHOWN]))
        if len(chosen) > FIRST_SHOWN:
            print_text(f"... and {len(chosen) - FIRST_SHOWN} more: stream-recon discrepancies {out}")
    print_text(f"written to {out}")


def shown_partitions(partitions: Sequence[Mapping[str, Any]]) -> Table:
    """What was read, a line a partition."""
    table = Table(title="what was read", title_justify="left")
    counts = ("from", "to", "rows", "control", "dead_letters", "repeated", "unused", "gaps", "late")
    table.add_column("side")
    table.add_column("partition", overflow="fold")
    for name in counts:
        table.add_column(name, justify="right")
    for p in partitions:
        table.add_row(str(p["side"]), f"{p['topic']}/{p['partition']}", *(str(p[name]) for name in counts))
    return table
