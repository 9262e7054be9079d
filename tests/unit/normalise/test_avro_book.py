"""Where schemas come from: files, registries that answer, refuse or say nothing, and the book that keeps them parsed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stream_recon.adapters.schemas import FileSchemas, Registry, schema_source
from stream_recon.errors import BrokerError, ConfigError, InputError, Refused, Unreachable
from stream_recon.model.plan import Ids, RegistryPlan
from stream_recon.model.schemas import SchemaText
from stream_recon.normalise.avro.book import SchemaBook
from tests.unit.normalise.avro_writing import (
    Schema,
    Schemas,
    Writer,
    change,
    check_same,
    confluent,
    decoders,
    envelope,
    feed,
    guided,
    messages,
    optional,
    record,
    text,
)

GUID = bytes(range(16))
GUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"
ONE, TWO = b"\0\0\0\0\1", b"\0\0\0\0\2"


@dataclass
class Answers:
    """What a registry answers: by path, one after the other, the last one again and again."""

    of: dict[str, list[tuple[int, Any]]]
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    silent: threading.Event = field(default_factory=threading.Event)

    def next(self, path: str) -> tuple[int, Any]:
        self.asked.append(path)
        waiting = self.of.get(path, [(404, {"error_code": 40403, "message": "none"})])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@dataclass
class Served:
    url: str
    answers: Answers

    def registry(self, ids: Ids = Ids.CONFLUENT, path: str = "", **settings: Any) -> Registry:
        quick = {"max.retries": "2", "retries.wait.ms": "1", "retries.max.wait.ms": "2"}
        quick |= {name.replace("_", "."): value for name, value in settings.items()}
        return Registry(self.url + path, ids, quick)


@pytest.fixture
def served() -> Iterator[Served]:
    answers = Answers({})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.tokens.append(self.headers.get("Authorization"))
            status, body = answers.next(self.path.partition("?")[0])
            if body is None:
                answers.silent.wait(30)
                return
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **answers.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_address[1]}", answers)
    finally:
        answers.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "schemas.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_file_holds_schemas_by_number_and_by_guid_as_text_or_as_json(tmp_path: Path) -> None:
    held = {
        "1": {"schema": '"string"'},
        "2": {"schema": {"type": "long"}, "references": [{"name": "R", "schema": '{"type":"fixed","name":"R","size":1}'}]},
        "3": "int",
        "4": ["null", "int"],
        "5": {"schema": "syntax", "schemaType": "PROTOBUF", "references": None},
        GUID_TEXT: {"type": "record", "name": "R", "fields": []},
    }
    source = FileSchemas(written(tmp_path, held), Ids.CONFLUENT)
    assert source.schema(ONE) == SchemaText('"string"')
    assert source.schema(TWO) == SchemaText('{"type": "long"}', ('{"type":"fixed","name":"R","size":1}',))
    assert source.schema(b"\0\0\0\0\3") == SchemaText("int")
    assert source.schema(b"\0\0\0\0\4") == SchemaText('["null", "int"]')
    assert source.schema(b"\0\0\0\0\5") == SchemaText("syntax", (), "PROTOBUF")
    found = source.schema(b"\1" + GUID)
    assert found is not None
    assert json.loads(found.text) == held[GUID_TEXT]
    assert source.schema(b"\0\0\0\0\6") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        *[
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[" * 200_000, "not JSON"),
            ("[]", "expected an object"),
            ('{"1": 5}', "schema 1"),
        ],
        *[
            ('{"1": {"schema": 5}}', "schema 1"),
            ('{"1": null}', "schema 1"),
            ('{"1": {"schema": "x", "references": 5}}', "references"),
        ],
        *[
            ('{"1": {"schema": "x", "references": [{}]}}', "schema 1"),
            ('{"1": {"schema": "x", "references": {"a": 1}}}', "references"),
        ],
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: str, expected: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=expected) as caught:
        FileSchemas(path, Ids.CONFLUENT)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            schema_source(RegistryPlan(file=str(path)))


def test_a_registry_gives_schemas_with_their_references_in_order(served: Served) -> None:
    used = [{"name": name, "subject": name, "version": 1} for name in ("left", "right")]
    round_ = [{"name": "round", "subject": "round", "version": 1}]
    deep = [{"name": "deep", "subject": "deep", "version": 1}]
    served.answers.of = {
        "/schemas/ids/1": [(200, {"schema": "top", "references": used})],
        "/subjects/left/versions/1": [(200, {"subject": "left", "version": 1, "id": 7, "schema": "L", "references": deep})],
        "/subjects/right/versions/1": [(200, {"subject": "right", "version": 1, "id": 8, "schema": "R", "references": deep})],
        "/subjects/deep/versions/1": [(200, {"subject": "deep", "version": 1, "id": 9, "schema": "D"})],
        f"/schemas/guids/{GUID_TEXT}": [(200, {"schema": '"long"', "schemaType": "AVRO"})],
        "/schemas/ids/3": [(200, {"schema": "round", "references": round_})],
        "/subjects/round/versions/1": [(200, {"subject": "round", "version": 1, "id": 5, "schema": "O", "references": round_})],
        "/schemas/ids/2": [(200, {"schema": "{}", "schemaType": "JSON"})],
    }
    registry = served.registry()
    assert registry.schema(ONE) == SchemaText("top", ("D", "L", "R"))
    assert registry.schema(b"\1" + GUID) == SchemaText('"long"')
    assert registry.schema(TWO) == SchemaText("{}", (), "JSON")
    assert registry.schema(b"\0\0\0\0\3") == SchemaText("round", ("O",))
    registry.close()


def test_an_id_that_is_not_there_is_asked_for_once_in_a_while(served: Served) -> None:
    registry = served.registry()
    assert [registry.schema(ONE) for _ in range(3)] == [None] * 3
    assert served.answers.asked == ["/schemas/ids/1"]
    registry.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_us_is_no_lack_of_a_schema_and_no_silence(served: Served, status: int) -> None:
    served.answers.of = {"/schemas/ids/1": [(status, {"error_code": status, "message": "no"})]}
    registry = served.registry()
    with pytest.raises(BrokerError, match=str(status)) as caught:
        registry.schema(ONE)
    assert not isinstance(caught.value, Unreachable)
    registry.close()


@pytest.mark.parametrize(
    "answer",
    [
        *[
            (500, "broken"),
            (503, {}),
            (429, []),
            (418, {}),
            (200, "<html>log in</html>"),
            (200, "[]"),
            (200, "null"),
            (200, "{}"),
        ],
        *[(200, ""), (200, {"schema": None}), (200, {"schema": "x", "references": 5}), (302, ""), (200, {"schema": ""})],
    ],
)
def test_an_answer_that_is_none_is_never_no_such_schema(served: Served, answer: tuple[int, Any]) -> None:
    served.answers.of = {"/schemas/ids/1": [answer]}
    registry = served.registry()
    with pytest.raises(Unreachable):
        registry.schema(ONE)
    served.answers.of = {"/schemas/ids/1": [(200, {"schema": '"int"'})]}
    assert registry.schema(ONE) == SchemaText('"int"')
    registry.close()


def test_a_registry_that_fails_once_is_asked_again(served: Served) -> None:
    served.answers.of = {"/schemas/ids/1": [(500, {}), (503, {}), (200, {"schema": '"int"'})]}
    registry = served.registry()
    assert registry.schema(ONE) == SchemaText('"int"')
    assert len(served.answers.asked) == 3
    registry.close()


def test_a_registry_that_does_not_answer_is_unreachable(served: Served) -> None:
    served.answers.of = {"/schemas/ids/1": [(0, None)]}
    registry = served.registry(timeout="0.1", max_retries="0")
    with pytest.raises(Unreachable, match="cannot be reached"):
        registry.schema(ONE)
    registry.close()


def test_a_registry_that_is_not_there_is_unreachable(served: Served) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as gone:
        port = gone.server_address[1]
    registry = Registry(f"http://user:secret@127.0.0.1:{port}", Ids.CONFLUENT, {"max.retries": "0"})
    with pytest.raises(Unreachable) as caught:
        registry.schema(ONE)
    assert "secret" not in str(caught.value)
    registry.close()


@pytest.mark.parametrize("settings", [{"max.retries": "x"}, {"no.such": "1"}, {"basic.auth.user.info": "x"}, {"timeout": "soon"}])
def test_settings_that_are_none_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="settings"):
        Registry("http://localhost:1", Ids.CONFLUENT, settings)


def test_a_token_of_digits_stays_a_text_and_is_shown(served: Served) -> None:
    with closing(served.registry(bearer_auth_token="123456")) as registry:
        assert registry.schema(ONE) is None
    with closing(served.registry(Ids.APICURIO, "/apis/registry/v2", bearer_auth_token="123456")) as registry:
        assert registry.schema(ONE) is None
    assert set(served.answers.tokens) == {"Bearer 123456"}


def test_apicurio_says_schemas_by_content_id_and_by_global_id(served: Served) -> None:
    path = "/apis/registry/v2"
    none: list[tuple[int, Any]] = [(200, [])]
    content, global_id = f"{path}/ids/contentIds/1", f"{path}/ids/globalIds/{2**40}"
    served.answers.of = {content: [(200, '"long"')], f"{content}/references": none, global_id: [(200, '"int"')]}
    registry = served.registry(Ids.APICURIO, path)
    assert registry.schema(ONE) == SchemaText('"long"')
    assert registry.schema(TWO) is None
    assert served.registry(Ids.APICURIO_GLOBAL, path).schema(b"\0" + (2**40).to_bytes(8, "big")) == SchemaText('"int"')
    served.answers.headers["X-Registry-ArtifactType"] = "PROTOBUF"
    served.answers.of[content] = [(200, "syntax")]
    assert registry.schema(ONE) == SchemaText("syntax", (), "PROTOBUF")


@pytest.mark.parametrize("answer", [(500, ""), (200, "<html>"), (302, ""), (200, "")])
def test_apicurio_that_does_not_answer_like_itself_is_unreachable(served: Served, answer: tuple[int, Any]) -> None:
    place = "/apis/registry/v3/ids/contentIds/1"
    served.answers.of = {place: [answer], f"{place}/references": [(200, [])]}
    with pytest.raises(Unreachable):
        served.registry(Ids.APICURIO, "/apis/registry/v3").schema(ONE)


def test_apicurio_schemas_with_references_and_global_ids_elsewhere_are_refused(served: Served) -> None:
    place = "/apis/registry/v3/ids/contentIds/1"
    served.answers.of = {place: [(200, "{}")], f"{place}/references": [(200, [{"name": "x"}])]}
    with pytest.raises(BrokerError, match="ccompat"):
        served.registry(Ids.APICURIO, "/apis/registry/v3").schema(ONE)
    with pytest.raises(ConfigError, match="apicurio-global"):
        served.registry(Ids.APICURIO_GLOBAL)


class Broken:
    """A registry that is down until it is up."""

    ids = Ids.CONFLUENT

    def __init__(self) -> None:
        self.up = False

    def schema(self, octets: bytes) -> SchemaText | None:
        if not self.up:
            raise Unreachable("registry: no answer")
        return SchemaText('"long"')


def test_a_book_keeps_what_it_parsed_and_asks_again_for_what_was_not_there() -> None:
    schemas = Schemas()
    book = SchemaBook(schemas)
    with pytest.raises(Refused, match="schema id 1: the registry has no such schema"):
        book.schema(ONE)
    schemas.add("long", ONE)
    assert book.schema(ONE) is book.schema(ONE)
    assert schemas.asked == [ONE, ONE]
    broken = Broken()
    book = SchemaBook(broken)
    with pytest.raises(Unreachable):
        book.schema(ONE)
    broken.up = True
    assert book.schema(ONE).told == "1"


@pytest.mark.parametrize(("kind", "said"), [("JSON", "JSON"), ("PROTOBUF", "PROTOBUF"), ("a\nb", "another"), ("", "another")])
def test_a_schema_of_another_kind_is_refused(kind: str, said: str) -> None:
    schemas = Schemas(held={ONE: SchemaText("{}", (), kind)})
    with pytest.raises(Refused, match=f"schema id 1: expected an Avro schema, got {said}"):
        SchemaBook(schemas).schema(ONE)


@pytest.mark.parametrize(
    ("ids", "octets"),
    [
        *[(Ids.CONFLUENT, ONE), (Ids.CONFLUENT, b"\1" + GUID), (Ids.APICURIO, b"\0\xff\xff\xff\xff")],
        (Ids.APICURIO_GLOBAL, b"\0" + (2**63).to_bytes(8, "big")),
    ],
)
def test_every_form_of_an_id_is_read(ids: Ids, octets: bytes) -> None:
    columns: dict[str, Schema] = {"id": "long", "c": optional("string")}
    schemas = Schemas(ids)
    schemas.add(envelope(columns), octets)
    row = octets + Writer(envelope(columns)).write(change("c", None, {"id": 1, "c": "x"}))
    pairs: list[tuple[bytes | None, bytes | None]] = [(None, row)] * 200
    pairs += [(None, row[:size]) for size in range(len(octets) + 1)]
    pairs += [
        (None, octets[:1] + bytes(len(octets) - 1) + b"?" + row),
        (None, guided(GUID[::-1], row)),
        (None, confluent(77, row)),
    ]
    reference, vectorised = decoders(feed({"id": None, "c": None}), schemas)
    out = reference.decode(messages(pairs))
    check_same(out, vectorised.decode(messages(pairs)), len(pairs))
    assert out.rows.num_rows == 200
    assert vectorised.statistics().vectorised > 100


@pytest.mark.parametrize(
    "schema", ["long", ["null", "long"], {"type": "array", "items": "long"}, {"type": "map", "values": "int"}]
)
def test_a_value_that_is_no_record_is_a_dead_letter_or_a_tombstone(schema: Schema) -> None:
    schemas = Schemas()
    octets = schemas.add(schema) + b"\0"
    reference, vectorised = decoders(feed({"id": None}), schemas)
    batch = messages([(None, octets), (b'{"id": 1}', octets)] * 20)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), 40)
    assert out.rows.num_rows == (20 if isinstance(schema, list) else 0)


def test_references_are_read_before_what_uses_them() -> None:
    inner = record("Inner", {"a": "int"}, namespace="x")
    outer: dict[str, Schema] = {"id": "long", "c": "x.Inner"}
    schemas = Schemas()
    octets = schemas.add(envelope(outer), references=[inner])
    row = octets + Writer(envelope(outer), [inner]).write(change("c", None, {"id": 1, "c": {"a": 5}}))
    schemas.held[TWO] = SchemaText(text(envelope(outer)))
    reference, vectorised = decoders(feed({"id": None, "c": None}), schemas)
    batch = messages([(None, row)] * 20 + [(None, TWO + row[5:])])
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), 21)
    assert out.rows.num_rows == 20
    assert "a name that is not known" in out.dead[0].reason
