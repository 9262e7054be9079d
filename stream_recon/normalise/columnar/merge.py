"""Puts the rows of several groups of messages into the order of the batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.model.messages import Decoded


def merged(schema: pa.Schema, batches: list[pa.RecordBatch], other: Decoded | None) -> Decoded:
    """All rows by (message, index); control records and dead letters are the reference's."""
    parts = [batch for batch in batches if batch.num_rows]
    if other is not None and other.rows.num_rows:
        parts.append(other.rows)
    if not parts:
        rows = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
    elif len(parts) == 1:
        rows = parts[0]
    else:
        table = pa.Table.from_batches(parts, schema=schema)
        order = pc.sort_indices(table, sort_keys=[("message", "ascending"), ("index", "ascending")])
        rows = table.take(order).combine_chunks().to_batches()[0]
    if other is None:
        return Decoded(rows, np.empty(0, np.int32), ())
    return Decoded(rows, other.control, other.dead)
