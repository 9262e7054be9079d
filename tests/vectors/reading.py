"""The golden vectors as Python objects. Imports nothing of the product: what is expected stands in the files alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VALUES = ("null", "b", "n", "f", "s", "x", "d", "t", "c", "u", "j", "l", "m", "i")
"""The files of single values: null, and one for each tag."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One value on the wire, and its framed text (by its SHA-256), or that it is refused."""

    id: str
    wire: bytes
    schema: dict[str, Any] | None
    declared: str | None
    nfc: bool
    timezone: str | None
    framed_sha256: str | None
    """None: refused."""
    is_null: bool
    postgresql: str | None
    mariadb: str | None
    given: dict[str, Any]

    @property
    def file(self) -> str:
        return self.id.partition("/")[0]

    @property
    def refused(self) -> bool:
        return self.framed_sha256 is None

    def is_framed(self, framed: bytes) -> bool:
        """Whether this is the framed text."""
        return hashlib.sha256(framed).hexdigest() == self.framed_sha256


@dataclass(frozen=True, slots=True)
class RowVector:
    """Columns of one row, and its texts and hashes."""

    id: str
    columns: tuple[dict[str, Any], ...]
    nfc: bool
    hash_key: bytes | None
    row_text: str | None
    row_hash: str | None
    key_text: str
    key_id: str
    rest_hash: str | None
    large_hashes: tuple[str | None, ...]

    def sorted_columns(self) -> list[dict[str, Any]]:
        """In byte order of their names."""
        return sorted(self.columns, key=lambda column: str(column["name"]).encode("utf-8"))


def vectors(*files: str) -> list[Vector]:
    """Those of these files; of all without a name."""
    return [_vector(given) for file in files or VALUES for given in _load(file)]


def row_vectors() -> list[RowVector]:
    return [
        RowVector(
            id=given["id"],
            columns=tuple(given["columns"]),
            nfc=given.get("nfc", False),
            hash_key=bytes.fromhex(given["hash_key"]) if "hash_key" in given else None,
            row_text=given["row_text"],
            row_hash=given["row_hash"],
            key_text=given["key_text"],
            key_id=given["key_id"],
            rest_hash=given.get("rest_hash"),
            large_hashes=tuple(given.get("large_hashes", ())),
        )
        for given in _load("rows")
    ]


def _load(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / f"{file}.json").read_text(encoding="ascii"))
    return found


def _vector(given: dict[str, Any]) -> Vector:
    framed = given.get("framed")
    digest = given.get("framed_sha256") if framed is None else hashlib.sha256(framed.encode("utf-8")).hexdigest()
    assert (digest is None) == given.get("refused", False), given["id"]
    return Vector(
        id=given["id"],
        wire=given["wire"].encode("utf-8") if "wire" in given else bytes.fromhex(given["wire_hex"]),
        schema=given.get("schema"),
        declared=given.get("declared"),
        nfc=given.get("nfc", False),
        timezone=given.get("timezone"),
        framed_sha256=digest,
        is_null=framed == "~",
        postgresql=given.get("postgresql"),
        mariadb=given.get("mariadb"),
        given=given,
    )
