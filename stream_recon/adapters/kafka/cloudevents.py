"""Discrepancies and audit events as CloudEvents: the body as it is signed, what routers look at in headers.

Binary content mode of the Kafka protocol binding (CloudEvents 1.0.2): attributes in headers ``ce_NAME``, the body untouched.
"""

from __future__ import annotations

import hashlib
from typing import Final

import orjson

_VERSION: Final = "v1"
"""Of the bodies: a member more is no new version, another meaning of one is."""
_ID_DIGITS: Final = 32


def headers(body: bytes) -> list[tuple[str, str | bytes | None]]:
    """Of a body that an engine made. Bodies that are equal have the same ``ce_id``, others have not: an event that was read twice
    is known by it, wherever it came from.
    """
    event = orjson.loads(body)
    kind = event["type"]
    what = kind if kind == "discrepancy" else f"audit.{kind}"
    return [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", hashlib.sha256(body).hexdigest()[:_ID_DIGITS]),
        ("ce_source", f"/stream-recon/{event['chain']}"),
        ("ce_type", f"stream-recon.{what}.{_VERSION}"),
        ("ce_subject", event.get("id", event["chain"])),
        ("ce_time", event["time"]),
    ]
