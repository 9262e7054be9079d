"""A topology file: defaults, inheritance, and golden messages for everything that must be refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_recon.config import load_topology
from stream_recon.errors import ConfigError
from stream_recon.model.plan import CheckpointPlan, Format, History, Order, SidePlan, TopologyPlan, TypeRule

Load = Callable[..., TopologyPlan]
Refused = Callable[..., list[str]]


def test_defaults_are_those_of_the_design(load: Load) -> None:
    side = SidePlan("pg", ("pg.orders",), Format.DEBEZIUM_JSON, ("id",))
    plan = load()
    assert plan.source == side
    assert plan == TopologyPlan("orders", side, plan.targets, window=10_000_000, settle=30_000_000, clock_skew=1_000_000)
    assert (side.out_of_orderness, side.max_future, side.idle_after, side.stall_timeout) == (
        5_000_000,
        3_600_000_000,
        30_000_000,
        None,
    )
    assert (side.order, side.history, side.unicode_nfc, side.start) == (Order.LOG, History.COMPLETE, False, "earliest")
    assert (plan.dead_letters_max_share, plan.dead_letters_over, plan.forget_deleted) == (0.05, 600_000_000, 604_800_000_000)


def test_every_setting_is_read(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_KEY", "k" * 32)
    plan = load(
        """\
window: 1m
settle: 250ms
clock_skew: 0s
out_of_orderness: 2s
idle_after: 2m
stall_timeout: 1h
max_future: 2h
order: event_time
history: partial
unicode: nfc
heartbeat: {topic: pg.heartbeat}
timezone: {created: Europe/Berlin}
start: 2026-11-21T05:00:00+01:00
kafka: {bootstrap.servers: "localhost:9092", client.id: recon}
registry: {url: "http://localhost:8081"}
mode: state
parallelism: 3
dead_letters: {max_share: 0.5%, over: 1h}
forget_deleted: 1d
max_ahead: 2h
max_buffer: 512MiB
hash_key: {env: RECON_TEST_KEY}
compare: {ignore: [updated_by], large: [note, doc], tolerance: {}}
outputs: {prefix: other}
checkpoints: {location: "s3://bucket/a?region=eu-central-1", every: 1m, keep: 5}
""",
        'columns: {amount: total, note: null}\ntypes: {total: "decimal( 18,4 )", seen: timestamp(ms)}',
        "order: log\ntimezone: {created: UTC, updated: UTC}",
    )
    source, target = plan.source, plan.targets[0]
    assert (plan.window, plan.settle, plan.clock_skew) == (60_000_000, 250_000, 0)
    assert (source.out_of_orderness, source.idle_after, source.stall_timeout, source.max_future) == (
        2_000_000,
        120_000_000,
        3_600_000_000,
        7_200_000_000,
    )
    assert (source.order, target.order, source.history, source.unicode_nfc) == (
        Order.EVENT_TIME,
        Order.LOG,
        History.PARTIAL,
        True,
    )
    assert (source.heartbeat, source.start) == ("pg.heartbeat", "2026-11-21T04:00:00.000000Z")
    assert source.timezones == (("created", "Europe/Berlin"),)
    assert target.timezones == (("created", "UTC"), ("updated", "UTC"))
    assert source.columns == (("amount", "total"), ("note", None))
    assert source.types == (("seen", TypeRule("timestamp", ("ms",))), ("total", TypeRule("decimal", ("18", "4"))))
    assert (plan.parallelism, plan.dead_letters_max_share, plan.dead_letters_over) == (3, 0.005, 3_600_000_000)
    assert (plan.forget_deleted, plan.max_ahead, plan.max_buffer) == (86_400_000_000, 7_200_000_000, 512 * 1024**2)
    assert (plan.hash_key, plan.ignore, plan.large, plan.prefix) == (b"k" * 32, ("updated_by",), ("doc", "note"), "other")
    assert plan.checkpoints == CheckpointPlan("s3://bucket/a?region=eu-central-1", 60_000_000, 5)
    assert plan.kafka == source.kafka == target.kafka == (("bootstrap.servers", "localhost:9092"), ("client.id", "recon"))
    assert "kkk" not in repr(plan)


def test_a_directory_for_checkpoints_lies_beside_the_topology(load: Load, tmp_path: Path) -> None:
    for written, location in (("kept", str(tmp_path / "kept")), ("/var/kept", "/var/kept"), ("file:///kept", "file:///kept")):
        assert load(f"checkpoints: {{location: {written}}}").checkpoints == CheckpointPlan(location, 300_000_000, 3)


def test_credentials_of_a_bucket_are_refused_and_not_shown(refused: Refused) -> None:
    for location in (
        "s3://AKIAX:hunter2@bucket/path",
        "s3://hunter2@bucket",
        "s3://bucket?secret_key=hunter2",
        "s3://bucket?AWS_Session_Token=hunter2",
    ):
        (message,) = refused(f'checkpoints: {{location: "{location}"}}')
        assert message.startswith("orders.yaml:15: checkpoints.location: holds credentials, which others would see here")
        assert "hunter2" not in message


def test_event_time_at_the_top_is_for_json_sides(load: Load) -> None:
    plan = load("event_time: booked", target_format="json")
    assert (plan.source.event_time, plan.targets[0].event_time) == (None, "booked")


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("settle: 30", "orders.yaml:15: settle: got 30, a number without a unit; write 30s (or 30ms, 30m, 30h, 30d)"),
        ("settle: 1.5s", "orders.yaml:15: settle: got '1.5s'; write a whole number and a unit, such as 250ms, 10s, 5m, 1h or 7d"),
        ("settle: 99999999d", "orders.yaml:15: settle: got '99999999d', more than a hundred years; write 36500d or less"),
        ("window: 0s", "orders.yaml:15: window: got '0s'; it must be longer than zero, for example 10s"),
        ("window: -5s", "orders.yaml:15: window: got '-5s'; write a whole number and a unit, such as 250ms, 10s, 5m, 1h or 7d"),
        ("window:", "orders.yaml:15: window: has no value; write one, or remove the line for the default"),
        ("windw: 1s", "orders.yaml:15: windw: unknown field; did you mean window?"),
        ("compare: {large: note}", "orders.yaml:15: compare.large: got 'note', expected a list; write large: [note]"),
        (
            "compare: {zzz: 1}",
            "orders.yaml:15: compare.zzz: unknown field; known here are ignore, large, tolerance",
        ),
        (
            "compare: {ignore: [a], large: [a]}",
            "orders.yaml:15: compare.large[0]: 'a' is ignored as well; keep it in one of ignore and large",
        ),
        (
            'compare:\n  tolerance: {price: {absolute: "0.01"}}',
            "orders.yaml:16: compare.tolerance.price: tolerances need the confirm step, which this version cannot do; remove it, "
            'and round in columns:, for example price: "round(price, 2)" on both sides',
        ),
        (
            'compare: {tolerance: {price: {percent: "1"}}}',
            'orders.yaml:15: compare.tolerance.price: an unknown tolerance; the one there is, is {absolute: "0.01"}',
        ),
        (
            "mode: changes",
            "orders.yaml:15: mode: got 'changes', which this version cannot do; write mode: state, or leave the line out",
        ),
        (
            "checkpoints: {location: sftp://host/path}",
            "orders.yaml:15: checkpoints.location: is none that can be used; write a directory, s3://BUCKET/PATH or "
            "gs://BUCKET/PATH",
        ),
        (
            "checkpoints: {location: s3:///path}",
            "orders.yaml:15: checkpoints.location: is none that can be used; write a directory, s3://BUCKET/PATH or "
            "gs://BUCKET/PATH; did you mean s3?",
        ),
        (
            "checkpoints: {location: 's3://[bucket'}",
            "orders.yaml:15: checkpoints.location: is no URI; write a directory, or a bucket such as s3://BUCKET/PATH",
        ),
        (
            "checkpoints: {location: 5}",
            "orders.yaml:15: checkpoints.location: expected text; write a directory, or a bucket such as s3://BUCKET/PATH",
        ),
        ("checkpoints: {keep: 3}", "orders.yaml:15: checkpoints.location: is missing; write location: s3://BUCKET/PATH"),
        (
            "checkpoints: {location: x, every: 1s}",
            "orders.yaml:15: checkpoints.every: got '1s'; a checkpoint costs too much for that; write 10s or more, "
            "for example 5m",
        ),
        (
            "checkpoints: {location: x, keep: 0}",
            "orders.yaml:15: checkpoints.keep: got 0, expected a larger number; write keep: 3",
        ),
        (
            "checkpoints: s3://bucket",
            "orders.yaml:15: checkpoints: expected a mapping; write checkpoints: {location: s3://BUCKET/PATH}",
        ),
        ("mode: stat", "orders.yaml:15: mode: got 'stat'; write state; did you mean state?"),
        ("order: offset", "orders.yaml:15: order: got 'offset'; write log or event_time"),
        ("unicode: nfd", "orders.yaml:15: unicode: got 'nfd'; write none or nfc; did you mean nfc?"),
        (
            "dead_letters: {max_share: 5}",
            "orders.yaml:15: dead_letters.max_share: got 5; write a share from 0% to 100%, such as 5% or 0.05; did you mean 5%?",
        ),
        ("max_buffer: 8GB", "orders.yaml:15: max_buffer: got '8GB'; write a whole number and a unit, such as 512MiB or 8GiB"),
        ("parallelism: 0", "orders.yaml:15: parallelism: got 0, expected a larger number; write parallelism: 1"),
        ("parallelism: true", "orders.yaml:15: parallelism: got true, expected a whole number; write parallelism: 1"),
        (
            "start: yesterday",
            "orders.yaml:15: start: got 'yesterday'; write earliest, latest, or a time with a zone such as 2026-11-21T04:00:00Z",
        ),
        (
            "registry: {}",
            "orders.yaml:15: registry: needs exactly one of url and file; write {url: http://...} or {file: schemas-by-id.json}",
        ),
        ("event_time: t", "orders.yaml:15: event_time: has no effect: no side has format json; remove it"),
        (
            "hash_key: geheim",
            "orders.yaml:15: hash_key: a key must not stand in the topology; write {env: NAME_OF_VARIABLE} or {file: PATH}",
        ),
        (
            "hash_key: {env: RECON_TEST_UNSET}",
            "orders.yaml:15: hash_key.env: the environment variable RECON_TEST_UNSET is not set; set it to the key",
        ),
        (
            "hash_key: {file: nowhere}",
            "orders.yaml:15: hash_key.file: nowhere cannot be read; name a file (relative to this one) that holds the key",
        ),
        ("window: 1s\nwindow: 2s", "orders.yaml:16: window: is written twice, here and on line 15; keep one of them"),
        (
            "window: !!python/name:os.system 1s",
            "orders.yaml:15: window: has the tag tag:yaml.org,2002:python/name:os.system, which "
            "means nothing here; write a plain value",
        ),
        (
            "timezone: {a: Europe/Berln}",
            "orders.yaml:15: timezone.a: got 'Europe/Berln', which is no time zone; write a name such as UTC or Europe/Berlin; "
            "did you mean Europe/Berlin?",
        ),
    ],
)
def test_refused_at_the_top(refused: Refused, top: str, message: str) -> None:
    assert refused(top) == [message]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("colums: {}", "orders.yaml:8: source.colums: unknown field; did you mean columns?"),
        (
            "types: {a: timestamp(s)}",
            "orders.yaml:8: source.types.a: got 'timestamp(s)'; write timestamp or timestamp(ms) or timestamp(us) "
            "or timestamp(ns)",
        ),
        ("types: {a: bytes}", "orders.yaml:8: source.types.a: got 'bytes'; write bytes(base64) or bytes(hex)"),
        (
            "types: {a: 'decimal(4, 5)'}",
            "orders.yaml:8: source.types.a: got 'decimal(4, 5)'; write decimal(p, s) with p digits in all, s of "
            "them after the point, such as decimal(18, 4)",
        ),
        (
            "types: {a: 5}",
            "orders.yaml:8: source.types.a: got 5; write the name of a type: boolean, integer, decimal(p, s), float, string, "
            "bytes(base64), date, timestamp, time, uuid, json, list, set, map",
        ),
        (
            "types: {a: txt}",
            "orders.yaml:8: source.types.a: got 'txt', which is no type; write one of boolean, integer, decimal(p, s), decimal, "
            "float, string, bytes(base64), bytes(hex), date, timestamp, timestamp(ms), timestamp(us), timestamp(ns), time, "
            "time(ms), time(us), time(ns), uuid, json, list, set, map",
        ),
        ("columns: {a: true}", "orders.yaml:8: source.columns.a: got true, expected text (in quotes, if it looks like a number)"),
        (
            "columns: {a: 'b +'}",
            "orders.yaml:8: source.columns.a: 'b +' is no SQL expression in DataFusion's dialect: Expected: an "
            "expression, found: EOF",
        ),
        (
            "columns: {a: now()}",
            "orders.yaml:8: source.columns.a: 'now()' calls now(), whose answer is not in the row; use only what the row holds",
        ),
        (
            "columns: {a: sum(b)}",
            "orders.yaml:8: source.columns.a: 'sum(b)' calls sum(), which is no function of one row; use a scalar "
            "function of DataFusion",
        ),
        (
            "columns:\n  id: null",
            "orders.yaml:9: source.columns.id: null would leave out a key column; remove it here, or id from key (item 1)",
        ),
        (
            "event_time: t",
            "orders.yaml:8: source.event_time: has no effect in format debezium-json, which carries the commit time; remove "
            "it, or move it to a json side",
        ),
        (
            "window: 1s",
            "orders.yaml:8: source.window: unknown field; known here are columns, event_time, format, heartbeat, history, "
            "idle_after, kafka, key, max_future, name, order, out_of_orderness, registry, stall_timeout, start, table, timezone, "
            "topics, types, unicode",
        ),
    ],
)
def test_refused_at_a_side(refused: Refused, source: str, message: str) -> None:
    assert refused("", source) == [message]


def test_refused_at_a_sides_own_fields(refused: Refused) -> None:
    assert refused(source_key="id") == ["orders.yaml:7: source.key: got 'id', expected a list; write key: [id]"]
    assert refused(source_key="[]") == ["orders.yaml:7: source.key: must not be empty; write key: [id]"]
    assert refused(source_key="[id, id]") == ["orders.yaml:7: source.key[1]: 'id' is listed twice; keep one"]
    formats = "canal-json or debezium-avro or debezium-json or json or maxwell-json"
    assert refused(source_format="avro") == [f"orders.yaml:6: source.format: got 'avro'; write {formats}"]
    assert refused(target_format="debezium-avro") == [
        "orders.yaml:12: targets[0].format: debezium-avro needs the schemas of its messages; write registry: "
        "{url: http://localhost:8081}, or registry: {file: schemas-by-id.json}"
    ]


def test_names_must_differ(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    side, other = (f"{{name: {name}, topics: [t], format: json, key: [id]}}" for name in "ab")
    path.write_text(f"version: 1\nname: x\nsource: {side}\ntargets:\n  - {side}\n  - {other}\n  - {other}\n")
    with pytest.raises(ConfigError) as caught:
        load_topology(path)
    assert str(caught.value).splitlines() == [
        f"{path}:5: targets[0].name: got 'a', which is the name of the source; write a name of its own for each side",
        f"{path}:7: targets[2].name: got 'b', which is the name of targets[1]; write a name of its own for each side",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "{}:1: the file is empty; write a topology: version, name, source, targets"),
        (b"- a\n", "{}:1: expected a mapping (version: 1, name: ..., source: ..., targets: ...)"),
        (b"version: 1\nname: \xff\n", "{}:2: not UTF-8 text; save the file as UTF-8"),
        (
            b"version: 1\nname: [a\n",
            "{}:3: not YAML: expected ',' or ']', but got '<stream end>'; mend the line, indentation by spaces",
        ),
        (b"a: &x [*x]\n", "{}:1: an alias that unfolds without end; write it out"),
        (b"version: 1\n---\nversion: 1\n", "{}:2: not YAML: but found another document; mend the line, indentation by spaces"),
        (
            b"version: 1\nname: x\nsource: {name: a, topics: [t], format: json, key: [id]}\n",
            "{}:1: targets: is missing; write targets: [{{name: mariadb, topics: [maria.shop.orders], format: debezium-json, "
            "key: [id]}}]",
        ),
        (
            b"version: 2\nname: x\nsource: &s {name: a, topics: [t], format: json, key: [id]}\ntargets: [{<<: *s, name: b}]\n",
            "{0}:1: version: got 2; write version: 1, the only one there is\n"
            "{0}:4: targets[0].<<: unknown field; known here are columns, event_time, format, heartbeat, history, "
            "idle_after, kafka, key, max_future, name, order, out_of_orderness, registry, stall_timeout, start, table, timezone, "
            "topics, types, unicode\n"
            "{0}:4: targets[0].format: is missing; write format: debezium-json\n"
            "{0}:4: targets[0].key: is missing; write key: [id]\n"
            "{0}:4: targets[0].topics: is missing; write topics: [pg.public.orders]",
        ),
    ],
)
def test_refused_files(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load_topology(path)
    assert str(caught.value) == message.format(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file or directory"):
        load_topology(tmp_path / "nowhere.yaml")


def test_a_key_file_loses_one_line_break_only(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"secret\n\r\n")
    assert load("hash_key: {file: key}").hash_key == b"secret\n"
    tokens = load("tokens: {columns: [email, email], key: {file: key}, version: 3}").tokens
    assert tokens is not None
    assert (tokens.columns, tokens.key, tokens.version) == (("email",), b"secret\n", 3)


def test_a_refused_key_is_never_shown(refused: Refused) -> None:
    for line in ("hash_key: hunter2", "hash_key: {value: hunter2}", "hash_key: [hunter2]"):
        assert not any("hunter2" in message for message in refused(line))


def test_a_structure_in_the_wrong_place_is_named_and_not_shown(refused: Refused) -> None:
    assert refused("compare: {large: {password: hunter2}}") == [
        "orders.yaml:15: compare.large: got a mapping, expected a list; write large: [note]"
    ]
    assert refused("settle: [hunter2]") == [
        "orders.yaml:15: settle: got a list; write a whole number and a unit, such as 250ms, 10s, 5m, 1h or 7d"
    ]
