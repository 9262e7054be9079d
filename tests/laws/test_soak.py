"""Bigger histories by seed: each through a run of its own kind (digest partitions, memory, folding, crashes), against the oracle.

``RECON_SOAK_SEEDS`` says how many seeds of each sort, ``RECON_SOAK_FROM`` the first one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.laws.ordeal import trial
from tests.oracle.strategies import Sort

SEEDS = int(os.environ.get("RECON_SOAK_SEEDS", "20"))
FROM = int(os.environ.get("RECON_SOAK_FROM", "0"))


@pytest.mark.parametrize(
    ("sort", "share", "size"), [("wild", 1, None), ("wild", 3, 8), ("replayable", 0.5, None), ("healthy", 0.5, None)]
)
def test_no_seed_finds_a_difference(tmp_path: Path, sort: Sort, share: float, size: int | None) -> None:
    wrong: list[str] = []
    for seed in range(FROM, FROM + round(SEEDS * share)):
        wrong += trial(seed, sort, tmp_path, size)[:3]
        assert len(wrong) < 12, "\n".join(wrong)
    assert not wrong, "\n".join(wrong)
