"""Escapes in JSON strings: where they are, and whether they are lawful."""

from __future__ import annotations

import numpy as np

from stream_recon.normalise.columnar.buffers import Bytes, Ints

_ESCAPABLE = np.zeros(256, np.bool_)
_ESCAPABLE[list(b'"\\/bfnrtu')] = True
_HEX = np.full(256, -1, np.int16)
for _digit, _char in enumerate("0123456789abcdef"):
    _HEX[ord(_char)] = _HEX[ord(_char.upper())] = _digit


def escapers(slashes: Ints) -> Ints:
    """Of the positions of all backslashes, those that escape what follows: the 1st, 3rd, ... of each run."""
    if not len(slashes):
        return slashes
    begins = np.concatenate([[True], np.diff(slashes) != 1])
    run = np.maximum.accumulate(np.where(begins, np.arange(len(slashes)), 0))
    out: Ints = slashes[((np.arange(len(slashes)) - run) & 1) == 0]
    return out


def code_units(data: Bytes, at: Ints) -> Ints:
    """The numbers written as four hex digits behind each backslash and u at ``at``; negative where a digit is none."""
    digits = _HEX[data[at[:, None] + np.arange(2, 6)]].astype(np.int64)
    value = (digits << np.array([12, 8, 4, 0])).sum(axis=1)
    out: Ints = np.where((digits < 0).any(axis=1), -1, value)
    return out


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
