"""Two names for what was agreed: ``rules_id`` for everything that shapes a row hash, ``configuration_hash`` for every answer.

Both are SHA-256 over JSON with sorted keys, no spaces and UTF-8. A hash key enters by an HMAC of a fixed text, never itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from typing import Any

from stream_recon.model.plan import ColumnPlan, FeedPlan, TokenPlan, TopologyPlan, TypeRule

CANONICAL_VERSION = 1
"""Of DESIGN section 4; raised with any change of a text that is hashed."""

SQL_VERSION = 2
"""Of how expressions are planned; raised where one may give another value. 2: literals with a point are decimals."""

OPERATIONAL = frozenset(
    {"prefix", "max_ahead", "max_buffer", "parallelism", "kafka", "registry", "dead_letters_masked", "checkpoints"}
)
"""Settings of a topology or a side that decide where and how fast, but no answer."""

_LATER = frozenset({"table"})
"""Settings that came after the first topologies: where they are not written, they are no part of an identity."""

_KEY_LABEL = b"stream_recon hash_key"


def rules_id(feeds: Sequence[FeedPlan]) -> str:
    """Hex SHA-256 over how ``feeds`` (source, then target) make row hashes: columns, types, zones, unicode, large, hash key."""
    rules = [
        {
            "columns": [_column(c) for c in feed.columns],
            "event_time": feed.event_time,
            "format": feed.format.value,
            "hash_key": _key_id(feed.hash_key),
            "side": feed.side,
            **({"sql": SQL_VERSION} if any(c.expression is not None for c in feed.columns) else {}),
            **({} if feed.table is None else {"table": feed.table}),
            **_tokens(feed.tokens),
            "timezones": _plain(feed.timezones),
            "types": _plain(feed.types),
            "unicode_nfc": feed.unicode_nfc,
        }
        for feed in feeds
    ]
    return _digest({"canonical": CANONICAL_VERSION, "feeds": rules})


def configuration_hash(plan: TopologyPlan) -> str:
    """Hex SHA-256 over everything in ``plan`` that shapes answers; where outputs go and how much is buffered is no part of it."""
    settings = {f.name: _plain(getattr(plan, f.name)) for f in fields(plan) if f.name not in OPERATIONAL | {"hash_key", "tokens"}}
    return _digest({"canonical": CANONICAL_VERSION, "hash_key": _key_id(plan.hash_key), **_tokens(plan.tokens), **settings})


def _key_id(key: bytes | None) -> str | None:
    return None if key is None else hmac.digest(key, _KEY_LABEL, "sha256").hex()


def _column(column: ColumnPlan) -> dict[str, Any]:
    """A column; that it has a token is said with the key."""
    plain: dict[str, Any] = _plain(column)
    del plain["token"]
    return plain


def _tokens(tokens: TokenPlan | None) -> dict[str, Any]:
    """Nothing without tokens."""
    return {} if tokens is None else {"tokens": [list(tokens.columns), _key_id(tokens.key), tokens.version]}


def _plain(value: Any) -> Any:
    """Frozen plan objects as JSON values."""
    if isinstance(value, TypeRule):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        named = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in OPERATIONAL}
        return {name: _plain(one) for name, one in named.items() if one is not None or name not in _LATER}
    assert value is None or isinstance(value, str | int | float), f"no JSON form for {type(value)}"
    return value


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
