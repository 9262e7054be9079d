"""Local time in a declared zone to UTC (``timezone`` of a column, DESIGN sections 4 and 7).

A local time that does not exist (skipped in spring) or exists twice (repeated in autumn) is refused: databases disagree about
both, so any reading would be a guess.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stream_recon.errors import ConfigError, Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE = 146_097 * 86_400
"""Seconds in 400 years, after which the calendar and its weekdays repeat, and with them what a zone does beyond its known
changes. Before the first of these it keeps one offset.
"""
_FIRST, _LAST = (int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) for year in (2, 9998))
"""Between these ``datetime`` can tell any local time."""


def load_zone(name: str) -> ZoneInfo:
    """The zone of that name in the tz database. Raises ``ConfigError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone {name!r}: expected a name of the tz database, such as Europe/Berlin") from None


def local_to_utc(nanos: int, zone: ZoneInfo) -> int:
    """Ns since the epoch of the wall clock that reads like ``nanos`` would in UTC. Raises ``Refused``."""
    seconds, fraction = divmod(nanos, 10**9)
    cycles = (
        -((seconds - _FIRST) // _CYCLE) if seconds < _FIRST else -((seconds - _LAST) // _CYCLE + 1) if seconds >= _LAST else 0
    )
    wall = (_EPOCH + timedelta(seconds=seconds + cycles * _CYCLE)).replace(tzinfo=zone)
    first, second = ((wall.replace(fold=fold).astimezone(UTC) - _EPOCH) for fold in (0, 1))
    if first != second:
        kind = "that exists twice" if first < second else "that does not exist"
        raise Refused(f"expected a local time of {zone.key}, got one {kind} there")
    return (first.days * 86_400 + first.seconds - cycles * _CYCLE) * 10**9 + fraction
