"""Who runs a command, for the audit: what the process knows of itself. Who may write to the log at all, the broker decides."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from stream_recon import __version__
from stream_recon.model.digest import By


def who(kafka: Mapping[str, object]) -> By:
    """Who this process is; ``kafka``: the settings by which it reaches the cluster, of which no secret is taken."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        user = str(os.getuid())
    return By(user, socket.gethostname(), _principal(kafka), __version__)


def _principal(kafka: Mapping[str, object]) -> str | None:
    """As Kafka's default builder makes it, of what the settings name."""
    name, certificate = kafka.get("sasl.username"), kafka.get("ssl.certificate.location")
    if isinstance(name, str):
        return f"User:{name}"
    if isinstance(certificate, str):
        try:
            return f"User:{x509.load_pem_x509_certificate(Path(certificate).read_bytes()).subject.rfc4514_string()}"
        except (OSError, ValueError):
            return None
    return None
