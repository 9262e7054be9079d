"""Numbers as text: ``n`` exact in plain decimal, ``f`` as ECMAScript's Number to string (DESIGN section 4).

Everything works on digit strings: no float on the way of an exact number, and no work in proportion to an exponent.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from typing import Final

import numpy as np

from stream_recon.errors import Refused
from stream_recon.limits import MAX_DIGITS
from stream_recon.normalise.canonical import Item

_NUMBER: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?", re.ASCII)
_MAX_BITS: Final = MAX_DIGITS * 10 // 3
"""2**_MAX_BITS has just over MAX_DIGITS digits: a cheap bound before the exact one."""
_MAX_EXPONENT_DIGITS: Final = 9
SPECIAL_DECIMALS: Final = {
    "NaN": "NaN",
    "NAN": "NaN",
    "Infinity": "Infinity",
    "POSITIVE_INFINITY": "Infinity",
    "-Infinity": "-Infinity",
    "NEGATIVE_INFINITY": "-Infinity",
}
"""Debezium's decimal mode ``string`` writes the names of its enum SpecialValueDecimal; others write the usual words."""
SPECIAL_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def decimal_item(literal: str) -> Item:
    """``n`` of a number as written: ``[+-]digits[.digits][e[+-]digits]``, whole text. Raises ``Refused``."""
    match = _NUMBER.fullmatch(literal)
    if match is None:
        raise Refused("expected a number, got other text")
    sign, whole, fraction, exponent_sign, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return ("n", b"0")
    if len(exponent) > _MAX_EXPONENT_DIGITS:
        raise too_long()
    power = int(exponent or "0")
    return _plain(sign == "-", digits, (-power if exponent_sign == "-" else power) - len(fraction))


def unscaled_item(unscaled: int, scale: int) -> Item:
    """``n`` of ``unscaled * 10**-scale``. Raises ``Refused``."""
    if unscaled.bit_length() > 2 * _MAX_BITS:  # trailing zeros may still fall to a positive scale
        raise too_long()
    if unscaled == 0:
        return ("n", b"0")
    digits = format(Decimal(abs(unscaled)), "f")  # str(int) stops at 4300 digits
    return _plain(unscaled < 0, digits, -scale)


def _plain(negative: bool, digits: str, exponent: int) -> Item:
    """``digits`` (no leading zero, not empty) times 10**exponent."""
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    point = len(stripped) + exponent
    if max(point, 1) + max(-exponent, 0) > MAX_DIGITS:
        raise too_long()
    if exponent >= 0:
        text = stripped + "0" * exponent
    elif point > 0:
        text = f"{stripped[:point]}.{stripped[point:]}"
    else:
        text = f"0.{'0' * -point}{stripped}"
    return ("n", f"{'-' if negative else ''}{text}".encode("ascii"))


def too_long() -> Refused:
    """The error for a number whose plain form is beyond the bound."""
    return Refused(f"expected a number of at most {MAX_DIGITS} digits, got a longer one")


def is_finite(text: bytes) -> bool:
    """Whether an ``n`` or ``f`` text is a number in the narrow sense."""
    return text not in {b"NaN", b"Infinity", b"-Infinity"}


def check_fits(text: bytes, precision: int, scale: int) -> None:
    """Raises ``Refused`` unless an ``n`` text is a value of decimal(precision, scale); NaN is, an infinity is not."""
    if text == b"NaN":
        return
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    if is_finite(text) and len(fraction) <= scale and len(whole.lstrip(b"0")) <= precision - scale:
        return
    raise Refused(f"expected decimal({precision}, {scale}), got a number that does not fit")


def float_item(value: float) -> Item:
    """``f`` of a float64: ECMA-262 Number::toString, -0 as 0."""
    if not math.isfinite(value):
        return ("f", b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity")
    if value == 0:
        return ("f", b"0")
    _, digit_tuple, exponent = Decimal(repr(value)).as_tuple()  # repr: the shortest digits that round-trip
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple)).rstrip("0")
    point = len(digit_tuple) + exponent
    return ("f", f"{'-' if value < 0 else ''}{_ecmascript(digits, point)}".encode("ascii"))


def _ecmascript(digits: str, point: int) -> str:
    """0.<digits> times 10**point, as ECMA-262 prints it."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def parse_float(literal: str) -> float:
    """The float64 nearest to a number as written. Raises ``Refused`` beyond its range: that would become an infinity."""
    value = float(literal)
    if math.isinf(value):
        raise Refused("expected a float64, got a number beyond its range")
    return value


def parse_single(literal: str) -> float:
    """The float32 nearest to a number as written, as float64. Raises ``Refused`` beyond its range."""
    value = parse_float(literal)
    near = narrow(value)
    if value != near:
        towards = np.float32(math.inf if value > near else -math.inf)
        with np.errstate(over="ignore"):
            other = float(np.nextafter(np.float32(near), towards))
        if value == (near + other) / 2:  # rounded to a float64 halfway between two: what was written says to which
            written, halfway = Decimal(literal), Decimal(value)
            if written != halfway:
                return max(near, other) if written > halfway else min(near, other)
    return near


def narrow(value: float) -> float:
    """The float32 nearest to ``value``, as float64. Raises ``Refused`` beyond its range."""
    try:
        narrowed: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise Refused("expected a float32, got a number beyond its range") from None
    return narrowed
