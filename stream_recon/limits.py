"""Every bound, with its unit in the name and the reason beside it; the asserts say how bounds relate."""

from __future__ import annotations

MICROS = 1_000_000
"""µs in a second; all times inside the program are whole µs since the epoch."""

LOG_FORMAT = 1
"""Version of the messages in the digest log."""

STATE_FORMAT = 4
"""Version of what reconcile keeps in RocksDB."""

CHECKPOINT_FORMAT = 1
"""Version of the manifests of checkpoints."""

CANONICAL_VERSION = 1
"""Version of the canonical form (docs/spec/canonical-form.md)."""

DIGEST_PARTITIONS = 8
"""Default number of digest partitions: enough for eight workers, cheap for one."""

BLOCK_ROWS = 4_000
"""Rows in one digest block: a block costs about 80 µs however few its rows, so fewer would cost more than the rows."""

FLUSH_SECONDS = 0.25
"""A block waits at most so long for more rows (DESIGN section 2)."""

FEW_MESSAGES = 40
"""Up to so many are decoded one by one: at 0.1 ms each, columns would cost more (2 to 7 ms a batch, by their number)."""

MEMORY_BYTES = 512 * 1024**2
"""Of what it reads a worker may hold so much (``model.memory``), if ``run --memory`` says nothing else."""

LEAST_MEMORY_BYTES = 64 * 1024**2
"""With less, a write buffer of each of many digest partitions alone would be more."""

RUN_CUT_WINDOWS = 64
"""A folded run of empty windows ends where the window's number is a multiple of this (DESIGN section 6)."""

LONG_RUN_WINDOWS = RUN_CUT_WINDOWS * 4_096
"""Of more empty windows than these at once (30 days of 10 s) a run is cut at multiples of this only: a row that lies decades
before its successor must not cost millions of certificates (docs/decisions/0010)."""

LEAF_ENTRIES = 256
"""Entries in one leaf of a certificate's tree (DESIGN section 6): a leaf for each key would cost ten times as much."""

FOLD_WINDOWS = 6
"""Closed windows that are folded into the base state at once: a key that changes in each of them is written once."""

SEGMENT_CACHE_BYTES = 256 * 1024**2
"""Rows of windows still open that stay in memory; what is beyond is read again from RocksDB when its window closes."""

SLICE_BYTES = 256 * 1024**2
"""Rows of windows still open that one judgement holds: of more, the keys are judged in slices, one after the other."""

WHOLE_SLICES = 16
"""Slices in which every key that is known is judged at once, after a suspension."""

DRAIN_BYTES = 32 * 1024**2
"""Rows of a suspended pair that one step folds into the base state: a step more or less must not be felt by the other pairs."""

STATE_RESERVE_BYTES = 512 * 1024**2
"""Free space that the service leaves on the disk of its state: memtables and a compaction must still find place when it stops."""

EVENTS_A_TRANSACTION = 4_096
"""Events that are put out at once: a step with more (many windows after a stall) is cut, so that it fits memory and a
transaction's time."""

STORE_BATCH_KEYS = 65_536
"""Keys in one read of the base state: bounds what a window's closing holds of it at once."""

SIGNING_KEY_SECONDS = 3_600
"""How long a key that signs audit events is good: long enough that the root key is seldom asked, short enough that one that is
lost does no harm."""

CHECKPOINT_ENTRIES = 10_000
"""Entries of a long export under one checkpoint: what is interrupted is written again from there, seconds of work."""

TOLD_FINDINGS = 100
"""Findings of an audit that are told one by one; the others are counted."""

MAX_DIGITS = 10_000
"""Digits in the plain form of a number (DESIGN section 4): beyond, a value is refused."""

assert BLOCK_ROWS <= STORE_BATCH_KEYS
