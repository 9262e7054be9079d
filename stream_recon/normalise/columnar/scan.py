r"""Finds the structure of many JSON texts at once, in numpy passes over one buffer (the idea of simdjson's first stage).

    text    {"id":7,"note":"a,\"b"}        one of n messages, end to end in one buffer
    quotes   ^  ^   ^    ^ ^     ^          unescaped quotes only
    marks   ^      ^               ^        { } [ ] , outside strings, down to a depth

A message is *doubted* where the marks alone cannot carry a proof: it then goes to the reference decoder. Bytes between two marks
are never parsed here: ``shape`` compares or classifies each of those gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_recon.normalise.columnar.bits import Bits, clear, counted, inside, packed_blocks, positions
from stream_recon.normalise.columnar.buffers import PAD, Bools, Bytes, Ints, Positions, Texts, Words, owners
from stream_recon.normalise.columnar.escapes import bad_escapes, escapers

_STEP = np.zeros(256, np.int8)
_STEP[list(b"{[")] = 1
_STEP[list(b"}]")] = -1


@dataclass(frozen=True, slots=True)
class Scanned:
    """Marks of all texts in one row of positions: those of text i are ``marks[first[i]:first[i + 1]]``.

    ``quotes`` are the unescaped ones. ``doubt``: texts not to be trusted.
    """

    texts: Texts
    marks: Positions
    first: Ints
    quotes: Bits
    doubt: Bools


def scan(texts: Texts, depth: int) -> Scanned:
    """Finds the marks of every text at nesting levels 1 to ``depth``; what lies deeper is part of a gap.

    One space after a comma or colon is taken out first (many serialisers write it); other white space outside strings is left
    where it is, and no gap with it will be trusted.
    """
    doubt = _ill_formed(texts)
    quotes = _quotes(texts, doubt)
    outside = ~inside(quotes.words)
    spaces = packed_blocks(texts.data, lambda block: block == 0x20) & outside
    if spaces.any():
        at = positions(spaces)
        before = texts.data[at - 1]
        at = at[(at > 0) & ((before == 0x2C) | (before == 0x3A))]
        if len(at):
            texts = _without(texts, at)
            quotes = _quotes(texts, doubt)
            outside = ~inside(quotes.words)
    marks, first = _marks(texts, outside, depth)
    return Scanned(texts, marks, first, quotes, doubt)


def _structural(block: Bytes) -> Bools:
    folded = block | 0x20
    found: Bools = folded == 0x7B
    found |= folded == 0x7D
    found |= block == 0x2C
    return found


def _marks(texts: Texts, outside: Words, depth: int) -> tuple[Positions, Ints]:
    """Positions of the marks, and n + 1 places where each text's begin."""
    words = packed_blocks(texts.data, _structural) & outside
    marks = positions(words).astype(np.int32)
    starts = np.zeros(len(texts), np.int64)
    first = np.concatenate([starts[:1], counted(words).count(starts, texts.offsets[1:])])
    step = _STEP[texts.data[marks]]
    level = np.zeros(len(step) + 1, np.int32)
    np.cumsum(step, out=level[1:])
    base = level[first[:-1]]
    level = level[1:] + (step < 0)
    if base.any():
        level -= np.repeat(base, np.diff(first))
    shallow = level <= depth
    if not shallow.all():
        kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(shallow)])
        marks, first = marks[shallow], kept[first]
    return marks, first


def _ill_formed(texts: Texts) -> Bools:
    """Doubts what does not begin and end as an object, holds a control character, or is not UTF-8."""
    data = texts.data
    empty = texts.offsets[1:] - texts.offsets[:-1] < 2
    doubt: Bools = empty | (data[texts.offsets[:-1]] != 0x7B) | (data[np.maximum(texts.offsets[1:], 1) - 1] != 0x7D)
    body = data[:-PAD]
    if not len(body):
        return doubt
    if body.min() < 0x20:
        doubt[owners(texts, np.flatnonzero(body < 0x20))] = True
    if body.max() >= 0x80:
        offsets = pa.py_buffer(texts.offsets.astype(np.int32))
        strings = pa.Array.from_buffers(pa.string(), len(texts), [None, offsets, pa.py_buffer(data)])
        doubt |= ~valid_utf8(strings)
    return doubt


def valid_utf8(strings: pa.StringArray) -> Bools:
    """Which values are UTF-8: a whole array at once, halved only around the bad ones."""
    good = np.ones(len(strings), np.bool_)
    todo = [(0, len(strings))]
    while todo:
        start, end = todo.pop()
        try:
            strings.slice(start, end - start).validate(full=True)
        except pa.ArrowInvalid:
            middle = (start + end) // 2
            if end - start == 1:
                good[start] = False
            else:
                todo += [(start, middle), (middle, end)]
    return good


def _quotes(texts: Texts, doubt: Bools) -> Bits:
    """The unescaped quotes. A text with an odd count of them, or with a bad escape, is doubted; the former has none."""
    data = texts.data
    slashes = positions(packed_blocks(data, lambda block: block == 0x5C))
    escaper = escapers(slashes)
    doubt[owners(texts, bad_escapes(data, escaper))] = True
    words = packed_blocks(data, lambda block: block == 0x22)
    clear(words, escaper[data[escaper + 1] == 0x22] + 1)
    quotes = counted(words)
    odd = np.flatnonzero(quotes.count(texts.offsets[:-1], texts.offsets[1:]) & 1)
    if not len(odd):
        return quotes
    doubt[odd] = True
    for i in odd.tolist():
        clear(words, np.arange(texts.offsets[i], texts.offsets[i + 1]))
    return counted(words)


def _without(texts: Texts, at: Ints) -> Texts:
    keep = np.ones(len(texts.data), np.bool_)
    keep[at] = False
    return Texts(texts.data[keep], texts.offsets - np.searchsorted(at, texts.offsets))
