"""Keys and signatures, against what others published."""

from __future__ import annotations

from base64 import b64decode

import pytest

from stream_recon.audit.ed25519 import PrivateKey, PublicKey
from stream_recon.errors import ProofError
from tests.unit.audit.published import CCTV, RFC8032, WYCHEPROOF


def holds(key: str, message: bytes, signature: str) -> bool:
    try:
        return PublicKey(b64decode(key)).verifies(message, b64decode(signature))
    except ProofError:
        return False


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC8032)
def test_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    key = PrivateKey(b64decode(seed))
    assert key.public.octets == b64decode(public)
    assert key.sign(b64decode(message)) == b64decode(signature)
    assert holds(public, b64decode(message), signature)


@pytest.mark.parametrize(("flag", "key", "message", "signature", "valid"), WYCHEPROOF)
def test_wycheproof(flag: str, key: str, message: str, signature: str, valid: bool) -> None:
    assert holds(key, b64decode(message), signature) == valid


@pytest.mark.parametrize(("flags", "key", "message", "signature"), CCTV)
def test_the_policy_where_libraries_differ(flags: str, key: str, message: str, signature: str) -> None:
    """What has one of these flags is refused: keys of low order or not canonical, and what holds with the cofactor only."""
    assert holds(key, message.encode(), signature) == (flags == "")


@pytest.mark.parametrize("octets", [b"", b"\1" * 31, b"\1" * 33, bytes(32), b"\1" + bytes(31), b"\xff" * 32])
def test_keys_that_are_none(octets: bytes) -> None:
    with pytest.raises(ProofError):
        PublicKey(octets)


def test_a_private_key_shows_nothing() -> None:
    seed = bytes(range(32))
    key = PrivateKey(seed)
    assert seed.hex() not in repr(key)
    assert not hasattr(key, "__dict__")
    with pytest.raises(ProofError):
        PrivateKey(seed[1:])
