"""Checkpoints (c2sp.org/tlog-checkpoint): how many leaves a log's tree has, and its root; the text of a signed note.

origin
size
base64(root)
time 2026-11-22T00:13:55Z        (extension lines: those of this program have the time at which it was made)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stream_recon.audit.text import decoded, encoded, instant, seconds
from stream_recon.errors import ProofError

_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")
_TIME: Final = "time "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the tree of the log ``origin``. ``root`` has 32 octets."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @staticmethod
    def at(origin: str, size: int, root: bytes, time: int) -> Checkpoint:
        """One that says when it was made (seconds since the epoch)."""
        return Checkpoint(origin, size, root, (_TIME + instant(time),))

    @property
    def text(self) -> str:
        """The text of its note."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), encoded(self.root), *self.extensions))

    @property
    def time(self) -> int:
        """When it was made (seconds since the epoch). Raises ``ProofError``: it does not say, or twice."""
        said = [line.removeprefix(_TIME) for line in self.extensions if line.startswith(_TIME)]
        if len(said) != 1:
            raise ProofError(f"expected one line with the checkpoint's time, got {len(said)}")
        return seconds(said[0])


def parse(text: str) -> Checkpoint:
    """Reads a note's text. Raises ``ProofError``: it is no checkpoint."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or "" in lines:
        raise ProofError("expected a checkpoint: lines with the log's origin, its size and its root, none of them empty")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise ProofError(f"expected a checkpoint's size in decimal digits, got {size[:40]!r}")
    head = decoded(root)
    if len(head) != 32:
        raise ProofError(f"expected a checkpoint's root of 32 octets, got {len(head)}")
    return Checkpoint(origin, int(size), head, tuple(extensions))
