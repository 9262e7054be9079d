"""What is different in Debezium's envelope if the database is MongoDB.

    before, after   texts of Extended JSON: documents        key   {"id": "<Extended JSON of _id>"}
    an update without ``after``: what changed is known to nobody here, so the whole row is unknown

``capture.mode: change_streams`` sends no ``after`` in updates; with a lookup it is missing if the document was gone by then. What
``updateDescription`` says would have to be laid over a version that this stage does not have. It must not count as an unread
column either: that would be filled from the version before, as if it had not changed.
"""

from __future__ import annotations

from typing import Final

from stream_recon.normalise.formats.documents import Document, DocumentReader
from stream_recon.normalise.types.extended import typed
from stream_recon.normalise.types.typed import row_of
from stream_recon.normalise.types.values import Json, loads
from stream_recon.normalise.types.wire import Wire

ID: Final = "_id"
"""The field that a document's key is."""
_KEY_FIELD: Final = "id"


def is_mongo(fields: dict[str, Json], wire: Wire | None) -> bool:
    """Whether an envelope is one of MongoDB's connector."""
    source = fields.get("source")
    if isinstance(source, dict) and source.get("connector") == "mongodb":
        return True
    return "updateDescription" in fields or has_documents(wire)


def has_documents(wire: Wire | None) -> bool:
    """Whether the images under this schema of an envelope are texts."""
    after = None if wire is None else wire.field_named("after")
    return after is not None and after.kind == "string"


class MongoKeys:
    """Reads message keys; where the key column is ``_id``, MongoDB's ``{"id": ...}`` as that column."""

    def __init__(self, inner: DocumentReader, key_names: frozenset[str]) -> None:
        self._inner = inner
        self._is_id = key_names == {ID}

    def read(self, data: bytes, *, is_envelope: bool = True) -> Document:
        """Raises ``Refused``; also if the id is a text and no Extended JSON."""
        found = self._inner.read(data, is_envelope=is_envelope)
        payload = found.payload
        if not self._is_id or not isinstance(payload, dict) or payload.keys() != {_KEY_FIELD}:
            return found
        held = payload[_KEY_FIELD]
        image, wire = row_of({ID: typed(loads(held) if isinstance(held, str) else held)})
        return Document(image, wire)
