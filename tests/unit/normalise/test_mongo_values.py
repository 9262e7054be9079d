"""Values of MongoDB's documents: three spellings of Extended JSON, one canonical text; and rows of SQL beside documents."""

from __future__ import annotations

from typing import Any

import pytest

from stream_recon.model.plan import Format
from tests.unit.normalise.envelopes import feed, refusal, sha, text_of

JSON = Format.DEBEZIUM_JSON
ID = ("_id",)
PLAN = feed(JSON, "a", key=ID)


def change(op: str, after: str) -> dict[str, Any]:
    return {"before": None, "after": after, "source": {"connector": "mongodb", "ts_ms": 7}, "op": op}


SPELLINGS = [
    ("legacy", '{"$numberLong":"5"}', "n1:5"),
    ("canonical", '{"$numberInt":"5"}', "n1:5"),
    ("relaxed", "5", "n1:5"),
    ("long", '{"$numberLong":"9223372036854775807"}', "n19:9223372036854775807"),
    ("negative", '{"$numberLong":"-9223372036854775808"}', "n20:-9223372036854775808"),
    ("decimal", '{"$numberDecimal":"12.50"}', "n4:12.5"),
    ("decimal with exponent", '{"$numberDecimal":"1.25E+3"}', "n4:1250"),
    ("decimal zero", '{"$numberDecimal":"-0E-10"}', "n1:0"),
    ("decimal nan", '{"$numberDecimal":"NaN"}', "n3:NaN"),
    ("decimal infinity", '{"$numberDecimal":"-Infinity"}', "n9:-Infinity"),
    ("double", '{"$numberDouble":"0.1"}', "f3:0.1"),
    ("double whole", '{"$numberDouble":"10.0"}', "f2:10"),
    ("double large", '{"$numberDouble":"1.0E22"}', "f5:1e+22"),
    ("double zero", '{"$numberDouble":"-0.0"}', "f1:0"),
    ("double nan", '{"$numberDouble":"NaN"}', "f3:NaN"),
    ("double infinity", '{"$numberDouble":"Infinity"}', "f8:Infinity"),
    ("bare fraction", "10.50", "n4:10.5"),
    ("boolean", "true", "b1:1"),
    ("date legacy", '{"$date":1}', "t26:1970-01-01T00:00:00.001000"),
    ("date canonical", '{"$date":{"$numberLong":"1"}}', "t26:1970-01-01T00:00:00.001000"),
    ("date relaxed", '{"$date":"1970-01-01T00:00:00.001Z"}', "t26:1970-01-01T00:00:00.001000"),
    ("date with offset", '{"$date":"1970-01-01T01:00:00.001+0100"}', "t26:1970-01-01T00:00:00.001000"),
    ("date before", '{"$date":{"$numberLong":"-1"}}', "t26:1969-12-31T23:59:59.999000"),
    ("date far", '{"$date":{"$numberLong":"253402300800000"}}', "t28:+10000-01-01T00:00:00.000000"),
    ("oid", '{"$oid":"596E275826F08B2730779E1F"}', "s24:596e275826f08b2730779e1f"),
    ("binary legacy", '{"$binary":"AAH/","$type":"00"}', "x6:0001ff"),
    ("binary", '{"$binary":{"base64":"AAH/","subType":"00"}}', "x6:0001ff"),
    ("binary empty", '{"$binary":{"base64":"","subType":"0"}}', "x0:"),
    ("binary of another subtype", '{"$binary":{"base64":"AAH/","subType":"80"}}', "x6:0001ff"),
    ("uuid", '{"$uuid":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}', "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    (
        "uuid canonical",
        '{"$binary":{"base64":"oO68mZwLTvi7bWu5vTgKEQ==","subType":"04"}}',
        "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    (
        "uuid legacy",
        '{"$binary":"oO68mZwLTvi7bWu5vTgKEQ==","$type":"04"}',
        "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("a date's text is none", '"1970-01-01T00:00:00.001Z"', "s24:1970-01-01T00:00:00.001Z"),
]


@pytest.mark.parametrize(("wire", "framed"), [case[1:] for case in SPELLINGS], ids=[case[0] for case in SPELLINGS])
def test_values(wire: str, framed: str) -> None:
    assert text_of(PLAN, change("c", f'{{"_id": 1, "a": {wire}}}')) == sha(f"n1:1{framed}")


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("{}", "{}"),
        ("[]", "[]"),
        ('{"b": 1.10, "a": [1e2, null, true]}', '{"a":[100,null,true],"b":1.1}'),
        ('[{"$numberInt":"5"},{"$numberLong":"5"},{"$numberDecimal":"5.0"},{"$numberDouble":"5.0"},5]', "[5,5,5,5,5]"),
        ('[{"$numberDouble":"1.0E22"},{"$numberDouble":"-0.0"}]', "[10000000000000000000000,0]"),
        ('[{"$numberDouble":"NaN"},{"$numberDecimal":"Infinity"}]', '[{"$numberDouble":"NaN"},{"$numberDecimal":"Infinity"}]'),
        (
            '[{"$date":1},{"$date":{"$numberLong":"1"}},{"$date":"1970-01-01T00:00:00.001Z"}]',
            "[" + ",".join(['{"$date":"1970-01-01T00:00:00.001000"}'] * 3) + "]",
        ),
        ('[{"$oid":"596E275826F08B2730779E1F"}]', '[{"$oid":"596e275826f08b2730779e1f"}]'),
        (
            '[{"$binary":"AAH/","$type":"0"},{"$binary":{"subType":"00","base64":"AAH/"}}]',
            "[" + ",".join(['{"$binary":{"base64":"AAH/","subType":"00"}}'] * 2) + "]",
        ),
        (
            '[{"$uuid":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}]',
            '[{"$binary":{"base64":"oO68mZwLTvi7bWu5vTgKEQ==","subType":"04"}}]',
        ),
        (
            '[{"$regex":"^a","$options":"i"},{"$regularExpression":{"pattern":"^a","options":"i"}}]',
            "[" + ",".join(['{"$regularExpression":{"options":"i","pattern":"^a"}}'] * 2) + "]",
        ),
        ('{"$timestamp":{"t":1,"i":2}}', '{"$timestamp":{"i":2,"t":1}}'),
        ('{"$minKey":1}', '{"$minKey":1}'),
        ('{"d":{"e":{"$numberLong":"1"},"$f":2}}', '{"d":{"$f":2,"e":1}}'),
    ],
)
def test_documents_and_arrays_inside_are_one_canonical_json(wire: str, text: str) -> None:
    assert text_of(PLAN, change("c", f'{{"_id": 1, "a": {wire}}}')) == sha(f"n1:1j{len(text)}:{text}")


@pytest.mark.parametrize(
    "wire",
    [
        '{"$numberInt":"2147483648"}',
        '{"$numberInt":"5.0"}',
        '{"$numberLong":"x"}',
        '{"$numberLong":null}',
        '{"$numberDouble":"x"}',
        '{"$numberDouble":"1e400"}',
        '{"$numberDecimal":"0x10"}',
        '{"$numberDecimal":5}',
        '{"$date":"2026-11-21T04:00:00"}',
        '{"$date":"yesterday"}',
        '{"$date":1.5}',
        '{"$date":{"$numberInt":"1"}}',
        '{"$oid":"596e"}',
        '{"$oid":1}',
        '{"$uuid":"a0eebc99"}',
        '{"$binary":"AAH/"}',
        '{"$binary":"AA","$type":"00"}',
        '{"$binary":"AAH/","$type":"x"}',
        '{"$binary":{"base64":"AAH/"}}',
        '[{"$oid":"596e"}]',
        '{"deep":{"$numberLong":"x"}}',
    ],
)
def test_a_malformed_wrapper_is_refused_where_it_is_read(wire: str) -> None:
    value = change("c", f'{{"_id": 1, "a": {wire}}}')
    reason = "column a: expected Extended JSON, got a wrapper that does not hold what its name says"
    assert refusal(PLAN, value) == (reason, "n1:1")
    assert text_of(feed(JSON, "b", key=ID), value) == sha("n1:1~")


@pytest.mark.parametrize(
    ("declared", "wire", "framed"),
    [
        ("uuid", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("decimal(10, 2)", '{"$numberDecimal":"12.5"}', "n4:12.5"),
        ("decimal(10, 2)", '{"$numberDouble":"12.5"}', "n4:12.5"),
        ("decimal(10, 2)", '"12.50"', "n4:12.5"),
        ("decimal", '{"$numberDecimal":"NaN"}', "n3:NaN"),
        ("float", "10.50", "f4:10.5"),
        ("float", '{"$numberLong":"3"}', "f1:3"),
        ("integer", '{"$numberDouble":"3.0"}', "n1:3"),
        ("boolean", '{"$numberInt":"1"}', "b1:1"),
        ("timestamp", '{"$date":1}', "t26:1970-01-01T00:00:00.001000"),
        ("timestamp(ms)", '{"$date":{"$numberLong":"1"}}', "t26:1970-01-01T00:00:00.001000"),
        ("timestamp(ms)", '{"$numberLong":"1"}', "t26:1970-01-01T00:00:00.001000"),
        ("date", '{"$date":"2026-11-21T00:00:00Z"}', "d10:2026-11-21"),
        ("string", '{"$oid":"596e275826f08b2730779e1f"}', "s24:596e275826f08b2730779e1f"),
        ("bytes", '{"$binary":{"base64":"AAH/","subType":"00"}}', "x6:0001ff"),
        ("json", '{"b":{"$numberLong":"1"}}', 'j7:{"b":1}'),
        ("json", '"[1.0]"', "j3:[1]"),
        ("set", '["b","a"]', "l8:s1:as1:b"),
        ("map", '{"b":1}', "m8:s1:bn1:1"),
    ],
)
def test_declared_readings(declared: str, wire: str, framed: str) -> None:
    plan = feed(JSON, "a", key=ID, types={"a": declared})
    assert text_of(plan, change("c", f'{{"_id": 1, "a": {wire}}}')) == sha(f"n1:1{framed}")


def test_a_declared_zone_shifts_no_date_that_is_an_instant() -> None:
    plan = feed(JSON, "a", key=ID, zones={"a": "Asia/Shanghai"})
    for wire in ('{"$date":1}', '{"$date":"1970-01-01T00:00:00.001Z"}'):
        assert text_of(plan, change("c", f'{{"_id": 1, "a": {wire}}}')) == sha("n1:1t26:1970-01-01T00:00:00.001000")


def test_a_row_of_a_database_equals_its_document() -> None:
    names = ("amount", "at", "customer", "doc", "note", "paid")
    fields = [
        {"field": "_id", "type": "int64"},
        {"field": "amount", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "customer", "type": "string", "name": "io.debezium.data.Uuid"},
        {"field": "doc", "type": "string", "name": "io.debezium.data.Json"},
        {"field": "note", "type": "string"},
        {"field": "paid", "type": "boolean"},
    ]
    image = {
        "_id": 9007199254740993,
        "amount": "BII=",
        "at": 1_000_000,
        "customer": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "doc": '{"n": [1.50, 2]}',
        "note": None,
        "paid": True,
    }
    schema = {"type": "struct", "fields": [{"field": name, "type": "struct", "fields": fields} for name in ("before", "after")]}
    payload = {"op": "c", "before": None, "after": image, "source": {"ts_us": 1}}
    document = (
        '{"_id": {"$numberLong": "9007199254740993"}, "amount": {"$numberDecimal": "11.54"}, "at": {"$date": 1000}, '
        '"customer": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "paid": {"$numberInt": "1"}, '
        '"doc": {"n": [{"$numberDecimal": "1.5"}, {"$numberInt": "2"}]}}'
    )
    text = (
        'n16:9007199254740993n5:11.54t26:1970-01-01T00:00:01.000000u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11j13:{"n":[1.5,2]}~b1:1'
    )
    assert text_of(feed(JSON, *names, key=ID), {"schema": schema, "payload": payload}) == sha(text)
    types = {"customer": "uuid", "paid": "boolean"}
    assert text_of(feed(JSON, *names, key=ID, types=types), change("c", document)) == sha(text)
