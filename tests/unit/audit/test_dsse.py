"""Envelopes: the specification's own, and what must not pass."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.dsse import key_id, pae, parse, sign
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.errors import ProofError
from tests.unit.audit.published import DSSE_ECDSA_X, DSSE_ECDSA_Y, DSSE_ENVELOPE, DSSE_PAE, DSSE_PAYLOAD, DSSE_TYPE

ONE, TWO = PrivateKey(b"1" * 32), PrivateKey(b"2" * 32)
KEYS = {key_id(key.public): key.public for key in (ONE, TWO)}


def test_the_published_encoding_and_its_signature() -> None:
    assert pae(DSSE_TYPE, DSSE_PAYLOAD) == DSSE_PAE
    envelope = parse(DSSE_ENVELOPE)
    assert (envelope.payload_type, envelope.payload, envelope.signed) == (DSSE_TYPE, DSSE_PAYLOAD, DSSE_PAE)
    octets = envelope.signatures[0].octets
    signature = encode_dss_signature(int.from_bytes(octets[:32], "big"), int.from_bytes(octets[32:], "big"))
    key = EllipticCurvePublicNumbers(DSSE_ECDSA_X, DSSE_ECDSA_Y, SECP256R1()).public_key()
    key.verify(signature, envelope.signed, ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, envelope.payload, ECDSA(SHA256()))


def test_lengths_are_octets_and_part_type_from_payload() -> None:
    assert pae("http://example.com/é", b"x") == "DSSEv1 21 http://example.com/é 1 x".encode()
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("application/json 5", b"hello") != pae("application/json", b"5 hello")


@given(st.text(max_size=5), st.binary(max_size=5), st.text(max_size=5), st.binary(max_size=5))
def test_no_two_statements_are_signed_as_one(kind: str, payload: bytes, other_kind: str, other: bytes) -> None:
    assert (pae(kind, payload) == pae(other_kind, other)) == ((kind, payload) == (other_kind, other))


def test_each_key_counts_once() -> None:
    envelope = parse(sign("t", b"payload", [ONE, ONE, TWO]).dumps())
    assert envelope.signers(KEYS) == set(KEYS)
    assert parse(sign("t", b"payload", [ONE, ONE]).dumps()).signers(KEYS) == {key_id(ONE.public)}
    assert envelope.signers({key_id(TWO.public): TWO.public}) == {key_id(TWO.public)}


def test_a_hint_is_no_proof() -> None:
    value = json.loads(sign("t", b"payload", [ONE]).dumps())
    value["signatures"][0]["keyid"] = key_id(TWO.public)
    assert parse(json.dumps(value).encode()).signers(KEYS) == frozenset()
    del value["signatures"][0]["keyid"]
    assert parse(json.dumps(value).encode()).signers(KEYS) == {key_id(ONE.public)}


def test_type_and_payload_are_both_signed() -> None:
    value = json.loads(sign("t", b"payload", [ONE]).dumps())
    assert not parse(json.dumps(value | {"payloadType": "u"}).encode()).signers(KEYS)
    assert not parse(json.dumps(value | {"payload": "cGF5bG9hZAo="}).encode()).signers(KEYS)


def test_base64_of_either_alphabet_and_members_of_others() -> None:
    value = json.loads(sign("t", b"\xfb\xff\xfe", [ONE]).dumps())
    value["payload"] = urlsafe_b64encode(b"\xfb\xff\xfe").decode()
    envelope = parse(json.dumps(value | {"later": 1}).encode())
    assert envelope.payload == b"\xfb\xff\xfe"
    assert envelope.signers(KEYS)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"payload":"","payloadType":"t","signatures":[]}',
        b'{"payload":"","signatures":[{"sig":""}]}',
        b'{"payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"YQ","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"YR==","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":1}]}',
        b'{"payload":"","payloadType":"t","signatures":["sig"]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":"","keyid":1}]}',
        b'{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":""}],"x":NaN}',
    ],
)
def test_what_is_no_envelope(octets: bytes) -> None:
    with pytest.raises(ProofError):
        parse(octets)
