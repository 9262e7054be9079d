"""MariaDB's tables, see ``tables``."""

from __future__ import annotations

from tests.capture.tables import BYTES, GREEK, Table, column, many, pairs

# No inet6: Debezium's parser does not know it, and the connector ends.
MARIADB = (
    Table(
        "numbers",
        (
            column("tiny", "tinyint", ("-128", "n:-128"), ("127", "n:127")),
            column("tiny_u", "tinyint unsigned", ("255", "n:255")),
            column("small", "smallint", ("-32768", "n:-32768")),
            column("small_u", "smallint unsigned", ("65535", "n:65535")),
            column("medium", "mediumint", ("-8388608", "n:-8388608")),
            column("medium_u", "mediumint unsigned", ("16777215", "n:16777215")),
            column("whole", "integer", ("-2147483648", "n:-2147483648")),
            column("whole_u", "integer unsigned", ("4294967295", "n:4294967295")),
            column(
                "big", "bigint", ("9007199254740993", "n:9007199254740993"), ("-9223372036854775808", "n:-9223372036854775808")
            ),
            column(
                "big_u",
                "bigint unsigned",
                ("9223372036854775807", "n:9223372036854775807"),
                ("18446744073709551615", "n:18446744073709551615"),
            ),
            column(
                "amount",
                "decimal(18,4)",
                ("99999999999999.9999", "n:99999999999999.9999"),
                ("-0.0001", "n:-0.0001"),
                ("0", "n:0"),
            ),
            column(
                "wide",
                "decimal(60,10)",
                (f"{'1234567890' * 5}.1234567891", f"n:{'1234567890' * 5}.1234567891"),
                ("-1.50", "n:-1.5"),
            ),
            column("amount_u", "decimal(10,2) unsigned", ("12.30", "n:12.3")),
            column("single", "float", ("0.1", "f:0.10000000149011612"), ("-2.5", "f:-2.5")),
            column("double_", "double", ("1e-300", "f:1e-300"), ("-1.5", "f:-1.5")),
            column("flag", "boolean", ("true", "b:1"), ("false", "b:0"), rule="boolean"),
            column("bit_one", "bit(1)", ("b'1'", "b:1"), ("b'0'", "b:0")),
            column("bits", "bit(12)", ("b'100000000001'", "x:0108"), ("b'0'", "x:0000")),
            column("year_", "year", ("2026", "n:2026"), ("1901", "n:1901")),
        ),
    ),
    Table(
        "texts",
        (
            column("padded", "char(5)", ("'ab'", "s:ab"), ("''", "s:")),  # the server drops a char's trailing spaces
            column("short", "varchar(20)", ("''", "s:"), (GREEK, f"s:{GREEK[1:-1]}"), ("' a '", "s: a ")),
            column(
                "body", "longtext", ("'line\\n\\ttab \"quote\" \\\\ end'", 's:line\n\ttab "quote" \\ end'), ("'null'", "s:null")
            ),
            column("latin", "varchar(20) CHARACTER SET latin1", ("'é'", "s:é")),
            column(
                "ident", "uuid", ("'AAAAAAAA-aaaa-4aaa-8aaa-0123456789AB'", "u:aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab"), rule="uuid"
            ),
            column(
                "doc",
                "json",
                ('\'{"b": 1e2, "a": [1.10, null]}\'', 'j:{"a":[1.1,null],"b":100}'),
                ("'null'", "j:null"),
                rule="json",
            ),
            column("mood", "enum('so so','happy')", ("'so so'", "s:so so"), ("'happy'", "s:happy")),
            column("tags", "set('x','y','z')", ("'z,x'", many("s:x", "s:z")), ("''", "l:")),
            column("fixed", "binary(4)", ("x'00ff'", "x:00ff0000")),
            column("raw", "varbinary(300)", (f"x'{BYTES}'", f"x:{BYTES}"), ("''", "x:")),
            column("large", "longblob", (f"x'{BYTES}'", f"x:{BYTES}")),
        ),
    ),
    Table(
        "times",
        (
            column(
                "day",
                "date",
                ("'2026-11-21'", "d:2026-11-21"),
                ("'1582-10-10'", "d:1582-10-10"),
                ("'9999-12-31'", "d:9999-12-31"),
            ),
            column("clock", "time", ("'04:05:06'", "c:04:05:06.000000")),
            column("clock_us", "time(6)", ("'23:59:59.999999'", "c:23:59:59.999999"), ("'00:00:00'", "c:00:00:00.000000")),
            column("clock_long", "time(3)", ("'04:05:06.789'", "c:04:05:06.789000"), ("'838:59:59'", "!"), ("'-01:00:00'", "!")),
            column("wall", "datetime", ("'2026-03-29 02:30:00'", "t:2026-03-29T02:30:00.000000")),
            column("wall_ms", "datetime(3)", ("'2026-03-29 02:30:00.123'", "t:2026-03-29T02:30:00.123000")),
            column("wall_us", "datetime(6)", ("'1969-12-31 23:59:59.999999'", "t:1969-12-31T23:59:59.999999")),
            column("moment", "timestamp(6)", ("'2026-11-21 04:00:00.123456'", "t:2026-11-21T04:00:00.123456")),
            column("zero_day", "date", ("'0000-00-00'", "!")),
            column("zero_wall", "datetime(6)", ("'0000-00-00'", "!")),
        ),
    ),
    Table(
        "places",
        (
            column(
                "spot",
                "point",
                (
                    "ST_GeomFromText('POINT(1.5 -2.25)')",
                    pairs("s:srid", "~", "s:wkb", "x:0101000000000000000000f83f00000000000002c0"),
                ),
            ),
            column(
                "shape",
                "geometry",
                (
                    "ST_GeomFromText('LINESTRING(0 0,1 1)')",
                    pairs("s:srid", "~", "s:wkb", f"x:010200000002000000{'00' * 16}{'000000000000f03f' * 2}"),
                ),
            ),
        ),
    ),
    Table(
        "shared",
        (
            column(
                "amount",
                "decimal(18,4)",
                ("12.3400", "n:12.34"),
                ("-99999999999999.9999", "n:-99999999999999.9999"),
                ("0", "n:0"),
            ),
            column("bits", "bit(12)", ("b'101000000001'", "x:010a")),
            column("body", "longtext", (GREEK, f"s:{GREEK[1:-1]}"), ("''", "s:"), ("' x '", "s: x ")),
            column("clock", "time(6)", ("'01:02:03.456789'", "c:01:02:03.456789")),
            column("day", "date", ("'2026-02-28'", "d:2026-02-28"), ("'1969-12-31'", "d:1969-12-31")),
            column(
                "doc",
                "json",
                ('\'{"b": 1e2, "a": [1.10, null]}\'', 'j:{"a":[1.1,null],"b":100}'),
                ("'null'", "j:null"),
                rule="json",
            ),
            column("double_", "double", ("0.1", "f:0.1"), ("-1e300", "f:-1e+300")),
            column(
                "ident", "uuid", ("'aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab'", "u:aaaaaaaa-aaaa-4aaa-8aaa-0123456789ab"), rule="uuid"
            ),
            column("moment", "datetime(6)", ("'2026-11-21 02:00:00.123456'", "t:2026-11-21T02:00:00.123456")),
            column("mood", "enum('so so','happy')", ("'so so'", "s:so so")),
            column("ok", "boolean", ("true", "b:1"), ("false", "b:0"), rule="boolean"),
            column("raw", "varbinary(300)", ("x'00ff10'", "x:00ff10"), ("''", "x:")),
            column("single", "float", ("0.1", "f:0.10000000149011612")),
            column("wall", "datetime(3)", ("'2026-03-29 02:30:00.123'", "t:2026-03-29T02:30:00.123000")),
        ),
    ),
)
