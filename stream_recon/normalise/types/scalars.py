"""Readers of single values: booleans, numbers, strings, bytes, and Debezium's and Connect's logical types over them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.jsontext import json_text_item, normalise, utf8
from stream_recon.normalise.types.numbers import (
    SPECIAL_FLOATS,
    decimal_item,
    float_item,
    parse_float,
    parse_single,
    unscaled_item,
)
from stream_recon.normalise.types.values import Json, Number, refuse_kind
from stream_recon.normalise.types.wire import Options, Reader, Wire, named, plain, refuser

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_INTERVAL: Final = re.compile(
    r"-?P(?=[^T]|T.)(?:-?\d+Y)?(?:-?\d+M)?(?:-?\d+W)?(?:-?\d+D)?(?:T(?=.)(?:-?\d+H)?(?:-?\d+M)?(?:-?\d+(?:\.\d+)?S)?)?",
    re.ASCII,
)
_BITS: Final = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


def text_of(value: Json, expected: str = "a string") -> str:
    """The value if it is a string. Raises ``Refused``."""
    if not isinstance(value, str):
        raise refuse_kind(expected, value)
    return value


def integer_of(value: Json, kind: str = "int64") -> int:
    """An integer of a Connect type. Raises ``Refused`` for another kind, a fraction, or a value outside the type."""
    if not isinstance(value, Number):
        raise refuse_kind(f"an integer ({kind})", value)
    if len(value.literal) > 20 or _INTEGER.fullmatch(value.literal) is None:
        raise Refused(f"expected an integer ({kind}), got another number")
    number = int(value.literal)
    limit = 1 << _BITS[kind]
    if not -limit <= number < limit:
        raise Refused(f"expected an integer ({kind}), got one outside its range")
    return number


def base64_bytes(value: Json) -> bytes:
    """Bytes as JsonConverter writes them: base64, strict. Raises ``Refused``."""
    text = text_of(value, "base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("expected base64 text, got other text") from None


def bytes_item(data: bytes) -> Item:
    """``x``."""
    return ("x", data.hex().encode("ascii"))


def string_item(value: Json, nfc: bool) -> Item:
    """``s``. Raises ``Refused``."""
    return ("s", utf8(normalise(text_of(value), nfc)))


def boolean_item(value: Json) -> Item:
    """``b``. Raises ``Refused``."""
    if not isinstance(value, bool):
        raise refuse_kind("a boolean", value)
    return ("b", b"1" if value else b"0")


@plain("boolean")
def _boolean(_: Wire, __: Options) -> Reader:
    return boolean_item


@plain("int8", "int16", "int32", "int64")
def _integer(wire: Wire, _: Options) -> Reader:
    return lambda value: ("n", str(integer_of(value, wire.kind)).encode("ascii"))


@named("io.debezium.time.Year")
def _year(wire: Wire, options: Options) -> Reader:
    return _integer(wire, options) if wire.kind in _BITS else refuser("expected Year as an integer")


@plain("float", "double")
def _float(wire: Wire, _: Options) -> Reader:
    single = wire.kind == "float"

    def read(value: Json) -> Item:
        if isinstance(value, str) and value in SPECIAL_FLOATS:
            return float_item(SPECIAL_FLOATS[value])
        if not isinstance(value, Number):
            raise refuse_kind("a number", value)
        return float_item(parse_single(value.literal) if single else parse_float(value.literal))

    return read


@plain("string")
@named("io.debezium.data.Enum", "io.debezium.data.Xml", "io.debezium.data.Ltree", "io.debezium.data.Tsvector")
def _string(_: Wire, options: Options) -> Reader:
    return lambda value: string_item(value, options.nfc)


@plain("bytes")
def _bytes(_: Wire, __: Options) -> Reader:
    return lambda value: bytes_item(base64_bytes(value))


@named("io.debezium.data.Bits")
def _bits(wire: Wire, _: Options) -> Reader:
    length = wire.parameters.get("length", "")
    octets = (int(length) + 7) // 8 if re.fullmatch(r"[0-9]{1,9}", length, re.ASCII) else None

    def read(value: Json) -> Item:
        data = base64_bytes(value)  # little-endian: missing octets at the end are zero
        if octets is not None:
            data = data.rstrip(b"\0").ljust(octets, b"\0") if len(data) != octets else data
            if len(data) > octets:
                raise Refused("expected Bits, got more octets than its length")
        return bytes_item(data)

    return read


@named("org.apache.kafka.connect.data.Decimal")
def _decimal(wire: Wire, _: Options) -> Reader:
    scale = scale_of(wire)
    if scale is None:
        return refuser("type org.apache.kafka.connect.data.Decimal: expected a parameter scale")
    kind, fixed = wire.kind, scale

    def read(value: Json) -> Item:
        if kind == "bytes" and isinstance(value, str):
            return unscaled_item(_twos_complement(value), fixed)
        if isinstance(value, Number):  # JsonConverter with decimal.format=NUMERIC
            return decimal_item(value.literal)
        raise refuse_kind("a decimal (base64 text or a number)", value)

    return read


def _twos_complement(value: Json) -> int:
    data = base64_bytes(value)
    if not data:
        raise Refused("expected the octets of a number, got none")
    return int.from_bytes(data, "big", signed=True)


def scale_of(wire: Wire) -> int | None:
    """The parameter ``scale`` of a Decimal."""
    text = wire.parameters.get("scale", "")
    return int(text) if re.fullmatch(r"-?[0-9]{1,5}", text, re.ASCII) else None


@named("io.debezium.data.VariableScaleDecimal")
def _variable_decimal(_: Wire, __: Options) -> Reader:
    def read(value: Json) -> Item:
        if not isinstance(value, dict):
            raise refuse_kind("a struct of scale and value", value)
        scale = integer_of(value.get("scale"), "int32")
        return unscaled_item(_twos_complement(value.get("value")), scale)

    return read


@named("io.debezium.data.Json")
def _json(_: Wire, options: Options) -> Reader:
    return lambda value: json_text_item(text_of(value, "JSON text"), nfc=options.nfc)


@named("io.debezium.data.Uuid")
def _uuid(_: Wire, __: Options) -> Reader:
    return uuid_item


def uuid_item(value: Json) -> Item:
    """``u``, lower-case with dashes only. Raises ``Refused``."""
    text = text_of(value, "a UUID")
    if _UUID.fullmatch(text) is None:
        raise Refused("expected a UUID in lower case with dashes, got other text")
    return ("u", text.encode("ascii"))


@named("io.debezium.time.Interval")
def _interval(_: Wire, __: Options) -> Reader:
    def read(value: Json) -> Item:
        text = text_of(value, "an ISO 8601 interval")
        if _INTERVAL.fullmatch(text) is None:
            raise Refused("expected an ISO 8601 interval, got other text")
        return ("i", text.encode("ascii"))

    return read


@named("io.debezium.time.MicroDuration")
def _micro_duration(wire: Wire, _: Options) -> Reader:
    return _duration(wire, b"us")


@named("io.debezium.time.NanoDuration")
def _nano_duration(wire: Wire, _: Options) -> Reader:
    return _duration(wire, b"ns")


def _duration(wire: Wire, unit: bytes) -> Reader:
    """``i``: the number and its unit, so that it equals its like only (Oracle sends a float)."""

    def read(value: Json) -> Item:
        if wire.kind == "int64":
            return ("i", str(integer_of(value)).encode("ascii") + unit)
        if not isinstance(value, Number):
            raise refuse_kind("a duration as a number", value)
        return ("i", float_item(parse_float(value.literal))[1] + unit)

    return read
