"""Schemas that messages name by an id, as a registry holds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A schema. ``kind``: AVRO, JSON, PROTOBUF; ``references``: schemas whose names it uses, in order."""

    text: str
    references: tuple[str, ...] = ()
    kind: str = "AVRO"


def told(octets: bytes) -> str:
    """An id (see ``normalise.avro.framing``) as people know it: a number, or a GUID."""
    if octets[0] == 0:
        return str(int.from_bytes(octets[1:], "big"))
    digits = octets[1:].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
