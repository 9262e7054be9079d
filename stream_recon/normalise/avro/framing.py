"""Where the schema id of a message stands (TYPES, wire prefixes).

    Confluent V0, Apicurio   0x00, 4 octets        Confluent V1   0x01, 16 octets (a GUID)        Apicurio, older   0x00, 8 octets

An id is named here by these octets, magic and all. Where a serialiser puts it into a header, the adapter puts it back in front.
"""

from __future__ import annotations

from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.plan import Ids

GUID_OCTETS: Final = 17


def id_octets(ids: Ids) -> int:
    """Of an id with magic 0."""
    return 9 if ids is Ids.APICURIO_GLOBAL else 5


def split(data: bytes, ids: Ids) -> tuple[bytes, bytes]:
    """The id and the datum. Raises ``Refused``."""
    octets = id_octets(ids) if data[:1] == b"\0" else GUID_OCTETS if data[:1] == b"\1" and ids is Ids.CONFLUENT else 0
    if not octets:
        raise Refused("expected an Avro message (magic octet, schema id), got other octets")
    if len(data) < octets:
        raise Refused("expected an Avro message (magic octet, schema id), got too few octets")
    return data[:octets], data[octets:]
