"""What a message's key or value says once its encoding is read: a payload of JSON values, and the schema beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Wire


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed key or value; ``wire`` is None without a schema."""

    payload: Json
    wire: Wire | None


class DocumentReader(Protocol):
    """Reads keys or values of one topic. The same octets give the same document."""

    def read(self, data: bytes, *, is_envelope: bool = True) -> Document:
        """Raises ``Refused``. ``is_envelope``: whether an object of only ``payload`` is Connect's envelope, too."""
        ...
