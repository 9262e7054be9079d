"""A row's key: from the message key where that holds all key columns, else from the row image; both must say the same.

upsert, read     message key or image; a key column that both hold must have one canonical text
delete           message key, else ``before``   (under REPLICA IDENTITY DEFAULT all else in ``before`` is made up)
tombstone        message key
"""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.formats.documents import Document, DocumentReader
from stream_recon.normalise.row_reader import Image, Layout, RowReader
from stream_recon.normalise.types import Wire
from stream_recon.normalise.types.values import Json

Key = tuple[Item, ...]


class KeyReader:
    """Reads keys for one feed."""

    def __init__(self, rows: RowReader, documents: DocumentReader, *, is_envelope: bool) -> None:
        self._rows = rows
        self._documents = documents
        self._is_envelope = is_envelope

    def document(self, key: bytes | None) -> Document | None:
        """The message key if it is an object, else None: a plain or unreadable key says nothing about columns."""
        if key is None:
            return None
        try:
            document = self._documents.read(key, is_envelope=self._is_envelope)
        except Refused:
            return None
        return document if isinstance(document.payload, dict) else None

    def from_message(self, document: Document | None, image_wire: Wire | None = None) -> Key | None:
        """The key if the message key holds all its columns. Raises ``Refused`` if one of them has no form.

        A message key without a schema is read by the image's schema, if that has one.
        """
        if document is None or not self._rows.key_names <= document.payload.keys():
            return None
        return self._layout(document, image_wire).key(document.payload)

    def from_image(self, image: Json, wire: Wire | None, document: Document | None = None) -> Key | None:
        """The key if the image holds all its columns. Raises ``Refused`` if one of them has no form."""
        if not isinstance(image, dict) or not self._rows.key_names <= image.keys():
            return None
        return self._rows.layout(_either(wire, document)).key(image)

    def of_row(self, document: Document | None, image: Json, wire: Wire | None) -> Key:
        """The key of a present row. Raises ``Refused``; also if message key and image differ in a column that both hold."""
        from_message = self.from_message(document, wire)
        from_image = self.from_image(image, wire, document)
        if document is not None and isinstance(image, dict):
            self._check_same(document, image, wire)
        key = from_image if from_message is None else from_message
        return self.required(key, image)

    def required(self, key: Key | None, image: Json) -> Key:
        """``key``, or the reason why there is none. Raises ``Refused``."""
        if key is not None:
            return key
        held = image.keys() if isinstance(image, dict) else frozenset[str]()
        missing = min(self._rows.key_names - held, default="")
        raise Refused(f"key column {missing}: expected it in the message key or the row, got it in neither")

    def _check_same(self, document: Document, image: Image, wire: Wire | None) -> None:
        of_key, of_image = self._layout(document, wire), self._rows.layout(_either(wire, document))
        for column in self._rows.key_columns:
            name = column.upstream
            if name is None or name not in image or name not in document.payload:
                continue
            if of_key.key_column(column, document.payload) != of_image.key_column(column, image):
                raise Refused(f"key column {column.name}: expected the message key and the row to agree, got two values")

    def _layout(self, document: Document, image_wire: Wire | None) -> Layout:
        return self._rows.layout(image_wire if document.wire is None else document.wire)


def _either(wire: Wire | None, document: Document | None) -> Wire | None:
    return document.wire if wire is None and document is not None else wire
