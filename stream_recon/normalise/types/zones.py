"""Local time in a declared zone to UTC (``timezone`` of a column, DESIGN sections 4 and 7).

A local time that does not exist (skipped in spring) or exists twice (repeated in autumn) is refused: databases disagree about
both, so any reading would be a guess.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stream_recon.errors import ConfigError, Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load_zone(name: str) -> ZoneInfo:
    """The zone of that name in the tz database. Raises ``ConfigError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone {name!r}: expected a name of the tz database, such as Europe/Berlin") from None


def local_to_utc(nanos: int, zone: ZoneInfo) -> int:
    """Ns since the epoch of the wall clock that reads like ``nanos`` would in UTC. Raises ``Refused``."""
    seconds, fraction = divmod(nanos, 10**9)
    try:
        wall = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=zone)
        first, second = ((wall.replace(fold=fold).astimezone(UTC) - _EPOCH) for fold in (0, 1))
    except OverflowError:
        raise Refused(f"expected a local time of the years 1 to 9999 in {zone.key}, got another year") from None
    if first != second:
        kind = "that exists twice" if first < second else "that does not exist"
        raise Refused(f"expected a local time of {zone.key}, got one {kind} there")
    return (first.days * 86_400 + first.seconds) * 10**9 + fraction
