"""A server that speaks S3, in a process of its own, and buckets on it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow import fs

START_SECONDS = 60.0
SECRET = "hunter2"


@contextmanager
def served() -> Iterator[str]:
    """What to append to the URI of a bucket so that it leads to the server. Credentials are in the environment meanwhile."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with (
        tempfile.TemporaryDirectory() as place,
        (log := Path(place) / "log").open("wb") as told,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        try:
            patch.setenv("AWS_ACCESS_KEY_ID", "tester")
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            yield f"?scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{_port(log, server)}"
        finally:
            server.terminate()


def _port(log: Path, server: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"the S3 server did not start: {log.read_text(errors='replace')}")


def bucket(options: str) -> str:
    """The URI of a path in a new bucket."""
    name = f"kept-{uuid.uuid4().hex[:12]}"
    system, path = fs.FileSystem.from_uri(f"s3://{name}{options}&allow_bucket_creation=true")
    system.create_dir(path)
    return f"s3://{name}/a/b{options}"
