"""The certificate authorities of the machine, for a Java that knows only its own list.

Java does not read what the system and Python trust. A Java of our own, or one installed a minute ago, has never heard of the
authority of a proxy that stands between here and everywhere else.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", flags=re.DOTALL)
_PASSWORD = "changeit"  # Java's custom: it guards nothing, the certificates are public


def trusting(store: Path) -> list[str]:
    """Writes what this Python trusts into a store for Java; returns the options that make Java use it."""
    certificates = sorted({ssl.PEM_cert_to_DER_cert(found) for text in _bundles() for found in _PEM.findall(text)})
    store.write_bytes(_jks(certificates))
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStoreType=JKS"]


def _bundles() -> Iterator[str]:
    paths = ssl.get_default_verify_paths()  # minds SSL_CERT_FILE and SSL_CERT_DIR
    files = [Path(paths.cafile)] if paths.cafile else []
    files += sorted(Path(paths.capath).iterdir()) if paths.capath else []
    for file in files:
        if file.is_file():
            yield file.read_text(encoding="utf-8", errors="replace")


def _jks(certificates: list[bytes]) -> bytes:
    """Java's own key store format: a header, one entry each (kind 2: trusted), a digest under the password."""
    store = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        alias = f"authority-{number}".encode()
        store += struct.pack(">IH", 2, len(alias)) + alias
        store += struct.pack(">QH", 0, 5) + b"X.509"  # made at: the epoch; type
        store += struct.pack(">I", len(certificate)) + certificate
    salted = _PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + store
    return store + hashlib.sha1(salted, usedforsecurity=False).digest()
