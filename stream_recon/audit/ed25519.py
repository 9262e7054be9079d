"""Ed25519 (RFC 8032), by the library ``cryptography``.

One policy for all keys and signatures, so that two auditors never differ: a public key is a canonical encoding of a point that is
not of low order (under such a key one signature may hold for many messages); a signature is checked without the cofactor, and
its two parts must be canonical.
"""

from __future__ import annotations

from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stream_recon.errors import ProofError

KEY_OCTETS: Final = 32
SIGNATURE_OCTETS: Final = 64

_P: Final = 2**255 - 19
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER: Final = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
"""The second coordinates of the eight points of low order."""


class PublicKey:
    """Checks signatures. ``octets``: its 32-octet encoding."""

    __slots__ = ("_key", "octets")

    def __init__(self, octets: bytes) -> None:
        """Raises ``ProofError``: these octets are no key, or one that is not accepted."""
        if len(octets) != KEY_OCTETS:
            raise ProofError(f"an Ed25519 public key has {KEY_OCTETS} octets, not {len(octets)}")
        y = int.from_bytes(octets, "little") & (2**255 - 1)
        if y >= _P or y in _LOW_ORDER:
            raise ProofError("this Ed25519 public key is not canonical or of low order: signatures under it prove nothing")
        self.octets = octets
        self._key = Ed25519PublicKey.from_public_bytes(octets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.octets == self.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the key's owner signed exactly these octets."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Key(Protocol):
    """Makes signatures, wherever its secret is kept."""

    @property
    def public(self) -> PublicKey:
        """What its signatures are checked by."""

    def sign(self, message: bytes) -> bytes:
        """64 octets that ``public`` verifies."""


class PrivateKey:
    """Makes signatures. Its secret is never shown: neither by ``repr`` nor by an attribute with a public name."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        """Raises ``ProofError``: the seed does not have 32 octets."""
        if len(seed) != KEY_OCTETS:
            raise ProofError(f"an Ed25519 private key has {KEY_OCTETS} octets, not {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 octets, always the same for the same message."""
        return self._key.sign(message)
