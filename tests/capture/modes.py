"""The same tables through connectors that are set otherwise (formats ``modes`` and ``structured``: JSON with schema).

However a connector is set, the declared reading of a column gives the same canonical text, but for what a setting loses: see
``distorted``.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_recon.model.plan import TypeRule

Place = tuple[str, str]
"""A side, and the format of its capture."""

SETTINGS: Mapping[Place, Mapping[str, str]] = {
    ("pg", "modes"): {
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "hstore.handling.mode": "map",
        "interval.handling.mode": "numeric",
        "binary.handling.mode": "hex",
    },
    ("pg", "structured"): {"time.precision.mode": "structured"},
    ("maria", "modes"): {
        "decimal.handling.mode": "string",
        "time.precision.mode": "connect",
        "bigint.unsigned.handling.mode": "precise",
        "binary.handling.mode": "base64",
    },
}
READ: Mapping[Place, tuple[str, ...]] = {
    ("pg", "modes"): ("numbers", "texts", "times", "edges", "endless"),
    ("pg", "structured"): ("times", "edges", "endless", "lists", "shared"),
    ("maria", "modes"): ("numbers", "texts", "times"),
}
"""The tables that are captured so. MariaDB's connector has no structured times yet."""


def _decimal(precision: int, scale: int) -> TypeRule:
    return TypeRule("decimal", (str(precision), str(scale)))


RULES: Mapping[Place, Mapping[str, TypeRule]] = {
    ("pg", "modes"): {
        "amount": _decimal(18, 4),
        "free": _decimal(100, 50),
        "price": _decimal(30, 2),
        "raw": TypeRule("bytes", ("hex",)),
        "wide": _decimal(60, 10),
        "widest": _decimal(100, 2),
    },
    ("maria", "modes"): {
        "amount": _decimal(18, 4),
        "amount_u": _decimal(10, 2),
        "fixed": TypeRule("bytes", ("base64",)),
        "large": TypeRule("bytes", ("base64",)),
        "raw": TypeRule("bytes", ("base64",)),
        "wide": _decimal(60, 10),
    },
}
"""The readings to declare, by column: what arrives is a text that does not say what it is."""
