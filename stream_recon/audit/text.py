"""The encodings that everything signed is made of: base64, JSON and times, each read in one way only.

Two readers that take the same octets for different things can be shown different things: so odd padding, doubled members and the
like are refused, not mended.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stream_recon.errors import ProofError

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MICROS: Final = re.compile(r"([+-]?\d{4,6})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097
_DAY_MICROS: Final = 86_400_000_000


def encoded(octets: bytes) -> str:
    """Standard base64 (RFC 4648 section 4)."""
    return b64encode(octets).decode()


def decoded(text: str) -> bytes:
    """What ``encoded`` made. Raises ``ProofError``: it did not make this."""
    try:
        octets = b64decode(text, validate=True)
    except ValueError:
        octets = b""
    if encoded(octets) != text:
        raise ProofError(f"expected base64, got {text[:80]!r}")
    return octets


def json_object(octets: bytes) -> dict[str, Any]:
    """A JSON object. Raises ``ProofError``: it is none, or a member occurs twice in it, or a number is none of JSON."""
    try:
        value = json.loads(octets.decode(), object_pairs_hook=_members, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise ProofError(f"expected a JSON object, got {octets[:80]!r} ({error})") from error
    if not isinstance(value, dict):
        raise ProofError(f"expected a JSON object, got {octets[:80]!r}")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def dumps(value: Any) -> bytes:
    """JSON without white space, members in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def instant(seconds: int) -> str:
    """Seconds since the epoch as RFC 3339 in UTC: ``2026-11-22T00:13:55Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> int:
    """What ``instant`` made. Raises ``ProofError``: it did not make this."""
    try:
        value = int(datetime.fromisoformat(text).timestamp()) if _TIME.fullmatch(text) else None
    except ValueError:
        value = None
    if value is None:
        raise ProofError(f"expected a time like 2026-11-22T00:13:55Z, got {text[:40]!r}")
    return value


def micros(text: str) -> int:
    """RFC 3339 in UTC with µs and ``Z``, or ISO 8601's expanded form of it -> µs since the epoch. Raises ``ProofError``."""
    match = _MICROS.fullmatch(text)
    if match is None:
        raise ProofError(f"expected a time like 2026-11-22T00:13:55.000000Z, got {text!r:.60}")
    year, month, day, hour, minute, second, fraction = map(int, match.groups())
    cycle, year_of_cycle = divmod(year, _CYCLE_YEARS)  # the calendar repeats: any year is one that datetime knows
    try:
        time = datetime(year_of_cycle + _CYCLE_YEARS, month, day, hour, minute, second, fraction, UTC)
    except ValueError as error:
        raise ProofError(f"expected a time, got {text!r:.60} ({error})") from error
    return (cycle - 1) * _CYCLE_DAYS * _DAY_MICROS + (time - _EPOCH) // timedelta(microseconds=1)
