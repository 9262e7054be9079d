"""PostgreSQL's tables, see ``tables``."""

from __future__ import annotations

from tests.capture.tables import BYTES, GREEK, Table, column, many, pairs

POSTGRES = (
    Table(
        "numbers",
        (
            column("small", "smallint", ("-32768", "n:-32768"), ("32767", "n:32767"), ("0", "n:0")),
            column("whole", "integer", ("-2147483648", "n:-2147483648"), ("2147483647", "n:2147483647")),
            column(
                "big", "bigint", ("9007199254740993", "n:9007199254740993"), ("-9223372036854775808", "n:-9223372036854775808")
            ),
            column("single", "real", ("0.1", "f:0.10000000149011612"), ("'NaN'", "f:NaN"), ("'-Infinity'", "f:-Infinity")),
            column("double", "double precision", ("1e-300", "f:1e-300"), ("'-0'", "f:0"), ("'Infinity'", "f:Infinity")),
            column(
                "amount",
                "numeric(18,4)",
                ("99999999999999.9999", "n:99999999999999.9999"),
                ("-0.0001", "n:-0.0001"),
                ("0", "n:0"),
            ),
            column(
                "wide",
                "numeric(60,10)",
                (f"{'1234567890' * 5}.1234567891", f"n:{'1234567890' * 5}.1234567891"),
                ("-1.50", "n:-1.5"),
            ),
            column("widest", "numeric(100,2)", (f"-{'9' * 98}.99", f"n:-{'9' * 98}.99"), (f"{'1' * 98}.10", f"n:{'1' * 98}.1")),
            column(
                "free",
                "numeric",
                ("123456789012345678901234567890.1234567890", "n:123456789012345678901234567890.123456789"),
                ("100", "n:100"),
                ("'NaN'", "n:NaN"),
            ),
            column("price", "money", ("'12.34'", "n:12.34"), ("'-92233720368547758.08'", "n:-92233720368547758.08")),
            column("flag", "boolean", ("true", "b:1"), ("false", "b:0")),
            column("bit_one", "bit(1)", ("B'1'", "b:1"), ("B'0'", "b:0")),
            column("bits", "bit(12)", ("B'100000000001'", "x:0108"), ("B'000000000000'", "x:0000")),  # little-endian
            column("few_bits", "bit varying(16)", ("B'101'", "x:0500"), ("B'1111111111111111'", "x:ffff")),
            column("object", "oid", ("4294967295", "n:4294967295")),
        ),
    ),
    Table(
        "texts",
        (
            column("padded", "char(5)", ("'ab'", "s:ab   "), ("''", "s:     ")),
            column("short", "varchar(20)", ("''", "s:"), (GREEK, f"s:{GREEK[1:-1]}"), ("' a '", "s: a ")),
            column("body", "text", ("E'line\\n\\ttab \"quote\" \\\\ end'", 's:line\n\ttab "quote" \\ end'), ("'null'", "s:null")),
            column("fold", "citext", ("'CaSe'", "s:CaSe")),
            column("ident", "uuid", ("'AAAAAAAA-aaaa-4aaa-8aaa-0123456789AB'", "u:aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab")),
            column("doc", "json", ('\'{"b": 1e2, "a": [1.10, null]}\'', 'j:{"a":[1.1,null],"b":100}'), ("'null'", "j:null")),
            column(
                "docb",
                "jsonb",
                (
                    '\'{"big": 123456789012345678901234567890, "é": "\\u00e9"}\'',
                    'j:{"big":123456789012345678901234567890,"é":"é"}',
                ),
                ("'null'", "j:null"),
                ("'\"\"'", 'j:""'),
            ),
            column("mark", "xml", ("'<a b=\"1\">é</a>'", 's:<a b="1">é</a>')),
            column("raw", "bytea", (f"'\\x{BYTES}'", f"x:{BYTES}"), ("''", "x:")),
            column("mood", "mood", ("'so so'", "s:so so"), ("'happy'", "s:happy")),
            column("attrs", "hstore", ("'b=>NULL, a=>1'", 'j:{"a":"1","b":null}'), ("''", "j:{}")),
            column("ip", "inet", ("'192.168.1.5/24'", "s:192.168.1.5/24"), ("'::1'", "s:::1")),
            column("net", "cidr", ("'10.0.0.0/8'", "s:10.0.0.0/8")),
            column("mac", "macaddr", ("'08:00:2B:01:02:03'", "s:08:00:2b:01:02:03")),
            column("mac_long", "macaddr8", ("'08:00:2b:01:02:03:04:05'", "s:08:00:2b:01:02:03:04:05")),
            column("path", "ltree", ("'Top.Science'", "s:Top.Science")),
            column("words", "tsvector", ("'a fat cat'", "s:'a' 'cat' 'fat'")),
        ),
    ),
    Table(
        "times",
        (
            column(
                "day",
                "date",
                ("'2026-11-21'", "d:2026-11-21"),
                ("'0001-01-01'", "d:0001-01-01"),
                ("'1582-10-10'", "d:1582-10-10"),
            ),
            column("clock_ms", "time(3)", ("'04:05:06.789'", "c:04:05:06.789000"), ("'00:00:00'", "c:00:00:00.000000")),
            column("clock_us", "time(6)", ("'23:59:59.999999'", "c:23:59:59.999999"), ("'24:00:00'", "c:24:00:00.000000")),
            column("clock_zone", "timetz", ("'04:05:06.789+02'", "c:02:05:06.789000"), ("'23:00:00-05'", "c:04:00:00.000000")),
            column("wall_ms", "timestamp(3)", ("'2026-03-29 02:30:00.123'", "t:2026-03-29T02:30:00.123000")),
            column("wall_us", "timestamp(6)", ("'1969-12-31 23:59:59.999999'", "t:1969-12-31T23:59:59.999999")),
            column(
                "moment",
                "timestamptz",
                ("'2026-11-21 04:00:00.123456+02'", "t:2026-11-21T02:00:00.123456"),
                ("'1900-01-01 00:00:00+00'", "t:1900-01-01T00:00:00.000000"),
            ),
            column(
                "gap", "interval", ("'1 year 2 mons 3 days 4:05:06.78'", "i:P1Y2M3DT4H5M6.78S"), ("'-1 day'", "i:P0Y0M-1DT0H0M0S")
            ),
        ),
    ),
    Table(
        "edges",
        (
            column(
                "day",
                "date",
                ("'infinity'", "d:infinity"),
                ("'-infinity'", "d:-infinity"),
                ("'10000-01-01'", "d:+10000-01-01"),
                ("'0044-03-15 BC'", "d:-0043-03-15"),
            ),
            column(
                "days",
                "date[]",
                ("'{infinity,-infinity}'", many("d:infinity", "d:-infinity")),
                ("'{0044-03-15 BC}'", many("d:-0043-03-15")),
            ),
            column(
                "moment",
                "timestamptz",
                ("'infinity'", "t:infinity"),
                ("'-infinity'", "t:-infinity"),
                ("'10000-01-01 00:00:00+00'", "t:+10000-01-01T00:00:00.000000"),
                ("'0044-03-15 00:00:00+00 BC'", "t:-0043-03-15T00:00:00.000000"),
            ),
            column(
                "moments",
                "timestamptz[]",
                ("'{infinity,-infinity}'", many("t:infinity", "t:-infinity")),
                ("'{0044-03-15 BC}'", many("t:-0043-03-15T00:00:00.000000")),
            ),
            column(
                "wall_us",
                "timestamp(6)",
                ("'10000-01-01'", "t:+10000-01-01T00:00:00.000000"),
                ("'0044-03-15 BC'", "t:-0043-03-15T00:00:00.000000"),
            ),
            column(
                "wall_ms",
                "timestamp(3)",
                ("'10000-01-01'", "t:+10000-01-01T00:00:00.000000"),
                ("'0044-03-15 BC'", "t:-0043-03-15T00:00:00.000000"),
            ),
            column("walls", "timestamp[]", ("'{0044-03-15 BC}'", many("t:-0043-03-15T00:00:00.000000"))),
            column(
                "clock_zone",
                "timetz",
                ("'24:00:00+00'", "c:24:00:00.000000"),
                ("'00:30:00+02'", "c:22:30:00.000000"),
                ("'04:05:06.789+05:30'", "c:22:35:06.789000"),
            ),
            column(
                "gap",
                "interval",
                ("'1.5 years -3 hours'", "i:P1Y6M0DT-3H0M0S"),
                ("'178000000 years'", "i:P178000000Y0M0DT0H0M0S"),
                ("'00:00:00.000001'", "i:P0Y0M0DT0H0M0.000001S"),
            ),
            column("matrix", "integer[][]", ("'{{1,2},{3,4}}'", many(many("n:1", "n:2"), many("n:3", "n:4")))),
            column("amount", "numeric(10,2)", ("'NaN'", "n:NaN")),
            column("price", "money", ("'-0.01'", "n:-0.01")),
            column(
                "free",
                "numeric",
                ("'Infinity'", "n:Infinity"),
                ("'-Infinity'", "n:-Infinity"),
                ("1e-40", f"n:0.{'0' * 39}1"),
                ("1e+40", f"n:1{'0' * 40}"),
            ),
        ),
    ),
    Table(
        "endless",
        (
            column("wall_us", "timestamp(6)", ("'infinity'", "t:infinity"), ("'-infinity'", "t:-infinity")),
            column("wall_ms", "timestamp(3)", ("'infinity'", "t:infinity"), ("'-infinity'", "t:-infinity")),
            column("walls", "timestamp[]", ("'{infinity,-infinity}'", many("t:infinity", "t:-infinity"))),
        ),
    ),
    Table(
        "lists",
        (
            column("ints", "integer[]", ("'{1,NULL,-3}'", many("n:1", "~", "n:-3")), ("'{}'", "l:")),
            column("bigs", "bigint[]", ("'{9007199254740993}'", many("n:9007199254740993"))),
            column("texts", "text[]", ('\'{"a b","",NULL,"NULL"}\'', many("s:a b", "s:", "~", "s:NULL"))),
            column(
                "idents", "uuid[]", ("'{aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa}'", many("u:aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"))
            ),
            column("amounts", "numeric(10,2)[]", ("'{1.50,-2}'", many("n:1.5", "n:-2"))),
            column("flags", "boolean[]", ("'{t,f,NULL}'", many("b:1", "b:0", "~"))),
            column("floats", "double precision[]", ("'{0.1,1e300}'", many("f:0.1", "f:1e+300"))),
            column("days", "date[]", ("'{2026-02-28}'", many("d:2026-02-28"))),
            column("walls", "timestamp[]", ("'{2026-02-28 01:02:03.456789}'", many("t:2026-02-28T01:02:03.456789"))),
            column("moments", "timestamptz[]", ("'{2026-02-28 01:02:03.456789+01}'", many("t:2026-02-28T00:02:03.456789"))),
            column("ips", "inet[]", ("'{10.0.0.1}'", many("s:10.0.0.1"))),
            column("span", "int4range", ("'[1,5]'", "s:[1,6)"), ("'empty'", "s:empty")),
            column("span_big", "int8range", ("'(,9007199254740993)'", "s:(,9007199254740993)")),
            column("span_num", "numrange", ("'[1.50,2.5]'", "s:[1.50,2.5]")),
            column("span_wall", "tsrange", ("'[2026-01-01,2026-01-02)'", 's:["2026-01-01 00:00:00","2026-01-02 00:00:00")')),
            column("span_zone", "tstzrange", ("'[2026-01-01 00:00+00,)'", 's:["2026-01-01 00:00:00+00",)')),
            column("span_day", "daterange", ("'[2026-01-01,2026-01-31]'", "s:[2026-01-01,2026-02-01)")),
            column(
                "place", "point", ("'(1.5,-2.25)'", pairs("s:srid", "~", "s:wkb", "x:0101000000000000000000f83f00000000000002c0"))
            ),
        ),
    ),
    Table(
        "shared",
        (
            column(
                "amount",
                "numeric(18,4)",
                ("12.3400", "n:12.34"),
                ("-99999999999999.9999", "n:-99999999999999.9999"),
                ("0", "n:0"),
            ),
            column("bits", "bit(12)", ("B'101000000001'", "x:010a")),
            column("body", "text", (GREEK, f"s:{GREEK[1:-1]}"), ("''", "s:"), ("' x '", "s: x ")),
            column("clock", "time(6)", ("'01:02:03.456789'", "c:01:02:03.456789")),
            column("day", "date", ("'2026-02-28'", "d:2026-02-28"), ("'1969-12-31'", "d:1969-12-31")),
            column("doc", "jsonb", ('\'{"b": 1e2, "a": [1.10, null]}\'', 'j:{"a":[1.1,null],"b":100}'), ("'null'", "j:null")),
            column("double_", "double precision", ("0.1", "f:0.1"), ("-1e300", "f:-1e+300")),
            column("ident", "uuid", ("'aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab'", "u:aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab")),
            column("moment", "timestamptz", ("'2026-11-21 04:00:00.123456+02'", "t:2026-11-21T02:00:00.123456")),
            column("mood", "mood", ("'so so'", "s:so so")),
            column("ok", "boolean", ("true", "b:1"), ("false", "b:0")),
            column("raw", "bytea", ("'\\x00ff10'", "x:00ff10"), ("''", "x:")),
            column("single", "real", ("0.1", "f:0.10000000149011612")),
            column("wall", "timestamp(3)", ("'2026-03-29 02:30:00.123'", "t:2026-03-29T02:30:00.123000")),
        ),
    ),
)
