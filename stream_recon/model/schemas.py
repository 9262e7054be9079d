"""Schemas that messages name by an id, as a registry holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from stream_recon.model.plan import Ids


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


_HEADERS: Final[Mapping[Ids, str]] = {
    Ids.CONFLUENT: "__{}_schema_id",
    Ids.APICURIO: "apicurio.{}.contentId",
    Ids.APICURIO_GLOBAL: "apicurio.{}.globalId",
}
"""Where serialisers put ids that are not in front of the datum; Apicurio's are 8 octets."""
_CONTENT_OCTETS: Final = 4


def led(data: bytes | None, part: str, headers: Iterable[tuple[str, bytes | None]], ids: Ids) -> bytes | None:
    """A ``key`` or ``value`` (``part``) with the schema id of a header in front, as if it had been written so; itself without
    one. Of several the last counts, as for every deserialiser: who passes headers on adds its own behind them.
    """
    if data is None:
        return None
    name = _HEADERS[ids].format(part)
    found = next((value for key, value in reversed(list(headers)) if key == name and value), None)
    if found is None:
        return data
    if ids is Ids.CONFLUENT:
        return found + data
    return b"\0" + (found[-_CONTENT_OCTETS:] if ids is Ids.APICURIO else found) + data
