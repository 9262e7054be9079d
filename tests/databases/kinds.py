"""The column types of both databases, and how an auditor has their framed text computed there."""

from __future__ import annotations

from tests.databases import values
from tests.databases.values import Kind, wire

ELEMENTS = "ARRAY(SELECT canonical.{tag}(e) FROM unnest({{0}}) WITH ORDINALITY AS u (e, i) ORDER BY i)"
LIST = "canonical.l(CASE WHEN {{0}} IS NOT NULL THEN " + ELEMENTS + " END)"
SET = "canonical.l_set(CASE WHEN {{0}} IS NOT NULL THEN " + ELEMENTS + " END)"
LABELS = ", ".join(f"'{label}'" for label in values.LABELS)


def decimal(scale: int) -> dict[str, object]:
    return {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": str(scale)}}


def array(items: dict[str, object]) -> dict[str, object]:
    return {"type": "array", "items": items}


N, F, S, T, C = (f"canonical.{tag}({{}})" for tag in "nfstc")
MN, MF, MS, MT, MC = (f"canonical_{tag}({{}})" for tag in "nfstc")
KINDS: dict[str, Kind] = {
    "smallint": Kind(values.integer(16), wire("int16"), ("smallint", N), ("SMALLINT", MN)),
    "integer": Kind(values.integer(32), wire("int32"), ("integer", N), ("INT", MN)),
    "bigint": Kind(values.integer(64), wire("int64"), ("bigint", N), ("BIGINT", MN)),
    "unsigned": Kind(values.unsigned, decimal(0), None, ("BIGINT UNSIGNED ZEROFILL", MN)),
    "decimal": Kind(values.decimal(30, 10), decimal(10), ("numeric(30, 10)", N), ("DECIMAL(30, 10)", MN)),
    "long decimal": Kind(values.decimal(65, 30), decimal(30), ("numeric(65, 30)", N), ("DECIMAL(65, 30)", MN)),
    "numeric": Kind(values.free_numeric, wire("string"), ("numeric", N), None, "decimal"),
    "double": Kind(values.double, wire("double"), ("double precision", F), ("DOUBLE", MF)),
    "special double": Kind(values.special_double, wire("double"), ("double precision", F)),
    "float": Kind(values.single, wire("float"), ("real", F), ("FLOAT", MF)),
    "boolean": Kind(values.boolean, wire("boolean"), ("boolean", "canonical.b({})"), ("BIT(1)", "canonical_b({})")),
    "tinyint": Kind(values.tinyint, wire("int16"), None, ("TINYINT(1)", "canonical_b({})"), "boolean"),
    "text": Kind(values.string, wire("string"), ("text", S), ("LONGTEXT", MS)),
    "varchar": Kind(values.string, wire("string"), ("varchar(100)", S), ("VARCHAR(100)", MS)),
    "padded": Kind(values.padded, wire("string"), ("char(20)", S)),
    "bytes": Kind(values.data, wire("bytes"), ("bytea", "canonical.x({})"), ("VARBINARY(100)", "canonical_x({})")),
    "bits": Kind(
        values.bits,
        wire("bytes", "data.Bits", parameters={"length": "13"}),
        ("bit(13)", "canonical.bits({})"),
        ("BIT(13)", "canonical_bits({}, 13)"),
    ),
    "date": Kind(values.day, wire("int32", "time.Date"), ("date", "canonical.d({})"), ("DATE", "canonical_d({})")),
    "far date": Kind(values.far_day, wire("int32", "time.Date"), ("date", "canonical.d({})")),
    "timestamp": Kind(values.timestamp, wire("int64", "time.MicroTimestamp"), ("timestamp", T), ("DATETIME(6)", MT)),
    "instant": Kind(values.instant, wire("string", "time.ZonedTimestamp"), ("timestamptz", T), ("TIMESTAMP(6) NULL", MT)),
    "time": Kind(values.clock, wire("int64", "time.MicroTime"), ("time", C), ("TIME(6)", MC)),
    "zoned time": Kind(values.zoned_clock, wire("string", "time.ZonedTime"), ("timetz", C)),
    "uuid": Kind(values.identifier, wire("string", "data.Uuid"), ("uuid", "canonical.u({})"), ("UUID", "canonical_u({})")),
    "uuid text": Kind(values.identifier, wire("string"), None, ("CHAR(36)", "canonical_u({})"), "uuid"),
    "json": Kind(values.document, wire("string", "data.Json"), ("json", "canonical.j({})"), ("JSON", "canonical_j({})")),
    "jsonb": Kind(values.document, wire("string", "data.Json"), ("jsonb", "canonical.j({})")),
    "integers": Kind(values.array(values.integer(32), "integer"), array(wire("int32")), ("integer[]", LIST.format(tag="n"))),
    "texts": Kind(values.array(values.string, "text"), array(wire("string")), ("text[]", LIST.format(tag="s"))),
    "set of texts": Kind(
        values.array(values.string, "text"), array(wire("string")), ("text[]", SET.format(tag="s")), None, "set"
    ),
    "labels": Kind(
        values.labels, wire("string", "data.EnumSet"), None, (f"SET({LABELS}) COLLATE utf8mb4_bin", "canonical_set({})")
    ),
    "interval": Kind(values.interval, wire("string", "time.Interval"), ("interval", "canonical.i({})")),
}
