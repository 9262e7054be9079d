"""Recordings: every form of a line, repeated and conflicting lines, and what is refused by file and line."""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.adapters import recordings
from stream_recon.adapters.recordings import PartitionRecording, read_recordings
from stream_recon.errors import InputError
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import Format, RegistryPlan, SidePlan

PG = SidePlan("pg", ("t", "u"), Format.JSON, ("id",))
MARIA = SidePlan("maria", ("t",), Format.JSON, ("id",))


def line(offset: Any = 0, *, topic: Any = "t", partition: Any = 0, ts: Any = 1000, **more: Any) -> dict[str, Any]:
    record = {"topic": topic, "partition": partition, "offset": offset, "ts": ts, **more}
    if "key_b64" not in more:
        record.setdefault("key", '{"id":1}')
    if "payload_b64" not in more:
        record.setdefault("payload", "{}")
    return record


def write(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")
    return path


def read(path: Path, *more: Path) -> dict[tuple[str, int], PartitionRecording]:
    found = read_recordings([PG, MARIA], {"pg": [path, *more]})
    assert {u.side for u in found} <= {"pg"}
    return {(u.topic, u.partition): recording for u, recording in found.items()}


def test_bytes_text_null_and_empty_are_four_things(tmp_path: Path) -> None:
    lines = [
        line(0, key="é", payload=None),
        line(1, key=None, payload=""),
        line(2, key_b64=base64.b64encode(b"\xff\x00").decode(), payload_b64=""),
        line(3, key_b64=None, payload_b64=None),
    ]
    messages = read(write(tmp_path / "a", lines))["t", 0].messages
    assert messages.key.to_pylist() == ["é".encode(), None, b"\xff\x00", None]
    assert messages.value.to_pylist() == [None, b"", b"", None]
    assert messages.key.type == messages.value.type == pa.binary()
    assert messages.upstream == Upstream("pg", "t", 0)


def test_lines_come_in_any_order_from_many_files(tmp_path: Path) -> None:
    one = write(tmp_path / "one", [line(5), line(3, partition=1), line(7, topic="u"), line(1)])
    two = write(tmp_path / "two", [line(2**63 - 2), line(0)])
    found = read(one, two)
    assert list(found) == [("t", 0), ("t", 1), ("u", 0)]
    assert found["t", 0].messages.offset.tolist() == [0, 1, 5, 2**63 - 2]
    assert found["t", 0].line.tolist() == [5, 3, 0, 4]


def test_the_first_line_of_an_offset_counts(tmp_path: Path) -> None:
    one = write(tmp_path / "one", [line(1, payload="first"), line(0), line(1, payload="second"), line(0)])
    two = write(tmp_path / "two", [line(1, payload="first"), line(2, payload=None), line(2, payload=""), line(0, ts=999)])
    recording = read(one, two)["t", 0]
    assert recording.messages.value.to_pylist() == [b"{}", b"first", None]
    assert recording.repeated == 5
    assert recording.repeated_at.tolist() == [0, 0, 1, 1, 2]
    assert recording.conflicting == (0, 1, 2)


def test_equal_lines_do_not_conflict(tmp_path: Path) -> None:
    lines = [line(0, key=None, payload=None), line(0, key_b64=None, payload_b64=None), line(1), line(1, headers=["a", "b"])]
    recording = read(write(tmp_path / "a", lines))["t", 0]
    assert (recording.repeated, recording.conflicting) == (2, ())


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    (tmp_path / "plain-name").write_bytes(gzip.compress(json.dumps(line()).encode()))
    assert len(read(tmp_path / "plain-name")["t", 0].messages) == 1


def test_nothing_blank_lines_a_mark_and_a_missing_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty") == {}
    text = json.dumps(line()).encode()
    (tmp_path / "odd").write_bytes(b"\xef\xbb\xbf" + text + b"\r\n\n  \n" + text.replace(b'"offset": 0', b'"offset": 1'))
    assert read(tmp_path / "odd")["t", 0].messages.offset.tolist() == [0, 1]


def test_one_topic_on_two_sides_are_two_partitions(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [line()])
    found = read_recordings([PG, MARIA], {"maria": [path], "pg": [path]})
    assert list(found) == [Upstream("pg", "t", 0), Upstream("maria", "t", 0)]


HEADED = replace(PG, registry=RegistryPlan(file="schemas.json", headers=True))
BY_KCAT = ["other", None, "__key_schema_id", "k1", "__value_schema_id", "v1"]
LINE = {"topic": "t", "partition": 0, "offset": 0, "ts": 1, "key": "k", "payload": "p"}


def headed(path: Path, headers: Any) -> Path:
    path.write_text(json.dumps(LINE | {"headers": headers}) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (BY_KCAT, (b"k1k", b"v1p")),
        ([{"key": "__value_schema_id", "value_b64": "AQI="}, {"key": "empty"}], (b"k", b"\1\2p")),
        (["__value_schema_id", "forwarded", "__value_schema_id", "own"], (b"k", b"ownp")),  # Kafka Streams adds to what it read
        ([], (b"k", b"p")),
        (None, (b"k", b"p")),
    ],
)
def test_schema_ids_in_headers_are_put_in_front(tmp_path: Path, headers: Any, expected: tuple[bytes, bytes]) -> None:
    (found,) = read_recordings([HEADED], {"pg": [headed(tmp_path / "a.jsonl", headers)]}).values()
    assert (found.messages.key[0].as_py(), found.messages.value[0].as_py()) == expected


def test_headers_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jsonl:1: headers are no list of names and values"):
        read_recordings([HEADED], {"pg": [headed(tmp_path / "a.jsonl", ["odd"])]})


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = write(tmp_path / "a", [line(i) for i in range(10)])
    read_recordings([PG], {"pg": [path, path]}, lambda *args: seen.append(args))
    size = path.stat().st_size
    assert seen == [("read", size, 2 * size), ("read", 2 * size, 2 * size)]


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line(i % 7, payload=str(i), partition=i % 3) for i in range(100)]
    path = write(tmp_path / "a", lines)
    whole = read(path)
    monkeypatch.setattr(recordings, "CHUNK_LINES", 4)
    monkeypatch.setattr(recordings, "READ_BYTES", 100)
    for name, recording in read(path).items():
        assert recording.messages.value == whole[name].messages.value
        assert recording.conflicting == whole[name].conflicting
        assert recording.line.tolist() == whole[name].line.tolist()


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([None, "", "a", "b"])), max_size=30))
def test_against_a_dictionary(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str | None]]) -> None:
    path = write(tmp_path_factory.mktemp("r") / "a", [line(offset, payload=payload) for offset, payload in rows])
    first: dict[int, str | None] = {}
    conflicts = set()
    for offset, payload in rows:
        if first.setdefault(offset, payload) != payload:
            conflicts.add(offset)
    found = read(path)
    if not rows:
        assert found == {}
        return
    recording = found["t", 0]
    values = [None if v is None else v.decode() for v in recording.messages.value.to_pylist()]
    assert dict(zip(recording.messages.offset.tolist(), values, strict=True)) == first
    assert recording.repeated == len(rows) - len(first) == len(recording.repeated_at)
    assert recording.conflicting == tuple(sorted(conflicts))


KEEP = "expected milliseconds since 1970, an integer from 0 to 253402300799999"
INTEGER = "expected an integer from 0 to 9223372036854775806"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            "{nonsense secret",
            "no JSON (column 2); expected one object of the shape of kcat -J in each line (bytes that are no UTF-8: "
            "key_b64 and payload_b64)",
        ),
        ("[1]", "JSON, but no object; expected topic, partition, offset, ts, key, payload, as kcat -J writes them"),
        ("{}", "has no field topic; expected text"),
        (line(topic=5), "topic is a number out of bounds; expected text"),
        (
            line(topic="secret-topic"),
            "topic 'secret-topic' is none of side pg, which declares t, u; add it to topics: there, or give the "
            "file to the side that reads it",
        ),
        (line(partition=-1), "partition is a number out of bounds; expected an integer from 0 to 2147483647"),
        (line(partition=True), "partition is a boolean; expected an integer from 0 to 2147483647"),
        (line("1"), f"offset is a string; {INTEGER}"),
        (line(1.5), f"offset is a number with a fraction or too large; {INTEGER}"),
        (line(-1), f"offset is a number out of bounds; {INTEGER}"),
        (line(2**63 - 1), f"offset is a number out of bounds; {INTEGER}"),
        (line(2**64), f"offset is a number with a fraction or too large; {INTEGER}"),
        (line(ts=None), f"ts is null; {KEEP}"),
        (line(ts=-1), f"ts is a number out of bounds; {KEEP}"),
        (line(ts=1e3), f"ts is a number with a fraction or too large; {KEEP}"),
        (line(key={"secret": 1}), "key is an object; expected a JSON string or null (or key_b64: bytes in base64)"),
        (line(payload=["secret"]), "payload is an array; expected a JSON string or null (or payload_b64: bytes in base64)"),
        (line(key="a", key_b64="YQ=="), "both key and key_b64; keep one of them"),
        (line(payload_b64="secret!"), "payload_b64 is a string; expected base64 or null"),
        (line(payload_b64="YQ"), "payload_b64 is a string; expected base64 or null"),
        (
            {"topic": "t", "partition": 0, "ts": 1, "offset": 0, "key": None},
            "has no field payload; expected a JSON string or null (or payload_b64: bytes in base64)",
        ),
        (
            {"topic": "t", "partition": 0, "ts": 1, "offset": 0, "payload": None},
            "has no field key; expected a JSON string or null (or key_b64: bytes in base64)",
        ),
        ({"topic": "t", "partition": 0, "offset": 0}, f"has no field ts; {KEEP}"),
    ],
)
def test_refused_lines(tmp_path: Path, bad: str | dict[str, Any], message: str) -> None:
    text = bad if isinstance(bad, str) else json.dumps(bad)
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(line()) + "\n\n" + text + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == f"{path}:3: {message}"
    assert "secret" not in message.replace("secret-topic", "")


def test_refused_files(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(line()).encode() * 50)
    (tmp_path / "cut.gz").write_bytes(whole[:-12])
    (tmp_path / "bad.gz").write_bytes(whole[:20] + b"\x00" * 9 + whole[29:])
    for name in ("cut.gz", "bad.gz"):
        with pytest.raises(InputError, match=rf"{name}:1: cannot be read on: .*; record the file again"):
            read(tmp_path / name)
    with pytest.raises(InputError, match=r"nowhere: cannot be read: No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"cannot be read on: Is a directory"):
        read(tmp_path)


def test_a_partition_that_arrow_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "VALUES_MAX_BYTES", 100)
    path = write(tmp_path / "a", [line(i, payload="x" * 60) for i in range(2)])
    with pytest.raises(InputError, match=r"t/0 of side pg holds 120 bytes of keys or payloads, and replay takes at most 100"):
        read(path)
