"""Canonical texts of strings, of JSON documents, and of values whose type is only their own: tags ``s``, ``j``, and any."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.columnar.buffers import Bools
from stream_recon.normalise.columnar.cells import Cells, Column, Reader, bools, placeholders, text_view
from stream_recon.normalise.columnar.numbers import N, boolean, plain
from stream_recon.normalise.columnar.shape import Kind
from stream_recon.normalise.types.unavailable import is_unavailable
from stream_recon.normalise.types.values import Json, loads

S, J, B = ord("s"), ord("j"), ord("b")
MAX_KEPT = 20_000
"""Values whose reading is kept, for each reader: about 10 MB of usual documents."""
MAX_KEPT_OCTETS = 4096
"""Longer texts are not kept: they seldom recur."""
MAX_BRACKETS = 200
"""Beyond this the reference must say whether the whole message is nested too deep."""
ReadValue = Callable[[Json], Item]


def strings(nfc: bool) -> Reader:
    """Reads strings. With ``nfc`` all that is not ASCII is in doubt: Arrow and Python may know different Unicode versions."""

    def read(cells: Cells) -> Column:
        text = cells.strings()
        sure = ((cells.kind == Kind.STRING) & ~placeholders(text)) | cells.null
        if nfc:
            sure &= bools(pc.string_is_ascii(text_view(text))) | cells.null
        return Column(S, text, sure)

    return read


class Distinct:
    """The reference's own reading of values, each distinct text of a column once.

    The one place where Python sees single values: no engine sorts keys by UTF-16 and keeps the digits of numbers (in JSON
    documents), and rare types are not worth a second implementation. The store is emptied when full; what is in it never
    changes an answer.
    """

    def __init__(self, read: ReadValue) -> None:
        self._read = read
        self._known: dict[bytes, Item | None] = {}

    def item(self, raw: bytes) -> Item | None:
        """Tag and text of a JSON text, or None if it is refused, or unknown to the connector."""
        try:
            return self._known[raw]
        except KeyError:
            out = self._item(raw)
        if len(raw) <= MAX_KEPT_OCTETS:
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            self._known[raw] = out
        return out

    def _item(self, raw: bytes) -> Item | None:
        if raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS:
            return None
        try:
            value = loads(raw.decode("utf-8"))
            return None if is_unavailable(value) else self._read(value)
        except Refused:
            return None

    def column(self, cells: Cells, here: Bools) -> Column:
        """The items of the cells that are ``here``; the others are null."""
        coded = cells.raw(here).dictionary_encode()
        return spread([self.item(raw) for raw in coded.dictionary.to_pylist()], coded.indices, here)

    def __call__(self, cells: Cells) -> Column:
        """All cells that are not null."""
        return self.column(cells, ~cells.null)


def spread(items: Sequence[Item | None], index: pa.Int32Array, here: Bools) -> Column:
    """The item of each row, by its number (null: none); one that is ``here`` and has none is in doubt."""
    text = pa.array([None if item is None else item[1] for item in items], pa.binary()).take(index)
    tags = np.array([0 if item is None else ord(item[0]) for item in items] or [0], np.uint8)
    sure = ~here | bools(text.is_valid())
    if (tags == tags[0]).all():
        return Column(int(tags[0]), text, sure)
    return Column(tags[index.fill_null(0).to_numpy(zero_copy_only=False)], text, sure)


def accept(_: Json) -> Item:
    """Reads what nobody compares: that it is JSON is enough."""
    return ("j", b"")


def by_value(documents: Distinct, nfc: bool) -> Reader:
    """Reads each value by its own kind: what JSON without a schema means (DESIGN 7)."""
    read_strings = strings(nfc)

    def read(cells: Cells) -> Column:
        kinds = np.bincount(cells.kind, minlength=8) > 0
        if not kinds[[Kind.FALSE, Kind.TRUE, Kind.INTEGER, Kind.NUMBER, Kind.NESTED]].any():
            return read_strings(cells)
        parts, tag = [], np.full(len(cells), S, np.uint8)
        sure = np.ones(len(cells), np.bool_)
        if kinds[Kind.STRING]:
            column = read_strings(cells)
            sure &= column.sure | (cells.kind != Kind.STRING)
            parts.append(column.text)
        _numbers(cells, kinds, parts, tag, sure)
        _booleans(cells, kinds, parts, tag)
        if kinds[Kind.NESTED]:
            here = cells.kind == Kind.NESTED
            column = documents.column(cells, here)
            sure &= column.sure
            tag[here] = J
            parts.append(column.text)
        return Column(tag, pc.coalesce(*parts) if len(parts) > 1 else parts[0], sure)

    return read


def _numbers(cells: Cells, kinds: Bools, parts: list[pa.Array], tag: npt.NDArray[np.uint8], sure: Bools) -> None:
    if not (kinds[Kind.INTEGER] or kinds[Kind.NUMBER]):
        return
    here = (cells.kind == Kind.INTEGER) | (cells.kind == Kind.NUMBER)
    text, fine = plain(cells.raw(here), cells.kind == Kind.NUMBER, here, ~here)
    sure &= fine
    tag[here] = N
    parts.append(text)


def _booleans(cells: Cells, kinds: Bools, parts: list[pa.Array], tag: npt.NDArray[np.uint8]) -> None:
    if not (kinds[Kind.TRUE] or kinds[Kind.FALSE]):
        return
    tag[(cells.kind == Kind.TRUE) | (cells.kind == Kind.FALSE)] = B
    parts.append(boolean(cells).text)
