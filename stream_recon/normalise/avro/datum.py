"""One Avro datum as the JSON value that Connect's JsonConverter would write for it: simple, exact, slow.

Strict where libraries are lax: an index of a union or an enum is one that there is, a boolean is 0 or 1, an int has 32 bits and a
long 64, a block has the octets that it says, and a map with a repeated key is no map. Else broken octets would become a row.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.types.values import Json, Number, Repeated, Several

Read = Callable[[bytes, int], tuple[Json, int]]
"""Octets and where a value begins to the value and where it ends; ``IndexError`` if the octets end before it does."""

_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")


class DatumReader:
    """Reads datums of one schema."""

    def __init__(self, node: Avro) -> None:
        self._read = _reader(node)

    def read(self, data: bytes) -> Json:
        """The value. Raises ``Refused`` if the octets are not exactly one datum."""
        try:
            value, end = self._read(data, 0)
        except (IndexError, struct.error, UnicodeDecodeError):
            raise _broken() from None
        if end != len(data):
            raise Refused("expected a datum of its Avro schema, got more octets behind it")
        return value


def _float_json(value: float) -> Json:
    """A float as JsonConverter writes it."""
    if math.isfinite(value):
        return Number(repr(value))
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _map_json(pairs: list[tuple[str, Json]]) -> Json:
    """A map; one in which a key occurs more than once stays visible as such."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated([value for _, value in pairs])


def _broken() -> Refused:
    return Refused("expected a datum of its Avro schema, got other octets")


def _reader(node: Avro) -> Read:
    if node.kind == "record":
        return _record(node)
    if node.kind == "union":
        return _union(node)
    if node.kind in ("array", "map"):
        return _array(node) if node.kind == "array" else _map(node)
    if node.kind == "fixed":
        return _fixed(node.size)
    if node.kind == "enum":
        return _enum(node.symbols)
    return _SCALARS[node.kind]


def _record(node: Avro) -> Read:
    parts = [(name, _reader(part)) for name, part in node.fields]

    def read(data: bytes, at: int) -> tuple[Json, int]:
        fields = {}
        for name, part in parts:
            fields[name], at = part(data, at)
        return fields, at

    return read


def _union(node: Avro) -> Read:
    branches = [_reader(branch) for branch in node.branches]
    nulls = [branch.kind == "null" for branch in node.branches]
    several = nulls.count(False) > 1

    def read(data: bytes, at: int) -> tuple[Json, int]:
        index, at = _long(data, at)
        if not 0 <= index < len(branches):
            raise _broken()
        value, at = branches[index](data, at)
        return (Several() if several and not nulls[index] else value), at

    return read


def _array(node: Avro) -> Read:
    assert node.items is not None
    element, pairs = _reader(node.items), node.pairs

    def read(data: bytes, at: int) -> tuple[Json, int]:
        items: list[Json] = []
        count, at, end = _block(data, at)
        while count:
            for _ in range(count):
                one, at = element(data, at)
                items.append([one["key"], one["value"]] if pairs else one)
            count, at, end = _next_block(data, at, end)
        return items, at

    return read


def _map(node: Avro) -> Read:
    assert node.items is not None
    element = _reader(node.items)

    def read(data: bytes, at: int) -> tuple[Json, int]:
        entries: list[tuple[str, Json]] = []
        count, at, end = _block(data, at)
        while count:
            for _ in range(count):
                key, at = _string(data, at)
                value, at = element(data, at)
                entries.append((key, value))
            count, at, end = _next_block(data, at, end)
        return _map_json(entries), at

    return read


def _block(data: bytes, at: int) -> tuple[int, int, int | None]:
    """Elements of the block that begins here, where they begin, and where they end if the block says so.

    Any number may be claimed: an element has at least one octet (``schema``), so they end with the octets.
    """
    count, at = _long(data, at)
    end = None
    if count < 0:
        count = -count
        size, at = _long(data, at)
        end = at + size
    return count, at, end


def _next_block(data: bytes, at: int, end: int | None) -> tuple[int, int, int | None]:
    if end is not None and at != end:
        raise _broken()
    return _block(data, at)


def _long(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        octet = data[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            break
        shift += 7
        if shift > 63:
            raise _broken()
    if number >> 64:
        raise _broken()
    return (number >> 1) ^ -(number & 1), at


def _taken(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _long(data, at)
    if not 0 <= size <= len(data) - at:
        raise _broken()
    return data[at : at + size], at + size


def _string(data: bytes, at: int) -> tuple[str, int]:
    octets, at = _taken(data, at)
    return octets.decode("utf-8"), at


def _bytes(data: bytes, at: int) -> tuple[Json, int]:
    octets, at = _taken(data, at)
    return base64.b64encode(octets).decode("ascii"), at


def _fixed(size: int) -> Read:
    def read(data: bytes, at: int) -> tuple[Json, int]:
        if size > len(data) - at:
            raise _broken()
        return base64.b64encode(data[at : at + size]).decode("ascii"), at + size

    return read


def _enum(symbols: tuple[str, ...]) -> Read:
    def read(data: bytes, at: int) -> tuple[Json, int]:
        index, at = _long(data, at)
        if not 0 <= index < len(symbols):
            raise _broken()
        return symbols[index], at

    return read


def _int(data: bytes, at: int) -> tuple[Json, int]:
    number, at = _long(data, at)
    if not -(1 << 31) <= number < 1 << 31:
        raise _broken()
    return Number(str(number)), at


def _long_number(data: bytes, at: int) -> tuple[Json, int]:
    number, at = _long(data, at)
    return Number(str(number)), at


def _boolean(data: bytes, at: int) -> tuple[Json, int]:
    if data[at] > 1:
        raise _broken()
    return data[at] == 1, at + 1


_SCALARS: Final[dict[str, Read]] = {
    "null": lambda _, at: (None, at),
    "boolean": _boolean,
    "int": _int,
    "long": _long_number,
    "float": lambda data, at: (_float_json(_FLOAT.unpack_from(data, at)[0]), at + 4),
    "double": lambda data, at: (_float_json(_DOUBLE.unpack_from(data, at)[0]), at + 8),
    "bytes": _bytes,
    "string": _string,
}
