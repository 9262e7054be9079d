"""The registry of declared readings, and what all of them share.

A declared reading is a cast: a value that the wire form already gives with the declared tag is taken as it is; any other must
fit exactly, else it is refused. It never folds, rounds or trims.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_recon.errors import Refused
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.numbers import decimal_item
from stream_recon.normalise.types.values import Json, Number, kind_of
from stream_recon.normalise.types.wire import Options, Reader, Wire, is_known, typed_reader

Native = Callable[[Json], Item | None]
"""What the wire form alone makes of a value; None if it makes nothing of it."""
Rule = Callable[[TypeRule, Wire | None, Options, Native], Reader]
RULES: dict[str, Rule] = {}


def rule_named(name: str) -> Callable[[Rule], Rule]:
    """Register a declared reading."""

    def register(rule: Rule) -> Rule:
        assert name not in RULES, name
        RULES[name] = rule
        return rule

    return register


def native_of(wire: Wire | None, options: Options) -> Native:
    """For kinds of JSON that say what they are, or a schema's own reading."""
    if wire is None:
        return _schemaless_native
    if not is_known(wire) or (wire.kind == "string" and wire.name is None):
        return lambda value: _schemaless_native(value) if not isinstance(value, str) else None
    return typed_reader(wire, options)


def _schemaless_native(value: Json) -> Item | None:
    if isinstance(value, bool):
        return ("b", b"1" if value else b"0")
    return decimal_item(value.literal) if isinstance(value, Number) else None


def holds_text(wire: Wire | None) -> bool:
    """Whether a JSON string is text: under ``bytes`` it is base64."""
    return wire is None or wire.kind == "string"


def misfit(rule: TypeRule, value: Json) -> Refused:
    """The error for a value that a declared reading does not read."""
    return Refused(
        f"expected {rule}, got {kind_of(value)}{'' if isinstance(value, bool | list | dict) else ' that does not fit'}"
    )
