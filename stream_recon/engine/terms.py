"""The words that a pair's parts share: its rules, where time stands, what it remembers, what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_recon.audit.chain import Head
from stream_recon.engine.causes import Cause
from stream_recon.engine.suspension import Suspension


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pair is compared by; durations in µs. ``keys``: names of the key columns, in byte order."""

    topology: str
    source: str
    target: str
    chain: str
    window: int
    settle: int
    clock_skew: int
    forget: int
    rules: str
    configuration: str
    keys: tuple[str, ...]
    large: int
    orders: tuple[bool, bool]
    """Whether versions are ordered by event time, source and target."""
    partial: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where the sides stand when windows are closed; µs, ``NEVER``: bounds nothing, ``FOREVER``: end of input.

    ``raw``: up to which window end the pair could close without lifts. ``lifted``: the same for each partition that is lifted.
    ``latest``: the largest effective time of any row (``NEVER``: none).
    ``appended``: append time of the message that brought them (ms). ``positions``: (coordinates, start, next, schema ids) by
    partition, retired ones too.
    """

    source: int
    target: int
    raw: int
    lifted: Mapping[str, int]
    latest: int
    appended: int
    positions: Mapping[str, tuple[Mapping[str, Any], int, int, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something to say: ``topic`` is discrepancies or audit; ``key`` its message key."""

    topic: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pair stands in one digest partition, for metrics: plain values, read at any time between two messages.

    ``open``: discrepancies. ``source`` and ``target``: watermarks (µs; None: bounds nothing yet; ``FOREVER``: the input ended).
    ``closed``: end of the last closed window (µs; None: none was). ``waiting``: rows of either side in windows still open.
    ``buffered``: octets that rows not yet folded take in the store. ``suspended``: windows are passed over until the side that is
    behind catches up. ``kinds``: of the discrepancies, how many of each; ``oldest``: end of the window in which the first of them
    was opened (µs; None: none is open).
    """

    topology: str
    pair: str
    chain: str
    open: int
    source: int | None
    target: int | None
    closed: int | None
    waiting: tuple[int, int]
    buffered: int = 0
    suspended: bool = False
    kinds: Mapping[str, int] = field(default_factory=dict)
    oldest: int | None = None


@dataclass(slots=True)
class Memory:
    """What a pair remembers beside rows and base state; written with every step.

    ``cursor``: first window without a certificate. ``shown``: position up to which certificates name each partition.
    ``assumed``: windows closed on the lifts of each partition (start of the first, end of the last).
    """

    cursor: int | None = None
    folded: int | None = None
    head: Head = field(default_factory=Head)
    causes: list[Cause] = field(default_factory=list)
    unresolved: int = 0
    repeated: int = 0
    shown: dict[str, int] = field(default_factory=dict)
    assumed: dict[str, tuple[int, int]] = field(default_factory=dict)
    suspended: Suspension | None = None
