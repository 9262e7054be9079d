"""The tree over what was compared: however its entries come, 256 of them are a leaf."""

from __future__ import annotations

import numpy as np
import pytest

from stream_recon.audit.merkle import root
from stream_recon.engine.events import Entries
from stream_recon.model.versions import version_dtype

COUNT = 1_000


@pytest.mark.parametrize("step", [1, 7, 255, 256, 257, 512, COUNT])
def test_entries_in_parts_are_the_entries_at_once(step: int) -> None:
    keys = np.sort(np.random.default_rng(1).integers(0, 1 << 63, (2, COUNT), np.int64)).astype(np.uint64)
    versions = np.zeros(COUNT, version_dtype(0))
    tree = Entries()
    for at in range(0, COUNT, step):
        part = slice(at, at + step)
        tree.add(keys[0][part], keys[1][part], versions[part], versions[part])
    entries = [h.tobytes()[::-1] + k.tobytes()[::-1] + bytes(66) for h, k in keys.T]
    assert tree.root() == root(b"".join(entries[at : at + 256]) for at in range(0, COUNT, 256)).hex()


def test_nothing_compared_has_the_root_of_the_empty_tree() -> None:
    assert Entries().root() == root([]).hex()
