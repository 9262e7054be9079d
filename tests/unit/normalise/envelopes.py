"""Messages of any format to rows as texts, for tests: what both decoders make of them, and that they make the same."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa

from stream_recon.model.messages import Decoded, Messages, Op, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, Ids, TypeRule
from stream_recon.model.schemas import SchemaText
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.discover import discover
from stream_recon.normalise.reference import ReferenceDecoder

BROKER_MS = 5
BROKER_US = 5_000


def feed(
    form: Format,
    *columns: str,
    key: Sequence[str] = ("id",),
    types: Mapping[str, str] | None = None,
    zones: Mapping[str, str] | None = None,
    large: Sequence[str] = (),
    table: str | None = None,
    expressions: Mapping[str, tuple[str, tuple[str, ...]]] | None = None,
) -> FeedPlan:
    """A feed of columns by their own names, and of computed ones. ``types`` as in a topology: ``decimal(10, 2)``."""
    rules = {name: rule(text) for name, text in (types or {}).items()}
    zoned = dict(zones or {})
    plans = [
        ColumnPlan(n, n, reads=(n,), type=rules.get(n), timezone=zoned.get(n), key=n in key, large=n in large)
        for n in (*key, *columns)
    ]
    plans += [ColumnPlan(n, None, sql, reads) for n, (sql, reads) in (expressions or {}).items()]
    ordered = tuple(sorted(plans, key=lambda plan: plan.name.encode()))
    return FeedPlan("side", form, ordered, types=tuple(rules.items()), timezones=tuple(zoned.items()), table=table)


def rule(text: str) -> TypeRule:
    name, _, arguments = text.removesuffix(")").partition("(")
    return TypeRule(name, tuple(a.strip() for a in arguments.split(",")) if arguments else ())


def octets(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()


@dataclass
class Schemas:
    """A registry of Avro schemas by number."""

    by_id: dict[int, dict[str, Any]]
    ids: Ids = Ids.CONFLUENT

    def schema(self, id_octets: bytes) -> SchemaText | None:
        found = self.by_id.get(int.from_bytes(id_octets[1:], "big"))
        return None if found is None else SchemaText(json.dumps(found))

    def written(self, number: int, value: dict[str, Any]) -> bytes:
        """A message under schema ``number``."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(self.by_id[number]), value)
        return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def messages(*pairs: tuple[Any, Any]) -> Messages:
    """Messages of (key, value); JSON values are written as such."""
    return Messages(
        Upstream("side", "t", 0),
        np.arange(len(pairs), dtype=np.int64),
        np.full(len(pairs), BROKER_MS),
        pa.array([octets(key) for key, _ in pairs], pa.binary()),
        pa.array([octets(value) for _, value in pairs], pa.binary()),
    )


def decode(plan: FeedPlan, *pairs: tuple[Any, Any], schemas: Schemas | None = None) -> Decoded:
    """What the reference makes of them, once the vectorised decoder made the same."""
    book = None if schemas is None else SchemaBook(schemas)
    reference = ReferenceDecoder(plan, book)
    batch = messages(*pairs)
    expected = reference.decode(batch)
    found = ColumnarDecoder(plan, reference, book).decode(batch)
    assert found.rows.to_pylist() == expected.rows.to_pylist()
    assert found.control.tolist() == expected.control.tolist()
    assert found.dead == expected.dead
    return expected


@dataclass(frozen=True)
class Made:
    """A row, to be compared with the texts that it should have: ``hash`` of a present row, None if it is absent or unknown."""

    op: str
    t: int | None
    key: str | None
    hash: bytes | None


def rows(plan: FeedPlan, *pairs: tuple[Any, Any], schemas: Schemas | None = None) -> list[Made]:
    """The rows of messages none of which is a dead letter."""
    decoded = decode(plan, *pairs, schemas=schemas)
    assert decoded.dead == ()
    return [
        Made(Op(row["op"]).name, row["t"], None if row["key_text"] is None else row["key_text"].decode(), row["hash"])
        for row in decoded.rows.to_pylist()
    ]


def made(op: str, t: int | None, key: str | None, text: str | None = None) -> Made:
    """The row with this key text and this row text (None: absent, or unknown)."""
    return Made(op, t, key, None if text is None else hashlib.sha256(text.encode()).digest())


def text_of(plan: FeedPlan, value: Any, key: Any = None, schemas: Schemas | None = None) -> bytes | None:
    """The hash of the one row of a message."""
    (row,) = rows(plan, (key, value), schemas=schemas)
    return row.hash


def refusal(plan: FeedPlan, value: Any, key: Any = None, schemas: Schemas | None = None) -> tuple[str, str | None]:
    """Why a message is a dead letter, and the key that it has all the same."""
    decoded = decode(plan, (key, value), schemas=schemas)
    assert decoded.rows.num_rows == 0
    assert len(decoded.control) == 0
    (dead,) = decoded.dead
    return dead.reason, None if dead.key_text is None else dead.key_text.decode()


def is_control(plan: FeedPlan, value: Any, key: Any = None) -> bool:
    """Whether a message is a control record."""
    decoded = decode(plan, (key, value))
    return decoded.control.tolist() == [0] and decoded.rows.num_rows == 0 and decoded.dead == ()


def columns(form: Format, *values: Any, schemas: Schemas | None = None, table: str | None = None) -> set[str]:
    """The columns that are found in payloads."""
    book = None if schemas is None else SchemaBook(schemas)
    return set(discover(form, pa.array([octets(value) for value in values], pa.binary()), book, table=table))


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
