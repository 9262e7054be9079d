"""Rows whose values say their types one by one (MongoDB's documents, Canal's texts): the struct that such a row would have.

    value as sent --the format's reading--> Typed(value in the form of ``values``, Wire) --row_of--> image, its struct

So that what is declared in ``types`` means the same over them as over a schema. A value without a reading keeps its place: only
who reads that column is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Options, Reader, Wire, named, refuser

_MAX_STRUCTS: Final = 256
"""As many as a feed keeps layouts: one struct is one layout."""
_REFUSED: Final = "stream_recon.refused"
DECIMAL: Final = Wire("int64", "org.apache.kafka.connect.data.Decimal", {"scale": "0"})
"""A number from its digits: exact, of any size."""
INT64: Final = Wire("int64")
DOUBLE: Final = Wire("double")
FLOAT: Final = Wire("float")
BOOLEAN: Final = Wire("boolean")
STRING: Final = Wire("string")
BYTES: Final = Wire("bytes")
"""Of base64 text."""


class Typed(NamedTuple):
    """A value and what is known of its type; ``wire`` is None where only its kind of JSON is."""

    value: Json
    wire: Wire | None


def row_of(fields: Mapping[str, Typed]) -> tuple[dict[str, Json], Wire]:
    """The image of a row and its struct: the same one for rows whose columns have the same types."""
    typed = tuple((name, wire) for name in sorted(fields) if (wire := fields[name].wire) is not None)
    return {name: one.value for name, one in fields.items()}, _struct(typed)


@lru_cache(maxsize=_MAX_STRUCTS)
def _struct(fields: tuple[tuple[str, Wire], ...]) -> Wire:
    return Wire("struct", fields=dict(fields))


@lru_cache(maxsize=_MAX_STRUCTS)
def refused(reason: str) -> Wire:
    """What stands for the type of a value that cannot be read without being declared, or not at all."""
    return Wire("string", _REFUSED, {"reason": reason})


@named(_REFUSED)
def _refused(wire: Wire, _: Options) -> Reader:
    return refuser(wire.parameters.get("reason", "expected a value that can be read, got another"))
