"""What to do, decided once: a topology after its YAML was read, checked and resolved.

Everything past ``config`` works from these frozen objects; nobody looks into a mapping of settings again.
Durations and times are whole microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

OWN_TOPICS = ("digests", "discrepancies", "audit", "checkpoints", "dead-letters", "topologies")
"""What a deployment calls its own topics, after its prefix and a dot."""


class Format(StrEnum):
    """How the messages of a side are encoded."""

    CANAL_JSON = "canal-json"
    DEBEZIUM_AVRO = "debezium-avro"
    DEBEZIUM_JSON = "debezium-json"
    JSON = "json"
    MAXWELL_JSON = "maxwell-json"


DEBEZIUM = frozenset({Format.DEBEZIUM_AVRO, Format.DEBEZIUM_JSON})
"""Formats with Debezium's types and placeholders."""

BINLOG = frozenset({Format.CANAL_JSON, Format.MAXWELL_JSON})
"""Formats of MySQL's binary log without schemas, in which one topic may carry many tables and a row only some of its columns."""


class Order(StrEnum):
    """What orders the versions of one key on one side (DESIGN 3.4)."""

    LOG = "log"
    EVENT_TIME = "event_time"


class History(StrEnum):
    """Whether the topics hold every key from its first version on (DESIGN 3.8)."""

    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class TypeRule:
    """A declared reading of a column, parsed from e.g. ``decimal(18, 4)``, ``bytes(hex)``, ``timestamp(ms)``.

    ``name`` is one of boolean, integer, decimal, float, string, bytes, date, timestamp, time, uuid, json, list, set, map.
    ``args`` are the arguments as written, stripped: ``("18", "4")``, ``("hex",)``, ``("ms",)``. ``list``, ``set`` and ``map``
    take no arguments: they hold all the way down.
    """

    name: str
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.args)})" if self.args else self.name


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column of the compared row: its mapped ``name`` and how it is made from upstream columns.

    Exactly one of ``upstream`` (a column name) and ``expression`` (SQL in DataFusion's dialect) is set; ``reads`` names the
    upstream columns that are needed. ``type`` is the declared reading of ``upstream`` (None: what the wire says).
    """

    name: str
    upstream: str | None
    expression: str | None = None
    reads: tuple[str, ...] = ()
    type: TypeRule | None = None
    timezone: str | None = None
    large: bool = False
    key: bool = False
    token: bool = False


class Ids(StrEnum):
    """What the number in front of a message in Avro is: it cannot tell by itself (TYPES, wire prefixes)."""

    CONFLUENT = "confluent"
    APICURIO = "apicurio"
    APICURIO_GLOBAL = "apicurio-global"


@dataclass(frozen=True, slots=True)
class RegistryPlan:
    """Where the schemas of a side's messages are: exactly one of ``url`` and ``file`` (absolute).

    ``headers``: ids are in headers. ``settings`` of the client, by name: may hold secrets, so they are never shown.
    """

    url: str | None = None
    file: str | None = None
    ids: Ids = Ids.CONFLUENT
    headers: bool = False
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """What stands for the values of some columns, by mapped name: HMAC-SHA-256 under a key, whose ``version`` each tells."""

    columns: tuple[str, ...]
    key: bytes = field(repr=False)
    version: int = 1


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """Where reconcile's state is kept as well: an absolute directory or a URI without secrets; how often (µs), how many."""

    location: str
    every: int
    keep: int


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """How the messages of one side become digest rows, for one set of compared columns.

    ``columns`` are in byte order of ``name`` (UTF-8), key columns included. ``types`` holds every declared reading by upstream
    name (expressions need those of the columns that they read); ``timezones`` every declared zone, likewise. ``table``: of which
    messages are read, where a topic holds several (``BINLOG``).
    """

    side: str
    format: Format
    columns: tuple[ColumnPlan, ...]
    types: tuple[tuple[str, TypeRule], ...] = ()
    timezones: tuple[tuple[str, str], ...] = ()
    event_time: str | None = None
    unicode_nfc: bool = False
    hash_key: bytes | None = field(default=None, repr=False)
    registry: RegistryPlan | None = None
    tokens: TokenPlan | None = None
    table: str | None = None

    @property
    def key_columns(self) -> tuple[ColumnPlan, ...]:
        return tuple(c for c in self.columns if c.key)

    @property
    def large_columns(self) -> tuple[ColumnPlan, ...]:
        return tuple(c for c in self.columns if c.large)


@dataclass(frozen=True, slots=True)
class SidePlan:
    """One side of a topology as declared: what to read and how its time behaves.

    ``kafka`` are the settings of the client that reads it, by name: the topology's, with the side's own in their place. They may
    hold secrets, so they are never shown.
    """

    name: str
    topics: tuple[str, ...]
    format: Format
    key: tuple[str, ...]
    columns: tuple[tuple[str, str | None], ...] = ()
    types: tuple[tuple[str, TypeRule], ...] = ()
    timezones: tuple[tuple[str, str], ...] = ()
    out_of_orderness: int = 5_000_000
    max_future: int = 3_600_000_000
    idle_after: int | None = 30_000_000
    stall_timeout: int | None = None
    order: Order = Order.LOG
    history: History = History.COMPLETE
    unicode_nfc: bool = False
    event_time: str | None = None
    heartbeat: str | None = None
    start: str = "earliest"
    kafka: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    registry: RegistryPlan | None = None
    table: str | None = None


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """One logical table: one source, one or more targets, and the rules by which they are compared.

    ``kafka`` are the settings of the client for the deployment's own topics, by name. They may hold secrets: never shown.
    """

    name: str
    source: SidePlan
    targets: tuple[SidePlan, ...]
    window: int
    settle: int
    clock_skew: int
    mode: str = "state"
    parallelism: int | None = None
    dead_letters_max_share: float = 0.05
    dead_letters_over: int = 600_000_000
    dead_letters_masked: bool = False
    forget_deleted: int = 7 * 86_400_000_000
    max_ahead: int = 3_600_000_000
    max_buffer: int = 8 * 1024**3
    ignore: tuple[str, ...] = ()
    large: tuple[str, ...] = ()
    tolerance: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    hash_key: bytes | None = field(default=None, repr=False)
    tokens: TokenPlan | None = None
    prefix: str = "recon"
    kafka: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    checkpoints: CheckpointPlan | None = None

    @property
    def sides(self) -> tuple[SidePlan, ...]:
        return (self.source, *self.targets)

    @property
    def own_topics(self) -> frozenset[str]:
        """The topics of the deployment, which the program writes."""
        return frozenset(f"{self.prefix}.{name}" for name in OWN_TOPICS)
