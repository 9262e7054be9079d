"""``discrepancies``: the table of what is open, made from the events of ``discrepancies.jsonl``: the newest of each id counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from stream_recon.cli.output import EXIT_FINE, print_lines, print_text, shown_text
from stream_recon.errors import ConfigError, InputError

STATUSES = ("opened", "updated", "confirmed", "resolved", "dismissed")
OPEN = frozenset({"opened", "updated", "confirmed"})
KINDS = (
    "missing_in_target",
    "unexpected_in_target",
    "undeleted_in_target",
    "stale_in_target",
    "value_mismatch",
    "lost_change",
    "duplicate_change",
    "reordered_change",
)
SORTS = ("first_seen", "window", "key", "kind", "status", "target", "occurrences")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which discrepancies, and in which order. Empty tuples choose all; without ``statuses`` and ``closed`` only open ones."""

    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    closed: bool = False
    sort: str = "first_seen"
    reverse: bool = False
    limit: int | None = None


def show(where: Path, choice: Choice, *, as_json: bool) -> int:
    """Prints the chosen ones. Raises ``InputError`` (file and line), ``ConfigError`` for an unknown word in the choice."""
    for option, words, known in (
        ("--kind", choice.kinds, KINDS),
        ("--status", choice.statuses, STATUSES),
        ("--sort", (choice.sort,), SORTS),
    ):
        for word in words:
            if word not in known:
                raise ConfigError(f"{option} {word}: write one of {', '.join(known)}")
    path = where / "discrepancies.jsonl" if where.is_dir() else where
    found = chosen(newest(path), choice)
    shown = found[: choice.limit]
    if as_json:
        print_lines([raw for _, raw in shown])
        return EXIT_FINE
    if shown:
        print_text(table(shown))
    of = f" of {len(found)}" if len(shown) < len(found) else ""
    print_text(f"{len(shown)}{of} {'discrepancy' if len(found) == 1 else 'discrepancies'}")
    return EXIT_FINE


def newest(path: Path) -> list[tuple[Body, bytes]]:
    """The last event of each id (parsed, and as it was written), in the order in which the ids first appear."""
    last: dict[str, tuple[Body, bytes]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    body = orjson.loads(line)
                    last[body["id"]] = body, line.rstrip(b"\n")
                except (ValueError, KeyError, TypeError):
                    raise InputError(f"{path}:{number}: no discrepancy event; name the directory that replay wrote") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; name the directory that replay wrote") from error
    return list(last.values())


def chosen(bodies: Sequence[tuple[Body, bytes]], choice: Choice) -> list[tuple[Body, bytes]]:
    """Those that fit, sorted; ``limit`` is left to the caller, who may want to say how many there are."""
    statuses = frozenset(choice.statuses) or (frozenset(STATUSES) if choice.closed else OPEN)
    fitting = [
        pair
        for pair in bodies
        if pair[0]["status"] in statuses
        and (not choice.kinds or pair[0]["kind"] in choice.kinds)
        and all(_has_key(pair[0]["key"], key) for key in choice.keys)
    ]
    return sorted(fitting, key=lambda pair: (_rank(pair[0], choice.sort), pair[0]["id"]), reverse=choice.reverse)


def _has_key(key: Body, wanted: str) -> bool:
    """``VALUE`` fits any key column, ``COLUMN=VALUE`` that one; a value is compared as text."""
    column, equals, value = wanted.partition("=")
    return any(str(v) == wanted for v in key.values()) or (bool(equals) and column in key and str(key[column]) == value)


def _rank(body: Body, sort: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers by size and before texts, so that key 9 stands before key 10."""
    value = {"window": [body["window"]["end"]], "key": list(body["key"].values())}.get(sort) or [body[sort]]
    return tuple((0, v, "") if isinstance(v, int) else (1, 0, str(v)) for v in value)


def table(pairs: Sequence[tuple[Body, bytes]]) -> Table:
    """For people."""
    result = Table(title="discrepancies", title_justify="left")
    for name in ("id", "key", "kind", "status", "target", "first seen", "windows", "source", "target at"):
        result.add_column(name, overflow="fold")
    for body, _ in pairs:
        key = ", ".join(f"{shown_text(name)}={shown_text(value)}" for name, value in body["key"].items())
        refs = [_ref(body["source_ref"]), _ref(body["target_ref"])]
        row = [
            str(body["id"])[:12],
            key,
            body["kind"],
            body["status"],
            body["target"],
            body["first_seen"],
            str(body["occurrences"]),
        ]
        result.add_row(*row, *refs)
    return result


def _ref(ref: Body | None) -> str:
    return "-" if ref is None else f"{ref['topic']}/{ref['partition']}@{ref['offset']}"
