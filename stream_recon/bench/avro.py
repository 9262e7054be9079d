"""Rows as Debezium's Avro: octets are put together column by column, no row is touched by Python."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.bench.data import Ints, Rows

KEY_ID, VALUE_ID = 1, 2
_EMPTY: Final = pa.scalar(b"", pa.binary())
_DECIMAL_OCTETS: Final = 5
_NULL, _THERE = b"\0", b"\2"
"""The branches of a union of null and something."""


def _optional(kind: Any) -> dict[str, Any]:
    return {"type": ["null", kind], "default": None}


_AMOUNT: Final = {
    "type": "bytes",
    "logicalType": "decimal",
    "precision": 12,
    "scale": 2,
    "connect.name": "org.apache.kafka.connect.data.Decimal",
    "connect.parameters": {"scale": "2", "connect.decimal.precision": "12"},
}
_ROW: Final = {
    "type": "record",
    "name": "Value",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer_id", **_optional("int")},
        {"name": "amount", **_optional(_AMOUNT)},
        {"name": "status", **_optional("string")},
        {"name": "note", **_optional("string")},
        {"name": "updated_at", **_optional({"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"})},
    ],
}
_SOURCE: Final = ("version", "connector", "name", "ts_ms", "snapshot", "db", "ts_us", "schema", "table", "txId", "lsn")
_NUMBERS: Final = frozenset({"ts_ms", "ts_us", "txId", "lsn"})
_ENVELOPE: Final = {
    "type": "record",
    "name": "Envelope",
    "namespace": "pg.public.orders",
    "fields": [
        {"name": "before", **_optional(_ROW)},
        {"name": "after", **_optional("Value")},
        {
            "name": "source",
            "type": {
                "type": "record",
                "name": "Source",
                "fields": [{"name": n, "type": "long" if n in _NUMBERS else "string"} for n in _SOURCE],
            },
        },
        {"name": "op", "type": "string"},
        {"name": "ts_ms", **_optional("long")},
        {"name": "ts_us", **_optional("long")},
    ],
}
_KEY: Final = {"type": "record", "name": "Key", "namespace": "pg.public.orders", "fields": [{"name": "id", "type": "long"}]}


def schemas() -> str:
    """The file of schemas by id that the topology names."""
    return json.dumps({str(number): {"schema": json.dumps(one)} for number, one in ((KEY_ID, _KEY), (VALUE_ID, _ENVELOPE))})


def keys(rows: Rows) -> pa.BinaryArray:
    """Message keys."""
    return _joined(_prefix(KEY_ID), _long(rows.key))


def values(rows: Rows, start: int, notes: pa.StringArray, statuses: pa.StringArray) -> pa.BinaryArray:
    """Envelopes; ``notes`` (null: none) and ``statuses`` by number."""
    number = np.arange(start, start + len(rows))
    note = pa.array([_NULL if one is None else _THERE + _string(one) for one in notes.to_pylist()], pa.binary())
    status = pa.array([_string(one) for one in statuses.to_pylist()], pa.binary())
    cents = rows.cents.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 8 - _DECIMAL_OCTETS :]
    amount = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_DECIMAL_OCTETS), len(rows), [None, pa.py_buffer(np.ascontiguousarray(cents))]
    )
    operation = pa.array([_string("u"), _string("c")], pa.binary()).take(pa.array(rows.first.astype(np.int64)))
    return _joined(
        _prefix(VALUE_ID) + _NULL + _THERE,
        _long(rows.key),
        _THERE,
        _long(rows.customer),
        _THERE + _varint(_DECIMAL_OCTETS),
        amount.cast(pa.binary()),
        _THERE,
        status.take(pa.array(rows.status)),
        note.take(pa.array(rows.note)),
        _THERE,
        _long(rows.time),
        _string("3.7.0.Final") + _string("postgresql") + _string("pg"),
        _long(rows.time // 1000),
        _string("false") + _string("shop"),
        _long(rows.time),
        _string("public") + _string("orders"),
        _long(number + 733),
        _long(26_765_488 + 100 * number),
        operation,
        _THERE,
        _long(rows.written // 1000),
        _THERE,
        _long(rows.written),
    )


def _prefix(number: int) -> bytes:
    return b"\0" + number.to_bytes(4, "big")


def _joined(*parts: bytes | pa.Array) -> pa.BinaryArray:
    return pc.binary_join_element_wise(*(pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in parts), _EMPTY)


def _string(text: str) -> bytes:
    data = text.encode("utf-8")
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    return bytes(_long(np.array([number], np.int64))[0].as_py())


def _long(numbers: Ints) -> pa.BinaryArray:
    """Avro's variable-length integers: zigzag, 7 bits an octet, the lowest first."""
    left = (numbers.astype(np.int64) << 1 ^ numbers.astype(np.int64) >> 63).view(np.uint64)
    octets = np.zeros((len(left), 10), np.uint8)
    size = np.ones(len(left), np.int64)
    for i in range(10):
        octets[:, i] = left & np.uint64(0x7F)
        left = left >> np.uint64(7)
        more = left > 0
        octets[:, i] |= np.where(more, 0x80, 0).astype(np.uint8)
        size += more
        if not more.any():
            break
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)]).astype(np.int32)
    data = octets[np.arange(10) < size[:, None]]
    return pa.Array.from_buffers(pa.binary(), len(size), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
