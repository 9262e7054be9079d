"""Finds the structure of many JSON texts at once, in numpy passes over one buffer (the idea of simdjson's first stage).

    text    {"id":7,"note":"a,\\"b"}        one of n messages, end to end in one buffer
    quotes   ^  ^   ^    ^ ^     ^          unescaped quotes only
    marks   ^      ^               ^        { } [ ] , outside strings, down to a depth

A message is *doubted* where the marks alone cannot carry a proof: it then goes to the reference decoder. Bytes between two marks
are never parsed here: ``shape`` compares or classifies each of those gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

PAD = 32
"""Zero bytes after the last message, so that words may be loaded at any position of it."""

_BLOCK = 1 << 16
"""Octets looked at in one go: small enough for the second-level cache, and for memory that need not come from the system anew."""

_ESCAPABLE = np.zeros(256, np.bool_)
_ESCAPABLE[list(b'"\\/bfnrtu')] = True
_STEP = np.zeros(256, np.int8)
_STEP[list(b"{[")] = 1
_STEP[list(b"}]")] = -1
_HEX = np.full(256, -1, np.int16)
for _digit, _char in enumerate("0123456789abcdef"):
    _HEX[ord(_char)] = _HEX[ord(_char.upper())] = _digit


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts end to end: text i is ``data[offsets[i]:offsets[i + 1]]``; ``data`` has ``PAD`` zero bytes more."""

    data: Bytes
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def words(self) -> Words:
        """The eight bytes that begin at each position, as little-endian integers, without a copy."""
        return np.ndarray((len(self.data) - 8,), dtype="<u8", buffer=self.data.data, strides=(1,))


@dataclass(frozen=True, slots=True)
class Bits:
    """One bit for each octet of a buffer, with counts: how many are set before any position, without a list of positions."""

    words: Words
    before: Ints

    def count(self, start: Ints, end: Ints) -> Ints:
        """Set bits in each stretch ``[start, end)``."""
        return self._rank(end) - self._rank(start)

    def has(self, at: Ints) -> Bools:
        """Whether the bit at each position is set."""
        return ((self.words[at >> 6] >> (at & 63).astype(np.uint64)) & np.uint64(1)).astype(np.bool_)

    def _rank(self, at: Ints) -> Ints:
        word = at >> 6
        below = self.words[word] & ((np.uint64(1) << (at & 63).astype(np.uint64)) - np.uint64(1))
        return self.before[word] + np.bitwise_count(below)


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


def packed(data: Bytes, offsets: Ints) -> Texts:
    """The same texts in a buffer with padding."""
    out = np.empty(len(data) + PAD, np.uint8)
    out[: len(data)] = data
    out[len(data) :] = 0
    return Texts(out, offsets)


def slices(data: Bytes, start: Ints, end: Ints, valid: Bools | None = None) -> pa.BinaryArray:
    """The stretches ``[start, end)`` of a buffer, which must ascend and not overlap, as a binary array.

    Arrow copies them: the wanted stretches and those between them are the values of one array, of which a filter keeps every other.
    """
    count = len(start)
    if count == 0:
        return pa.array([], pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2] = start
    offsets[1::2] = end
    whole = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    pick = np.zeros(2 * count - 1, np.bool_)
    pick[0::2] = True
    out = whole.filter(pa.array(pick))
    if valid is None or bool(valid.all()):
        return out
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), count, [bits, out.buffers()[1], out.buffers()[2]])


def scan(texts: Texts, depth: int) -> Scanned:
    """Finds the marks of every text at nesting levels 1 to ``depth``; what lies deeper is part of a gap.

    One space after a comma or colon is taken out first (many serialisers write it); other white space outside strings is left
    where it is, and no gap with it will be trusted.
    """
    doubt = _ill_formed(texts)
    quotes = _quotes(texts, doubt)
    outside = ~_inside(quotes.words)
    spaces = _packed_blocks(texts.data, lambda block: block == 0x20) & outside
    if spaces.any():
        at = _positions(spaces)
        before = texts.data[at - 1]
        at = at[(at > 0) & ((before == 0x2C) | (before == 0x3A))]
        if len(at):
            texts = _without(texts, at)
            quotes = _quotes(texts, doubt)
            outside = ~_inside(quotes.words)
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
    words = _packed_blocks(texts.data, _structural) & outside
    marks = _positions(words).astype(np.int32)
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
    doubt = empty | (data[texts.offsets[:-1]] != 0x7B) | (data[np.maximum(texts.offsets[1:], 1) - 1] != 0x7D)
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


def owners(texts: Texts, at: Ints) -> Ints:
    """The text that each position belongs to."""
    return np.searchsorted(texts.offsets, at, side="right") - 1


def _quotes(texts: Texts, doubt: Bools) -> Bits:
    """The unescaped quotes. A text with an odd count of them, or with a bad escape, is doubted; the former has none."""
    data = texts.data
    slashes = _positions(_packed_blocks(data, lambda block: block == 0x5C))
    escaper = escapers(slashes)
    doubt[owners(texts, bad_escapes(data, escaper))] = True
    words = _packed_blocks(data, lambda block: block == 0x22)
    _clear(words, escaper[data[escaper + 1] == 0x22] + 1)
    quotes = counted(words)
    odd = np.flatnonzero(quotes.count(texts.offsets[:-1], texts.offsets[1:]) & 1)
    if not len(odd):
        return quotes
    doubt[odd] = True
    for i in odd.tolist():
        _clear(words, np.arange(texts.offsets[i], texts.offsets[i + 1]))
    return counted(words)


def _clear(words: Words, at: Ints) -> None:
    """Unsets the bits at ascending positions."""
    if not len(at):
        return
    word = at >> 6
    begins = np.flatnonzero(np.concatenate([[True], np.diff(word) != 0]))
    bits = np.bitwise_or.reduceat(np.uint64(1) << (at & 63).astype(np.uint64), begins)
    words[word[begins]] &= ~bits


def counted(words: Words) -> Bits:
    """Words of bits with the counts before each."""
    before = np.zeros(len(words), np.int64)
    np.cumsum(np.bitwise_count(words[:-1]), out=before[1:])
    return Bits(words, before)


def escapers(slashes: Ints) -> Ints:
    """Of the positions of all backslashes, those that escape what follows: the 1st, 3rd, ... of each run."""
    if not len(slashes):
        return slashes
    begins = np.concatenate([[True], np.diff(slashes) != 1])
    run = np.maximum.accumulate(np.where(begins, np.arange(len(slashes)), 0))
    return slashes[((np.arange(len(slashes)) - run) & 1) == 0]


def code_units(data: Bytes, at: Ints) -> Ints:
    """The numbers written as four hex digits behind each ``\\u`` at ``at``; negative where a digit is none."""
    digits = _HEX[data[at[:, None] + np.arange(2, 6)]].astype(np.int64)
    value = (digits << np.array([12, 8, 4, 0])).sum(axis=1)
    return np.where((digits < 0).any(axis=1), -1, value)


def bad_escapes(data: Bytes, escaper: Ints) -> Ints:
    """Positions of escapes that JSON does not know, and of surrogates without their other half."""
    following = data[escaper + 1]
    bad = escaper[~_ESCAPABLE[following]]
    at = escaper[following == 0x75]
    if not len(at):
        return bad
    unit = code_units(data, at)
    high, low = (unit >> 10) == 0x36, (unit >> 10) == 0x37
    next_to = np.concatenate([np.diff(at) == 6, [False]])
    paired = high & next_to & np.concatenate([low[1:], [False]])
    follows = np.concatenate([[False], paired[:-1]])
    return np.concatenate([bad, at[(unit < 0) | (high & ~paired) | (low & ~follows)]])


def _without(texts: Texts, at: Ints) -> Texts:
    keep = np.ones(len(texts.data), np.bool_)
    keep[at] = False
    return Texts(texts.data[keep], texts.offsets - np.searchsorted(at, texts.offsets))


def _packed_blocks(data: Bytes, test: Callable[[Bytes], Bools]) -> Words:
    """A test of each octet as bits, block by block: what is made in between stays in the cache. Padding is not tested."""
    size = len(data) - PAD
    octets = np.zeros((size // 64 + 2) * 8, np.uint8)
    for start in range(0, size, _BLOCK):
        bits = np.packbits(test(data[start : min(start + _BLOCK, size)]), bitorder="little")
        octets[start // 8 : start // 8 + len(bits)] = bits
    return octets.view("<u8")


def _positions(words: Words) -> Ints:
    """Positions of all set bits, ascending."""
    step = _BLOCK // 64
    found = []
    for start in range(0, len(words), step):
        part = words[start : start + step]
        if part.any():
            found.append(np.flatnonzero(np.unpackbits(part.view(np.uint8), bitorder="little").view(np.bool_)) + start * 64)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _inside(quotes: Words) -> Words:
    """One bit an octet: set from each opening quote to before its closing one (exclusive-or of all quote bits so far)."""
    words = quotes.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    carry = np.bitwise_xor.accumulate(words >> np.uint64(63))
    words[1:] ^= np.uint64(0) - carry[:-1]
    return words
