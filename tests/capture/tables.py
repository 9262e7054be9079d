"""The columns of the fresh capture's tables: each value as SQL writes it, beside its canonical text, by hand.

A canonical text stands as ``tag:text``; ``~`` is null, ``!`` a value that is refused. What a connector sends otherwise than it
was written stands in ``distorted``. The tables themselves: ``tables_postgres``, ``tables_mariadb``.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_recon.model.plan import TypeRule

SNAPSHOT_FROM, STREAM_FROM, MARKER = 1, 101, 999
"""Ids of rows that were there before, of rows written later, and of the last row of each table."""


def framed(text: str) -> bytes:
    """What stands in a row's text for ``tag:text``."""
    tag, _, rest = text.partition(":")
    return b"~" if text == "~" else f"{tag}{len(rest.encode())}:".encode() + rest.encode()


def many(*texts: str) -> str:
    """A list."""
    return "l:" + b"".join(map(framed, texts)).decode()


def pairs(*texts: str) -> str:
    """A map or a struct: names and values in turn."""
    return "m:" + b"".join(map(framed, texts)).decode()


@dataclass(frozen=True)
class Column:
    """One column: row by row the value in SQL and its text."""

    name: str
    type: str
    values: tuple[tuple[str, str], ...]
    rule: TypeRule | None = None

    def sql(self, row: int) -> str:
        return self.values[row][0] if row < len(self.values) else "NULL"

    def text(self, row: int) -> str:
        return self.values[row][1] if row < len(self.values) else "~"


@dataclass(frozen=True)
class Table:
    """One table with a key ``id``; its rows are written before the capture begins, and once more while it runs."""

    name: str
    columns: tuple[Column, ...]

    @property
    def height(self) -> int:
        return max(len(column.values) for column in self.columns)

    def create(self) -> str:
        columns = ", ".join(f"{column.name} {column.type} NULL" for column in self.columns)
        return f"CREATE TABLE {self.name} (id bigint NOT NULL PRIMARY KEY, {columns});\n"

    def insert(self, first: int) -> str:
        rows = (f"({first + row}, {', '.join(column.sql(row) for column in self.columns)})" for row in range(self.height))
        return "".join(f"INSERT INTO {self.name} VALUES {row};\n" for row in rows)

    def texts(self) -> dict[int, dict[str, str]]:
        """Column texts by the id of the row."""
        found = {MARKER: {column.name: "~" for column in self.columns}}
        for first in (SNAPSHOT_FROM, STREAM_FROM):
            for row in range(self.height):
                found[first + row] = {column.name: column.text(row) for column in self.columns}
        return found


def column(name: str, type_: str, *values: tuple[str, str], rule: str | None = None) -> Column:
    """``rule``: the declared reading, where the wire does not say."""
    return Column(name, type_, values, None if rule is None else TypeRule(rule))


BYTES = bytes(range(256)).hex()
GREEK = "'é€😀 Ω'"
