"""Columns declared as SQL, for whole batches: the inputs' canonical texts to Arrow, one plan, its result to canonical texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import FeedPlan, Format
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.columnar.buffers import Ints
from stream_recon.normalise.columnar.cells import Column
from stream_recon.normalise.expressions import Expressions, arrow_type, to_arrow, to_items
from stream_recon.normalise.types.wire import Wire

_MAX_HALVINGS = 32
"""Plans spent on a batch in which an expression fails on some row, about 1 ms each; what is left is for the reference."""


class Computed:
    """The expressions of one feed's columns, the key apart. Holds a DataFusion session: one for each thread."""

    def __init__(self, feed: FeedPlan) -> None:
        self._types = dict(feed.types)
        columns = [column for column in feed.columns if not column.key]
        self._expressions = Expressions(columns, self._types, typed_by_schema=feed.format is not Format.JSON)
        self.reads = self._expressions.reads

    def columns(self, wire: Wire | None, inputs: Mapping[str, Column], count: int) -> dict[str, Column]:
        """Each expression's column. ``inputs``: the columns that they read, by upstream name."""
        if not self._expressions.columns:
            return {}
        sure = np.ones(count, np.bool_)
        arrays = []
        for name in self.reads:
            kind = arrow_type(self._types.get(name), None if wire is None else wire.field_named(name))
            array = None if kind is None else _array(name, inputs[name], kind, sure)
            arrays.append(pa.nulls(count) if array is None else array)
            sure &= inputs[name].sure & (array is not None)
        results = self._evaluated(arrays, np.flatnonzero(sure), count)
        return {column.name: _column(items) for column, items in zip(self._expressions.columns, results, strict=True)}

    def _evaluated(self, arrays: list[pa.Array], rows: Ints, count: int) -> list[list[Item | bool | None]]:
        """For each expression and row its item, None for null, False for a row in doubt."""
        results: list[list[Item | bool | None]] = [[False] * count for _ in self._expressions.columns]
        waiting, spent = [rows] if len(rows) else [], 0
        while waiting and spent < _MAX_HALVINGS:
            spent += 1
            which = waiting.pop()
            try:
                taken = [array.take(pa.array(which)) for array in arrays]
                batch = pa.RecordBatch.from_arrays(taken or [pa.nulls(len(which))], names=list(self.reads) or ["nothing"])
                found = [
                    to_items(column, output)
                    for column, output in zip(self._expressions.columns, self._expressions.evaluate(batch), strict=True)
                ]
            except Refused:
                waiting += [half for half in (which[: len(which) // 2], which[len(which) // 2 :]) if len(which) > 1 and len(half)]
                continue
            for result, items in zip(results, found, strict=True):
                for row, item in zip(which.tolist(), items, strict=True):
                    result[row] = item
        return results


def _array(name: str, column: Column, kind: pa.DataType, sure: np.ndarray) -> pa.Array:
    """A column as the expressions see it; rows whose value does not fit its type are in doubt."""
    tags = np.broadcast_to(np.asarray(column.tag, np.uint8), len(column.sure)).tolist()
    values = []
    for row, (tag, text, fine) in enumerate(zip(tags, column.text.to_pylist(), column.sure.tolist(), strict=True)):
        value = None
        if fine and text is not None:
            try:
                value = to_arrow(name, (chr(tag), text), kind)
            except Refused:
                sure[row] = False
        values.append(value)
    return pa.array(values, kind)


def _column(items: list[Item | bool | None]) -> Column:
    known = [None if item is None or isinstance(item, bool) else item for item in items]
    tags = np.array([0 if item is None else ord(item[0]) for item in known] or [0], np.uint8)
    text = pa.array([None if item is None else item[1] for item in known], pa.binary())
    sure = np.array([not isinstance(item, bool) for item in items], np.bool_)
    return Column(int(tags[0]) if (tags == tags[0]).all() else tags, text, sure)
