"""Documents of one topic in Avro."""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.datum import DatumReader
from stream_recon.normalise.avro.framing import split
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.documents import Document

_MAX_READERS = 256


class AvroReader:
    """Reads documents under the schemas of a book. The same octets give the same document."""

    def __init__(self, book: SchemaBook) -> None:
        self._book = book
        self._readers: dict[bytes, DatumReader] = {}

    def read(self, data: bytes, *, is_envelope: bool = True) -> Document:
        """Raises ``Refused``. ``is_envelope`` says nothing here: only JSON has to guess."""
        del is_envelope
        octets, datum = split(data, self._book.ids)
        schema = self._book.schema(octets)
        reader = self._readers.get(octets)
        if reader is None:
            if len(self._readers) >= _MAX_READERS:
                self._readers.clear()
            reader = self._readers[octets] = DatumReader(schema.node)
        try:
            return Document(reader.read(datum), schema.wire)
        except Refused as error:
            raise Refused(f"schema id {schema.told}: {error}") from None


class AvroOrJson:
    """Keys beside Avro values: in Avro, or by another converter as JSON."""

    def __init__(self, avro: AvroReader) -> None:
        self._avro = avro
        self._json = ConnectReader()

    def read(self, data: bytes, *, is_envelope: bool = True) -> Document:
        """Raises ``Refused``."""
        binary = data[:1] in (b"\0", b"\1")
        return self._avro.read(data) if binary else self._json.read(data, is_envelope=is_envelope)
