"""The vectorised decoder: what it does with a batch, and what it leaves to the reference decoder.

    messages --envelope--> payloads by schema --fields--> cells --reading--> canonical texts --frame--> rows
        |                                                                                                |
        +--- any doubt, at any step ---> reference.decode_some(which) ----------------------------> merged in order

Refuses nothing itself: a message that the reference would refuse is one it is in doubt about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stream_recon.model.messages import Decoded, Messages, rows_schema
from stream_recon.model.plan import FeedPlan
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.columnar.merge import merged
from stream_recon.normalise.columnar.rows import RowMaker
from stream_recon.normalise.reference import ReferenceDecoder


@dataclass(frozen=True, slots=True)
class Statistics:
    """Messages decoded so far, by way."""

    vectorised: int
    handed_over: int


class ColumnarDecoder:
    """Gives the same bytes as the reference decoder. Holds templates and a DataFusion session: one for each thread."""

    def __init__(self, feed: FeedPlan, reference: ReferenceDecoder, book: SchemaBook | None = None, *, few: int = 0) -> None:
        """``book``: the schemas that messages name. ``few``: batches of up to so many messages are left to the reference decoder,
        which takes them sooner: columns cost milliseconds a batch, however short they are.
        """
        self._reference = reference
        self._few = few
        self._schema = rows_schema(len(feed.large_columns))
        self._rows = RowMaker(feed, book) if RowMaker.can(feed) else None
        self._vectorised = 0
        self._handed_over = 0

    def decode(self, messages: Messages) -> Decoded:
        """Every message becomes rows, a control record or a dead letter, in the order of the batch."""
        if self._rows is None:
            self._handed_over += len(messages)
            return self._reference.decode(messages)
        if len(messages) <= self._few:
            return self._reference.decode(messages)
        batches, sure, named = self._rows.rows(messages)
        left = np.flatnonzero(~sure)
        self._handed_over += len(left)
        self._vectorised += len(messages) - len(left)
        other = self._reference.decode_some(messages, left.tolist()) if len(left) else None
        return replace(merged(self._schema, batches, other), named=named)

    def masked(self, value: bytes) -> Any:
        """What may be told of a message that could not be understood."""
        return self._reference.masked(value)

    @property
    def seen(self) -> frozenset[str]:
        """Columns that templates and schemas had, and those of rows that were handed over."""
        return self._reference.seen | (self._rows.seen if self._rows is not None else frozenset())

    @property
    def singly(self) -> int:
        """Messages that were handed over, as columns cannot do them."""
        return self._handed_over

    def statistics(self) -> Statistics:
        return Statistics(self._vectorised, self._handed_over)
