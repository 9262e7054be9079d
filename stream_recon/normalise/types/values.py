"""JSON as Python values that lose nothing: numbers keep their digits, an object with a repeated key stays visible.

    null None | true, false bool | number Number(literal) | string str | array list | object dict, or Repeated

Refused here: invalid UTF-8, text that is not JSON (bare NaN and Infinity too), nesting beyond ``MAX_JSON_DEPTH``. A repeated key
is refused only where the object is read, so that a message's key can still be read beside a bad column.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stream_recon.errors import Refused

MAX_JSON_DEPTH: Final = 128
"""Arrays and objects inside each other. Far beyond real documents; far below the interpreter's own limit, which depends on
the caller's depth and so would make the verdict depend on it too."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as written."""

    literal: str


class Repeated:
    """A JSON object in which a key occurs more than once: has no meaning that readers agree on (RFC 8259, section 4)."""

    __slots__ = ("values",)

    def __init__(self, values: list[Any]) -> None:
        self.values = values


class Several:
    """A value of an Avro union of more than one type: which of them it is, no reader can be told."""


Json = Any
"""One of the values drawn above."""

_KINDS: Final = (
    (bool, "a boolean"),
    (Number, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
    (Repeated, "an object with a repeated key"),
    (Several, "a union of several types"),
)


def kind_of(value: Json) -> str:
    """What a reason may say about a value: its kind."""
    return "null" if value is None else next(name for kind, name in _KINDS if isinstance(value, kind))


def refuse_kind(expected: str, value: Json) -> Refused:
    """The error for a value of the wrong kind."""
    return Refused(f"expected {expected}, got {kind_of(value)}")


def _object(pairs: list[tuple[str, Json]]) -> Json:
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else Repeated([value for _, value in pairs])


def _bare_word(_: str) -> Json:
    raise Refused("not JSON: a bare NaN or Infinity")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_bare_word, strict=True
)


def decode_utf8(data: bytes) -> str:
    """Raises ``Refused`` if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None


def loads(text: str) -> Json:
    """One JSON text. Raises ``Refused``."""
    return _guarded(_DECODER.decode, text)


def scan(text: str, at: int, *, inside: int = 0) -> tuple[Json, int]:
    """The JSON value that begins exactly at ``at``, and where it ends; ``inside``: how deep it stands. Raises ``Refused``."""
    end = at

    def read(whole: str) -> Json:
        nonlocal end
        value, end = _DECODER.raw_decode(whole, at)
        return value

    return _guarded(read, text, inside), end


def _guarded(read: Callable[[str], Json], text: str, inside: int = 0) -> Json:
    try:
        value = read(text)
    except (json.JSONDecodeError, StopIteration):
        raise Refused("not JSON") from None
    except RecursionError:
        raise Refused(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH:
        _check_depth(value, MAX_JSON_DEPTH - inside)
    return value


_TOO_DEEP: Final = f"not JSON that is read here: nested deeper than {MAX_JSON_DEPTH}"


def _check_depth(value: Json, limit: int) -> None:
    level: list[Json] = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node) if isinstance(child, list | dict | Repeated)]
        if not level:
            return
    raise Refused(_TOO_DEEP)


def _children(node: Json) -> list[Json]:
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, Repeated):
        return node.values
    return node if isinstance(node, list) else []
