"""Messages in JSON: sorted by the schema in front of them, scanned together, taken apart by template."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from stream_recon.model.plan import ColumnPlan
from stream_recon.normalise.columnar.buffers import Ints, Path
from stream_recon.normalise.columnar.carrier import Fields, ReadColumn, Written
from stream_recon.normalise.columnar.envelope import Prefix, Prefixes, payloads
from stream_recon.normalise.columnar.fields import Shapes
from stream_recon.normalise.columnar.reading import reader_of
from stream_recon.normalise.types.wire import Wire

_ENVELOPE_DEPTH: Final = 2
_ROW_DEPTH: Final = 1


class JsonCarrier:
    """Keys and values of one feed. ``wanted``, ``keyed``: paths of values and of keys."""

    def __init__(self, wanted: tuple[Path, ...], keyed: tuple[Path, ...], *, is_change: bool) -> None:
        read = frozenset(path for path in wanted if not is_change or path[0] == "after")
        self._value_shapes = Shapes(_ENVELOPE_DEPTH if is_change else _ROW_DEPTH, wanted, read)
        self._key_shapes = Shapes(_ROW_DEPTH, keyed, frozenset(keyed))
        self._value_prefixes, self._key_prefixes = Prefixes(), Prefixes()
        self.seen: set[str] = set()
        self._image: Path = ("after",) if is_change else ()

    def keys(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """By schema; what cannot be an object says nothing."""
        return self._key_prefixes.sort(array, plain_is_none=True)

    def values(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """By schema."""
        return self._value_prefixes.sort(array)

    def key_fields(self, array: pa.BinaryArray, written: Prefix, which: Ints) -> Fields:
        """Key columns."""
        return self._key_shapes.fields(payloads(array, written, which))

    def value_fields(self, array: pa.BinaryArray, written: Prefix, which: Ints) -> Fields:
        """Wanted paths."""
        fields = self._value_shapes.fields(payloads(array, written, which))
        if self._value_shapes.learnt:
            self.seen.update(p[-1] for p in self._value_shapes.learnt if p and p[:-1] == self._image)
            self._value_shapes.learnt.clear()
        return fields

    def reader(self, column: ColumnPlan, wire: Wire | None, nfc: bool) -> ReadColumn:
        """The reader of a column with this wire form."""
        return reader_of(column, wire, nfc)
