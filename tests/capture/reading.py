"""How the tests read a capture: through the product's reference decoder, a column at a time for its text, a row for its hash."""

from __future__ import annotations

from collections.abc import Iterable

from stream_recon.cli import wire
from stream_recon.cli.schemas import book_of
from stream_recon.model.messages import Messages
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.reader import AvroReader
from stream_recon.normalise.canonical import Cell, framed
from stream_recon.normalise.formats import Outcome
from stream_recon.normalise.reference import ReferenceDecoder, message_format
from stream_recon.normalise.row_reader import RowReader
from tests.capture import modes
from tests.capture.capture import TABLES
from tests.capture.events import LIFE_COLUMNS, Event

LARGE = frozenset({"body", "doc", "idents", "nums", "raw", "tags"})
"""Of table ``life``: what PostgreSQL may leave out."""


def feed(side: str, columns: dict[str, TypeRule | None], *, format_: Format, large: frozenset[str] = frozenset()) -> FeedPlan:
    """How these columns and the key ``id`` are read."""
    every = {"id": None, **columns}
    plans = (
        ColumnPlan(name, name, reads=(name,), type=every[name], large=name in large, key=name == "id")
        for name in sorted(every, key=str.encode)
    )
    types = tuple((name, rule) for name, rule in columns.items() if rule is not None)
    return FeedPlan(side, format_, tuple(plans), types)


def columns(side: str, table: str, capture: str = "json") -> dict[str, TypeRule | None]:
    """The columns of a table but its key, each with its declared reading. ``capture``: its format, see ``capture``."""
    if table == "life":
        return dict.fromkeys(LIFE_COLUMNS[side])
    if table == "wiped":
        return {"name": None}
    (found,) = (each for each in TABLES[side] if each.name == table)
    rules = modes.RULES.get((side, capture), {})
    return {column.name: rules.get(column.name, column.rule) for column in found.columns}


def plan_of(side: str, table: str, format_: Format, capture: str = "json") -> FeedPlan:
    """How a whole table is read."""
    read = columns(side, table, capture)
    return feed(side, read, format_=format_, large=LARGE & read.keys() if table == "life" else frozenset())


def assert_alike(plan: FeedPlan, messages: Messages) -> None:
    """The decoder that a topology gets, the vectorised one, gives what the reference decoder gives."""
    want, got = ReferenceDecoder(plan, book_of(plan)).decode(messages), wire.decoder(plan).decode(messages)
    assert got.rows.to_pylist() == want.rows.to_pylist()
    assert (list(got.control), got.dead) == (list(want.control), want.dead)


def outcomes(plan: FeedPlan, messages: Messages, book: SchemaBook | None = None) -> list[Outcome]:
    """What becomes of each message."""
    read = message_format(plan, RowReader(plan), None if book is None else AvroReader(book))
    found = zip(messages.key.to_pylist(), messages.value.to_pylist(), messages.timestamp.tolist(), strict=True)
    return [read.decode(key, value, timestamp) for key, value, timestamp in found]


def readable(cell: Cell) -> str:
    """A cell as the tables write it."""
    if cell.unknown:
        return "?"
    return "~" if cell.item is None else f"{cell.item[0]}:{cell.item[1].decode()}"


def events(names: Iterable[str], found: Iterable[Outcome]) -> list[Event]:
    """Outcomes as the tables write events; a dead letter says so."""
    return [event for outcome in found for event in _events(sorted([*names, "id"], key=str.encode), outcome)]


def _events(names: list[str], outcome: Outcome) -> list[Event]:
    assert outcome.reason is None, outcome.reason
    assert outcome.rows != (), "a control record"
    made: list[Event] = []
    for row in outcome.rows:
        cells = None if row.cells is None else dict(zip(names, map(readable, row.cells), strict=True))
        key = None if row.key is None else int(row.key[0][1])
        assert row.key is None or framed(row.key[0]) == f"n{len(str(key))}:{key}".encode()
        if cells is not None:
            assert cells.pop("id") == f"n:{key}"
        made.append((row.op, key, cells))
    return made
