"""The world of these tests."""

from pathlib import Path

import pytest

from tests.cli.harness import World


@pytest.fixture
def world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, capfd)
