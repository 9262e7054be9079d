"""One bit for each octet of a buffer: tests, counts, positions, and what lies inside quotes, 64 octets at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream_recon.normalise.columnar.buffers import PAD, Bools, Bytes, Ints, Words

_BLOCK = 1 << 16
"""Octets looked at in one go: small enough for the second-level cache, and for memory that need not come from the system anew."""


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
        bit = self.words[at >> 6] >> (at & 63).astype(np.uint64)
        out: Bools = (bit & np.uint64(1)).astype(np.bool_)
        return out

    def _rank(self, at: Ints) -> Ints:
        word = at >> 6
        below = self.words[word] & ((np.uint64(1) << (at & 63).astype(np.uint64)) - np.uint64(1))
        out: Ints = self.before[word] + np.bitwise_count(below)
        return out


def counted(words: Words) -> Bits:
    """Words of bits with the counts before each."""
    before = np.zeros(len(words), np.int64)
    np.cumsum(np.bitwise_count(words[:-1]), out=before[1:])
    return Bits(words, before)


def packed_blocks(data: Bytes, test: Callable[[Bytes], Bools]) -> Words:
    """A test of each octet as bits, block by block: what is made in between stays in the cache. Padding is not tested."""
    size = len(data) - PAD
    octets = np.zeros((size // 64 + 2) * 8, np.uint8)
    for start in range(0, size, _BLOCK):
        bits = np.packbits(test(data[start : min(start + _BLOCK, size)]), bitorder="little")
        octets[start // 8 : start // 8 + len(bits)] = bits
    return octets.view("<u8")


def positions(words: Words) -> Ints:
    """Positions of all set bits, ascending."""
    step = _BLOCK // 64
    found = []
    for start in range(0, len(words), step):
        part = words[start : start + step]
        if part.any():
            found.append(np.flatnonzero(np.unpackbits(part.view(np.uint8), bitorder="little").view(np.bool_)) + start * 64)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def clear(words: Words, at: Ints) -> None:
    """Unsets the bits at ascending positions."""
    if not len(at):
        return
    word = at >> 6
    begins = np.flatnonzero(np.concatenate([[True], np.diff(word) != 0]))
    bits = np.bitwise_or.reduceat(np.uint64(1) << (at & 63).astype(np.uint64), begins)
    words[word[begins]] &= ~bits


def inside(quotes: Words) -> Words:
    """One bit an octet: set from each opening quote to before its closing one (exclusive-or of all quote bits so far)."""
    words = quotes.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    carry = np.bitwise_xor.accumulate(words >> np.uint64(63))
    words[1:] ^= np.uint64(0) - carry[:-1]
    return words
