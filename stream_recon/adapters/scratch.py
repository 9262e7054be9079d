"""Files for programs that take nothing but a path: in memory where the system has such files, else temporary ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO


@contextmanager
def scratch(parts: Sequence[bytes | memoryview]) -> Iterator[str]:
    """The path of a file that holds ``parts``; gone afterwards."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile("wb") as file:
            file.writelines(parts)
            file.flush()
            yield file.name
        return
    descriptor = os.memfd_create("scratch")
    try:
        with FileIO(descriptor, "wb", closefd=False) as file:
            for part in parts:
                left = memoryview(part)
                while left:
                    left = left[file.write(left) :]
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
