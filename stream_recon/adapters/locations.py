"""Directories and buckets, whatever ``pyarrow.fs`` reaches: what those who keep things there have in common."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyarrow import fs

from stream_recon.errors import ConfigError

OBJECTS: Final = frozenset({"s3", "gcs", "abfs"})
"""Where a file is there when it is complete, and not before: elsewhere it is moved to its name."""

FAILURES: Final = (OSError, pa.ArrowException)


def opened(location: str, setting: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it, without a slash at its end.

    Raises:
        ConfigError: the location is none that can be used; ``setting`` is where it was written.
        OSError: it cannot be reached now; a bucket's region is asked for.
    """
    try:
        system, base = fs.FileSystem.from_uri(location)
    except pa.ArrowInvalid as error:
        advice = "write a directory, or a bucket such as s3://BUCKET/PATH?region=eu-central-1"
        raise ConfigError(f"{setting}: {reason(error)}; {advice}") from error
    return system, base.rstrip("/")


def reason(error: BaseException) -> str:
    """Its first line: what follows is for those who wrote the client."""
    return str(error).split("\n")[0]
