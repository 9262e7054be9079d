"""The servers of these tests: one of each for all of them. A test that wants tables to itself takes a name of its own."""

from collections.abc import Iterator

import pytest

from tools.databases import MariaDb, Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    with MariaDb() as server:
        yield server
