"""Times as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stream_recon.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(option: str, text: str) -> int:
    """RFC 3339 with a zone -> µs since the epoch. Raises ``ConfigError``, which names the option."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ConfigError(f"{option} {text}: expected a time with a zone, such as 2026-11-21T04:00:00Z")
    return (time - _EPOCH) // timedelta(microseconds=1)
