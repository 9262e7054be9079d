"""What a worker may hold of what it reads: one number, shared out."""

from __future__ import annotations

from dataclasses import dataclass

from stream_recon.limits import DIGEST_PARTITIONS, MEMORY_BYTES

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Memory:
    """Octets of each kind. What a process is without rows, and what is worked on at the moment, come on top."""

    fetched: int
    """Messages that the client has and nobody has taken, of each cluster."""
    pending: int
    """Blocks on their way that are not acknowledged."""
    rows: int
    """Rows of windows still open that stay in memory, of all pairs; and those of one judgement."""
    cache: int
    """RocksDB's blocks, of all digest partitions."""
    writes: int
    """RocksDB's write buffer of each digest partition; up to three while it is written."""
    free: int
    """What the allocator keeps when it is free."""

    @staticmethod
    def of(total: int, homes: int) -> Memory:
        """Of ``total`` octets, for a worker that may come to hold ``homes`` digest partitions."""
        writes = min(max(total // 4 // homes, _MIB), 64 * _MIB)
        return Memory(total // 8, total // 8, total // 2, total // 4, writes, total // 2)


USUAL = Memory.of(MEMORY_BYTES, DIGEST_PARTITIONS)
