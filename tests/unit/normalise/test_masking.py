"""What a dead letter may show of its message: its shape, and no value."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stream_recon.model.plan import Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.masking import masked
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.normalise.types.values import loads
from tests.unit.normalise import avro_writing
from tests.unit.normalise.envelopes import feed

SHAPES: list[tuple[Any, Any]] = [
    (None, None),
    ("text", "a string of 4"),
    (
        {"id": 7, "name": "Ada", "gone": None, "on": True},
        {"id": "a number", "name": "a string of 3", "gone": None, "on": "a boolean"},
    ),
    ({"doc": {"secret": 1}, "list": [1, 2]}, {"doc": "an object of 1", "list": "an array of 2"}),
    (
        {"before": None, "after": {"id": 1, "tags": {"secret": "x"}}, "op": "c", "source": {"ts_ms": 5}},
        {
            "before": None,
            "after": {"id": "a number", "tags": "an object of 1"},
            "op": "a string of 1",
            "source": {"ts_ms": "a number"},
        },
    ),
    ({"data": [{"id": "1"}, {"id": "22"}]}, {"data": [{"id": "a string of 1"}, {"id": "a string of 2"}]}),
    ({"after": '{"secret": 1}'}, {"after": "a string of 13"}),
    ([{"id": 1}], [{"id": "a number"}]),
]


@pytest.mark.parametrize(("payload", "shape"), SHAPES)
def test_names_are_kept_down_to_columns_and_values_become_their_kinds(payload: Any, shape: Any) -> None:
    assert masked(loads(orjson.dumps(payload).decode())) == shape


@pytest.mark.parametrize("fmt", [Format.DEBEZIUM_JSON, Format.JSON])
def test_what_is_no_json_has_only_a_size(fmt: Format) -> None:
    assert ReferenceDecoder(feed(fmt)).masked(b"\xffsecret") == "7 octets"


def test_of_schema_and_payload_only_the_payload_is_shown() -> None:
    message = orjson.dumps({"schema": {"type": "struct", "fields": []}, "payload": {"op": "c"}})
    assert ReferenceDecoder(feed(Format.DEBEZIUM_JSON)).masked(message) == {"op": "a string of 1"}


def test_of_avro_the_datum_is_shown_and_of_what_is_none_the_size() -> None:
    columns: dict[str, Any] = {"id": "long", "name": ["null", "string"]}
    schemas = avro_writing.Schemas()
    schema = avro_writing.envelope(columns)
    octets = schemas.add(schema)
    decoder = ReferenceDecoder(avro_writing.feed({"id": None, "name": None}), SchemaBook(schemas))
    datum = avro_writing.Writer(schema).write(avro_writing.change("c", None, {"id": 77, "name": "secret"}))
    shape = decoder.masked(octets + datum)
    assert shape["after"] == {"id": "a number", "name": "a string of 6"}
    assert shape["op"] == "a string of 1"
    assert decoder.masked(octets + datum[:-3]) == f"{len(octets + datum) - 3} octets"
