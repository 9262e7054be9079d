"""One capture for all tests here, also when they run in several processes."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.capture.capture import SCHEMAS, Capture, capture


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """The first process that comes makes it, the others wait for it and read its files."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fresh-capture"
    home.mkdir(exist_ok=True)
    with Path(f"{home}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / SCHEMAS).exists():  # written last
            capture(home)
    return Capture(home)
