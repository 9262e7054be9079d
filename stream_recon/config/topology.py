"""The shape of a topology file as pydantic models: the one place that knows every setting's name, default and form.

The JSON Schema in ``schemas/`` is generated from here. What a single field cannot know (two targets of one name, a feature that
this version lacks) is checked in ``load``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from stream_recon.config import kafka, scalars
from stream_recon.config.scalars import shown
from stream_recon.model.plan import Format, History, Ids, Order, TypeRule

DAY_US = 86_400_000_000


def _choice(values: list[str], later: dict[str, str] | None = None) -> BeforeValidator:
    """One of ``values``; ``later`` holds what the design knows and this version does not do, with what to write instead."""

    def check(value: object) -> str:
        if isinstance(value, str) and value in values:
            return value
        if later and isinstance(value, str) and value in later:
            raise ValueError(f"got {shown(value)}, which this version cannot do; {later[value]}")
        near = scalars.did_you_mean(value, values) if isinstance(value, str) else ""
        raise ValueError(f"got {shown(value)}; write {' or '.join(values)}{near}")

    return BeforeValidator(check)


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Duration = Annotated[int, BeforeValidator(scalars.parse_duration), _text(scalars.DURATION_PATTERN)]
PositiveDuration = Annotated[int, BeforeValidator(scalars.parse_positive_duration), _text(scalars.DURATION_PATTERN)]
DurationOrNever = Annotated[
    int | None, BeforeValidator(scalars.parse_duration_or_never), _text(scalars.DURATION_PATTERN + "|^never$")
]
IdleAfter = Annotated[int | None, BeforeValidator(scalars.parse_idle_after), _text(scalars.DURATION_PATTERN + "|^never$")]
Size = Annotated[int, BeforeValidator(scalars.parse_size), _text(scalars.SIZE_PATTERN)]
Share = Annotated[
    float,
    BeforeValidator(scalars.parse_share),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": scalars.SHARE_PATTERN}, {"type": "number", "minimum": 0, "maximum": 1}]}
    ),
]
Name = Annotated[str, BeforeValidator(scalars.parse_name), _text(scalars.NAME_PATTERN)]
Topic = Annotated[str, BeforeValidator(scalars.parse_topic), _text(scalars.TOPIC_PATTERN)]
CheckpointEvery = Annotated[int, BeforeValidator(scalars.parse_checkpoint_every), _text(scalars.DURATION_PATTERN)]
Location = Annotated[str, BeforeValidator(scalars.parse_location), WithJsonSchema({"type": "string", "minLength": 1})]
Start = Annotated[str, BeforeValidator(scalars.parse_start), WithJsonSchema({"type": "string"})]
Zone = Annotated[str, BeforeValidator(scalars.parse_timezone), WithJsonSchema({"type": "string"})]
Type = Annotated[TypeRule, BeforeValidator(scalars.parse_type), WithJsonSchema({"type": "string"})]
Text = Annotated[str, Field(min_length=1)]
KafkaSettings = Annotated[
    dict[Text, Any],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": kafka.NAME_PATTERN, "not": {"enum": sorted([*kafka.OWNED, *kafka.INSTEAD])}},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }
    ),
]
FormatName = Annotated[
    str,
    _choice([f.value for f in Format]),
    WithJsonSchema({"enum": [f.value for f in Format]}),
]
OrderName = Annotated[str, _choice([o.value for o in Order]), WithJsonSchema({"enum": [o.value for o in Order]})]
HistoryName = Annotated[str, _choice([h.value for h in History]), WithJsonSchema({"enum": [h.value for h in History]})]
UnicodeName = Annotated[str, _choice(["none", "nfc"]), WithJsonSchema({"enum": ["none", "nfc"]})]
PayloadName = Annotated[str, _choice(["none", "masked"]), WithJsonSchema({"enum": ["none", "masked"]})]
ModeName = Annotated[
    str,
    _choice(["state"], {"changes": "write mode: state, or leave the line out"}),
    WithJsonSchema({"enum": ["state"]}),
]


class Model(BaseModel):
    """Nothing unknown, nothing converted on the quiet."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Heartbeat(Model):
    """A table written through the same database log, whose rows prove that the log moves (DESIGN 3.3 c)."""

    topic: Topic


class Registry(Model):
    """Where schemas come from: exactly one of ``url`` and ``file`` (relative to the topology)."""

    url: Text | None = Field(None, description="a registry with Confluent's API, or Apicurio's own, http://HOST/apis/registry/v3")
    file: Text | None = Field(None, description='schemas by id: {"4": {"schema": "..."}}')
    ids: Annotated[str, _choice([i.value for i in Ids]), WithJsonSchema({"enum": [i.value for i in Ids]})] = Field(
        Ids.CONFLUENT.value,
        description="what the number in front of a message is: confluent (4 octets, or a GUID), apicurio (4 octets, a content "
        "id), apicurio-global (8 octets)",
    )
    headers: bool = Field(False, description="ids are in headers, not in front of keys and values")
    settings: KafkaSettings = Field(
        {},
        description="settings of Confluent's registry client: basic.auth.user.info, bearer.auth.token, ssl.ca.location, "
        "ssl.certificate.location, ssl.key.location ...; ${NAME} comes from the environment",
    )

    @model_validator(mode="after")
    def _one(self) -> Registry:
        if (self.url is None) == (self.file is None):
            raise ValueError("needs exactly one of url and file; write {url: http://...} or {file: schemas-by-id.json}")
        return self


class HashKey(Model):
    """Where the key of HMAC-SHA-256 is kept: exactly one of ``env`` and ``file``; the key itself never stands in a topology."""

    env: Text | None = None
    file: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a key must not stand in the topology; write {env: NAME_OF_VARIABLE} or {file: PATH}")
        return value

    @model_validator(mode="after")
    def _one(self) -> HashKey:
        if (self.env is None) == (self.file is None):
            raise ValueError("needs exactly one of env and file; write {env: NAME_OF_VARIABLE} or {file: PATH}")
        return self


class Tokens(Model):
    """Columns for whose values a token stands, in the key and in the row's text: equal values have equal tokens."""

    columns: list[Text] = Field(min_length=1, description="mapped names, key columns among them")
    key: HashKey
    version: Annotated[int, Field(ge=1, le=1_000_000)] = Field(1, description="of the key; stands in each token")


class EverySide(Model):
    """Settings that stand at the top for all sides, or inside a side for that one. None: not written."""

    out_of_orderness: Duration | None = Field(None, description="how far times may step back within a partition; default 5s")
    idle_after: IdleAfter | None = Field(
        None, description="how long a caught-up partition is quiet until it is lifted; default 30s"
    )
    stall_timeout: DurationOrNever | None = Field(
        None, description="after how long a stalled side's silence is taken for fact; default never"
    )
    max_future: Duration | None = Field(None, description="how far a row's time may lie beyond its broker timestamp; default 1h")
    order: OrderName | None = Field(None, description="what orders the versions of a key; default log")
    history: HistoryName | None = Field(None, description="whether topics hold each key from its first version; default complete")
    unicode: UnicodeName | None = Field(None, description="normal form of text before hashing; default none")
    event_time: Text | None = Field(None, description="format json: the upstream column that holds the event time")
    heartbeat: Heartbeat | None = None
    timezone: dict[Text, Zone] = Field(
        {}, description="upstream column: zone in which its times without a zone are read; default UTC"
    )
    start: Start | None = Field(None, description="the live service: earliest (default), latest, or a time with a zone")
    kafka: KafkaSettings = Field(
        {},
        description="the live service: settings of the Kafka client, by librdkafka's names; ${NAME} comes from the environment; "
        "a side's own take the place of the same ones at the top",
    )
    registry: Registry | None = Field(None, description="the schema registry, for formats in Avro")


class Side(EverySide):
    """One side: what to read and how."""

    name: Name
    topics: list[Topic] = Field(min_length=1)
    format: FormatName
    key: list[Text] = Field(min_length=1, description="key columns, by mapped or upstream name")
    columns: dict[Text, Text | None] = Field({}, description="mapped name: upstream column, or SQL expression; null leaves out")
    types: dict[Text, Type] = Field({}, description="upstream column: how to read it where its wire form does not say")
    table: Text | None = Field(None, description="canal-json, maxwell-json: the table that is read, TABLE or DATABASE.TABLE")


class DeadLetters(Model):
    """More undecodable messages than this stop the topology."""

    max_share: Share = 0.05
    over: PositiveDuration = 10 * 60_000_000
    payload: PayloadName = Field("none", description="masked: with names of columns, kinds and sizes of values")


class Compare(Model):
    """Which columns are compared, and how."""

    ignore: list[Text] = []
    large: list[Text] = []
    tolerance: dict[Text, dict[Text, Text]] = Field({}, description="not in this version")


class Outputs(Model):
    """The deployment that the topology belongs to."""

    prefix: Topic = "recon"


class Checkpoints(Model):
    """Copies of reconcile's state elsewhere, from which a new machine goes on; the same in all topologies of a deployment."""

    location: Location = Field(
        description="a directory (relative to the topology), s3://BUCKET/PATH?region=... or gs://BUCKET/PATH; credentials come "
        "from the environment"
    )
    every: CheckpointEvery = 5 * 60_000_000
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(3, description="how many of each digest partition stay")


class Topology(EverySide):
    """One logical table: one source, one or more targets, and the rules by which they are compared."""

    version: Annotated[int, Field(ge=1, le=1)]
    name: Name
    source: Side
    targets: list[Side] = Field(min_length=1)
    window: PositiveDuration = 10_000_000
    settle: Duration = 30_000_000
    clock_skew: Duration = 1_000_000
    mode: ModeName = "state"
    parallelism: Annotated[int, Field(ge=1, le=4096)] | None = None
    dead_letters: DeadLetters = DeadLetters()
    forget_deleted: PositiveDuration = 7 * DAY_US
    max_ahead: PositiveDuration = 3_600_000_000
    max_buffer: Size = 8 * 1024**3
    hash_key: HashKey | None = None
    tokens: Tokens | None = None
    compare: Compare = Compare()
    outputs: Outputs = Outputs()
    checkpoints: Checkpoints | None = None
