"""A root key in the transit engine of HashiCorp Vault, or of OpenBao: the service signs, the secret stays there.

Address, token, namespace and certificates come from what Vault's own tools read: ``VAULT_ADDR``, ``VAULT_TOKEN`` or
``~/.vault-token``, ``VAULT_NAMESPACE``, ``VAULT_CACERT``; the token at every call, as an agent may renew it in its file.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import hvac
from hvac import exceptions
from requests.exceptions import RequestException

from stream_recon.errors import KeyServiceAway, KeyServiceError

TYPE: Final = "ed25519"
_SECONDS: Final = 10.0
_AWAY: Final = (
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.UnexpectedError,  # what proxies and standbys answer: 412, 472, 473, 504
)


class VaultKey:
    """Version ``version`` of the key ``key`` under ``mount``. A key that is rotated goes on to sign as this version."""

    def __init__(self, mount: str, key: str, version: int) -> None:
        self._mount, self._key, self._version = mount, key, version

    def public(self) -> bytes:
        """32 octets.

        Raises:
            KeyServiceAway: it does not answer, is sealed or has no time.
            KeyServiceError: not allowed, no such key or version, or one of another type.
        """
        data = self._of(self._asked(lambda client: client.secrets.transit.read_key(self._key, mount_point=self._mount)), "data")
        kind, derived, versions = self._of(data, "type"), self._of(data, "derived"), self._of(data, "keys")
        if kind != TYPE or derived is not False:
            shown = f"a derived key of type {kind}" if derived else f"of type {kind}"
            raise KeyServiceError(f"{self._told}: it is {shown}; a root key is {TYPE}: vault write {self._path} type={TYPE}")
        if str(self._version) not in versions:
            there = ", ".join(sorted(versions, key=int))
            raise KeyServiceError(f"{self._told}: there is no version {self._version}, but {there}: say ?version=N")
        return self._octets(self._of(versions[str(self._version)], "public_key"))

    def sign(self, message: bytes) -> bytes:
        """What the service gives out as the signature of a message. Raises as ``public``."""
        text = b64encode(message).decode()
        found = self._asked(
            lambda client: client.secrets.transit.sign_data(
                self._key, hash_input=text, key_version=self._version, mount_point=self._mount
            )
        )
        signature = self._of(self._of(found, "data"), "signature")
        return self._octets(str(signature).removeprefix(f"vault:v{self._version}:"))

    def make(self) -> None:
        """Makes the key, which must not be there. Raises as ``public``."""
        if self._asked(self._there):
            raise KeyServiceError(f"{self._told}: exists already; a key is never written over: name a new one")
        self._asked(lambda client: client.secrets.transit.create_key(self._key, key_type=TYPE, mount_point=self._mount))

    def _there(self, client: Any) -> bool:
        try:
            client.secrets.transit.read_key(self._key, mount_point=self._mount)
        except exceptions.InvalidPath as error:
            if error.errors:  # not the key is missing, but the engine
                raise
            return False
        return True

    # ---- what is asked, and what went wrong ----------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"{self._mount}/keys/{self._key}"

    @property
    def _told(self) -> str:
        """The key and where it is; an address may hold a password, which is not shown."""
        host = urlsplit(os.environ["VAULT_ADDR"]).netloc.rpartition("@")[2]
        return f"Vault at {host}, {self._path}"

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        if not os.environ.get("VAULT_ADDR"):
            raise KeyServiceError(f"{self._path} in Vault: VAULT_ADDR is not set; export VAULT_ADDR=https://HOST:8200")
        try:
            client = hvac.Client(
                url=os.environ["VAULT_ADDR"], namespace=os.environ.get("VAULT_NAMESPACE") or None, timeout=_SECONDS
            )
            try:
                if client.token is None:
                    raise KeyServiceError(f"{self._told}: no token; set VAULT_TOKEN, or run vault login")
                return ask(client)
            finally:
                client.adapter.close()
        except exceptions.VaultError as error:
            raise self._refused(error) from error
        except RequestException as error:
            if isinstance(error, ValueError):  # it was never sent
                raise KeyServiceError(f"VAULT_ADDR: no address; write https://HOST:8200 ({type(error).__name__})") from error
            why = _cause(error)
            raise KeyServiceAway(f"{self._told}: no answer ({why}); is VAULT_ADDR right, and VAULT_CACERT?") from error
        except OSError as error:
            raise KeyServiceError(f"{self._told}: the file of a token or certificate cannot be read: {error}") from error

    def _refused(self, error: exceptions.VaultError) -> KeyServiceError:
        if isinstance(error, exceptions.VaultDown):
            return KeyServiceAway(f"{self._told}: sealed, or under maintenance; vault operator unseal opens it")
        if isinstance(error, exceptions.VaultNotInitialized):
            return KeyServiceAway(f"{self._told}: not initialised; vault operator init does that")
        if isinstance(error, exceptions.RateLimitExceeded):
            return KeyServiceAway(f"{self._told}: too many requests for its rate limit; raise its quota")
        said = " ".join(" ".join(map(str, error.errors or [])).split()) or type(error).__name__  # on one line
        if isinstance(error, _AWAY):
            return KeyServiceAway(f"{self._told}: it failed ({said}); its own log says why")
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
            needed = f"read on {self._path} and update on {self._mount}/sign/{self._key}"
            return KeyServiceError(f"{self._told}: not allowed ({said}); the token needs {needed}, and may be over")
        if isinstance(error, exceptions.InvalidPath):
            if error.errors:
                return KeyServiceError(f"{self._told}: no transit engine there; vault secrets enable -path={self._mount} transit")
            return KeyServiceError(
                f"{self._told}: no such key; stream-recon keys new NAME --out hashivault://{self._mount}/{self._key}"
            )
        return KeyServiceError(f"{self._told}: refused ({said})")

    def _of(self, answer: Any, name: str) -> Any:
        """A member of what came back, which may be anybody's."""
        if not isinstance(answer, dict) or name not in answer:
            raise KeyServiceError(f"{self._told}: what answers there is no Vault: no {name} in what it sent")
        return answer[name]

    def _octets(self, text: Any) -> bytes:
        try:
            return b64decode(text, validate=True)
        except (NoBase64, TypeError, ValueError) as error:
            raise KeyServiceError(f"{self._told}: what answers there is no Vault: no base64 in what it sent") from error


def _cause(error: BaseException) -> str:
    """What the network said, without the address that stands around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__
