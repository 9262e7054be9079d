"""Rows of a table that is written on two sides, and the differences that are planted among them, from a seed.

Pure: time is an argument. The target gets each row a moment after the source, in order of each key; a difference is a row that
it does not get, gets although the source did not, or gets with another value. The key of one is left alone before, meanwhile
and afterwards, so that what must be said of it hangs on nothing else: it is opened in the window of the row that made it, and
resolved in the window of the row that mended it, as the kind that it is by its making.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

SECOND: Final = 1_000_000
WINDOW_US: Final = 5 * SECOND
SETTLE_US: Final = 5 * SECOND
SKEW_US: Final = 1 * SECOND
LAG_US: Final = 1_500_000
"""What the target is behind at most; less than ``SETTLE_US``, so that it is no difference."""
ALONE_US: Final = WINDOW_US + SETTLE_US + SKEW_US + LAG_US
"""A key that was left alone so long takes part in no window that is still to be judged."""
LASTS_US: Final = (20 * SECOND, 60 * SECOND)
"""How long a difference stands: longer than until it is judged."""
PARTITIONS: Final = {"source": 3, "target": 2}

Side = Literal["source", "target"]
Op = Literal["c", "u", "d"]
KINDS: Final = ("missing_in_target", "unexpected_in_target", "undeleted_in_target", "stale_in_target", "value_mismatch")


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A change of one side; ``time``: its commit, µs. ``mends``: the difference (its number) that is over with it."""

    time: int
    number: int
    side: Side = field(compare=False)
    op: Op = field(compare=False)
    key: int = field(compare=False)
    text: str = field(compare=False)
    mends: int | None = field(compare=False, default=None)

    @property
    def partition(self) -> int:
        return self.key % PARTITIONS[self.side]

    def messages(self) -> list[bytes | None]:
        """As Debezium writes it: a delete is followed by a tombstone."""
        row = {"id": self.key, "text": self.text}
        source = {"connector": "postgresql", "name": "db", "db": "shop", "schema": "public", "table": "soak", "snapshot": "false"}
        body = {
            "before": {"id": self.key, "text": None} if self.op == "d" else None,
            "after": None if self.op == "d" else row,
            "source": source | {"ts_ms": self.time // 1000, "ts_us": self.time},
            "op": self.op,
            "ts_ms": self.time // 1000,
        }
        return [json.dumps(body).encode(), *([None] if self.op == "d" else [])]


@dataclass(slots=True)
class Planted:
    """A difference. ``mended``: the time of the first row of its mending, once that was given out."""

    key: int
    kind: str
    made: int
    mended: int | None = None

    def said(self) -> list[tuple[str, str, int]]:
        """(status, kind, start of the window) of what must be said of it."""
        events = [("opened", self.kind, self.made), *([] if self.mended is None else [("resolved", self.kind, self.mended)])]
        return [(status, kind, time // WINDOW_US * WINDOW_US) for status, kind, time in events]


class Table:
    """``keys`` that both sides have, and some that only the target ever has; ``rate``: rows a second of the source.

    ``every_s``: between two differences, on the average.
    """

    def __init__(self, seed: int, begin: int, *, keys: int, rate: float, every_s: float) -> None:
        self.planted: list[Planted] = []
        self.given: dict[Side, int] = {"source": 0, "target": 0}
        self._dice = random.Random(f"table {seed}")
        self._keys, self._others = range(keys), range(keys, keys + keys // 20)
        self._rate, self._every_s = rate, every_s
        self._next, self._next_planted = begin, begin + 2 * ALONE_US
        self._waiting: list[Row] = []
        self._rows = 0
        self._there: dict[Side, set[int]] = {"source": set(), "target": set()}
        """As they will be when all that waits is given out."""
        self._last: dict[int, int] = {}
        """Of each key the last time that was given to a row of it."""
        self._busy_until: dict[int, int] = {}
        """Keys of differences, and when they are ordinary again."""
        self._over = False

    def until(self, now: int) -> Iterator[Row]:
        """Rows whose time has come, in its order."""
        while not self._over and self._next <= now:
            yield from self._due(self._next)
            if self._next_planted <= self._next and self._plant(self._next):
                self._next_planted += round(self._dice.expovariate(1 / (self._every_s * SECOND)))
            else:
                self._write(self._next)
            self._next += 1 + round(self._dice.expovariate(self._rate / SECOND))
        yield from self._due(now)

    def end(self, now: int) -> int:
        """Nothing new begins, and no difference is mended any more; returns when the last row comes."""
        self._over = True
        self._waiting = [row for row in self._waiting if row.mends is None or self.planted[row.mends].mended is not None]
        heapq.heapify(self._waiting)
        return max((row.time for row in self._waiting), default=now)

    def _due(self, now: int) -> Iterator[Row]:
        while self._waiting and self._waiting[0].time <= now:
            row = heapq.heappop(self._waiting)
            if row.mends is not None and self.planted[row.mends].mended is None:
                self.planted[row.mends].mended = row.time
            self.given[row.side] += 1
            yield row

    # ---- what is written -----------------------------------------------------------------------------------------------

    def _write(self, now: int) -> None:
        """The same on both sides."""
        key = self._dice.choice(self._keys)
        if self._busy_until.get(key, 0) <= now:
            self._both(now, key)

    def _both(self, now: int, key: int, mends: int | None = None) -> None:
        """A row for the source, and after it one for the target, so that both hold the same."""
        lag = self._dice.randrange(LAG_US)
        text = self._text()
        delete = mends is None and key in self._there["source"] and self._dice.random() < 0.05
        at = max(now, self._last.get(key, 0) + 1)
        for side, time in (("source", at), ("target", at + lag)):
            self._row(side, time, key, text, delete=delete, mends=mends)  # type: ignore[arg-type]

    def _row(self, side: Side, time: int, key: int, text: str, *, delete: bool = False, mends: int | None = None) -> None:
        there = self._there[side]
        op: Op = "d" if delete else "u" if key in there else "c"
        (there.discard if delete else there.add)(key)
        self._rows += 1
        self._last[key] = time
        heapq.heappush(self._waiting, Row(time, self._rows, side, op, key, text, mends))

    def _text(self) -> str:
        return f"row {self._rows} {self._dice.randrange(10**6)}"

    # ---- what is planted -----------------------------------------------------------------------------------------------

    def _plant(self, now: int) -> bool:
        """Tries to make a difference; False: no key was found that was left alone."""
        kind = self._dice.choice(KINDS)
        pool = self._others if kind == "unexpected_in_target" else self._keys
        absent = kind in {"missing_in_target", "unexpected_in_target"}
        for key in self._dice.sample(pool, len(pool)):
            alone = self._last.get(key, 0) + ALONE_US <= now and self._busy_until.get(key, 0) <= now
            if alone and (key in self._there["source"]) is not absent and (key in self._there["target"]) is not absent:
                self._differ(now, key, kind)
                return True
        return False

    def _differ(self, now: int, key: int, kind: str) -> None:
        number = len(self.planted)
        self.planted.append(Planted(key, kind, now))
        text = self._text()
        mended = now + self._dice.randrange(*LASTS_US)
        self._busy_until[key] = mended + 2 * ALONE_US
        if kind != "unexpected_in_target":
            self._row("source", now, key, text, delete=kind == "undeleted_in_target")
        if kind in {"unexpected_in_target", "value_mismatch"}:
            self._row("target", now + (kind == "value_mismatch"), key, f"not {text}")
        if kind != "unexpected_in_target" and self._dice.random() < 0.5:
            self._both(mended, key, mends=number)
        else:
            absent = kind in {"unexpected_in_target", "undeleted_in_target"}
            self._row("target", mended, key, text, delete=absent, mends=number)
