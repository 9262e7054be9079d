"""A wrong core is caught: every mutant fails a check that is written for it and that the real core passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.laws.checks import CHECKS, complaints
from tests.laws.mutants import LIKELY, MUTANTS


def test_the_real_core_passes_every_check(tmp_path: Path) -> None:
    assert list(complaints(tmp_path)) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_core_is_caught(tmp_path: Path, name: str) -> None:
    with MUTANTS[name]():
        caught = next(complaints(tmp_path, LIKELY[name]), None)
    if caught is None:
        pytest.fail(f"nobody noticed: {name}")


def test_every_mutant_names_a_check_that_is_written_for_it() -> None:
    assert {check for likely in LIKELY.values() for check in likely} <= set(CHECKS)
    assert len(MUTANTS) >= 24
