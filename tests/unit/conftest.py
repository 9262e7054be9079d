"""Places for checkpoints: a directory, and a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets import bucket, served


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with served() as options:
        yield options


@pytest.fixture(params=["directory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "kept") if request.param == "directory" else bucket(request.getfixturevalue("s3"))
