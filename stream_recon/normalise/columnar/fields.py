"""From many payloads to the cells of named paths: scan, sort by template, match, collect."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.normalise.columnar.buffers import Bools, Ints, Path, Texts
from stream_recon.normalise.columnar.carrier import Fields
from stream_recon.normalise.columnar.cells import Cells
from stream_recon.normalise.columnar.scan import Scanned, scan
from stream_recon.normalise.columnar.shape import Kind, Kinds, Matched, Template, learn, match
from stream_recon.normalise.columnar.texts import Distinct, accept

_MAX_TEMPLATES: Final = 512
_MAX_TRIES_A_BATCH: Final = 64
"""Templates tried on one batch: each costs about 0.2 ms, the time in which the reference decodes three messages."""


class Shapes:
    """The templates learnt from one topic's keys or values, and the collecting of their holes."""

    def __init__(self, depth: int, wanted: tuple[Path, ...], read: frozenset[Path]) -> None:
        """``wanted``: paths to collect. ``read``: those of them whose every value will be parsed, or its row be in doubt."""
        self._depth = depth
        self._wanted = wanted
        self._read = read
        self._unread = Distinct(accept)
        self.learnt: set[Path] = set()
        """Paths of templates that were learnt and not yet looked at."""
        self._templates: OrderedDict[bytes, list[Template]] = OrderedDict()

    def fields(self, texts: Texts) -> Fields:
        """The wanted paths of every text; texts that match no template are not sure."""
        scanned = scan(texts, self._depth)
        out = _Collector(scanned, self._wanted)
        tries = _MAX_TRIES_A_BATCH
        for shape, rows in _by_shape(scanned):
            rest = rows
            for template in self._templates.get(shape, ()):
                if not len(rest) or tries == 0:
                    break
                tries -= 1
                rest = self._match(template, scanned, rest, out)
            while len(rest) and tries > 0:
                tries -= 1
                found = _learn(scanned, int(rest[0]))
                if found is None:
                    rest = rest[1:]
                    continue
                self._remember(found)
                left = self._match(found, scanned, rest, out)
                rest = left if len(left) < len(rest) else rest[1:]
        return out.fields()

    def _match(self, template: Template, scanned: Scanned, rows: Ints, out: _Collector) -> Ints:
        matched = match(template, scanned, rows)
        fits = matched.fits
        sure = fits & self._unread_are_json(template, scanned, matched) if fits.any() else fits
        out.add(template, rows, matched, sure)
        return rows[~fits]

    def _unread_are_json(self, template: Template, scanned: Scanned, matched: Matched) -> Bools:
        fine = np.ones(len(matched.fits), np.bool_)
        for hole in np.flatnonzero((matched.kind == Kind.NESTED).any(axis=1)).tolist():
            if template.holes[hole] not in self._read:
                cells = Cells(scanned.texts, matched.start[hole], matched.end[hole], matched.kind[hole])
                fine &= self._unread.column(cells, (cells.kind == Kind.NESTED) & matched.fits).sure
        return fine

    def _remember(self, template: Template) -> None:
        self.learnt.update(template.holes, template.objects)
        self._templates.setdefault(template.shape, []).append(template)
        if sum(map(len, self._templates.values())) > _MAX_TEMPLATES:
            self._templates.popitem(last=False)


class _Collector:
    """Gathers stretches and kinds of the wanted paths, template by template."""

    def __init__(self, scanned: Scanned, wanted: tuple[Path, ...]) -> None:
        self.wanted = wanted
        self._texts = scanned.texts
        count = len(scanned.texts)
        self._start = {path: scanned.texts.offsets[:-1].copy() for path in wanted}
        self._end = {path: scanned.texts.offsets[:-1].copy() for path in wanted}
        self._kind: dict[Path, Kinds] = {path: np.zeros(count, np.uint8) for path in wanted}
        self._objects: dict[Path, Bools] = {path: np.zeros(count, np.bool_) for path in wanted}
        self._sure = np.zeros(count, np.bool_)

    def add(self, template: Template, rows: Ints, matched: Matched, sure: Bools) -> None:
        everything = bool(sure.all())
        rows = rows if everything else rows[sure]
        self._sure[rows] = True
        at = {path: hole for hole, path in enumerate(template.holes)}
        for path in self.wanted:
            if path in at:
                hole = at[path]
                start, end, kind = (part[hole] for part in (matched.start, matched.end, matched.kind))
                self._start[path][rows] = start if everything else start[sure]
                self._end[path][rows] = end if everything else end[sure]
                self._kind[path][rows] = kind if everything else kind[sure]
            elif path in template.objects:
                self._objects[path][rows] = True

    def fields(self) -> Fields:
        cells = {path: Cells(self._texts, self._start[path], self._end[path], self._kind[path]) for path in self.wanted}
        return Fields(cells, self._objects, self._sure)


def _by_shape(scanned: Scanned) -> list[tuple[bytes, Ints]]:
    """The texts that are not in doubt, by the marks they have, most frequent first."""
    marks = np.ascontiguousarray(scanned.texts.data[scanned.marks])
    offsets = pa.py_buffer(scanned.first.astype(np.int32))
    shapes = pa.Array.from_buffers(pa.binary(), len(scanned.texts), [None, offsets, pa.py_buffer(marks)])
    coded = shapes.dictionary_encode()
    codes: npt.NDArray[np.int32] = coded.indices.to_numpy()
    trusted = np.flatnonzero(~scanned.doubt)
    counts = np.bincount(codes[trusted], minlength=len(coded.dictionary))
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    return [
        (coded.dictionary[int(code)].as_py(), trusted[codes[trusted] == code]) for code in order[:_MAX_TRIES_A_BATCH].tolist()
    ]


def _learn(scanned: Scanned, row: int) -> Template | None:
    start, end = (int(scanned.texts.offsets[row + i]) for i in (0, 1))
    marks = scanned.marks[scanned.first[row] : scanned.first[row + 1]] - start
    return learn(scanned.texts.data[start:end].tobytes(), marks.tolist()) if len(marks) > 1 else None
