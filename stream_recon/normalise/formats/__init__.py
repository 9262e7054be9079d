"""One module for each envelope: a message's key, value and broker timestamp to an ``Outcome``, never an exception.

    debezium    with ``flattened`` (rows without their envelopes) and ``mongo`` (what MongoDB's connector does otherwise)
    json        plain rows
    canal, maxwell    rows of MySQL's binary log, by ``binlog``

``connect`` reads what JsonConverter writes, ``keys`` finds a row's key, ``times`` reads event times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_recon.model.messages import Op
from stream_recon.normalise.canonical import Cell, Item


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a message. ``t`` in µs, None for a tombstone; ``key`` None for a truncate; ``cells`` only of a present row."""

    op: Op
    t: int | None
    key: tuple[Item, ...] | None
    cells: Sequence[Cell] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: rows, or with ``reason`` a dead letter (``key`` if it could be read), or neither: control."""

    rows: tuple[Row, ...] = ()
    reason: str | None = None
    key: tuple[Item, ...] | None = None


CONTROL = Outcome()


class MessageFormat(Protocol):
    """An envelope, bound to one feed."""

    def decode(self, key: bytes | None, value: bytes | None, timestamp: int) -> Outcome:
        """``timestamp``: the broker's, ms. Raises nothing for what the message holds."""
        ...
