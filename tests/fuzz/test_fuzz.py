"""The targets of the fuzzer on a short, always equal stretch of mutations; ``run.py`` searches for long."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutating import mutated
from tests.fuzz.targets import TARGETS

_INPUTS = 150
"""For each format: about 2 seconds."""


@pytest.mark.parametrize("name", TARGETS)
def test_decoders_agree_on_mutations(name: str) -> None:
    target = TARGETS[name]()
    for data in target.corpus:
        target(data)
    for seed in range(_INPUTS):
        print(f"seed {seed}")  # the last one is shown where it fails
        target(mutated(random.Random(seed), target.corpus))
