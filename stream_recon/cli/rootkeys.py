"""The root key that ``--key`` names: in a file, or in a service that signs and never gives it out.

    recon.key                                        a file (``keyfiles``)
    hashivault://[MOUNT/]KEY?name=NAME[&version=N]   the transit engine of Vault or OpenBao; MOUNT is transit, N is 1 if not said
    awskms:///ID|alias/ALIAS|ARN?name=NAME           AWS KMS

Schemes are those of cosign. ``name`` is that of the log, which a file says itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl

from stream_recon.audit.ed25519 import PublicKey
from stream_recon.audit.note import Signer, valid_name
from stream_recon.cli.keyfiles import new_key, read_key
from stream_recon.errors import ConfigError, KeyServiceError, ProofError

VAULT: Final = "hashivault"
KMS: Final = "awskms"

_SHAPES: Final = {
    VAULT: (
        re.compile(r"(?:(?P<mount>\w[\w.-]*(?:/\w[\w.-]*)*)/)?(?P<key>\w[\w.-]*)"),
        "hashivault://KEY or hashivault://MOUNT/KEY",
    ),
    KMS: (
        re.compile(r"/(?P<key>arn:aws[\w-]*:kms:[\w-]+:\d+:(?:key|alias)/[\w/-]+|alias/[\w/-]+|[\w-]+)"),
        "awskms:///ID, awskms:///alias/NAME or awskms:///ARN, with three slashes: region and endpoint are the AWS SDK's settings",
    ),
}


class Service(Protocol):
    """One key in a service. Nothing that it sends is checked yet. Errors: ``KeyServiceError``."""

    def make(self) -> None:
        """Makes the key, or says how it is made."""

    def public(self) -> bytes:
        """The 32 octets of the public key."""

    def sign(self, message: bytes) -> bytes:
        """A signature."""


class ServiceKey:
    """A key that a service holds. What comes back is believed only if it is by the public key that was shown first."""

    def __init__(self, service: Service, told: str) -> None:
        """Raises ``KeyServiceError``: the key cannot be had, or is none."""
        self._service, self._told = service, told
        try:
            self.public = PublicKey(service.public())
        except ProofError as error:
            raise KeyServiceError(f"{told}: {error}") from error

    def sign(self, message: bytes) -> bytes:
        """Raises ``KeyServiceError``: no signature, or none by this key; ``KeyServiceAway``: none for now."""
        signature = self._service.sign(message)
        if not self.public.verifies(message, signature):
            raise KeyServiceError(
                f"{self._told}: the signature that came back is not by the key it showed at the start; not used"
            )
        return signature


@dataclass(frozen=True, slots=True)
class _Reference:
    """What names a key in a service. ``shown``: without what comes after the question mark."""

    scheme: str
    mount: str
    key: str
    name: str | None
    version: int
    shown: str


def root_key(said: str) -> Signer:
    """The key that ``--key`` names.

    Raises:
        InputError: a file that cannot be read or holds no key.
        ConfigError: no reference to a key, or what it needs is not installed.
        KeyServiceError: the service refuses it, or does not answer.
    """
    found = _reference(said)
    if found is None:
        return read_key(Path(said))
    if found.name is None:
        raise ConfigError(f"{said}: say the name of the log, like '{found.shown}?name=example.com/recon'")
    return Signer(found.name, ServiceKey(_service(found), found.shown))


def new_root_key(name: str, said: str) -> Signer:
    """Makes a key named ``name`` in a file, or in Vault. Raises as ``root_key``."""
    found = _reference(said)
    if found is None:
        return new_key(Path(said), name)
    if not valid_name(name):
        raise ConfigError(f"{name!r} cannot name a key: write one without spaces and +, like example.com/recon")
    if said != found.shown:
        raise ConfigError(f"{said}: the name is said before --out, and a new key has one version: write {found.shown}")
    service = _service(found)
    service.make()
    return Signer(name, ServiceKey(service, found.shown))


def _reference(said: str) -> _Reference | None:
    """None: the name of a file."""
    scheme, colon, rest = said.partition("://")
    if not colon:
        return None
    if scheme not in _SHAPES:
        raise ConfigError(f"{said}: no place for a key; write a file, hashivault://KEY or awskms:///KEY")
    path, _, query = rest.partition("?")
    pattern, shape = _SHAPES[scheme]
    match = pattern.fullmatch(path)
    if match is None:
        raise ConfigError(f"{said}: write {shape}")
    shown, parts = f"{scheme}://{path}", match.groupdict()
    name, version = _settings(said, query, frozenset({"name", "version"}) if scheme == VAULT else frozenset({"name"}))
    return _Reference(scheme, parts.get("mount") or "transit", parts["key"], name, version, shown)


def _settings(said: str, query: str, known: frozenset[str]) -> tuple[str | None, int]:
    """Name and version, as they stand after the question mark."""
    given = parse_qsl(query, keep_blank_values=True)
    if len({setting for setting, _ in given} & known) != len(given) or (query and not given):
        raise ConfigError(f"{said}: after the question mark write {' and '.join(sorted(known))}, each once at most")
    settings = dict(given)
    name, version = settings.get("name"), settings.get("version", "1")
    if name is not None and not valid_name(name):
        raise ConfigError(f"{said}: {name!r} cannot name a key: write one without spaces and +, like example.com/recon")
    if not re.fullmatch("[1-9][0-9]{0,8}", version):
        raise ConfigError(f"{said}: version: got {version!r}; write the number of a version, like 1")
    return name, int(version)


def _service(found: _Reference) -> Service:
    try:
        if found.scheme == VAULT:
            from stream_recon.adapters.vault import VaultKey

            return VaultKey(found.mount, found.key, found.version)
        from stream_recon.adapters.awskms import KmsKey

        return KmsKey(found.key)
    except ModuleNotFoundError as error:
        extra = {"hvac": "vault", "boto3": "kms"}.get(error.name or "")
        if extra is None:
            raise
        raise ConfigError(f"{found.shown}: {error.name} is not installed; run pip install 'stream-recon[{extra}]'") from error
