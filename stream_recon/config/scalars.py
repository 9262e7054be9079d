"""The small texts of a topology: durations, sizes, shares, names, types and times. Each reads one value or says what to write.

Every ``parse_*`` takes whatever YAML held and returns the typed value; it raises ``ValueError`` with the whole sentence for the
user (what was got, what to write) and leaves file, line and field to the caller.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from stream_recon.model.plan import TypeRule

UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
SIZES_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}

DURATION_MAX_US = 36_500 * UNITS_US["d"]
"""A hundred years: sums of an event time and a few durations stay far inside 64 bits."""

IDLE_AFTER_MIN_US = UNITS_US["s"]
"""A shorter silence is what a poll, a batch or a pause of the connector looks like."""

CHECKPOINT_EVERY_MIN_US = 10 * UNITS_US["s"]
"""Each ends with a flush of what is in memory: more often, tables would be small and merging them the main work."""

DURATION_PATTERN = r"^[0-9]+(us|ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB|GiB|TiB)$"
SHARE_PATTERN = r"^[0-9]+(\.[0-9]+)?%$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$"
TOPIC_PATTERN = r"^[A-Za-z0-9._-]{1,249}$"

LOCATION_SCHEMES = ("file", "gs", "s3")

TYPE_FORMS: dict[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "decimal": ("decimal(p, s)", "decimal"),
    "float": ("float",),
    "string": ("string",),
    "bytes": ("bytes(base64)", "bytes(hex)"),
    "date": ("date",),
    "timestamp": ("timestamp", "timestamp(ms)", "timestamp(us)", "timestamp(ns)"),
    "time": ("time", "time(ms)", "time(us)", "time(ns)"),
    "uuid": ("uuid",),
    "json": ("json",),
    "list": ("list",),
    "set": ("set",),
    "map": ("map",),
}


def shown(value: object) -> str:
    """``value`` as a user would recognise it in the file, on one short line; a structure is only named: it may hold secrets."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = {None: "nothing", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else repr(value)
    text = text or ""
    return text if len(text) <= 80 else text[:77] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def parse_duration(value: object) -> int:
    """``10s`` -> whole microseconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"got {value}, a number without a unit; write {value}s (or {value}ms, {value}m, {value}h, {value}d)")
    match = re.fullmatch(r"([0-9]+)(us|ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"got {shown(value)}; write a whole number and a unit, such as 250ms, 10s, 5m, 1h or 7d")
    duration = int(match[1]) * UNITS_US[match[2]]
    if duration > DURATION_MAX_US:
        raise ValueError(f"got {shown(value)}, more than a hundred years; write 36500d or less")
    return duration


def parse_positive_duration(value: object) -> int:
    """A duration that is not zero."""
    duration = parse_duration(value)
    if duration == 0:
        raise ValueError(f"got {shown(value)}; it must be longer than zero, for example 10s")
    return duration


def parse_duration_or_never(value: object) -> int | None:
    """A duration above zero, or ``never`` -> None."""
    if value == "never":
        return None
    try:
        return parse_positive_duration(value)
    except ValueError as error:
        raise ValueError(f"{error} (or never)") from None


def parse_idle_after(value: object) -> int | None:
    """A silence that is long enough to mean something, or ``never`` -> None."""
    idle_after = parse_duration_or_never(value)
    if idle_after is not None and idle_after < IDLE_AFTER_MIN_US:
        raise ValueError(f"got {shown(value)}; so short a silence proves nothing; write 1s or more, for example 30s (or never)")
    return idle_after


def parse_checkpoint_every(value: object) -> int:
    """A time between two checkpoints."""
    every = parse_duration(value)
    if every < CHECKPOINT_EVERY_MIN_US:
        raise ValueError(f"got {shown(value)}; a checkpoint costs too much for that; write 10s or more, for example 5m")
    return every


def parse_location(value: object) -> str:
    """A directory or the URI of one in a bucket. What may hold a secret is not shown."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected text; write a directory, or a bucket such as s3://BUCKET/PATH")
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        raise ValueError("is no URI; write a directory, or a bucket such as s3://BUCKET/PATH") from None
    if "@" in parts.netloc or any(re.search("key|secret|token|password|sig", name, re.IGNORECASE) for name in names):
        raise ValueError(
            "holds credentials, which others would see here; remove them, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or what else the client of the bucket reads, in the environment"
        )
    if parts.scheme not in LOCATION_SCHEMES or (parts.scheme != "file" and not parts.netloc) or parts.fragment:
        near = did_you_mean(parts.scheme, LOCATION_SCHEMES)
        raise ValueError(f"is none that can be used; write a directory, s3://BUCKET/PATH or gs://BUCKET/PATH{near}")
    return value


def spelled_duration(duration: int) -> str:
    """Whole microseconds as ``parse_duration`` reads them, in the largest unit that is exact."""
    unit = next(u for u, size in reversed(UNITS_US.items()) if duration % size == 0 and (duration or u == "s"))
    return f"{duration // UNITS_US[unit]}{unit}"


def parse_size(value: object) -> int:
    """``8GiB`` -> bytes."""
    match = re.fullmatch(r"([0-9]+)(B|KiB|MiB|GiB|TiB)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"got {shown(value)}; write a whole number and a unit, such as 512MiB or 8GiB")
    size = int(match[1]) * SIZES_BYTES[match[2]]
    if not 0 < size < 2**63:
        raise ValueError(f"got {shown(value)}; write more than 0B and less than 8388608TiB, for example 8GiB")
    return size


def parse_share(value: object) -> float:
    """``5%`` or ``0.05`` -> 0.05; from 0 to 1."""
    share: float | None = None
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?%", value):
        share = float(value[:-1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    if share is None or not 0 <= share <= 1:
        hint = f"; did you mean {value}%?" if isinstance(value, int) and 1 < value <= 100 else ""
        raise ValueError(f"got {shown(value)}; write a share from 0% to 100%, such as 5% or 0.05{hint}")
    return share


def parse_name(value: object) -> str:
    """A name that may stand in topic names, chain names (``topology/target/...``) and ``--side NAME=FILE``."""
    if not isinstance(value, str) or not re.match(NAME_PATTERN, value) or value.endswith("\n"):
        raise ValueError(
            f"got {shown(value)}; write a name of letters, digits, '.', '_' and '-', starting with a letter or digit, at most 120"
        )
    return value


def parse_topic(value: object) -> str:
    """A Kafka topic name."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in {".", ".."}:
        raise ValueError(f"got {shown(value)}; write a topic name: letters, digits, '.', '_' and '-', at most 249 (no pattern)")
    return value


def parse_type(value: object) -> TypeRule:
    """``decimal(18, 4)`` -> ``TypeRule("decimal", ("18", "4"))``."""
    if not isinstance(value, str):
        raise ValueError(f"got {shown(value)}; write the name of a type: {', '.join(f[0] for f in TYPE_FORMS.values())}")
    match = re.fullmatch(r"([A-Za-z0-9_]+)\s*(?:\(([^()]*)\))?", value.strip())
    name = match[1] if match else value
    if match is None or name not in TYPE_FORMS:
        forms = ", ".join(f for forms in TYPE_FORMS.values() for f in forms)
        raise ValueError(f"got {shown(value)}, which is no type; write one of {forms}{did_you_mean(name.lower(), TYPE_FORMS)}")
    rule = TypeRule(name, tuple(a.strip() for a in match[2].split(",")) if match[2] is not None else ())
    if name == "decimal":
        _check_decimal(value, rule)
    elif str(rule) not in TYPE_FORMS[name]:
        raise ValueError(f"got {shown(value)}; write {' or '.join(TYPE_FORMS[name])}")
    return rule


def _check_decimal(value: str, rule: TypeRule) -> None:
    numbers = [int(a) for a in rule.args if a.isascii() and a.isdigit()]
    if not rule.args and "(" not in value:  # of any size
        return
    if len(rule.args) != 2 or len(numbers) != 2 or not 1 <= numbers[0] <= 10_000 or numbers[1] > numbers[0]:
        raise ValueError(
            f"got {shown(value)}; write decimal(p, s) with p digits in all, s of them after the point, such as decimal(18, 4)"
        )


def parse_start(value: object) -> str:
    """``earliest``, ``latest``, or an RFC 3339 time with a zone -> the same in UTC."""
    if value in ("earliest", "latest"):
        return str(value)
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"got {shown(value)}; write earliest, latest, or a time with a zone such as 2026-11-21T04:00:00Z")
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_timezone(value: object) -> str:
    """The name of a zone in the tz database."""
    import zoneinfo  # reads a directory of the system: only when a zone is declared

    if not isinstance(value, str) or value not in zoneinfo.available_timezones():
        near = did_you_mean(value, zoneinfo.available_timezones()) if isinstance(value, str) else ""
        raise ValueError(f"got {shown(value)}, which is no time zone; write a name such as UTC or Europe/Berlin{near}")
    return value
