"""The state's database: what it does when its disk is nearly full, and that it holds nothing for ever."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from stream_recon.adapters.rocks import RocksStore
from stream_recon.errors import StorageFull


def test_writing_stops_before_the_disk_is_full_and_says_how_much_is_left_and_must_be(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    store = RocksStore(tmp_path / "state", reserve_bytes=2 * free)
    with pytest.raises(StorageFull, match=r"\d+ MiB are left on the disk of .*state, fewer than the \d+ MiB .* free some"):
        store.write([(b"a", b"1")], [], [])
    assert store.get(b"a") is None
    store.close()
    again = RocksStore(tmp_path / "state", reserve_bytes=free // 2)
    again.write([(b"a", b"1")], [], [])
    assert again.get(b"a") == b"1"
    again.close()


def test_a_store_without_a_reserve_asks_for_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "statvfs")
    store = RocksStore(tmp_path / "state")
    store.write([(b"a", b"1")], [], [])
    store.close()


def test_a_store_that_is_opened_often_keeps_few_logs_of_that(tmp_path: Path) -> None:
    """As one is whose digest partition goes from worker to worker."""

    def opened_often() -> int:
        for _ in range(12):
            store = RocksStore(tmp_path / "state")
            store.write([(b"a", b"1")], [], [])
            store.close()
        return len(list((tmp_path / "state").glob("LOG*")))

    assert opened_often() == opened_often()
