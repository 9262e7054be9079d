"""Root keys in files: one line, readable by their owner only. Nothing else ever holds or shows one."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from stream_recon.audit.note import Signer, private_text, signer
from stream_recon.errors import ConfigError, InputError, ProofError, Undelivered

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def new_key(path: Path, name: str) -> Signer:
    """Makes a key and its file, which must not exist.

    Raises:
        ConfigError: the name cannot be one, or the file exists.
        Undelivered: it could not be written.
    """
    try:
        text = private_text(name, secrets.token_bytes(32))
    except ProofError as error:
        raise ConfigError(str(error)) from error
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigError(f"{path}: exists already; a key is never written over: name a new file") from error
    except OSError as error:
        raise Undelivered(f"{path}: the key could not be written: {error.strerror or error}") from error
    return signer(text)


def read_key(path: Path) -> Signer:
    """The key in a file.

    Raises:
        InputError: it cannot be read, others may read it, or it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(10_000)
    except OSError as error:
        raise InputError(f"{path}: the key cannot be read: {error.strerror or error}; stream-recon keys new makes one") from error
    if mode & _OTHERS:
        raise InputError(f"{path}: others than its owner may use this key file (mode {mode & 0o777:o}); run chmod 600 {path}")
    try:
        return signer(octets.decode().removesuffix("\n"))
    except (UnicodeDecodeError, ProofError) as error:
        shown = "" if isinstance(error, UnicodeDecodeError) else f" ({error})"
        raise InputError(f"{path}: no key that stream-recon keys new made{shown}") from None
