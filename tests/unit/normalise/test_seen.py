"""Columns that rows have are noticed, compared or not, whatever decoder reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder


def change(row: dict[str, Any]) -> dict[str, Any]:
    return {"before": None, "after": row, "op": "c", "source": {"ts_us": 10**15, "db": "d"}}


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "__op": "c", "__source_ts_ms": 1}


WAYS = {
    "envelope": (Format.DEBEZIUM_JSON, change),
    "flattened": (Format.DEBEZIUM_JSON, flattened),
    "plain": (Format.JSON, lambda row: row),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 40])
def test_a_column_that_appears_is_seen(way: str, count: int) -> None:
    form, wrap = WAYS[way]
    plan = FeedPlan("s", form, tuple(ColumnPlan(n, n, reads=(n,), key=n == "id") for n in ("id", "note")))
    reference = ReferenceDecoder(plan)
    decoder = ColumnarDecoder(plan, reference)

    def decode(*rows: dict[str, Any]) -> None:
        values = [json.dumps(wrap(row), separators=(",", ":")).encode() for row in rows]
        offset = np.arange(len(rows), dtype=np.int64)
        keys = [json.dumps({"id": row["id"]}, separators=(",", ":")).encode() for row in rows]
        messages = Messages(Upstream("s", "t", 0), offset, offset, pa.array(keys, pa.binary()), pa.array(values, pa.binary()))
        assert decoder.decode(messages).dead == ()

    decode(*({"id": at, "note": "n"} for at in range(count)))
    assert decoder.seen == {"id", "note"}
    decode(*({"id": at, "note": "n"} for at in range(count)), {"id": 1, "note": "n", "colour": {"deep": 1}})
    assert decoder.seen == {"id", "note", "colour"}
