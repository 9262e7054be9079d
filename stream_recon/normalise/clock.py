"""The time of one upstream partition: watermark, effective time and lateness of each row, by DESIGN 3.2 to 3.4.

    w(row) = max( max(t of the changes before it) - out_of_orderness, last lift, floor )
    effective time = max(w, min(t, broker timestamp + max_future));  late: t < w

Decided row by row from the partition's own rows, so it does not depend on how they were batched. Refuses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from stream_recon.model.messages import Op

Times = npt.NDArray[np.int64]
NEVER: int = int(np.iinfo(np.int64).min)
"""A time before all times: the watermark that bounds nothing."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """All that normalise must remember of a partition. Times in µs; ``NEVER`` where there was none.

    ``raw``: max(t) - out_of_orderness. ``loaded``: largest effective time of the snapshot reads in front.
    ``latest``: largest effective time of rows and dead letters, truncates aside: one may fall on nothing. ``gone``: the key that
    the last message with a readable key deleted (null: it did not delete). ``floor``: where the side stood when the partition
    appeared; no row of it said so, and no lift, so it is neither a last change nor a promise that an older row would break.
    """

    raw: int = NEVER
    lift: int = NEVER
    leading: bool = True
    loaded: int = NEVER
    latest: int = NEVER
    gone: bytes | None = None
    floor: int = NEVER

    @property
    def watermark(self) -> int:
        return max(self.raw, self.lift, self.floor)

    def lifted(self, to: int) -> ClockState:
        """The state after a lift to ``to``; a lift never goes back."""
        return replace(self, lift=max(self.lift, to), leading=False)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Per row: watermark before and after it (``NEVER``: bounds nothing), event time cut at max_future, effective time, masks."""

    before: Times
    after: Times
    t: Times
    time: Times
    late: npt.NDArray[np.bool_]
    broken: npt.NDArray[np.bool_]


def stamp(
    state: ClockState,
    op: npt.NDArray[np.uint8],
    t: Times,
    broker: Times,
    *,
    out_of_orderness: int,
    max_future: int,
    filling: npt.NDArray[np.bool_] | None = None,
) -> tuple[Stamps, ClockState]:
    """Stamps the rows of one partition, in offset order; all arrays of one length, times in µs.

    ``filling``: rows of a compacted topic that were there at the start: its side is loading up to their times, too.

    A tombstone that is a row (``op`` TOMBSTONE; ``t`` is ignored) takes part at ``max(w, broker)``, where w stands at
    ``broker - out_of_orderness`` before the partition's first change.
    """
    bound = broker + max_future
    moves = ((op == Op.UPSERT) | (op == Op.DELETE) | (op == Op.TRUNCATE)) & (t <= bound)
    raw_after = np.maximum.accumulate(np.where(moves, t - out_of_orderness, NEVER)) if len(op) else t
    raw_after = np.maximum(raw_after, state.raw)
    raw_before = np.concatenate([np.array([state.raw], np.int64), raw_after[:-1]]) if len(op) else t
    least = max(state.lift, state.floor)
    before = np.maximum(raw_before, least)

    tombstone = op == Op.TOMBSTONE
    before = np.where(tombstone & (before == NEVER), broker - out_of_orderness, before)
    own = np.where(tombstone, np.maximum(broker, before), np.minimum(t, bound))
    time = np.maximum(before, own)
    late = ~tombstone & (t < before)
    broken = late & (state.lift != NEVER) & (t < state.lift)

    leading, loaded = state.leading, state.loaded
    if leading and len(op):
        change = (op == Op.UPSERT) | (op == Op.DELETE) | (op == Op.TRUNCATE)
        end = int(change.argmax()) if change.any() else len(op)
        reads = time[:end][op[:end] == Op.READ]
        loaded = max(loaded, int(reads.max())) if len(reads) else loaded
        leading = not change.any()
    if filling is not None and filling.any():
        loaded = max(loaded, int(time[filling].max()))
    raw = int(raw_after[-1]) if len(op) else state.raw
    rows = time[op != Op.TRUNCATE]
    latest = max(state.latest, int(rows.max())) if len(rows) else state.latest
    stamps = Stamps(before, np.maximum(raw_after, least), own, time, late, broken)
    return stamps, replace(state, raw=raw, leading=leading, loaded=loaded, latest=latest)
