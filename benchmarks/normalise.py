"""What decoding costs: CPU microseconds a row, vectorised against reference, on generated Debezium-like rows of ten columns.

    python benchmarks/normalise.py --rows 20000 --batch 4000

CPU time of the whole process (``time.process_time``, all threads), decoding only: messages are made before the clock starts. The
reference decodes a part of the same rows in the same run, so that the ratio holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from stream_recon.model.messages import Decoded, Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

Row = dict[str, Any]
_START_US = 1_795_239_981_924_593
_WORDS = ("café crème", "plain text of some length", 'a "quoted" word', "x", "two\nlines")
_TYPES: dict[str, Row] = {
    "id": {"type": "int64"},
    "customer": {"type": "string", "name": "io.debezium.data.Uuid"},
    "amount": {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "4"}},
    "placed_at": {"type": "string", "name": "io.debezium.time.ZonedTimestamp"},
    "seen_at": {"type": "int64", "name": "io.debezium.time.MicroTimestamp"},
    "note": {"type": "string"},
    "paid": {"type": "boolean"},
    "raw": {"type": "bytes"},
    "due": {"type": "int32", "name": "io.debezium.time.Date"},
    "qty": {"type": "int32"},
}
_DECLARED = {
    "customer": TypeRule("uuid"),
    "placed_at": TypeRule("timestamp"),
    "seen_at": TypeRule("timestamp", ("us",)),
    "raw": TypeRule("bytes", ("base64",)),
    "due": TypeRule("date"),
}
_SOURCE: Row = {
    "version": "3.7.0.Final", "connector": "postgresql", "name": "pg", "ts_ms": 0, "snapshot": "false", "db": "shop",
    "sequence": "[null,\"26765488\"]", "ts_us": 0, "ts_ns": 0, "schema": "public", "table": "orders", "txId": 733,
    "lsn": 26765488, "xmin": None, "origin": None, "origin_lsn": None,
}  # fmt: skip


def generated(count: int, seed: int) -> Iterator[Row]:
    """Rows with the values as Debezium writes them."""
    source = random.Random(seed)
    for at in range(count):
        cents = source.randrange(-(10**9), 10**9)
        yield {
            "id": 10**15 + at,
            "customer": str(uuid.UUID(int=source.getrandbits(128))),
            "amount": base64.b64encode(cents.to_bytes(5, "big", signed=True)).decode(),
            "placed_at": f"2026-10-{source.randrange(1, 29):02d}T01:19:44.{source.randrange(10**6):06d}Z",
            "seen_at": _START_US + source.randrange(10**9),
            "note": None if source.random() < 0.1 else f"{source.choice(_WORDS)} {source.randrange(1000)}",
            "paid": source.random() < 0.5,
            "raw": base64.b64encode(source.randbytes(source.randrange(1, 12))).decode(),
            "due": source.choice([None, 20_000 + source.randrange(1000)]),
            "qty": source.randrange(-10, 1000),
        }


def compact(value: Any) -> bytes:
    """JSON as a Connect worker writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def envelope(row: Row, at: int) -> Row:
    """Debezium's envelope around a row; every tenth is an insert, every twentieth a delete."""
    us = _START_US + at * 1000
    source = {**_SOURCE, "ts_ms": us // 1000, "ts_us": us, "ts_ns": us * 1000, "lsn": 26765488 + at}
    op = "d" if at % 20 == 7 else "c" if at % 10 == 0 else "u"
    times = {"ts_ms": us // 1000 + 90, "ts_us": us + 90_000, "ts_ns": us * 1000 + 90_000_000}
    before = {"id": row["id"]} if op == "d" else None
    return {"before": before, "after": None if op == "d" else row, "source": source, "transaction": None, "op": op, **times}


def with_schema(payload: Any, schema: bytes) -> bytes:
    """JsonConverter with ``schemas.enable``."""
    return b'{"schema":' + schema + b',"payload":' + compact(payload) + b"}"


def envelope_schema() -> bytes:
    """A Connect schema of about 3 KB."""
    row: list[Row] = [{**kind, "optional": True, "field": name} for name, kind in _TYPES.items()]
    source = [
        {
            "type": "int64" if name.startswith(("ts_", "tx", "lsn", "xmin", "origin_")) else "string",
            "optional": True,
            "field": name,
        }
        for name in _SOURCE
    ]
    block = [{"type": "string", "optional": False, "field": "id"}]
    structs: dict[str, list[Row]] = {"before": row, "after": row, "source": source, "transaction": block}
    fields: list[Row] = [
        {"type": "struct", "fields": inner, "optional": True, "name": f"pg.public.orders.{name.title()}", "field": name}
        for name, inner in structs.items()
    ]
    fields += [{"type": "string", "optional": False, "field": "op"}]
    fields += [{"type": "int64", "optional": True, "field": name} for name in ("ts_ms", "ts_us", "ts_ns")]
    return compact({"type": "struct", "fields": fields, "optional": False, "name": "pg.public.orders.Envelope", "version": 2})


def feed(form: Format, *, declared: bool) -> FeedPlan:
    """All columns, with declared readings where no schema gives them."""
    types = _DECLARED if declared else {}
    columns = tuple(ColumnPlan(n, n, reads=(n,), type=types.get(n), key=n == "id") for n in sorted(_TYPES))
    return FeedPlan("source", form, columns, tuple(types.items()))


def schema_messages(rows: list[Row]) -> tuple[list[bytes], list[bytes]]:
    schema = envelope_schema()
    keys = compact(
        {"type": "struct", "fields": [{"type": "int64", "optional": False, "field": "id"}], "optional": False, "name": "K"}
    )
    return [with_schema({"id": r["id"]}, keys) for r in rows], [with_schema(envelope(r, at), schema) for at, r in enumerate(rows)]


def bare_messages(rows: list[Row]) -> tuple[list[bytes], list[bytes]]:
    return [compact({"id": r["id"]}) for r in rows], [compact(envelope(r, at)) for at, r in enumerate(rows)]


def plain_messages(rows: list[Row]) -> tuple[list[bytes], list[bytes]]:
    return [compact({"id": r["id"]}) for r in rows], [compact(r) for r in rows]


FORMS: dict[str, tuple[Format, bool, Callable[[list[Row]], tuple[list[bytes], list[bytes]]]]] = {
    "debezium-json, schema": (Format.DEBEZIUM_JSON, False, schema_messages),
    "debezium-json, bare": (Format.DEBEZIUM_JSON, True, bare_messages),
    "json": (Format.JSON, True, plain_messages),
}


def batches(keys: list[bytes], values: list[bytes], size: int) -> list[Messages]:
    """Stretches of one partition, as a consumer hands them on."""
    out = []
    for start in range(0, len(values), size):
        count = len(values[start : start + size])
        offset = np.arange(start, start + count)
        columns = (pa.array(part[start : start + size], pa.binary()) for part in (keys, values))
        out.append(Messages(Upstream("source", "pg.public.orders", 0), offset, offset + _START_US // 1000, *columns))
    return out


def cpu_of(decode: Callable[[Messages], Decoded], work: list[Messages]) -> float:
    """CPU seconds for all batches."""
    start = time.process_time()
    for messages in work:
        decode(messages)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each format")
    parser.add_argument("--batch", type=int, default=4_000, help="messages decoded at once")
    parser.add_argument("--reference-rows", type=int, default=1_000, help="rows that the reference decodes too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = list(generated(options.rows, options.seed))
    print(f"{'format':24} {'octets':>7} {'us/row':>8} {'rows/s':>10} {'reference us/row':>17} {'ratio':>6} {'handed over':>12}")
    for name, (form, declared, make) in FORMS.items():
        keys, values = make(rows)
        plan = feed(form, declared=declared)
        reference = ReferenceDecoder(plan)
        columnar = ColumnarDecoder(plan, reference)
        work = batches(keys, values, options.batch)
        columnar.decode(work[0])
        cost = cpu_of(columnar.decode, work) / len(rows) * 1e6
        few = batches(keys[: options.reference_rows], values[: options.reference_rows], options.batch)
        slow = cpu_of(reference.decode, few) / sum(map(len, few)) * 1e6
        octets = sum(map(len, values)) / len(values)
        left = columnar.statistics().handed_over
        print(f"{name:24} {octets:7.0f} {cost:8.2f} {1e6 / cost:10.0f} {slow:17.1f} {slow / cost:6.1f} {left:12}")


if __name__ == "__main__":
    main()
