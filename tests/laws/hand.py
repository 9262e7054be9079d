"""Short histories written by hand, one for each promise that a wrong core is likely to break."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.history import (
    Delete,
    Gap,
    History,
    Item,
    KeyChange,
    Lift,
    Params,
    Partial,
    Partition,
    Read,
    Side,
    Tombstone,
    Truncate,
    Undecodable,
    Upsert,
    check,
    end_of,
)

S = 1_000_000
START = 1_767_225_600 * S
P = Params(10 * S, 5 * S, 2 * S, 3 * S, 60 * S)
"""Windows of 10 s; a window [0, 10) compares T(15) with S(10) and the rows of S in [10, 17)."""


def at(seconds: float) -> int:
    return START + round(seconds * S)


def broker(t: float, ts: float | None) -> int:
    return START // 1000 + round((t if ts is None else ts) * 1000)


def up(t: float, value: str = "a", key: int = 1, *, ts: float | None = None, large: str = "x") -> Item:
    return Upsert(0, broker(t, ts), at(t), key, value, large)


def read(t: float, value: str = "a", key: int = 1) -> Item:
    return Read(0, broker(t, None), at(t), key, value, "x")


def partial(t: float, value: str = "a", key: int = 1) -> Item:
    return Partial(0, broker(t, None), at(t), key, value)


def gone(t: float, key: int = 1) -> Item:
    return Delete(0, broker(t, None), at(t), key)


def tomb(ts: float, key: int = 1) -> Item:
    return Tombstone(0, broker(ts, None), key)


def cut(t: float) -> Item:
    return Truncate(0, broker(t, None), at(t))


def moved(t: float, old: int, new: int, value: str = "a") -> Item:
    return KeyChange(0, broker(t, None), at(t), old, new, value, "x")


def garbled(ts: float, key: int | None = None) -> Item:
    return Undecodable(0, broker(ts, None), key)


def lift(to: float) -> Item:
    return Lift(0, at(to))


def lost(positions: int) -> Item:
    return Gap(0, positions)


def placed(items: Sequence[Item]) -> tuple[Item, ...]:
    """The items one after the other."""
    out: list[Item] = []
    at_ = 0
    for item in items:
        fields = {name: getattr(item, name) for name in type(item).__dataclass_fields__} | {"offset": at_}
        if isinstance(item, Gap):
            fields["to"] = at_ + item.to
        out.append(type(item)(**fields))
        at_ = end_of(out[-1])
    return tuple(out)


def history(*sides: list[list[Item]], params: Params = P, partial_history: str = "") -> History:
    """A history of the source and its targets, each a list of partitions."""
    done = [
        Side(
            name,
            tuple(Partition(f"{name}.a", n, placed(items)) for n, items in enumerate(logs)),
            "partial" if name == partial_history else "complete",
        )
        for name, logs in zip(("source", "target", "target2"), sides, strict=False)
    ]
    return check(History(params, done[0], tuple(done[1:])))


EVENT_TIME = Params(10 * S, 5 * S, 2 * S, 3 * S, 60 * S, "event_time")
SHORT = Params(10 * S, 5 * S, 2 * S, 3 * S, 2 * S)
STILL = Params(10 * S, 0, 0, 0, 60 * S)

HISTORIES: dict[str, History] = {
    "one partition is far behind": history(
        [[up(1), up(60, key=2)], [up(2, key=3), up(5, "b", key=3)]],
        [[up(2), up(3, key=3), up(6, "b", key=3), up(70, key=2)]],
    ),
    "a target that lags": history([[up(9), up(40, key=2)]], [[up(13), up(41, key=2)]]),
    "a target that settles at the last moment": history(
        [[up(9), up(9.2, key=2), up(60, key=2)]], [[up(13.5, key=2), up(14), up(61, key=2)]]
    ),
    "a target that is ahead": history([[up(1, "a"), up(11, "b"), up(50)]], [[up(2, "a"), up(9.5, "b"), up(51)]]),
    "a target that is ahead by the clock": history([[up(1, "a"), up(16, "b"), up(50)]], [[up(2, "a"), up(14.5, "b"), up(51)]]),
    "a late row": history([[up(1), up(20, key=2), up(3, "b"), up(60, key=2)]], [[up(2), up(21, key=2), up(61, key=2)]]),
    "a deleted row that stays": history([[up(1), gone(12), up(50, key=2)]], [[up(2), up(51, key=2)]]),
    "a difference in the last window": history([[up(1), up(60, "b")]], [[up(2), up(61, "c")]]),
    "a partition without data": history([[up(1), up(60, key=2)], []], [[up(2), up(61, key=2)]]),
    "a partition that begins late": history([[up(1), up(60, key=2)], [up(5, key=3)]], [[up(2), up(5, key=3), up(61, key=2)]]),
    "a truncate between partitions": history(
        [[up(1, key=1), up(2, key=2), up(3, key=3), up(40, key=4)], [cut(20)]],
        [[up(1, key=1), up(2, key=2), up(3, key=3), cut(21), up(41, key=4)]],
    ),
    "a truncate that comes late": history([[up(1), up(25, key=2)], [cut(20)]], [[up(2), cut(21), up(26, key=2)]]),
    "a row from the future": history([[up(1), up(500, key=2, ts=2), up(30, key=3)]], [[up(2), up(30, key=3)]], params=SHORT),
    "two targets, one wrong": history([[up(1), up(40)]], [[up(2), up(41)]], [[up(2, "b"), up(41)]]),
    "two targets, both wrong": history([[up(1), up(40, "c")]], [[up(2, "b"), up(41, "d")]], [[up(2, "c"), up(41, "c")]]),
    "a row that is passed over": history([[up(20, "b"), up(18, "a"), up(40, key=2)]], [[up(21, "a"), up(41, key=2)]]),
    "passed over in the look-ahead": history(
        [[up(1, "a"), up(12, "c"), up(11, "b"), up(40, key=2)]], [[up(2, "a"), up(11, "c"), up(41, key=2)]]
    ),
    "a row on the last instant of the allowance": history(
        [[up(1), up(19.999_999, key=2), up(16.999_999, "b")]],
        [[up(2), up(30, key=2), up(30, "b")]],
    ),
    "a row at the watermark": history(
        [[up(1), up(9.999_999, key=2), up(9.999_999, "b")]],
        [[up(1), up(9.999_999, key=2), up(9.999_999, "b"), up(50, key=2)]],
        params=STILL,
    ),
    "a row at the end of a window": history([[up(10, "b")]], [[up(10, "b")]], params=STILL),
    "a row at the end of the allowance": history([[up(1), up(40, key=2)]], [[up(15), up(40, key=2)]]),
    "a gap": history([[up(1), lost(2), up(30)]], [[up(2), up(12, "b"), up(31)]]),
    "a gap and a key that may be behind it": history([[up(1), lost(2), up(50, key=2)]], [[up(2), up(12, "b"), up(51, key=2)]]),
    "a snapshot": history([[read(1), read(2, key=2), up(40, key=3)]], [[up(0, key=2), up(3, "b", key=2), up(41, key=3)]]),
    "a snapshot still loading": history(
        [[up(1), up(3, key=2), up(5, key=4), up(60, key=3)]], [[read(25), read(26, key=2), up(61, key=3)]]
    ),
    "a snapshot without order": history([[read(30), read(3, key=2), up(50, key=3)]], [[read(30), read(3, key=2), up(50, key=3)]]),
    "a partial history": history([[up(1), up(40, key=2)]], [[up(41, key=2)]], partial_history="target"),
    "a tombstone after a delete": history([[up(1), gone(5), tomb(5), up(40)]], [[up(2), gone(6), tomb(6), up(41)]]),
    "a tombstone by itself": history([[up(1), tomb(30), up(8, "b"), up(60, key=2)]], [[up(2), up(9, "b"), up(60, key=2)]]),
    "a large column that was not sent": history(
        [[partial(1, "a"), up(30, "a"), partial(50, "b")]], [[up(2, "a"), up(31, "a"), up(51, "b", large="y")]]
    ),
    "a stale row that stays": history([[up(1, "a"), up(12, "b"), up(25, "c"), up(45, "d")]], [[up(2, "a"), up(60, key=2)]]),
    "a difference that goes on": history(
        [[up(1, "a"), up(12, "b"), up(23, "b"), up(53, "c")]], [[up(2, "x"), up(13, "y"), up(24, "y"), up(54, "c")]]
    ),
    "a lift that was wrong": history([[up(1), lift(30), up(20, "b"), up(60)]], [[up(2), up(21, "b"), up(61)]]),
    "a garbled message": history([[up(1), garbled(12), up(40)]], [[up(2), up(41)]]),
    "a garbled message of a key": history([[up(1), garbled(12, 1), up(40, key=2)]], [[up(2), up(13, "b"), up(41, key=2)]]),
    "a key open, then unknown": history(
        [[up(1), up(12, "b"), up(30, key=2), garbled(31, 1), up(60, key=2)]], [[up(2, "c"), up(33, "d"), up(61, key=2)]]
    ),
    "a changed key": history([[up(1), moved(12, 1, 2), up(40, key=3)]], [[up(2), moved(13, 1, 2), up(41, key=3)]]),
    "an older version that comes later": history(
        [[up(20, "b"), up(18, "a"), up(40, key=2)]], [[up(20, "b"), up(40, key=2)]], params=EVENT_TIME
    ),
    "many keys over many windows": history(
        [[up(t, "ab"[t % 2], key=1 + t % 5) for t in range(1, 90, 3)]],
        [[up(t + 1, "ab"[t % 2], key=1 + t % 5) for t in range(1, 90, 3) if t % 7]],
    ),
}
