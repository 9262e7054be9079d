"""Declared readings (``types`` in a topology, DESIGN section 7): how to read a column whose wire form does not say."""

from __future__ import annotations

import re
from typing import Final

from stream_recon.errors import ConfigError
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.types import casts_containers, casts_scalars, casts_temporal, temporal
from stream_recon.normalise.types.rules import RULES, native_of
from stream_recon.normalise.types.wire import Options, Reader, Wire

__all__ = ["casts_containers", "casts_scalars", "casts_temporal", "check_rule", "declared_reader"]
_SIZE: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


def declared_reader(rule: TypeRule, wire: Wire | None, options: Options) -> Reader:
    """The reader of a declared reading over a wire form (None: JSON without a schema)."""
    return RULES[rule.name](rule, wire, options, native_of(wire, options))


def check_rule(rule: TypeRule) -> None:
    """Raises ``ConfigError`` if a declared reading is none."""
    size = all(_SIZE.fullmatch(argument) for argument in rule.args)
    fits = {
        "decimal": len(rule.args) in {0, 1, 2} and size and (len(rule.args) < 2 or int(rule.args[1]) <= int(rule.args[0])),
        "bytes": rule.args in {(), ("base64",), ("hex",)},
        "timestamp": not rule.args or (len(rule.args) == 1 and rule.args[0] in temporal.UNITS),
        "time": not rule.args or (len(rule.args) == 1 and rule.args[0] in temporal.UNITS),
    }
    if rule.name not in RULES or not fits.get(rule.name, not rule.args):
        raise ConfigError(
            f"types: {rule}: expected boolean, integer, decimal(p, s), float, string, bytes(base64|hex), date, "
            "timestamp(ms|us|ns), time(ms|us|ns), uuid, json, list, set or map"
        )
