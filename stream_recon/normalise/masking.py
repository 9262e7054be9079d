"""A message that could not be understood, without its values: names of fields down to columns, kinds and sizes of the rest."""

from __future__ import annotations

from typing import Any, Final

from stream_recon.normalise.types.values import Json, kind_of

_OPENED: Final = frozenset({"before", "after", "source", "data", "old"})
"""What of an envelope holds fields or rows itself. Below that a name may be a value, as in a map."""


def masked(payload: Json) -> Any:
    """As JSON values: ``{"op": "a string of 1", "after": {"id": "a number", "tags": "an object of 3", "note": null}}``."""
    if isinstance(payload, list):
        return [masked(one) for one in payload]
    if not isinstance(payload, dict):
        return _told(payload)
    return {name: _opened(value) if name in _OPENED else _told(value) for name, value in payload.items()}


def _opened(value: Json) -> Any:
    if isinstance(value, list):
        return [_opened(one) for one in value]
    return {name: _told(part) for name, part in value.items()} if isinstance(value, dict) else _told(value)


def _told(value: Json) -> str | None:
    if value is None:
        return None
    size = f" of {len(value)}" if isinstance(value, str | list | dict) else ""
    return kind_of(value) + size
