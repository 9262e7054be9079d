"""Whether the columns of two sides can ever be equal: what each side's schemas make of them (DESIGN section 4).

A number against a text, a float against a decimal, a boolean against an integer: every row would differ, and none of them be
wrong. Said at the start, with what to declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import ColumnPlan, FeedPlan
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.framing import split
from stream_recon.normalise.columnar.envelope import Prefixes
from stream_recon.normalise.formats.mongo import has_documents
from stream_recon.normalise.types.wire import Wire

Wires = Mapping[str, tuple[Wire, ...]]
"""By upstream column, what schemas say of it: one for each that was seen; none of what has no schema."""

_RULES: Final = {
    "boolean": "b",
    "integer": "n",
    "decimal": "n",
    "float": "f",
    "string": "s",
    "bytes": "x",
    "date": "d",
    "timestamp": "t",
    "time": "c",
    "uuid": "u",
    "json": "j",
    "list": "l",
    "set": "l",
    "map": "m",
}
_KINDS: Final = {
    "int8": "n",
    "int16": "n",
    "int32": "n",
    "int64": "n",
    "float": "f",
    "double": "f",
    "boolean": "b",
    "string": "s",
    "bytes": "x",
    "array": "l",
    "map": "m",
    "struct": "m",
}
_NAMES: Final = {
    "io.debezium.time.Year": "n",
    "io.debezium.data.VariableScaleDecimal": "n",
    "org.apache.kafka.connect.data.Decimal": "n",
    "io.debezium.data.Json": "j",
    "io.debezium.data.Uuid": "u",
    "io.debezium.data.EnumSet": "l",
    "io.debezium.data.Bits": "x",
    "io.debezium.data.Enum": "s",
    "io.debezium.data.Xml": "s",
    "io.debezium.data.Ltree": "s",
    "io.debezium.data.Tsvector": "s",
    "io.debezium.time.Interval": "i",
    "io.debezium.time.MicroDuration": "i",
    "io.debezium.time.NanoDuration": "i",
    "io.debezium.time.StructuredDuration": "i",
    "io.debezium.data.DoubleVector": "l",
    "io.debezium.data.FloatVector": "l",
    "io.debezium.data.SparseDoubleVector": "m",
}
_ENDINGS: Final = {"Timestamp": "t", "Time": "c", "Date": "d"}
_TIMES: Final = ("io.debezium.time.", "org.apache.kafka.connect.data.")
_WORDS: Final = {
    "b": ("a boolean", "boolean"),
    "n": ("an exact number", "decimal(p, s)"),
    "f": ("a float", "float"),
    "s": ("a text", "string"),
    "x": ("bytes", "bytes(base64)"),
    "d": ("a date", "date"),
    "t": ("a timestamp", "timestamp"),
    "c": ("a time of day", "time"),
    "u": ("a UUID", "uuid"),
    "j": ("JSON", "json"),
    "l": ("a list", "list"),
    "m": ("a map", "map"),
    "i": ("an interval", "string"),
}
_FROM: Final = {
    "n": "fs",
    "b": "nf",
    "f": "n",
    "t": "snd",
    "d": "snt",
    "c": "sn",
    "u": "s",
    "j": "s",
    "x": "s",
    "l": "sj",
    "m": "sj",
}
"""From which forms a declared reading can make its own: that is what is proposed."""
_IMAGES: Final = ("after", "before")
_SET: Final = "io.debezium.data.EnumSet"
"""Words between commas, which only a declared set reads from a text."""


def seen(value: pa.BinaryArray, book: SchemaBook | None) -> Wires:
    """What the schemas of some messages say of the columns. ``book``: schemas that messages in Avro name."""
    schemas = _by_id(value, book) if book is not None else [prefix.wire for prefix, _ in Prefixes().sort(value)[0]]
    found: dict[str, list[Wire]] = {}
    for wire in schemas:
        if wire is None or wire.kind != "struct" or has_documents(wire):
            continue
        images = _IMAGES if "op" in wire.fields else ()  # a row may have a column of that name
        image = next((wire.fields[name] for name in images if name in wire.fields and wire.fields[name].kind == "struct"), wire)
        for name, field in image.fields.items():
            found.setdefault(name, []).append(field)
    return {name: tuple(fields) for name, fields in found.items()}


def _by_id(value: pa.BinaryArray, book: SchemaBook) -> list[Wire | None]:
    wires: dict[bytes, Wire | None] = {}
    for scalar in value:
        try:
            octets = split(scalar.as_py() or b"", book.ids)[0]
            if octets not in wires:
                wires[octets] = None
                wires[octets] = book.schema(octets).wire
        except Refused:
            continue
    return list(wires.values())


def joined(several: Iterable[Wires]) -> Wires:
    """Of several topics or partitions."""
    found: dict[str, tuple[Wire, ...]] = {}
    for one in several:
        for name, wires in one.items():
            found[name] = found.get(name, ()) + wires
    return found


def misfits(source: FeedPlan, target: FeedPlan, wires: Mapping[str, Wires]) -> Iterator[str]:
    """What can never be equal, and what to declare. ``wires``: by side."""
    others = {column.name: column for column in target.columns}
    for column in source.columns:
        other, ours, others_wires = others[column.name], wires.get(source.side, {}), wires.get(target.side, {})
        mine, theirs = _forms(column, ours), _forms(other, others_wires)
        if mine and theirs and mine.isdisjoint(theirs):
            s, t = min(mine), min(theirs)
            yield _told(column, other, (source.side, s, _rule(column, s, ours)), (target.side, t, _rule(other, t, others_wires)))


def _forms(column: ColumnPlan, wires: Wires) -> frozenset[str]:
    """The tags that a column may have; none if nothing says so."""
    if column.upstream is None:
        return frozenset()
    if column.type is not None:
        return frozenset({_RULES[column.type.name]})
    found = {_form(wire) for wire in wires.get(column.upstream, ())}
    return frozenset() if None in found else frozenset(tag for tag in found if tag is not None)


def _form(wire: Wire) -> str | None:
    if wire.name is None:
        return _KINDS[wire.kind]
    if wire.name in _NAMES:
        return _NAMES[wire.name]
    if wire.name.startswith(_TIMES):
        return next((tag for ending, tag in _ENDINGS.items() if wire.name.endswith(ending)), None)
    return None


def _rule(column: ColumnPlan, form: str, wires: Wires) -> str:
    """What the other side would declare to have this column's form."""
    is_set = any(wire.name == _SET for wire in wires.get(column.upstream or "", ()))
    return "set" if form == "l" and (is_set if column.type is None else column.type.name == "set") else _WORDS[form][1]


def _told(ours: ColumnPlan, theirs: ColumnPlan, source: tuple[str, str, str], target: tuple[str, str, str]) -> str:
    (source_side, s, like_source), (target_side, t, like_target) = source, target
    told = (
        f"column {ours.name}: side {source_side} has {_WORDS[s][0]}, side {target_side} {_WORDS[t][0]}: they would never be equal"
    )
    if t in _FROM.get(s, ""):
        return f"{told}; declare on side {target_side} types: {{{theirs.upstream}: {like_source}}}"
    if s in _FROM.get(t, ""):
        return f"{told}; declare on side {source_side} types: {{{ours.upstream}: {like_target}}}"
    return f"{told}; bring both to one form by an expression in columns:, or leave it out in compare.ignore"
