"""MongoDB's Extended JSON: v1 (legacy), v2 relaxed and v2 canonical; one value has one reading, whichever of them wrote it.

A document's own fields, and what each becomes:

    $numberInt, $numberLong, $numberDecimal  n     $numberDouble  f     $date  t     $oid  s
    $uuid, $binary of subtype 04             u     other $binary  x     a bare number  n, from its digits
    a document, an array, any other wrapper  j, in the canonical JSON below

Canonical JSON inside ``j``: numbers are JSON numbers whatever wrapped them (a double by its shortest digits); every other type
keeps its wrapper, so that no text equals a date or an id:

    {"$date":"2026-11-21T04:00:00.000000"}  {"$oid":"<lower-case hex>"}  {"$binary":{"base64":"...","subType":"00"}}
    {"$numberDouble":"NaN"}  {"$numberDecimal":"Infinity"}  {"$regularExpression":{"options":"i","pattern":"^a"}}

``$uuid`` is ``$binary`` of subtype 04 there. What looks like one of these and is malformed is refused where it is read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.types.calendar import parse_timestamp, timestamp_item
from stream_recon.normalise.types.numbers import SPECIAL_DECIMALS, SPECIAL_FLOATS, decimal_item, parse_float
from stream_recon.normalise.types.scalars import base64_bytes, integer_of, text_of, uuid_item
from stream_recon.normalise.types.typed import BYTES, DECIMAL, DOUBLE, INT64, STRING, Typed, refused, row_of
from stream_recon.normalise.types.values import Json, Number, loads, refuse_kind
from stream_recon.normalise.types.wire import Options, Reader, Wire, named

_OID: Final = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_SUBTYPE: Final = re.compile(r"[0-9a-fA-F]{1,2}", re.ASCII)
_UUID_SUBTYPE: Final = 4
_UUID_OCTETS: Final = 16
_NS_PER_MS: Final = 1_000_000
_DATE: Final = Wire("string", "io.debezium.time.ZonedTimestamp")
_UUID: Final = Wire("string", "io.debezium.data.Uuid")
_SPECIAL: Final = Wire("int64", "mongodb.decimal that is no number")
_SPECIAL_DECIMALS: Final = {word: SPECIAL_DECIMALS[word] for word in ("NaN", "Infinity", "-Infinity")}
_MALFORMED: Final = refused("expected Extended JSON, got a wrapper that does not hold what its name says")


@named("mongodb.decimal that is no number")
def _special(_: Wire, __: Options) -> Reader:
    return lambda value: ("n", _SPECIAL_DECIMALS[text_of(value)].encode("ascii"))


def document(text: str) -> tuple[dict[str, Json], Wire]:
    """A document as a row: its fields, and the struct of their types. Raises ``Refused`` if it is none."""
    whole = loads(text)
    if not isinstance(whole, dict):
        raise refuse_kind("a document of MongoDB (an object)", whole)
    if "_id" not in whole:
        raise Refused("expected a document of MongoDB, got an object without _id")
    return row_of({name: typed(value) for name, value in whole.items()})


def typed(value: Json) -> Typed:
    """One field of a document, or a document's id."""
    if not isinstance(value, dict | list):
        return Typed(value, None)
    try:
        scalar = _scalar(value) if isinstance(value, dict) else None
        return Typed(inner(value), None) if scalar is None else scalar
    except Refused:
        return Typed("", _MALFORMED)


def inner(value: Json) -> Json:
    """A value inside a document in canonical JSON. Raises ``Refused``."""
    if isinstance(value, list):
        return [inner(element) for element in value]
    if not isinstance(value, dict):
        return value
    scalar = _scalar(value)
    if scalar is None:
        return _regular_expression(value) or {name: inner(field) for name, field in value.items()}
    (name,) = (name for name in value if name != "$type")
    if name.startswith("$number"):
        return _inner_number(name, scalar.value)
    if name == "$date":
        return {name: scalar.value.removesuffix("Z")}
    if name == "$oid":
        return {name: scalar.value}
    octets, subtype = _binary(value)
    return {"$binary": {"base64": base64.b64encode(octets).decode("ascii"), "subType": f"{subtype:02x}"}}


def _scalar(value: dict[str, Json]) -> Typed | None:
    """The value in a wrapper that has a type of ours; None: it is no such wrapper."""
    if len(value) == 2 and value.keys() == {"$binary", "$type"}:
        return _binary_value(value)
    if len(value) != 1:
        return None
    ((name, held),) = value.items()
    if name in ("$binary", "$uuid"):
        return _binary_value(value)
    read = _SCALARS.get(name)
    return None if read is None else read(held)


def _int(held: Json, kind: str) -> Typed:
    number = held if isinstance(held, Number) else Number(text_of(held, "a number as text"))
    integer_of(number, kind)
    return Typed(number, INT64)


def _double(held: Json) -> Typed:
    if isinstance(held, str) and held in SPECIAL_FLOATS:
        return Typed(held, DOUBLE)
    literal = held.literal if isinstance(held, Number) else text_of(held, "a number as text")
    decimal_item(literal)
    return Typed(Number(repr(parse_float(literal))), DOUBLE)


def _decimal(held: Json) -> Typed:
    text = text_of(held, "a number as text")
    if text in _SPECIAL_DECIMALS:
        return Typed(text, _SPECIAL)
    decimal_item(text)
    return Typed(Number(text), DECIMAL)


def _date(held: Json) -> Typed:
    if isinstance(held, str):
        nanos, zoned = parse_timestamp(held)
        if not zoned:
            raise Refused("expected a date with its offset, got one without")
    else:
        count = held if isinstance(held, Number) else _int(held.get("$numberLong"), "int64").value if _is_long(held) else None
        nanos = integer_of(count) * _NS_PER_MS
    return Typed(timestamp_item(nanos)[1].decode("ascii") + "Z", _DATE)


def _is_long(held: Json) -> bool:
    return isinstance(held, dict) and held.keys() == {"$numberLong"}


def _oid(held: Json) -> Typed:
    text = text_of(held, "an object id")
    if _OID.fullmatch(text) is None:
        raise Refused("expected an object id (24 hex digits), got other text")
    return Typed(text.lower(), STRING)


def _binary_value(value: dict[str, Json]) -> Typed:
    octets, subtype = _binary(value)
    if subtype == _UUID_SUBTYPE and len(octets) == _UUID_OCTETS:
        digits = octets.hex()
        return Typed("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])), _UUID)
    return Typed(base64.b64encode(octets).decode("ascii"), BYTES)


def _binary(value: dict[str, Json]) -> tuple[bytes, int]:
    """Octets and subtype of ``$uuid``, or of ``$binary`` in either version."""
    if "$uuid" in value:
        _, text = uuid_item(text_of(value["$uuid"], "a UUID").lower())
        return bytes.fromhex(text.decode("ascii").replace("-", "")), _UUID_SUBTYPE
    held, subtype = value["$binary"], value.get("$type")
    if isinstance(held, dict):
        if subtype is not None or held.keys() != {"base64", "subType"}:
            raise Refused("expected $binary to hold base64 and subType, got other fields")
        held, subtype = held["base64"], held["subType"]
    if not isinstance(subtype, str) or _SUBTYPE.fullmatch(subtype) is None:
        raise Refused("expected the subtype of $binary in hex, got another value")
    return base64_bytes(held), int(subtype, 16)


def _inner_number(name: str, value: Json) -> Json:
    return value if isinstance(value, Number) else {name: value}


def _regular_expression(value: dict[str, Json]) -> dict[str, Json] | None:
    """The one form of both versions' regular expressions; None: it is none."""
    held = value.get("$regularExpression") if len(value) == 1 else None
    if value.keys() == {"$regex", "$options"}:
        held = {"pattern": value["$regex"], "options": value["$options"]}
    if not isinstance(held, dict) or held.keys() != {"pattern", "options"} or not all(isinstance(v, str) for v in held.values()):
        return None
    return {"$regularExpression": held}


_SCALARS: Final[dict[str, Callable[[Json], Typed]]] = {
    "$numberInt": lambda held: _int(held, "int32"),
    "$numberLong": lambda held: _int(held, "int64"),
    "$numberDouble": _double,
    "$numberDecimal": _decimal,
    "$date": _date,
    "$oid": _oid,
}
