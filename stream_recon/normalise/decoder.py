"""The contract of every decoder: a batch of messages of one upstream partition to rows, control records and dead letters."""

from __future__ import annotations

from typing import Any, Protocol

from stream_recon.model.messages import Decoded, Messages


class Decoder(Protocol):
    """Pure: the same messages give the same bytes, whatever was decoded before. Never raises for what a message holds."""

    def decode(self, messages: Messages) -> Decoded:
        """Every message becomes exactly one of rows, control record, dead letter (DESIGN 3.7, law 3)."""
        ...

    def masked(self, value: bytes) -> Any:
        """What may be told of a message that could not be understood: its shape as JSON values, no value of its row."""
        ...

    @property
    def seen(self) -> frozenset[str]:
        """Upstream columns that any row so far had, compared or not."""
        ...

    @property
    def singly(self) -> int:
        """Messages so far that were decoded one by one, which costs some twenty times as much."""
        ...
