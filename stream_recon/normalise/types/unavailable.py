"""Debezium's placeholder for a value that the connector did not read (unchanged TOAST, unread LOB): the column is unknown.

Every form that the default ``unavailable.value.placeholder`` takes: text; its base64 (bytes) and hex (binary mode); a list of
one of these; a list of its octets as numbers (int and date arrays); one name-based UUID (uuid[]); a map of it to itself (hstore).
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Final

from stream_recon.normalise.types.values import Json, Number

_TEXT: Final = "__debezium_unavailable_value"
_OCTETS: Final = _TEXT.encode("ascii")
_UUID: Final = str(uuid.UUID(bytes=hashlib.md5(_OCTETS, usedforsecurity=False).digest(), version=3))
"""java.util.UUID.nameUUIDFromBytes."""
_STRINGS: Final = frozenset(
    {_TEXT, base64.b64encode(_OCTETS).decode("ascii"), _OCTETS.hex(), f'{{"{_TEXT}":"{_TEXT}"}}', f'{{"{_TEXT}": "{_TEXT}"}}'}
)
_NUMBERS: Final = [Number(str(octet)) for octet in _OCTETS]


def is_unavailable(value: Json) -> bool:
    """Whether a value of the wire is the placeholder, in any of its forms."""
    if isinstance(value, str):
        return value in _STRINGS
    if isinstance(value, list):
        if len(value) == 1:
            return isinstance(value[0], str) and (value[0] in _STRINGS or value[0] == _UUID)
        return value == _NUMBERS
    return isinstance(value, dict) and len(value) == 1 and value.get(_TEXT) == _TEXT
