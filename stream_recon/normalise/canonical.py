"""The canonical form of rows and keys (DESIGN section 4; docs/spec/canonical-form.md, version 1).

    null    ~
    value   <tag><octet length>:<text>        n4:12.5   s5:hello   s0:
    row     its columns' framed texts, in byte order of their names, nothing between
    large   h64:<hex SHA-256 of the column's framed text>, ~ if null; ? in the text of ``rest``

Injective: the length says where each text ends, so no two rows share a text. What a value's text is, ``types`` decides.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stream_recon.errors import Refused

Item = tuple[str, bytes]
"""A value's tag (one ASCII letter) and its text (octets)."""

NULL: Final = b"~"
KEY_ID_OCTETS: Final = 16
_HIDDEN: Final = b"?"


def frame(tag: str, text: bytes) -> bytes:
    """``<tag><octet length>:<text>``."""
    return b"%b%d:%b" % (tag.encode("ascii"), len(text), text)


def framed(item: Item | None) -> bytes:
    """A value's framed text, ``~`` for null."""
    return NULL if item is None else frame(*item)


def parse(text: bytes) -> tuple[Item | None, ...]:
    """Read a framed text (of a row, a key, a list, a map) back into its items, for display of a key.

    Raises ``Refused`` if it is not one: what comes back from ``parse`` frames to the same octets.
    """
    items: list[Item | None] = []
    at = 0
    while at < len(text):
        if text[at : at + 1] == NULL:
            items.append(None)
            at += 1
            continue
        colon = text.find(b":", at + 2)
        digits = text[at + 1 : colon]
        end = colon + 1 + int(digits) if colon > 0 and digits.isdigit() and len(digits) < 20 else -1
        item = (text[at : at + 1].decode("ascii", "replace"), text[colon + 1 : end])
        if end < 0 or end > len(text) or not item[0].isalpha() or frame(*item) != text[at:end]:
            raise Refused("a canonical text: expected <tag><octet length>:<text>")
        items.append(item)
        at = end
    return tuple(items)


@dataclass(frozen=True, slots=True)
class Cell:
    """One compared column of one row: its item (None: null), or ``unknown`` (the connector did not send the value)."""

    item: Item | None
    unknown: bool = False


UNKNOWN: Final = Cell(None, unknown=True)


def token(item: Item, key: bytes, version: int) -> Item:
    """What stands for a value that must not be read: ``s`` of ``token:<version>:`` and the hex HMAC-SHA-256 of its frame."""
    return ("s", token_head(version) + hmac.digest(key, frame(*item), "sha256").hex().encode("ascii"))


def token_head(version: int) -> bytes:
    """What a token begins with."""
    return b"token:%d:" % version


@dataclass(frozen=True, slots=True)
class RowDigest:
    """What a present row leaves behind. ``rest`` and ``large`` as in ``model.messages.rows_schema``."""

    hash: bytes | None
    rest: bytes | None
    large: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Digester:
    """SHA-256, or HMAC-SHA-256 under ``hash_key`` (DESIGN section 4).

    The ``h64:`` inside a row's text is the plain SHA-256 as specified; what a digest row carries of a large column is keyed
    like everything else that leaves, since a short value in it could be guessed.
    """

    hash_key: bytes | None = None

    def digest(self, data: bytes) -> bytes:
        """32 octets."""
        if self.hash_key is None:
            return hashlib.sha256(data).digest()
        return hmac.digest(self.hash_key, data, "sha256")

    def key_id(self, key_text: bytes) -> bytes:
        """The first 16 octets of the key text's digest."""
        return self.digest(key_text)[:KEY_ID_OCTETS]

    def row(self, cells: Sequence[Cell], large: Sequence[bool]) -> RowDigest:
        """Hashes of a present row; ``cells`` in byte order of their names, ``large`` says which are large."""
        hashes = tuple(self._large(cell) for cell, is_large in zip(cells, large, strict=True) if is_large)
        if any(cell.unknown for cell, is_large in zip(cells, large, strict=True) if not is_large):
            return RowDigest(None, None, hashes)
        rest = row_text(cells, large, hide=True) if hashes else None
        known = not any(cell.unknown for cell in cells)
        return RowDigest(
            hash=self.digest(row_text(cells, large)) if known else None,
            rest=None if rest is None else self.digest(rest),
            large=hashes,
        )

    def _large(self, cell: Cell) -> bytes | None:
        if cell.unknown:
            return None
        return b"" if cell.item is None else self.digest(frame(*cell.item))


def row_text(cells: Sequence[Cell], large: Sequence[bool], *, hide: bool = False) -> bytes:
    """The text of a row; with ``hide`` every large column stands as ``?``."""
    parts: list[bytes] = []
    for cell, is_large in zip(cells, large, strict=True):
        if is_large and hide:
            parts.append(_HIDDEN)
            continue
        assert not cell.unknown, "an unknown column has no text"
        text = framed(cell.item)
        parts.append(_large_text(text) if is_large else text)
    return b"".join(parts)


def _large_text(text: bytes) -> bytes:
    return NULL if text == NULL else frame("h", hashlib.sha256(text).hexdigest().encode("ascii"))
