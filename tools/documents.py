"""Documents that hold figures: a tool writes them between a mark of its own and the end mark, and touches nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

END: Final = "<!-- end of figures -->\n"


def put(document: Path, begin: str, part: str) -> None:
    """Puts figures between the line ``begin`` and the next end mark."""
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(END)
    assert found, f"{document} has lost the marks between which the figures stand"
    document.write_text(f"{before}{begin}{part}{END}{after}", encoding="utf-8")
