"""Learns the fixed part of a kind of message once, then proves of thousands at a time that they are that and scalars.

    marks    {        ,          }
    gaps       "id":7   "ok":true           a gap is a key, which is fixed, and a value, which is a *hole*

A text whose marks are those of a template, whose keys are the template's byte for byte and whose holes are one JSON scalar
each is valid JSON with the template's structure: no parser is needed to say so, and none can disagree. A hole that is an array
or an object (the structure below the marks) is passed on as text; whoever uses it has to parse it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.normalise.columnar.bits import Bits
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path, Positions, Texts, Words, slices
from stream_recon.normalise.columnar.scan import Scanned

Kinds = npt.NDArray[np.uint8]


class Kind(IntEnum):
    """What stands in a hole."""

    NULL = 0
    FALSE = 1
    TRUE = 2
    INTEGER = 3
    NUMBER = 4
    STRING = 5
    NESTED = 6
    BAD = 7


_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_FIRST = np.full(256, Kind.BAD, np.uint8)
_FIRST[list(b"-0123456789")] = Kind.INTEGER
_FIRST[ord('"')] = Kind.STRING
_FIRST[list(b"{[")] = Kind.NESTED
_FIRST[ord("n")] = Kind.NULL
_FIRST[ord("f")] = Kind.FALSE
_FIRST[ord("t")] = Kind.TRUE
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)
_NULL, _TRUE, _FALSE = (np.uint64(int.from_bytes(word, "little")) for word in (b"null", b"true", b"false"))
_ZEROS = np.uint64(0x3030303030303030)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)


@dataclass(frozen=True, slots=True)
class Template:
    """The fixed part: ``shape`` are its marks, ``gaps`` what each gap begins with, ``holes`` the paths of its values.

    ``load_*``: the words of 8 octets by which the fixed part is compared. ``hole_skip``: octets of the gap before the value.
    ``objects``: paths of the objects in it.
    """

    shape: bytes
    keys: int
    whole_gap: Ints
    whole_length: Ints
    load_gap: Ints
    load_skip: Positions
    load_mask: Words
    load_word: Words
    holes: tuple[Path, ...]
    hole_gap: Ints
    hole_skip: Positions
    objects: frozenset[Path]


@dataclass(frozen=True, slots=True)
class Matched:
    """Arrays of (holes, rows): the stretch of the buffer and the kind of each value; and which rows fit the template."""

    start: Positions
    end: Positions
    kind: Kinds
    fits: Bools


@dataclass(slots=True)
class _Draft:
    """What ``learn`` has read so far."""

    fixed: dict[int, bytes]
    whole: dict[int, int]
    holes: dict[Path, int]
    seen: set[Path]
    stack: list[str]


def learn(text: bytes, marks: list[int]) -> Template | None:
    """The template of one text with its marks (positions in it); None if it is no object of scalars and objects."""
    shape = bytes(text[p] for p in marks)
    if shape[:1] != b"{" or marks[0] != 0 or marks[-1] != len(text) - 1:
        return None
    draft = _Draft({}, {}, {}, {()}, [])
    opened = 1
    for i, (this, then) in enumerate(pairwise(shape)):
        if opened == 0 or not _read_gap(draft, i, chr(this) + chr(then), text[marks[i] + 1 : marks[i + 1]]):
            return None
        opened += (then == 0x7B) - (then == 0x7D)
    return _template(shape, draft) if opened == 0 else None


def _read_gap(draft: _Draft, i: int, pair: str, gap: bytes) -> bool:
    """Takes in one gap; False if it is none of a key and a value, a key before an object, nothing before the next mark."""
    if pair[0] == "}" or (pair == "{}" and not gap):
        if gap or pair[1] not in ",}":
            return False
        draft.whole[i] = 0
        if pair[1] == "}":
            draft.stack = draft.stack[:-1]
        return True
    end = gap.find(b'"', 1)
    key, rest = gap[1:end], gap[end + 1 :]
    if pair[0] not in "{," or gap[:1] != b'"' or end < 0 or b"\\" in key or rest[:1] != b":":
        return False
    path = (*draft.stack, key.decode("utf-8"))
    if path in draft.seen:
        return False
    draft.seen.add(path)
    draft.fixed[i] = gap[: end + 2]
    if pair[1] == "{" and len(rest) == 1:
        draft.whole[i] = len(gap)
        draft.stack = list(path)
        return True
    draft.holes[path] = i
    if pair[1] == "}":
        draft.stack = draft.stack[:-1]
    return pair[1] in ",}" and len(rest) > 1


def _template(shape: bytes, draft: _Draft) -> Template:
    loads = []
    for gap, text in draft.fixed.items():
        for at in range(0, len(text), 8):
            skip = at if at + 8 <= len(text) or len(text) < 8 else len(text) - 8
            part = text[skip : skip + 8]
            loads.append((gap, skip, (1 << (8 * len(part))) - 1, int.from_bytes(part, "little")))
    columns = list(zip(*loads, strict=True)) if loads else [(), (), (), ()]
    return Template(
        shape=shape,
        keys=len(draft.fixed),
        whole_gap=np.array(list(draft.whole), np.int64),
        whole_length=np.array(list(draft.whole.values()), np.int64),
        load_gap=np.array(columns[0], np.int64),
        load_skip=np.array(columns[1], np.int32),
        load_mask=np.array(columns[2], np.uint64),
        load_word=np.array(columns[3], np.uint64),
        holes=tuple(draft.holes),
        hole_gap=np.array(list(draft.holes.values()), np.int64),
        hole_skip=np.array([len(draft.fixed[gap]) for gap in draft.holes.values()], np.int32),
        objects=frozenset(draft.seen - set(draft.holes)),
    )


def match(template: Template, scanned: Scanned, rows: Ints) -> Matched:
    """Tests the texts ``rows``, all with the marks of the template, and finds their holes."""
    texts = scanned.texts
    words = texts.words()
    start_of, end_of = texts.offsets[rows], texts.offsets[rows + 1]
    marks = scanned.marks[scanned.first[rows] + np.arange(len(template.shape))[:, None]]
    after = marks[:-1] + np.int32(1)
    fits = (marks[0] == start_of) & (marks[-1] == end_of - 1)
    whole = template.whole_gap
    fits &= (marks[whole + 1] - after[whole] == template.whole_length[:, None]).all(axis=0)
    loaded = words[after[template.load_gap] + template.load_skip[:, None]]
    loaded &= template.load_mask[:, None]
    fits &= (loaded == template.load_word[:, None]).all(axis=0)
    start = after[template.hole_gap] + template.hole_skip[:, None]
    end = marks[template.hole_gap + 1]
    start = np.minimum(start, end)
    kind = classify(texts, scanned.quotes, start, end)
    fits &= (kind != Kind.BAD).all(axis=0)
    strings = (kind == Kind.STRING).sum(axis=0)
    fits &= scanned.quotes.count(start_of, end_of) == 2 * (template.keys + strings) + _nested_quotes(scanned, start, end, kind)
    return Matched(start, end, kind, fits)


def _nested_quotes(scanned: Scanned, start: Positions, end: Positions, kind: Kinds) -> Ints:
    total = np.zeros(start.shape[1], np.int64)
    for hole in np.flatnonzero((kind == Kind.NESTED).any(axis=1)).tolist():
        count = scanned.quotes.count(start[hole].astype(np.int64), end[hole].astype(np.int64))
        total += np.where(kind[hole] == Kind.NESTED, count, 0)
    return total


def classify(texts: Texts, quotes: Bits, start: Positions, end: Positions) -> Kinds:
    """The kind of each stretch, arrays of (holes, rows); ``BAD`` unless it is exactly one scalar, or may be an array or object.

    Holes that are strings, or that are integers, in all rows (most are) are tested without picking single cells.
    """
    kind = _FIRST[texts.data[start]]
    kind[end <= start] = Kind.BAD
    least, most = kind.min(axis=1), kind.max(axis=1)
    strings = np.flatnonzero((least == Kind.STRING) & (most == Kind.STRING))
    integers = np.flatnonzero((least == Kind.INTEGER) & (most == Kind.INTEGER))
    mixed = np.setdiff1d(np.arange(len(kind)), np.concatenate([strings, integers]))
    for holes, test in ((strings, _strings), (integers, _numbers)):
        if len(holes):
            part = test(texts, quotes, start[holes].ravel(), end[holes].ravel())
            kind[holes] = part.reshape(len(holes), -1)
    if len(mixed):
        flat = _mixed(texts, quotes, kind[mixed].ravel(), start[mixed].ravel(), end[mixed].ravel())
        kind[mixed] = flat.reshape(len(mixed), -1)
    return kind


def _mixed(texts: Texts, quotes: Bits, kind: Kinds, start: Positions, end: Positions) -> Kinds:
    _literals(kind, texts.words(), start, end - start)
    for claim, test in ((Kind.STRING, _strings), (Kind.INTEGER, _numbers), (Kind.NESTED, _nested)):
        at = np.flatnonzero(kind == claim)
        if len(at):
            kind[at] = test(texts, quotes, start[at], end[at])
    return kind


def _strings(texts: Texts, quotes: Bits, start: Positions, end: Positions) -> Kinds:
    """The opening quote stands behind a colon, so it is none that is escaped; the closing one may be."""
    good = (end - start >= 2) & (texts.data[end - 1] == 0x22)
    behind = np.flatnonzero(texts.data[end - 2] == 0x5C)
    good[behind] &= quotes.has(end[behind].astype(np.int64) - 1)
    return np.where(good, Kind.STRING, Kind.BAD).astype(np.uint8)


def _nested(texts: Texts, _: Bits, start: Positions, end: Positions) -> Kinds:
    closed = (texts.data[end - 1] == texts.data[start] + 2) & (end - start >= 2)
    return np.where(closed, Kind.NESTED, Kind.BAD).astype(np.uint8)


def _numbers(texts: Texts, _: Bits, start: Positions, end: Positions) -> Kinds:
    kind = np.where(_integers(texts, start, end), Kind.INTEGER, Kind.BAD).astype(np.uint8)
    other = np.flatnonzero(kind == Kind.BAD)
    if len(other):
        other = other[np.argsort(start[other])]
        number = pc.match_substring_regex(slices(texts.data, start[other].astype(np.int64), end[other].astype(np.int64)), _NUMBER)
        kind[other] = np.where(_bools(number), Kind.NUMBER, Kind.BAD)
    return kind


def _literals(kind: Kinds, words: Words, start: Positions, length: Positions) -> None:
    at = np.flatnonzero(kind <= Kind.TRUE)
    size = length[at]
    word = words[start[at]] & _MASKS[np.minimum(size, 8)]
    claim = kind[at]
    wanted = np.array([_NULL, _FALSE, _TRUE])[claim]
    kind[at[(word != wanted) | (size > 5)]] = Kind.BAD


def _integers(texts: Texts, start: Positions, end: Positions) -> Bools:
    """Which stretches are ``-?(0|[1-9][0-9]*)``, at most 40 digits."""
    data, words = texts.data, texts.words()
    begin = start + (data[start] == 0x2D)
    length = end - begin
    good: Bools = (length > 0) & (length <= 40) & ((data[begin] != 0x30) | (length == 1))
    good &= _digits(words, begin, length)
    for skip in range(8, min(int(length.max(initial=0)), 40), 8):
        at = np.flatnonzero(length > skip)
        good[at] &= _digits(words, begin[at] + np.int32(skip), length[at] - np.int32(skip))
    return good


def _digits(words: Words, begin: Positions, length: Positions) -> Bools:
    """Whether the first 8 octets of each stretch, or all if it is shorter, are digits: all 8 in one word."""
    mask = _MASKS[np.clip(length, 0, 8)]
    word = (words[begin] & mask) | (_ZEROS & ~mask)
    out: Bools = ((word & _HIGH) == _ZEROS) & (((word + _SIXES) & _HIGH) == _ZEROS)
    return out


def _bools(array: pa.BooleanArray) -> Bools:
    out: Bools = array.to_numpy(zero_copy_only=False)
    return out
