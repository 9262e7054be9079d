"""Moves closed pieces into the base state: one record a key that changed, both sides to the same time."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from stream_recon.align.fold import pack
from stream_recon.align.pieces import Words
from stream_recon.align.side import NEVER, Left, Side
from stream_recon.engine.base import BaseState
from stream_recon.engine.closing import Closer, Keys, columns, standing, union
from stream_recon.engine.exact import KeyHistory
from stream_recon.engine.keep import PairStore
from stream_recon.limits import STORE_BATCH_KEYS
from stream_recon.model.versions import State


def fold_base(closer: Closer, store: PairStore, before: tuple[int, int], lasting: Container[tuple[int, int]]) -> None:
    """Folds all rows of each side with a time below ``before`` (µs, a window's end that no judgement asks for any more;
    ``NEVER``: nothing of that side) into the base state. Of the keys that are ``lasting``, by halves, no delete is forgotten.
    """
    sides = closer.source, closer.target
    ends = _end(sides[0], before[0]), _end(sides[1], before[1])
    left: tuple[list[Left], list[Left]] = ([], [])
    for part in closer.slices(ends):
        high, low = union(_keys(part, ends, before))
        for start in range(0, len(high), STORE_BATCH_KEYS):
            some = slice(start, start + STORE_BATCH_KEYS)
            _fold_keys(part, (high[some], low[some]), ends, before, lasting)
        for which, side in enumerate((part.source, part.target)):
            left[which].append(side.left_of(ends[which]))
    for which, (side, end) in enumerate(zip(sides, ends, strict=True)):
        if before[which] != NEVER:
            side.drop(end, left[which])
            store.store.drop(store.place(which, -(1 << 63), 0), store.place(which, end, 0))


def _end(side: Side, before: int) -> int:
    """The first piece that is not folded."""
    if before != NEVER:
        return side.reads_to(before)
    return side.numbers[0] if side.numbers else 0


def _keys(part: Closer, ends: tuple[int, int], before: tuple[int, int]) -> list[Keys]:
    sides = part.source, part.target
    keys = [(p.high, p.low) for side, end in zip(sides, ends, strict=True) for p in side.pieces(None, end)]
    if any(side.open_truncates(to) for side, to in zip(sides, before, strict=True)):
        keys += part.base.keys(part.octets)
        keys += (columns(side.cut_early()) for side in sides)
    return keys


def _fold_keys(
    part: Closer, keys: Keys, ends: tuple[int, int], before: tuple[int, int], lasting: Container[tuple[int, int]]
) -> None:
    source, target, base, (high, low) = part.source, part.target, part.base, keys
    versions = standing(base, high, low, (source, ends[0]), (target, ends[1]))
    for side, out, end, to, name in zip((source, target), versions, ends, before, ("source", "target"), strict=True):
        if to == NEVER:
            continue
        places = np.flatnonzero(side.odd(high, low, end))
        records = getattr(base.read(high[places], low[places]), name) if len(places) else ()
        for record, i in zip(records, places, strict=True):
            out[i] = 0
            pack(KeyHistory(side, record, int(high[i]), int(low[i]), to).stored(to), out[i : i + 1])
        past = np.flatnonzero((out["state"] == State.ABSENT) & (out["time"] <= to - side.rules.forget))
        out[[i for i in past.tolist() if (int(high[i]), int(low[i])) not in lasting]] = 0
    texts = _texts(source, target, base, high, low, ends)
    base.write(high, low, versions[0], versions[1], texts)


def _texts(source: Side, target: Side, base: BaseState, high: Words, low: Words, ends: tuple[int, int]) -> list[bytes]:
    out = key_texts(source, target, base, high, low, ends)
    early = source.cut_early() | target.cut_early() if None in out else {}
    return [early[int(h), int(k)].text if text is None else text for text, h, k in zip(out, high, low, strict=True)]


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
