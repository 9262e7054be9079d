"""Tokens stand for values that must not be read: equal values have equal tokens, and nothing readable is left of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.config.identity import rules_id
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TokenPlan
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

KEY = b"k" * 32


def token(framed: str, key: bytes = KEY, version: int = 2) -> str:
    text = f"token:{version}:{hmac.digest(key, framed.encode(), hashlib.sha256).hex()}"
    return f"s{len(text)}:{text}"


def feed(*covered: str, key: bytes = KEY, version: int = 2) -> FeedPlan:
    columns = tuple(ColumnPlan(n, n, reads=(n,), key=n == "email", token=n in covered) for n in ("email", "name", "size"))
    return FeedPlan("side", Format.JSON, columns, tokens=TokenPlan(covered, key, version))


def rows(plan: FeedPlan, *images: dict[str, Any]) -> list[dict[str, Any]]:
    """By both decoders, which agree."""
    offset = np.arange(len(images), dtype=np.int64)
    values = pa.array([json.dumps(image).encode() for image in images], pa.binary())
    messages = Messages(Upstream("side", "t", 0), offset, offset, pa.nulls(len(images), pa.binary()), values)
    reference = ReferenceDecoder(plan)
    columnar = ColumnarDecoder(plan, reference)
    decoded = columnar.decode(messages)
    assert columnar.statistics().handed_over == 0
    assert decoded.rows.equals(reference.decode(messages).rows)
    found: list[dict[str, Any]] = decoded.rows.to_pylist()
    return found


def test_a_token_is_the_keyed_hash_of_the_framed_text() -> None:
    (row,) = rows(feed("email", "size"), {"email": "a@b.c", "name": None, "size": 1.50})
    text = (token("s5:a@b.c") + "~" + token("n3:1.5")).encode()
    assert row["key_text"] == token("s5:a@b.c").encode()
    assert row["hash"] == hashlib.sha256(text).digest()


def test_null_stays_null() -> None:
    (row,) = rows(feed("name"), {"email": "a", "name": None, "size": 1})
    assert row["hash"] == hashlib.sha256(b"s1:a~n1:1").digest()


def test_equal_values_have_equal_tokens_and_others_have_not() -> None:
    one, two, three = rows(feed("email"), *({"email": e, "name": "n", "size": 1} for e in ("a", "a", "b")))
    assert one["key"] == two["key"] != three["key"]
    assert one["hash"] == two["hash"] != three["hash"]


@pytest.mark.parametrize("other", [feed("email", key=b"o" * 32), feed("email", version=3), feed("email", "name"), feed()])
def test_other_tokens_are_other_rules(other: FeedPlan) -> None:
    assert rules_id([feed("email")]) != rules_id([other])


def test_the_key_is_no_part_of_what_is_shown() -> None:
    assert "kkkk" not in repr(feed("email"))
