"""Canonical columns of keys and row images: which reader reads which cells, and what keys must agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.model.plan import ColumnPlan, FeedPlan, TypeRule
from stream_recon.normalise.canonical import token_head
from stream_recon.normalise.columnar.binaries import hex_text
from stream_recon.normalise.columnar.buffers import Bools, Ints
from stream_recon.normalise.columnar.carrier import Carrier, ReadColumn, Values
from stream_recon.normalise.columnar.cells import Column, bools
from stream_recon.normalise.columnar.computed import Computed
from stream_recon.normalise.columnar.frame import Hasher, framed, joined
from stream_recon.normalise.columnar.texts import Distinct, S
from stream_recon.normalise.columnar.times import iso_timestamps, timestamps
from stream_recon.normalise.types.declared import declared_reader
from stream_recon.normalise.types.values import Number
from stream_recon.normalise.types.wire import Options, Wire
from stream_recon.normalise.types.zones import load_zone

_MAX_LAYOUTS: Final = 256
_PLAIN_TIMES: Final[dict[str, ReadColumn]] = {"int32": timestamps("ms"), "int64": timestamps("ms"), "string": iso_timestamps}
"""How an event time of these Connect types is read, if nothing is declared."""
Columns = dict[str, Column]


@dataclass(frozen=True, slots=True)
class Wires:
    """The structs of a group's schemas (None: without a schema). ``sound``: the envelope's schema has what it must."""

    key: Wire | None
    after: Wire | None
    before: Wire | None
    sound: bool = True


def wires_of(key: Wire | None, value: Wire | None, *, is_change: bool) -> Wires:
    """The structs of keys and images, from the schemas of message keys and values."""
    if value is None:
        return Wires(key, None, None)
    if not is_change:
        return Wires(key, value, None, value.kind == "struct")
    after, before = value.field_named("after"), value.field_named("before")
    sound = all(one is not None and one.kind == "struct" for one in (after, before))
    return Wires(key, after, before, sound)


class Layouts:
    """The readers of one feed, made once for each schema."""

    def __init__(self, feed: FeedPlan, carrier: Carrier) -> None:
        self._carrier = carrier
        self._computed = Computed(feed)
        self._tokens = feed.tokens
        self._hasher = Hasher(None if feed.tokens is None else feed.tokens.key)
        self._nfc = feed.unicode_nfc
        self._types = dict(feed.types)
        self._zones = dict(feed.timezones) | {c.upstream: c.timezone for c in feed.columns if c.upstream and c.timezone}
        self._readers: dict[tuple[str, Wire | None], ReadColumn] = {}

    def columns(self, plans: Sequence[ColumnPlan], wire: Wire | None, cells: Mapping[str, Values], rows: Ints) -> Columns:
        """Canonical columns by name, of these rows of the cells (by upstream name)."""
        plain = [plan for plan in plans if plan.upstream is not None]
        found = {plan.name: self.reader(plan, wire)(cells[plan.upstream or ""].taken(rows)) for plan in plain}
        if len(plain) < len(plans):
            plans_of = {name: ColumnPlan(f"\0{name}", name) for name in self._computed.reads}
            inputs = {name: self.reader(plan, wire)(cells[name].taken(rows)) for name, plan in plans_of.items()}
            found |= self._computed.columns(wire, inputs, len(rows))
        return {plan.name: self._covered(found[plan.name]) if plan.token else found[plan.name] for plan in plans}

    def _covered(self, column: Column) -> Column:
        """Tokens instead of the values (see ``canonical.token``)."""
        assert self._tokens is not None
        (digest,) = self._hasher.digests([joined(framed(column))])
        text = joined([pa.repeat(pa.scalar(token_head(self._tokens.version), pa.binary()), len(column.text)), hex_text(digest)])
        return Column(S, pc.if_else(column.text.is_valid(), text, pa.scalar(None, pa.binary())), column.sure)

    def reader(self, plan: ColumnPlan, wire: Wire | None) -> ReadColumn:
        """The reader of a column under the struct ``wire``."""
        found = self._readers.get((plan.name, wire))
        if found is None:
            if len(self._readers) >= _MAX_LAYOUTS * 16:
                self._readers.clear()
            upstream = plan.upstream or ""
            rule = plan.type if plan.type is not None else self._types.get(upstream)
            known = replace(plan, type=rule, timezone=self._zones.get(upstream))
            field = None if wire is None else wire.field_named(upstream)
            found = self._readers[(plan.name, wire)] = self._carrier.reader(known, field, self._nfc)
        return found

    def time_reader(self, name: str, wire: Wire | None) -> ReadColumn | None:
        """The reader of the event time column; None if neither a type, the wire nor a zone says how it is to be read."""
        field = None if wire is None else wire.field_named(name)
        zone = self._zones.get(name)
        if name in self._types or (field is not None and field.name is not None):
            return self.reader(ColumnPlan(f"\0{name}", name), wire)
        if zone is None and field is None:
            return None
        if zone is None and field is not None and field.kind in _PLAIN_TIMES:
            return _PLAIN_TIMES[field.kind]
        options = Options(self._nfc, None if zone is None else load_zone(zone))
        number, text = (declared_reader(TypeRule("timestamp", args), field, options) for args in (("ms",), ()))
        return Distinct(lambda value: number(value) if isinstance(value, Number) else text(value))


def picked(column: Column, rows: Ints) -> Column:
    """The same of a column that was read."""
    if len(rows) == len(column.sure):
        return column
    tag = column.tag if isinstance(column.tag, int) else column.tag[rows]
    return Column(tag, column.text.take(pa.array(rows)), column.sure[rows])


def all_sure(columns: Columns, count: int) -> Bools:
    """Rows of which every column holds."""
    out = np.ones(count, np.bool_)
    for column in columns.values():
        out &= column.sure
    return out


def all_there(columns: Columns, count: int) -> Bools:
    """Rows of which no column is null."""
    out = np.ones(count, np.bool_)
    for column in columns.values():
        if column.text.null_count:
            out &= bools(column.text.is_valid())
    return out


def all_equal(left: Columns, right: Columns, count: int) -> Bools:
    """Rows in which the columns of ``right`` have tag and text of those in ``left``; a null is equal to nothing."""
    out = np.ones(count, np.bool_)
    for name, column in right.items():
        out &= bools(pc.equal(left[name].text, column.text))
        out &= np.asarray(left[name].tag == column.tag)
    return out
