"""A server that speaks AWS KMS (MiniStack), in a process of its own, and keys in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest

from tools.kafka.network import HOST, choose_ports

START_SECONDS: Final = 60.0
REGION: Final = "eu-west-1"
SECRET: Final = "hunter2"


@contextmanager
def served() -> Iterator[int]:
    """The port of the server. Endpoint, region and credentials are in the environment meanwhile."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        (port,) = choose_ports(Path(place) / "ports", 1)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_KMS": f"http://{HOST}:{port}",
            "IOT_MTLS_ENABLED": "0",  # a listener that it would open beside
        }.items():
            patch.setenv(name, value)
        command = [sys.executable, "-m", "hypercorn", "ministack.app:app", "--bind", f"{HOST}:{port}"]
        with (
            (log := Path(place) / "log").open("wb") as told,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, cwd=place) as server,
        ):
            try:
                _answers(port, server, log)
                yield port
            finally:
                server.terminate()


def _answers(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"http://{HOST}:{port}/_ministack/health", timeout=START_SECONDS):
                return
        except URLError:
            time.sleep(0.05)
    raise RuntimeError(f"the KMS server did not start: {log.read_text(errors='replace')}")


def client() -> Any:
    """Its administrator."""
    return boto3.client("kms")


def made(spec: str = "ECC_NIST_EDWARDS25519", usage: str = "SIGN_VERIFY") -> str:
    """The ARN of a new key."""
    arn: str = client().create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]
    return arn
