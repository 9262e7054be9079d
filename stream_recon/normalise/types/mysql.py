"""Values of MySQL as Canal writes them: texts, and ``mysqlType`` beside them.

    int ..., year, decimal      n     double  f     float  f of the float32 (declared decimal: n, of the digits as they stand)
    char, varchar, text         s     date   d     datetime  t      time    c     json     j
    binary, varbinary, blob     x, of text in ISO-8859-1
    bit(1)                      b     bit(n)  x: its octets, the lowest first, as Debezium has them
    timestamp                   t, in the declared ``timezone``: the text stands in that of Canal's server, and does not name it
    enum, set                   declared: Canal writes the number of the label, or the label
    geometry, anything else     declared

A declared number is read from text here where nothing else says that it is one, as everything is text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.types.typed import BOOLEAN, BYTES, DECIMAL, DOUBLE, FLOAT, INT64, STRING, Typed, refused
from stream_recon.normalise.types.values import Json, Number
from stream_recon.normalise.types.wire import Wire

_TYPE: Final = re.compile(r"\s*([a-z0-9_]+)\s*(?:\(\s*([0-9]{1,9})\s*(?:,\s*[0-9]{1,9}\s*)?\))?(.*)", re.ASCII | re.DOTALL)
_INTEGER: Final = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NUMBER_RULES: Final = frozenset({"boolean", "integer", "decimal", "float"})
_DATE: Final = Wire("string", "io.debezium.time.IsoDate")
_DATETIME: Final = Wire("string", "io.debezium.time.IsoTimestamp")
_TIME: Final = Wire("string", "io.debezium.time.IsoTime")
_JSON: Final = Wire("string", "io.debezium.data.Json")
_LATIN1: Final = "iso-8859-1"
_MAX_BITS: Final = 64
_NO_INTEGER: Final = refused("expected an integer, got other text")
_ZONE_IS_MISSING: Final = refused(
    "type timestamp stands in the zone of Canal's server: declare that zone in `timezone`, such as UTC or Asia/Shanghai"
)


class MysqlValues:
    """Reads texts by their MySQL type, for one feed. ``types``: declared readings, ``zones``: columns with a declared zone."""

    def __init__(self, types: Mapping[str, TypeRule], zones: frozenset[str]) -> None:
        self._types = types
        self._zones = zones

    def typed(self, column: str, mysql_type: Json, value: Json) -> Typed:
        """A value as one of its type."""
        if not isinstance(value, str):
            return Typed(value, None)  # null; or a tool that imitates Canal and writes numbers
        match = _TYPE.match(mysql_type.lower()) if isinstance(mysql_type, str) else None
        base, size, rest = ("", None, "") if match is None else match.groups()
        if base == "timestamp":
            return Typed(value, _DATETIME if column in self._zones else _ZONE_IS_MISSING)
        if base in _PLAIN:
            return Typed(value, _PLAIN[base])
        if base in _INTEGERS:
            return _integer(value, DECIMAL if "unsigned" in rest else INT64)
        if base == "bit":
            return _bits(value, int(size or "1"))
        if base == "float" and column in self._types and self._types[column].name == "decimal":
            return _number(value, None)
        read = _READERS.get(base)
        return self._declared(column, base, value) if read is None else read(value)

    def _declared(self, column: str, base: str, value: str) -> Typed:
        """A value whose type does not say how it is read."""
        rule = self._types.get(column)
        if rule is None:
            return Typed(value, _unsaid(base))
        counts = rule.name in _NUMBER_RULES or (rule.name in ("timestamp", "time") and rule.args)
        return _number(value, None) if counts else Typed(value, None)


def _unsaid(base: str) -> Wire:
    if base in ("enum", "set"):
        return refused(f"type {base} stands as a label or as its number: declare in `types` how to read it, such as string")
    if not base:
        return refused("expected a type in mysqlType, got none: declare in `types` how to read it")
    return refused(f"unknown type {base[:40]}: declare in `types` how to read it")


def _integer(value: str, wire: Wire) -> Typed:
    return Typed(Number(str(int(value))), wire) if _INTEGER.fullmatch(value) else Typed(value, _NO_INTEGER)


def _number(value: str, wire: Wire | None) -> Typed:
    return Typed(Number(value), wire) if _NUMBER.fullmatch(value) else Typed(value, wire)


def _octets(value: str) -> Typed:
    try:
        return Typed(base64.b64encode(value.encode(_LATIN1)).decode("ascii"), BYTES)
    except UnicodeEncodeError:
        return Typed(value, refused("expected octets as text in ISO-8859-1, got other text"))


def _bits(value: str, size: int) -> Typed:
    number = int(value) if _INTEGER.fullmatch(value) else -1
    if not 1 <= size <= _MAX_BITS or not 0 <= number < 1 << size:
        return Typed(value, refused("expected the number of a bit value, got one that does not fit"))
    if size == 1:
        return Typed(number == 1, BOOLEAN)
    data = number.to_bytes((size + 7) // 8, "little")
    return Typed(base64.b64encode(data).decode("ascii"), BYTES)


_INTEGERS: Final = frozenset(["tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"])
_PLAIN: Final[dict[str, Wire]] = {
    **dict.fromkeys(["char", "varchar", "nchar", "nvarchar", "tinytext", "text", "mediumtext", "longtext"], STRING),
    "date": _DATE,
    "datetime": _DATETIME,
    "time": _TIME,
    "json": _JSON,
}
_READERS: Final[dict[str, Callable[[str], Typed]]] = {
    **dict.fromkeys(("decimal", "numeric", "dec"), lambda value: _number(value, DECIMAL)),
    **dict.fromkeys(("double", "real"), lambda value: _number(value, DOUBLE)),
    "float": lambda value: _number(value, FLOAT),
    **dict.fromkeys(["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"], _octets),
}
