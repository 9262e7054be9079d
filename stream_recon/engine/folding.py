"""Moves closed pieces into the base state: one record a key that changed, both sides to the same time."""

from __future__ import annotations

import numpy as np

from stream_recon.align.fold import pack
from stream_recon.align.pieces import Words
from stream_recon.align.side import Side
from stream_recon.engine.base import BaseState
from stream_recon.engine.closing import Keys, standing, union
from stream_recon.engine.exact import KeyHistory
from stream_recon.engine.keep import PairStore
from stream_recon.limits import STORE_BATCH_KEYS
from stream_recon.model.versions import State


def fold_base(source: Side, target: Side, base: BaseState, store: PairStore, before: int) -> None:
    """Folds all rows with a time below ``before`` (µs, the end of a closed window) into the base state."""
    ends = source.reads_to(before), target.reads_to(before)
    high, low = union(_keys(source, target, base, ends, before))
    for start in range(0, len(high), STORE_BATCH_KEYS):
        part = slice(start, start + STORE_BATCH_KEYS)
        _fold_keys(source, target, base, (high[part], low[part]), ends, before)
    for which, (side, end) in enumerate(zip((source, target), ends, strict=True)):
        side.drop(end)
        store.store.drop(store.place(which, -(1 << 63), 0), store.place(which, end, 0))


def _keys(source: Side, target: Side, base: BaseState, ends: tuple[int, int], before: int) -> list[Keys]:
    parts = [(p.high, p.low) for side, end in zip((source, target), ends, strict=True) for p in side.pieces(None, end)]
    if source.open_truncates(before) or target.open_truncates(before):
        parts += base.keys()
    return parts


def _fold_keys(source: Side, target: Side, base: BaseState, keys: Keys, ends: tuple[int, int], before: int) -> None:
    high, low = keys
    versions = standing(base, high, low, (source, ends[0]), (target, ends[1]))
    odd = source.odd(high, low, ends[0]), target.odd(high, low, ends[1])
    places = np.flatnonzero(odd[0] | odd[1])
    if len(places):
        records = base.read(high[places], low[places])
        for n, i in enumerate(places):
            key = int(high[i]), int(low[i])
            for side, out, record in zip((source, target), versions, (records.source[n], records.target[n]), strict=True):
                out[i] = 0
                pack(KeyHistory(side, record, *key, before).stored(before), out[i : i + 1])
    for side, out in zip((source, target), versions, strict=True):
        forgotten = (out["state"] == State.ABSENT) & (out["time"] <= before - side.rules.forget)
        out[forgotten] = 0
    texts = _texts(source, target, base, high, low, ends)
    base.write(high, low, versions[0], versions[1], texts)


def _texts(source: Side, target: Side, base: BaseState, high: Words, low: Words, ends: tuple[int, int]) -> list[bytes]:
    out = key_texts(source, target, base, high, low, ends)
    assert all(text is not None for text in out), "a key that is folded was carried by a row or has a record"
    return [text or b"" for text in out]


def key_texts(source: Side, target: Side, base: BaseState, high: Words, low: Words, ends: tuple[int, int]) -> list[bytes | None]:
    """The key text of each key, from any row of it in pieces before ``ends``, or from its record."""
    out = np.full(len(high), None, object)
    missing = np.arange(len(high))
    for side, end in zip((source, target), ends, strict=True):
        for piece in reversed(side.pieces(None, end)):
            if not len(missing):
                return out.tolist()
            place, hit = piece.find(high[missing], low[missing])
            out[missing[hit]] = piece.rows.text.take(piece.last[place[hit]]).to_pylist()
            missing = missing[~hit]
    if len(missing):
        out[missing] = base.read(high[missing], low[missing]).text
    return out.tolist()
