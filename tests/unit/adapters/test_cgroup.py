"""Memory by control groups, in every shape in which Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_recon.adapters.cgroup import memory


@pytest.mark.parametrize(
    ("mine", "files", "found"),
    [
        ("0::/a/b", {"a/b/memory.current": "5", "a/b/memory.max": "9"}, (5, 9)),
        ("0::/a/b", {"a/b/memory.current": "5", "a/b/memory.max": "max", "memory.current": "1"}, (5, None)),
        ("0::/of/the/host", {"memory.current": "5", "memory.max": "9"}, (5, 9)),
        ("4:memory:/a\n0::/", {"memory/a/memory.usage_in_bytes": "5", "memory/a/memory.limit_in_bytes": "9"}, (5, 9)),
        ("4:cpu,memory:/a", {"memory/memory.usage_in_bytes": "5", "memory/memory.limit_in_bytes": str(2**63 - 4096)}, (5, None)),
        ("0::/a", {"a/memory.current": "5", "a/memory.stat": "anon 1\ninactive_file 2\nactive_file 2"}, (3, None)),
        (
            "4:memory:/a",
            {"memory/a/memory.usage_in_bytes": "5", "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 4"},
            (1, None),
        ),
        ("4:cpu:/a\n0::/", {"cpu/memory.usage_in_bytes": "5"}, None),
        ("", {}, None),
    ],
)
def test_use_and_limit(tmp_path: Path, mine: str, files: dict[str, str], found: tuple[int, int | None] | None) -> None:
    (tmp_path / "mine").write_text(mine)
    for name, text in files.items():
        (file := tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert memory(tmp_path / "groups", tmp_path / "mine") == found


def test_where_there_are_none(tmp_path: Path) -> None:
    assert memory(tmp_path, tmp_path / "not there") is None
