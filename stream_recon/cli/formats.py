"""``formats``: what a side's messages may look like, and by what each of them says operation, time, key and types."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from rich.table import Table

from stream_recon.cli.output import EXIT_FINE, print_json, print_text
from stream_recon.model.plan import Format


@dataclass(frozen=True, slots=True)
class About:
    """One format in a line, and what decides in it."""

    messages: str
    operation: str
    event_time: str
    key: str
    types: str


_DEBEZIUM: Final = ("op, or __op and __deleted", "source.ts_*, or __source_ts_*", "message key, else the row")
FORMATS: Final[dict[Format, About]] = {
    Format.CANAL_JSON: About("Canal's flat messages, several rows each", "type", "es", "the row", "mysqlType"),
    Format.DEBEZIUM_AVRO: About("Debezium: envelopes, flattened rows, MongoDB", *_DEBEZIUM, "the registry's schema"),
    Format.DEBEZIUM_JSON: About("Debezium: envelopes, flattened rows, MongoDB", *_DEBEZIUM, "the message's schema, if any"),
    Format.JSON: About(
        "plain rows",
        "no payload: a delete",
        "event_time, if declared",
        "message key, else the row",
        "the message's schema, if any",
    ),
    Format.MAXWELL_JSON: About("Maxwell's, one row each", "type", "ts", "the row", "the kind of JSON"),
}
_REMARKS: Final = (
    "A row without a time of its own takes the broker's timestamp; an envelope of Debezium without one is a dead letter.\n"
    "MongoDB's documents say their types themselves. What nothing says of a column, declare in `types`."
)


def show(*, as_json: bool) -> int:
    """All formats, by name."""
    named = sorted((form.value, asdict(about)) for form, about in FORMATS.items())
    if as_json:
        print_json({"formats": [{"format": name, **about} for name, about in named]})
        return EXIT_FINE
    table = Table("format", "messages", "operation by", "event time by", "key from", "types by", box=None, pad_edge=False)
    for name, about in named:
        table.add_row(name, *about.values())
    print_text(table, _REMARKS)
    return EXIT_FINE
