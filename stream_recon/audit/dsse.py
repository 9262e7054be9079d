"""DSSE envelopes (github.com/secure-systems-lab/dsse): octets, what they are, and who signed both.

    signed:   "DSSEv1" SP len(type) SP type SP len(payload) SP payload           (lengths in octets, decimal)
    on disk:  {"payload": base64, "payloadType": type, "signatures": [{"keyid": hint, "sig": base64}]}

A ``keyid`` says where to look and proves nothing; the same key counts once, however often it signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from stream_recon.audit.ed25519 import Key, PublicKey
from stream_recon.audit.text import decoded, dumps, encoded, json_object
from stream_recon.errors import ProofError


def pae(payload_type: str, payload: bytes) -> bytes:
    """The octets that are signed: the pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: PublicKey) -> str:
    """How an envelope names a key: the first 16 hex digits of the SHA-256 of its 32 octets."""
    return sha256(key.octets).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signature:
    """``keyid`` is a hint; empty if there is none."""

    keyid: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type, and signatures that are not checked yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def signed(self) -> bytes:
        """What every signature is over."""
        return pae(self.payload_type, self.payload)

    def signers(self, keys: Mapping[str, PublicKey]) -> frozenset[str]:
        """Which of ``keys`` (by ``key_id``) signed it."""
        signed, found = self.signed, set()
        for signature in self.signatures:
            hinted = [signature.keyid] if signature.keyid else list(keys)
            found |= {name for name in hinted if name in keys and keys[name].verifies(signed, signature.octets)}
        return frozenset(found)

    def dumps(self) -> bytes:
        """The envelope as JSON, on one line."""
        signatures = [{"keyid": s.keyid, "sig": encoded(s.octets)} for s in self.signatures]
        return dumps({"payload": encoded(self.payload), "payloadType": self.payload_type, "signatures": signatures})


def sign(payload_type: str, payload: bytes, keys: Sequence[Key]) -> Envelope:
    """An envelope with a signature by each of ``keys``."""
    signed = pae(payload_type, payload)
    return Envelope(payload_type, payload, tuple(Signature(key_id(key.public), key.sign(signed)) for key in keys))


def parse(octets: bytes) -> Envelope:
    """Reads an envelope; members that are not DSSE's are passed over, as it demands. Raises ``ProofError``: it is none."""
    value = json_object(octets)
    kind, signatures = value.get("payloadType"), value.get("signatures")
    if not isinstance(kind, str) or not isinstance(signatures, list) or not signatures:
        raise ProofError("expected an envelope with payloadType and at least one of signatures")
    return Envelope(kind, _base64(value.get("payload")), tuple(_signature(one) for one in signatures))


def _signature(value: Any) -> Signature:
    keyid = value.get("keyid", "") if isinstance(value, dict) else None
    if not isinstance(keyid, str):
        raise ProofError("expected signatures with sig, and keyid a text")
    return Signature(keyid, _base64(value.get("sig")))


def _base64(value: Any) -> bytes:
    """Standard or URL-safe, as DSSE demands of readers."""
    if not isinstance(value, str):
        raise ProofError("expected payload and sig in base64")
    return decoded(value.translate({ord("-"): "+", ord("_"): "/"}))
