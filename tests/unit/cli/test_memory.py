"""``--memory``: one number bounds what a worker holds of what it reads."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.cli.options import memory_bytes
from stream_recon.cli.states import RocksStates
from stream_recon.errors import ConfigError
from stream_recon.limits import LEAST_MEMORY_BYTES, MEMORY_BYTES, SEGMENT_CACHE_BYTES, SLICE_BYTES
from stream_recon.model.memory import USUAL, Memory

MIB = 1024**2


@given(st.integers(LEAST_MEMORY_BYTES, 1 << 40), st.integers(1, 4096))
def test_what_reconcile_holds_for_long_is_no_more_than_the_whole(total: int, homes: int) -> None:
    of = Memory.of(total, homes)
    assert of.rows + of.cache + homes * max(of.writes - MIB, 0) <= total
    assert of.fetched + of.pending <= total
    assert of.writes >= MIB


def test_what_is_usual_is_what_the_engine_takes_without_being_told() -> None:
    assert (USUAL.rows, USUAL.rows) == (SEGMENT_CACHE_BYTES, SLICE_BYTES)
    assert Memory.of(MEMORY_BYTES, 8) == USUAL == Memory(64 * MIB, 64 * MIB, 256 * MIB, 128 * MIB, 16 * MIB, 256 * MIB)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("512", "--memory: got '512'; write a whole number and a unit, such as 512MiB"),
        ("32MiB", "--memory 32MiB: expected 64MiB or more"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_what_can(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        memory_bytes(typed)
    assert memory_bytes("64MiB") == 64 * MIB


def test_rocksdb_is_opened_with_its_share(tmp_path: Path) -> None:
    """RocksDB notes the options that it was opened with beside its data."""
    RocksStates(tmp_path, None, Memory.of(64 * MIB, 8)).open(0).close()
    told = next((tmp_path / "digests-0").glob("OPTIONS-*")).read_text(encoding="utf-8")
    assert f"write_buffer_size={2 * MIB}\n" in told
