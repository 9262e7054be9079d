"""Exit codes and the few ways in which commands write."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from stream_recon.errors import Undelivered

EXIT_FINE = 0
EXIT_DIFFERENT = 1
EXIT_INCONCLUSIVE = 2
EXIT_FAILED = 3
EXIT_UNDELIVERED = 4
EXIT_INTERRUPTED = 130

PLAIN_COLUMNS = 200
"""Width of a table that goes into a file or a pipe."""


@contextmanager
def delivering() -> Iterator[None]:
    """Around every write of a result to stdout. Raises ``Undelivered``."""
    try:
        yield
    except OSError as error:
        raise Undelivered(f"the result could not be written to standard output: {error.strerror or error}") from error


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print_lines([orjson.dumps(value)])


def print_lines(lines: list[bytes]) -> None:
    """Lines as they are, on stdout."""
    with delivering():
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


class _Console(Console):
    """Rich ends the process by itself when the reader goes away; here that is an error like the others."""

    def on_broken_pipe(self) -> None:
        raise Undelivered("the result could not be written to standard output: Broken pipe")


def print_text(*parts: str | Table) -> None:
    """Lines and tables for people, on stdout. Without a terminal nothing is coloured or cut."""
    console = _Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:
        console = _Console(file=sys.stdout, highlight=False, markup=False, width=PLAIN_COLUMNS)
    with delivering():
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str))
        sys.stdout.flush()


def say(text: str) -> None:
    """One message on stderr."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def printable(text: str) -> str:
    """``text`` in which nothing but line breaks steers a terminal: names and keys come from messages that anyone may write."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def shown_text(value: object) -> str:
    """A key's value for people: as it is where the eye can tell it from others, else as an ASCII JSON string.

    So a trailing space, a control character and a decomposed letter are seen.
    """
    text = str(value)
    plain = text.isprintable() and text == text.strip() and unicodedata.is_normalized("NFC", text) and text != ""
    return text if plain else json.dumps(text)


def shown_duration(us: int | None) -> str:
    """``30_000_000`` -> ``30s``, in the largest unit that keeps it whole."""
    if us is None:
        return "never"
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)):
        if us % size == 0 and us != 0:
            return f"{us // size}{unit}"
    return f"{us}us" if us else "0s"
