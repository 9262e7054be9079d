"""Event times as messages write them: a whole number in a unit, to µs."""

from __future__ import annotations

import re
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.types.scalars import integer_of
from stream_recon.normalise.types.values import Json, Number

US_PER_MS: Final = 1000
US_PER_S: Final = 1_000_000
_DIGITS: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def micros(name: str, value: Json, up: int, down: int = 1) -> int:
    """``value * up / down``, cut off. Raises ``Refused`` naming the field unless it is a whole number that fits."""
    try:
        time = integer_of(value) * up // down
    except Refused as error:
        raise Refused(f"{name}: {error}") from None
    return fitting(name, time)


def micros_of_text(name: str, value: Json, up: int, down: int = 1) -> int:
    """The same of a number that may stand in quotes."""
    is_digits = isinstance(value, str) and _DIGITS.fullmatch(value) is not None
    return micros(name, Number(str(int(value))) if is_digits else value, up, down)


def fitting(name: str, time: int) -> int:
    """``time``, µs. Raises ``Refused`` beyond 64 bits."""
    if not -(2**63) <= time < 2**63:
        raise Refused(f"{name}: expected a time that fits 64 bits of µs, got one beyond")
    return time


def broker_time(timestamp: int) -> int:
    """The broker's timestamp (ms) as µs. Raises ``Refused``."""
    return fitting("broker timestamp", timestamp * US_PER_MS)
