"""Mutations from one source of chance: what a fuzzer does, without its knowledge of the code, and the same on every run."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.unit.normalise.avro_making import bent

_WORDS = [
    *[b"null", b"true", b"-0", b"1e5", b'"', b"\\u0000", b"\\ud800", b"{}", b"[]", b":", b",", b"\xff", b"\xc3\xa9", b'"op":"d"'],
    *[b"__debezium_unavailable_value", b"\0\0\0\0\2", b"\x80\x80\x80\x80\x10", b"\xff" * 9 + b"\1", b"\1\4", b"\2", b"\0"],
]


def mutated(r: random.Random, corpus: Sequence[bytes]) -> bytes:
    """An input of the corpus after one to four mutations; its first octet, which says what it is, changes seldom."""
    whole = r.choice(corpus)
    head, data = whole[:1], whole[1:]
    for _ in range(r.choice([1, 1, 2, 4])):
        at = r.randrange(len(data) + 1)
        way = r.randrange(4)
        if way == 0:
            data = data[:at] + r.choice(_WORDS) + data[at + r.choice([0, 0, 1, 4]) :]
        elif way == 1:
            other = r.choice(corpus)[1:]
            data = data[:at] + other[r.randrange(len(other) + 1) :]
        else:
            data = bent(r, data)
    return (r.choice([b"v", b"k", b"b"]) if r.random() < 0.1 else head) + data
