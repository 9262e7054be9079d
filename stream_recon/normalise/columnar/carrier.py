"""How the messages of a feed carry their values: what the rows are made from, whatever the encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from stream_recon.model.plan import ColumnPlan, FeedPlan
from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints, Path
from stream_recon.normalise.columnar.cells import Column
from stream_recon.normalise.types.wire import Wire


class Values(Protocol):
    """The values of one path in n messages."""

    def __len__(self) -> int: ...

    @property
    def null(self) -> Bools:
        """Where there is none."""
        ...

    def integers(self) -> tuple[Ints, Bools]:
        """Integers, and which rows hold one; others are 0."""
        ...

    def letters(self) -> tuple[Bytes, Bools]:
        """Texts of one octet, and which rows hold one."""
        ...

    def taken(self, rows: Ints) -> Any:
        """The values of some rows, in ascending order."""
        ...


@dataclass(frozen=True, slots=True)
class Fields:
    """Values of n messages by wanted path (absent is null). ``objects``: where a path is an object. ``sure``: could be read."""

    cells: dict[Path, Any]
    objects: dict[Path, Bools]
    sure: Bools


class Written(Protocol):
    """What some messages were written with."""

    @property
    def wire(self) -> Wire | None:
        """Their schema; None: none."""
        ...

    @property
    def told(self) -> str | None:
        """The id by which they name it; None: by none."""
        ...


class ReadColumn(Protocol):
    """Reads the values of one column."""

    def __call__(self, values: Any, /) -> Column: ...


class Carrier(Protocol):
    """One encoding, bound to one feed. Its state is caches only, and what columns it met."""

    seen: set[str]

    def keys(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """Positions of the keys by what they were written with, and of those that say nothing about columns.

        Keys that this engine cannot read are in neither.
        """
        ...

    def values(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """The same of values; without one are those that are null."""
        ...

    def key_fields(self, array: pa.BinaryArray, written: Any, which: Ints) -> Fields:
        """Key columns of some messages, all written with the same."""
        ...

    def value_fields(self, array: pa.BinaryArray, written: Any, which: Ints) -> Fields:
        """Wanted paths of some messages, all written with the same."""
        ...

    def reader(self, column: ColumnPlan, wire: Wire | None, nfc: bool) -> ReadColumn:
        """The reader of a column with this wire form."""
        ...


def wanted(feed: FeedPlan, *, is_change: bool, envelope: tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths of values that rows are made from."""
    columns = tuple(name for c in feed.columns for name in ((c.upstream,) if c.upstream is not None else c.reads))
    if is_change:
        before = tuple(("before", c.upstream or "") for c in feed.key_columns)
        return tuple(dict.fromkeys([*envelope, *before, *(("after", name) for name in columns)]))
    extra = () if feed.event_time is None else (feed.event_time,)
    return tuple(dict.fromkeys((name,) for name in (*columns, *extra)))
