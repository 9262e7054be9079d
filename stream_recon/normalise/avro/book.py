"""The schemas of messages by their ids, parsed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stream_recon.errors import Refused
from stream_recon.model.plan import Ids
from stream_recon.model.schemas import SchemaText, told
from stream_recon.normalise.avro.framing import split
from stream_recon.normalise.avro.schema import Avro, parse_schema
from stream_recon.normalise.types.wire import Wire


class SchemaSource(Protocol):
    """Where schemas are kept: a registry, or a file of them."""

    ids: Ids

    def schema(self, octets: bytes) -> SchemaText | None:
        """The schema of an id (see ``framing``); None: there is none.

        Raises:
            Unreachable: no answer. Never a dead letter: the message is read again later.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A schema that messages were written with. ``octets``: its id."""

    octets: bytes
    node: Avro

    @property
    def wire(self) -> Wire:
        return self.node.wire

    @property
    def told(self) -> str:
        """Its id as people know it."""
        return told(self.octets)


class SchemaBook:
    """Parsed schemas of one source. The same id always gives the same schema; one that is not there may come later."""

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self.ids = source.ids
        self._known: dict[bytes, Schema | str] = {}

    def schema(self, octets: bytes) -> Schema:
        """Raises ``Refused`` if it is not known, or cannot be read."""
        found = self._known.get(octets)
        if found is None:
            text = self._source.schema(octets)
            if text is None:
                raise Refused(f"schema id {told(octets)}: the registry has no such schema")
            found = self._known[octets] = self._parsed(octets, text)
        if isinstance(found, str):
            raise Refused(f"schema id {told(octets)}: {found}")
        return found

    def named(self, message: bytes) -> str | None:
        """The id, as people know it, of the schema that a message was read with; None: none was."""
        try:
            found = self._known.get(split(message, self.ids)[0])
        except Refused:
            return None
        return found.told if isinstance(found, Schema) else None

    @staticmethod
    def _parsed(octets: bytes, text: SchemaText) -> Schema | str:
        if text.kind != "AVRO":
            return f"expected an Avro schema, got {text.kind if text.kind.isalnum() else 'another'}"
        try:
            return Schema(octets, parse_schema(text.text, text.references))
        except Refused as error:
            return str(error)
