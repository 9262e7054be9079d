"""Reader of Debezium's geometries: a struct of WKB and srid. WKB is normalised to little-endian (TYPES: geometry)."""

from __future__ import annotations

import struct
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.containers import map_item
from stream_recon.normalise.types.numbers import decimal_item
from stream_recon.normalise.types.scalars import base64_bytes, bytes_item
from stream_recon.normalise.types.values import Json, Number, refuse_kind
from stream_recon.normalise.types.wire import Options, Reader, Wire, named

_GEOMETRY: Final = ("io.debezium.data.geometry.Geometry", "io.debezium.data.geometry.Geography")


@named(*_GEOMETRY, "io.debezium.data.geometry.Point")
def _geometry(_: Wire, __: Options) -> Reader:
    """``m`` of srid and wkb; x and y of a Point stand in its WKB, too."""

    def read(value: Json) -> Item:
        if not isinstance(value, dict):
            raise refuse_kind("a geometry (a struct of wkb and srid)", value)
        srid = value.get("srid")
        if srid is not None and not isinstance(srid, Number):
            raise refuse_kind("srid to be a number", srid)
        wkb = bytes_item(little_endian(base64_bytes(value.get("wkb"))))
        return map_item([(("s", b"srid"), None if srid is None else decimal_item(srid.literal)), (("s", b"wkb"), wkb)])

    return read


def little_endian(wkb: bytes) -> bytes:
    """(E)WKB with every number little-endian. Raises ``Refused``."""
    out = bytearray()
    try:
        end = _geometry_to_little(wkb, 0, out, 0)
    except (struct.error, IndexError):
        end = -1
    if end != len(wkb):
        raise Refused("expected WKB, got other bytes")
    return bytes(out)


def _geometry_to_little(wkb: bytes, at: int, out: bytearray, depth: int) -> int:
    order = {0: ">", 1: "<"}.get(wkb[at])
    if order is None or depth > 32:
        raise IndexError
    (code,) = struct.unpack_from(order + "I", wkb, at + 1)
    out += b"\1" + struct.pack("<I", code)
    at += 5
    if code & 0x2000_0000:  # EWKB: an SRID follows
        out += struct.pack("<I", *struct.unpack_from(order + "I", wkb, at))
        at += 4
    iso, shape = divmod(code & 0x0FFF_FFFF, 1000)
    width = 2 + bool(code & 0x8000_0000 or iso in {1, 3}) + bool(code & 0x4000_0000 or iso in {2, 3})
    if shape == 1:
        return _doubles(wkb, at, out, order, width)
    (count,) = struct.unpack_from(order + "I", wkb, at)
    out += struct.pack("<I", count)
    at += 4
    if shape == 2:
        return _doubles(wkb, at, out, order, width * count)
    for _ in range(count):
        if shape == 3:
            (points,) = struct.unpack_from(order + "I", wkb, at)
            out += struct.pack("<I", points)
            at = _doubles(wkb, at + 4, out, order, width * points)
        elif shape in {4, 5, 6, 7}:
            at = _geometry_to_little(wkb, at, out, depth + 1)
        else:
            raise IndexError
    return at


def _doubles(wkb: bytes, at: int, out: bytearray, order: str, count: int) -> int:
    end = at + 8 * count
    if end > len(wkb):
        raise IndexError
    step = -1 if order == ">" else 1
    for start in range(at, end, 8):
        out += wkb[start : start + 8][::step]  # bit for bit: a NaN keeps its payload
    return end
