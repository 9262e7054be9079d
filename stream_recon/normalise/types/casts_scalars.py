"""Declared readings of single values: boolean, integer, decimal, float, string, bytes, uuid."""

from __future__ import annotations

import base64
import binascii
import re

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.numbers import (
    SPECIAL_DECIMALS,
    SPECIAL_FLOATS,
    check_fits,
    decimal_item,
    float_item,
    is_finite,
    parse_float,
)
from stream_recon.normalise.types.rules import Native, holds_text, misfit, rule_named
from stream_recon.normalise.types.scalars import base64_bytes, bytes_item, string_item, uuid_item
from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Options, Reader, Wire, is_known


@rule_named("boolean")
def _boolean(rule: TypeRule, _: Wire | None, __: Options, native: Native) -> Reader:
    def read(value: Json) -> Item:
        item = ("b", b"1" if value else b"0") if isinstance(value, bool) else native(value)
        if item is None or item[0] not in {"b", "n", "f"} or item[1] not in {b"0", b"1"}:
            raise misfit(rule, value)
        return ("b", item[1])

    return read


@rule_named("integer")
def _integer(rule: TypeRule, _: Wire | None, __: Options, native: Native) -> Reader:
    def read(value: Json) -> Item:
        item = native(value)
        if item is not None and item[0] == "f" and is_finite(item[1]):
            item = decimal_item(item[1].decode("ascii"))
        if item is None or item[0] not in {"b", "n"} or b"." in item[1] or not is_finite(item[1]):
            raise misfit(rule, value)
        return ("n", item[1])

    return read


@rule_named("decimal")
def _decimal(rule: TypeRule, wire: Wire | None, _: Options, native: Native) -> Reader:
    precision, scale = ([int(argument) for argument in rule.args] + [0, 0])[:2]
    reads_text = holds_text(wire)

    def read(value: Json) -> Item:
        item = _decimal_text(value) if reads_text and isinstance(value, str) else None
        item = item or native(value)
        if item is None or item[0] not in {"n", "f"}:
            raise misfit(rule, value)
        if item[0] == "f":
            item = ("n", item[1]) if not is_finite(item[1]) else decimal_item(item[1].decode("ascii"))
        if rule.args:
            check_fits(item[1], precision, scale)
        return item

    return read


def _decimal_text(value: str) -> Item | None:
    if value in SPECIAL_DECIMALS:
        return ("n", SPECIAL_DECIMALS[value].encode("ascii"))
    return decimal_item(value) if re.fullmatch(r"[+-]?[0-9].*", value, re.ASCII) else None


@rule_named("float")
def _float(rule: TypeRule, wire: Wire | None, _: Options, native: Native) -> Reader:
    reads_text = holds_text(wire)

    def read(value: Json) -> Item:
        if reads_text and isinstance(value, str) and value in SPECIAL_FLOATS:
            return float_item(SPECIAL_FLOATS[value])
        item = native(value)
        if item is None or item[0] not in {"n", "f"}:
            raise misfit(rule, value)
        return item if item[0] == "f" else float_item(parse_float(item[1].decode("ascii")))

    return read


@rule_named("string")
def _string(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    def read(value: Json) -> Item:
        if not isinstance(value, str) or not holds_text(wire):
            raise misfit(rule, value)
        return string_item(value, options.nfc)

    return read


@rule_named("bytes")
def _bytes(rule: TypeRule, wire: Wire | None, _: Options, native: Native) -> Reader:
    decode = _from_hex if rule.args == ("hex",) else _from_base64

    def read(value: Json) -> Item:
        if wire is not None and wire.kind == "bytes":
            item = native(value)
            if item is None and not is_known(wire):
                item = bytes_item(base64_bytes(value))
            if item is not None and item[0] == "x":
                return item
        if not isinstance(value, str) or not holds_text(wire):
            raise misfit(rule, value)
        return bytes_item(decode(rule, value))

    return read


def _from_hex(rule: TypeRule, text: str) -> bytes:
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text, re.ASCII) is None:
        raise misfit(rule, text)
    return bytes.fromhex(text)


def _from_base64(rule: TypeRule, text: str) -> bytes:
    """The standard and the URL-safe alphabet: no letter means different things in them."""
    try:
        return base64.b64decode(text.translate({0x2D: "+", 0x5F: "/"}), validate=True)
    except (binascii.Error, ValueError):
        raise misfit(rule, text) from None


@rule_named("uuid")
def _uuid(rule: TypeRule, wire: Wire | None, _: Options, __: Native) -> Reader:
    def read(value: Json) -> Item:
        if not holds_text(wire) or not isinstance(value, str) or not value.isascii():
            raise misfit(rule, value)
        return uuid_item(value.lower())

    return read
