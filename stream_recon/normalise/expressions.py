"""Columns declared as SQL (``columns`` in a topology): DataFusion evaluates them on Arrow; both decoders come here.

    items of the columns read --to_arrow--> one Arrow column each --DataFusion--> result --to_items--> canonical items

A column that is read has one Arrow type, by its declared reading or its schema; what does not fit that type is refused, so that
no expression ever sees a rounded value. DataFusion lets whole numbers wrap at 64 bits; here each step that can is taken again in
decimals, and a row where the two disagree is refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from datafusion import DataFrame, Expr, SessionConfig, SessionContext, lit

from stream_recon.errors import ConfigError, Refused
from stream_recon.model.plan import ColumnPlan, TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.calendar import (
    DAY_NS,
    date_item,
    parse_date,
    parse_time,
    parse_timestamp,
    time_item,
    timestamp_item,
)
from stream_recon.normalise.types.jsontext import utf8
from stream_recon.normalise.types.numbers import decimal_item, float_item
from stream_recon.normalise.types.scalars import scale_of
from stream_recon.normalise.types.wire import Wire

_RULE_TYPES: Final = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "uuid": pa.string(),
    "json": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "time": pa.time64("us"),
}
_FREE_DECIMAL: Final = pa.decimal256(76, 18)
"""For a decimal without a declared precision and scale."""
_TIME_NAMES: Final = {
    "io.debezium.time.Date": pa.date32(),
    "io.debezium.time.IsoDate": pa.date32(),
    "io.debezium.time.StructuredDate": pa.date32(),
    "org.apache.kafka.connect.data.Date": pa.date32(),
    "io.debezium.time.Time": pa.time64("us"),
    "io.debezium.time.MicroTime": pa.time64("us"),
    "io.debezium.time.NanoTime": pa.time64("us"),
    "io.debezium.time.ZonedTime": pa.time64("us"),
    "io.debezium.time.IsoTime": pa.time64("us"),
    "io.debezium.time.StructuredTime": pa.time64("us"),
    "io.debezium.time.StructuredZonedTime": pa.time64("us"),
    "org.apache.kafka.connect.data.Time": pa.time64("us"),
    "io.debezium.time.Timestamp": pa.timestamp("us"),
    "io.debezium.time.MicroTimestamp": pa.timestamp("us"),
    "io.debezium.time.NanoTimestamp": pa.timestamp("us"),
    "io.debezium.time.ZonedTimestamp": pa.timestamp("us"),
    "io.debezium.time.IsoTimestamp": pa.timestamp("us"),
    "io.debezium.time.StructuredTimestamp": pa.timestamp("us"),
    "io.debezium.time.StructuredZonedTimestamp": pa.timestamp("us"),
    "org.apache.kafka.connect.data.Timestamp": pa.timestamp("us"),
    "io.debezium.data.VariableScaleDecimal": _FREE_DECIMAL,
    "io.debezium.data.EnumSet": None,
    "io.debezium.time.MicroDuration": None,
    "io.debezium.time.NanoDuration": None,
    "io.debezium.time.StructuredDuration": None,
}
_KIND_TYPES: Final = {
    "boolean": pa.bool_(),
    "int8": pa.int64(),
    "int16": pa.int64(),
    "int32": pa.int64(),
    "int64": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}


def arrow_type(rule: TypeRule | None, wire: Wire | None) -> pa.DataType | None:
    """The Arrow type in which an expression sees a column, timestamps in UTC; None if it has none."""
    if rule is not None:
        if rule.name == "decimal" and rule.args:
            return _decimal_type(int(rule.args[0]), int((*rule.args, "0")[1]))
        return _FREE_DECIMAL if rule.name == "decimal" else _RULE_TYPES.get(rule.name)
    if wire is None:
        return None
    if wire.name == "org.apache.kafka.connect.data.Decimal":
        precision, scale = wire.parameters.get("connect.decimal.precision", ""), scale_of(wire)
        return _decimal_type(int(precision), scale) if scale is not None and _is_size(precision) else _FREE_DECIMAL
    return _TIME_NAMES[wire.name] if wire.name in _TIME_NAMES else _KIND_TYPES.get(wire.kind)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


def _decimal_type(precision: int, scale: int) -> pa.DataType | None:
    if not 1 <= precision <= 76 or not 0 <= scale <= precision:
        return None
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


class Expressions:
    """The expressions of one side, ready to run. Holds a DataFusion session: one for each thread.

    Raises ``ConfigError`` at once where every column read has a declared reading and an expression cannot work.
    """

    def __init__(self, columns: Sequence[ColumnPlan], types: Mapping[str, TypeRule], *, typed_by_schema: bool) -> None:
        self.columns = tuple(column for column in columns if column.expression is not None)
        self.reads = tuple(sorted({name for column in self.columns for name in column.reads}))
        self._context: SessionContext | None = None
        self._fitting: list[pa.Schema] = []
        """Types of the columns read under which no exact column becomes a float on the quiet."""
        declared = {name: arrow_type(types[name], None) if name in types else None for name in self.reads}
        missing = [name for name in self.reads if declared[name] is None and (name in types or not typed_by_schema)]
        if missing:
            raise ConfigError(
                f"columns: an expression reads {missing[0]}: declare in `types` how to read it, as a single value, "
                "such as decimal(18, 4)"
            )
        if self.columns and None not in declared.values():
            schema = pa.schema([pa.field(name, declared[name]) for name in self.reads])
            self._try_out(schema.empty_table().to_batches() or [pa.RecordBatch.from_pylist([], schema=schema)])

    def _try_out(self, batches: list[pa.RecordBatch]) -> None:
        try:
            outputs = self._run(batches[0])
        except Refused as error:
            raise ConfigError(f"columns: {error}") from None
        except Exception as error:  # noqa: BLE001 DataFusion raises nothing more special; no row is here whose value it could tell
            raise ConfigError(f"columns: an expression does not work: {error}") from None
        for column, output in zip(self.columns, outputs, strict=True):
            if not _is_single(output.type):
                raise ConfigError(f"columns: {column.name}: the expression gives {output.type}, expected a single value")

    def evaluate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """One output array for each of ``columns``, rows in the order of ``batch``. Raises ``Refused`` if one row fails."""
        try:
            return self._run(batch)
        except Refused:
            raise
        except Exception as error:
            if type(error) is not Exception:  # DataFusion raises the base class itself; its text may hold values
                raise
            raise Refused("an expression fails on this row") from None
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # pyo3's: it is no Exception
                raise Refused("an expression fails on this row") from None
            raise

    def _run(self, batch: pa.RecordBatch) -> list[pa.Array]:
        if self._context is None:
            settings = {"datafusion.sql_parser.parse_float_as_decimal": "true"}  # else 1.1 is a float, and rounds exact columns
            self._context = SessionContext(SessionConfig(settings).with_target_partitions(1))
        frame = self._context.from_arrow(pa.Table.from_batches([batch]))
        parsed = [frame.parse_sql_expr(str(column.expression)) for column in self.columns]
        chosen = [expression.alias(f"e{at}") for at, expression in enumerate(parsed)]
        if batch.schema not in self._fitting:
            _refuse_floats(frame.select(*chosen))
            self._fitting.append(batch.schema)
        table = pa.Table.from_batches(frame.select(*chosen).collect(), schema=None) if batch.num_rows else None
        if table is None:
            schema = frame.select(*chosen).schema()
            return [pa.array([], field.type) for field in schema]
        _refuse_wrapped(frame, parsed, batch.num_rows)
        return [table.column(at).combine_chunks() for at in range(len(self.columns))]

    def batch(self, types: Mapping[str, pa.DataType | None], rows: Sequence[Mapping[str, Item | None]]) -> pa.RecordBatch:
        """The columns read, as Arrow. ``types`` from ``arrow_type``. Raises ``Refused`` naming the column."""
        arrays = []
        for name in self.reads:
            kind = types[name]
            if kind is None:
                raise Refused(f"column {name}: an expression reads it, but its form says no type: declare it in `types`")
            arrays.append(pa.array([to_arrow(name, row[name], kind) for row in rows], kind))
        if not arrays:  # constants only: a batch without columns would have no rows
            return pa.RecordBatch.from_arrays([pa.nulls(len(rows))], names=["nothing"])
        return pa.RecordBatch.from_arrays(arrays, names=list(self.reads))


_FLOATS: Final = re.compile(r"(\w+|\)) AS Float(?:32|64)\)")


def _refuse_floats(frame: DataFrame) -> None:
    """Raises ``Refused`` if the planner casts to a float what the expressions do not: exact values would be rounded unseen."""
    written = set(_FLOATS.findall(frame.logical_plan().display_indent()))
    made = set(_FLOATS.findall(frame.optimized_logical_plan().display_indent())) - written
    if made:
        of = next((f" of {name}" for name in sorted(made) if not name.startswith(("_", ")"))), "")
        raise Refused(f"an expression makes a float{of}, which is exact: write cast(... as double) in it if that is meant")


_WIDE: Final = pa.decimal128(38, 0)
"""Holds the sum, the difference and the product of any two numbers of 64 bits."""
_STEPS: Final[dict[str, Callable[[Expr, Expr], Expr]]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_OPERATORS: Final = ("BinaryExpr", "Negative")


def _refuse_wrapped(frame: DataFrame, expressions: Sequence[Expr], rows: int) -> None:
    """Raises ``Refused`` if a whole number left its 64 bits on the way."""
    steps = [step for expression in expressions for step in _steps(expression)]
    if not steps:
        return
    columns = [part.alias(f"p{at}") for at, part in enumerate(part for step in steps for part in step[:3])]
    kinds = list(frame.select(*columns).schema().types)
    whole = [
        (result.cast(_WIDE) == step(left.cast(_WIDE), right.cast(_WIDE))).alias(f"c{at}")
        for at, (result, left, right, step) in enumerate(steps)
        if pa.types.is_integer(kinds[3 * at]) and not any(pa.types.is_temporal(kind) for kind in kinds[3 * at : 3 * at + 3])
    ]
    if not whole:
        return
    if rows > 1:
        held = _held(frame, whole)
        if held is None:
            raise Refused("an expression fails on some row")
    else:  # a step that this row does not take cannot be taken, such as a division by zero under CASE: the others still count
        held = all(_held(frame, [one]) is not False for one in whole)
    if not held:
        raise Refused("an expression leaves 64 bits on this row: write cast(... as decimal(38, 0)) in it")


def _held(frame: DataFrame, checks: Sequence[Expr]) -> bool | None:
    """Whether no check is false on any row; None if one cannot be made."""
    try:
        found = pa.Table.from_batches(frame.select(*checks).collect())
    except Exception as error:
        if type(error) is not Exception:
            raise
        return None
    return not any(False in column.to_pylist() for column in found.columns)


def _steps(expression: Expr) -> Iterator[tuple[Expr, Expr, Expr, Callable[[Expr, Expr], Expr]]]:
    """Every sum, difference, product and negation in an expression: result, operands, and what joins them."""
    if str(expression.rex_type()) != "RexType.Call":
        return
    operands = expression.rex_call_operands()
    for operand in operands:
        yield from _steps(operand)
    if expression.variant_name() not in _OPERATORS:  # not every other kind has a name to ask for: try_cast raises
        return
    name = expression.rex_call_operator()
    if name in _STEPS and len(operands) == 2:
        yield expression, operands[0], operands[1], _STEPS[name]
    elif name == "negative":
        yield expression, lit(0), operands[0], operator.sub


def _is_single(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_interval(kind) and not pa.types.is_duration(kind)


def to_arrow(name: str, item: Item | None, kind: pa.DataType) -> Any:
    """A value that Arrow stores in ``kind`` without loss."""
    if item is None:
        return None
    tag, text = item
    try:
        return _CONVERT[tag](text, kind)
    except (KeyError, ValueError, ArithmeticError, Refused):
        raise Refused(f"column {name}: expected a value that fits {kind}, which an expression reads") from None


def _number(text: bytes, kind: pa.DataType) -> Any:
    value = Decimal(text.decode("ascii"))
    if pa.types.is_integer(kind):
        number = int(value) if value.is_finite() and len(text) <= 20 and b"." not in text else 2**63
        return _checked(number, -(2**63) <= number < 2**63)
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    fits = value.is_finite() and len(fraction) <= kind.scale and len(whole.lstrip(b"0")) <= kind.precision - kind.scale
    return _checked(value, fits)


def _checked(value: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError
    return value


def _micros(nanos: int, kind: pa.DataType) -> int:
    micros, rest = divmod(nanos, 1000)
    assert pa.types.is_temporal(kind)
    return int(_checked(micros, rest == 0 and -(2**63) <= micros < 2**63))


_CONVERT: Final[dict[str, Callable[[bytes, Any], Any]]] = {
    "b": lambda text, _: text == b"1",
    "n": _number,
    "f": lambda text, _: float(text),
    "s": lambda text, _: text.decode("utf-8"),
    "u": lambda text, _: text.decode("ascii"),
    "j": lambda text, _: text.decode("utf-8"),
    "i": lambda text, _: text.decode("ascii"),
    "x": lambda text, _: bytes.fromhex(text.decode("ascii")),
    "d": lambda text, _: _checked(parse_date(text.decode("ascii")), True),
    "t": lambda text, kind: _micros(parse_timestamp(text.decode("ascii"))[0], kind),
    "c": lambda text, kind: _checked(_micros(parse_time(text.decode("ascii")), kind), not text.startswith(b"24")),
}


def to_items(column: ColumnPlan, values: pa.Array) -> list[Item | None]:
    """The canonical items of an expression's result. Raises ``Refused`` naming the column."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_items(column, values.dictionary_decode())
    for test, convert in _OUTPUTS:
        if test(kind):
            counts = {32: pa.int32(), 64: pa.int64()}
            plain = values.cast(counts[kind.bit_width]) if pa.types.is_temporal(kind) else values
            return [None if value is None else convert(value, kind) for value in plain.to_pylist()]
    if pa.types.is_null(kind):
        return [None] * len(values)
    raise Refused(f"column {column.name}: expected an expression that gives a single value, got {kind}")


_UNIT_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MILLIS_OF_DAY: Final = 86_400_000
_OUTPUTS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Item]], ...]] = (
    (pa.types.is_boolean, lambda value, _: ("b", b"1" if value else b"0")),
    (pa.types.is_integer, lambda value, _: ("n", str(value).encode("ascii"))),
    (pa.types.is_decimal, lambda value, _: decimal_item(format(value, "f"))),
    (pa.types.is_floating, lambda value, _: float_item(value)),
    (pa.types.is_string, lambda value, _: ("s", utf8(value))),
    (pa.types.is_large_string, lambda value, _: ("s", utf8(value))),
    (pa.types.is_string_view, lambda value, _: ("s", utf8(value))),
    (pa.types.is_binary, lambda value, _: ("x", value.hex().encode("ascii"))),
    (pa.types.is_large_binary, lambda value, _: ("x", value.hex().encode("ascii"))),
    (pa.types.is_binary_view, lambda value, _: ("x", value.hex().encode("ascii"))),
    (pa.types.is_fixed_size_binary, lambda value, _: ("x", value.hex().encode("ascii"))),
    (pa.types.is_date32, lambda value, _: date_item(value)),
    (pa.types.is_date64, lambda value, _: date_item(value // _MILLIS_OF_DAY)),
    (pa.types.is_timestamp, lambda value, kind: timestamp_item(value * _UNIT_NS[kind.unit])),
    (pa.types.is_time, lambda value, kind: time_item(value * _UNIT_NS[kind.unit] % DAY_NS)),
)
