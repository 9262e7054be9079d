"""Strips ``{"schema":...,"payload":`` from messages: a schema's text recurs byte for byte, and is parsed once.

{"schema":{"type":"struct",...},"payload":   {"before":null,...}   }
----------------- prefix -----------------   ----- payload -----   1 octet
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.errors import Refused
from stream_recon.normalise.columnar.buffers import Ints, Texts, packed, slices
from stream_recon.normalise.columnar.carrier import Written
from stream_recon.normalise.columnar.cells import bools, data_of
from stream_recon.normalise.types.values import scan
from stream_recon.normalise.types.wire import Wire, parse_wire

_OPENING: Final = b'{"schema":'
_MIDDLE: Final = ',"payload":'
_MAX_PREFIXES: Final = 64
_MAX_LEARNT_A_BATCH: Final = 16
"""Schemas that fail to parse cost a parse each; messages beyond go to the reference decoder unread."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What stands before the payload (empty: nothing, the message is the payload), and the schema it holds."""

    octets: bytes
    wire: Wire | None

    @property
    def told(self) -> str | None:
        """Schemas in JSON have no id."""
        return None

    @property
    def trailing(self) -> int:
        return 1 if self.octets else 0


BARE: Final = Prefix(b"", None)


class Prefixes:
    """The prefixes seen on one topic's keys or values. The same bytes are always read alike."""

    def __init__(self) -> None:
        self._known: list[Prefix] = []

    def sort(self, array: pa.BinaryArray, *, plain_is_none: bool = False) -> tuple[list[tuple[Written, Ints]], Ints]:
        """Positions of the messages that begin with each prefix, and of those that are null.

        Messages with a schema that cannot be read are in neither. With ``plain_is_none`` what cannot be an object by its first
        octet counts as null.
        """
        groups: list[tuple[Written, Ints]] = []
        enveloped = bools(pc.starts_with(array, _OPENING))
        rest = np.flatnonzero(enveloped)
        for prefix in self._known:
            rest = self._take(array, prefix, rest, groups)
        for _ in range(_MAX_LEARNT_A_BATCH):
            if not len(rest):
                break
            found = _learn(array[int(rest[0])].as_py())
            if found is None:
                rest = rest[1:]
                continue
            self._remember(found)
            rest = self._take(array, found, rest, groups)
        none = ~bools(array.is_valid())
        if plain_is_none and not enveloped.all():
            none |= ~bools(pc.match_substring_regex(array, r"^[{\s]"))
        bare = np.flatnonzero(~enveloped & ~none)
        if len(bare):
            groups.append((BARE, bare))
        return groups, np.flatnonzero(none)

    def _take(self, array: pa.BinaryArray, prefix: Prefix, rest: Ints, groups: list[tuple[Written, Ints]]) -> Ints:
        if not len(rest):
            return rest
        here = bools(pc.starts_with(array, prefix.octets))[rest]
        if here.any():
            groups.append((prefix, rest[here]))
        return rest[~here]

    def _remember(self, prefix: Prefix) -> None:
        if len(self._known) >= _MAX_PREFIXES:
            self._known.clear()
        self._known.append(prefix)


def _learn(message: bytes) -> Prefix | None:
    """The prefix of a message whose schema comes first, in compact form; None if it has none that can be read."""
    try:
        text = message.decode("utf-8")
        schema, end = scan(text, len(_OPENING))
        if not text.startswith(_MIDDLE, end):
            return None
        wire = None if schema is None else parse_wire(schema)
    except (UnicodeDecodeError, Refused):
        return None
    return Prefix(text[: end + len(_MIDDLE)].encode("utf-8"), wire)


def payloads(array: pa.BinaryArray, prefix: Prefix, which: Ints) -> Texts:
    """The payloads of some messages, all with this prefix, in one buffer."""
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4).astype(np.int64)
    raw = array.buffers()[2]
    size = int(offsets[-1])
    data = np.frombuffer(raw, np.uint8, size) if raw is not None and size else np.empty(0, np.uint8)
    whole = len(which) == len(array)
    start = (offsets[:-1] if whole else offsets[which]) + len(prefix.octets)
    end = np.maximum((offsets[1:] if whole else offsets[which + 1]) - prefix.trailing, start)
    if whole and not prefix.octets:
        return packed(data[offsets[0] :], offsets - offsets[0])
    if prefix.trailing:
        end = np.where(data[np.minimum(end, size - 1)] == 0x7D, end, start)  # not closed: no payload, so in doubt
    kept, cut = data_of(slices(data, start, end))
    return packed(kept, cut)
