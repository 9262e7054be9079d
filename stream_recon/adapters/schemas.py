"""Where schemas are kept: a registry with Confluent's API, Apicurio's own API, or a file of schemas by their ids.

Confluent's client does transport, TLS, credentials and retries; what it fetched it keeps. No answer is never "no such schema".
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from stream_recon.errors import BrokerError, ConfigError, InputError, Unreachable
from stream_recon.model.plan import Ids, RegistryPlan
from stream_recon.model.schemas import SchemaText, told

_CORE_API: Final = "/apis/registry/v"
"""Apicurio's own API; its Confluent-compatible one is under /apis/ccompat/."""

_MISSING_SECONDS: Final = 30.0
"""How long an id that is not there is not asked for again: one message a batch may name it."""

_MAX_MISSING: Final = 10_000
"""Of so many ids: broken messages may name any."""
_COUNTED: Final[dict[str, type[int | float]]] = {
    "timeout": float,
    "max.retries": int,
    "retries.wait.ms": int,
    "retries.max.wait.ms": int,
    "cache.capacity": int,
    "cache.latest.ttl.sec": float,
}
_NOT_FOUND: Final = 404
_DENIED: Final = frozenset({401, 403})
_TIMEOUT_SECONDS: Final = 10


def schema_source(plan: RegistryPlan) -> FileSchemas | Registry:
    """The source that a topology names.

    Raises:
        ConfigError: its settings are none of the client's.
        InputError: the file cannot be read.
    """
    ids = plan.ids
    if plan.file is not None:
        return FileSchemas(Path(plan.file), ids)
    assert plan.url is not None
    return Registry(plan.url, ids, dict(plan.settings))


class FileSchemas:
    """``{"<id>": {"schema": "...", "references": [{"schema": "..."}]}}``: ids are numbers or GUIDs, a schema is text or JSON."""

    def __init__(self, path: Path, ids: Ids) -> None:
        self.ids = ids
        try:
            found: Any = json.loads(path.read_bytes())
        except OSError as error:
            raise InputError(f"registry: file {path} cannot be read: {error.strerror}; name a file of schemas by id") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"registry: file {path} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f'registry: file {path}: expected an object such as {{"4": {{"schema": "..."}}}}')
        self._schemas = {str(name): _entry(path, str(name), entry) for name, entry in found.items()}

    def close(self) -> None:
        """There is nothing to close."""

    def schema(self, octets: bytes) -> SchemaText | None:
        """The schema of an id; None: the file has none."""
        return self._schemas.get(told(octets))


def _entry(path: Path, name: str, entry: Any) -> SchemaText:
    schema = entry.get("schema", entry) if isinstance(entry, dict) else entry
    references = (entry.get("references") or []) if isinstance(entry, dict) else []
    kind = entry.get("schemaType", "AVRO") if isinstance(entry, dict) else "AVRO"
    if not isinstance(references, list):
        raise InputError(f'registry: file {path}: schema {name}: expected references to be an array of {{"schema": "..."}}')
    texts = [one["schema"] for one in references if isinstance(one, dict) and isinstance(one.get("schema"), str)]
    if not isinstance(schema, dict | list | str) or len(texts) != len(references):
        raise InputError(f'registry: file {path}: schema {name}: expected {{"schema": "..."}}')
    return SchemaText(schema if isinstance(schema, str) else json.dumps(schema), tuple(texts), str(kind))


def _numbers(settings: dict[str, Any]) -> dict[str, Any]:
    """A topology's settings are texts; the client wants numbers where they are some. A password of digits is none.

    Raises ``ValueError``.
    """
    return {name: _COUNTED[name](value) if name in _COUNTED else value for name, value in settings.items()}


class Registry:
    """A schema registry over HTTP."""

    def __init__(self, url: str, ids: Ids, settings: dict[str, Any]) -> None:
        self.ids = ids
        self.name = url.partition("//")[2].partition("/")[0].rpartition("@")[2]  # without a password
        self._core = _CORE_API in url
        self._url = url.rstrip("/")
        self._missing: dict[bytes, float] = {}
        if ids is Ids.APICURIO_GLOBAL and not self._core:
            raise ConfigError(
                f"registry: {self.name}: ids: apicurio-global are known to Apicurio's own API only; write its url, such as "
                "http://HOST:8080/apis/registry/v3"
            )
        if "bearer.auth.token" in settings:
            # its client asks for a cluster of Confluent Cloud, which no other registry has
            settings = {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.logical.cluster": "", **settings}
        try:
            self._client = SchemaRegistryClient({"url": self._url, "timeout": _TIMEOUT_SECONDS, **_numbers(settings)})
        except (TypeError, ValueError, OSError) as error:
            raise ConfigError(f"registry: {self.name}: {error}; write settings as Confluent's client names them") from error

    def schema(self, octets: bytes) -> SchemaText | None:
        """The schema of an id; None: the registry has none.

        Raises:
            Unreachable: no answer.
            BrokerError: it refuses us.
        """
        if time.monotonic() - self._missing.get(octets, -_MISSING_SECONDS) < _MISSING_SECONDS:
            return None
        try:
            return self._fetch(octets)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                if len(self._missing) >= _MAX_MISSING:
                    self._missing.clear()
                self._missing[octets] = time.monotonic()
                return None
            if error.http_status_code in _DENIED:
                raise BrokerError(
                    f"registry {self.name} refused us (HTTP {error.http_status_code}); check registry: settings: in the topology"
                ) from error
            raise Unreachable(f"registry {self.name} does not answer as it should (HTTP {error.http_status_code})") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(f"registry {self.name} cannot be reached ({error}); check registry: url in the topology") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # what its client raises for another form of answer
            self._client.clear_caches()
            raise Unreachable(
                f"registry {self.name}: expected a schema, got another answer; check registry: url in the topology"
            ) from error

    def register(self, subject: str, schema: str) -> int:
        """Registers a JSON Schema; returns its id, which is the same if it is there already.

        Raises:
            Unreachable: no answer.
            BrokerError: it does not take it.
        """
        try:
            return self._client.register_schema(subject, Schema(schema, "JSON"))
        except SchemaRegistryError as error:
            said = f"HTTP {error.http_status_code}: {error.error_message}"
            advice = "check its rights, and the compatibility that it asks for"
            raise BrokerError(f"registry {self.name} does not take a schema for {subject} ({said}); {advice}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(f"registry {self.name} cannot be reached ({error}); check its url") from error

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def _fetch(self, octets: bytes) -> SchemaText:
        if self._core:
            return self._core_schema(octets)
        found = self._client.get_schema_by_guid(told(octets)) if octets[0] == 1 else self._client.get_schema(int(told(octets)))
        references = tuple(self._referenced(found.references or [], set()))
        return SchemaText(_text_of(found.schema_str), references, found.schema_type or "AVRO")

    def _referenced(self, references: list[SchemaReference], seen: set[tuple[str, int]]) -> list[str]:
        texts: list[str] = []
        for one in references:
            place = one.subject or "", one.version or 0
            if place in seen:
                continue
            seen.add(place)
            schema = self._client.get_version(*place).schema
            texts += [*self._referenced(schema.references or [], seen), _text_of(schema.schema_str)]
        return texts

    def _core_schema(self, octets: bytes) -> SchemaText:
        """By Apicurio's own API: the answer is the schema, its type stands in a header."""
        place = f"ids/{'globalIds' if self.ids is Ids.APICURIO_GLOBAL else 'contentIds'}/{told(octets)}"
        client, headers = self._client._rest_client, dict[str, str]()
        if client.bearer_auth_credentials_source:
            client.handle_bearer_auth(headers)
        answer, references = (client.session.get(f"{self._url}/{place}{part}", headers=headers) for part in ("", "/references"))
        for one, missing in ((answer, ()), (references, (_NOT_FOUND,))):  # old versions know no references
            if not 200 <= one.status_code < 300 and one.status_code not in missing:
                raise SchemaRegistryError(one.status_code, -1, one.text)
        if references.status_code != _NOT_FOUND and references.json():
            raise BrokerError(f"registry {self.name}: schema {told(octets)} refers to others: use the url of its ccompat API")
        kind = answer.headers.get("X-Registry-ArtifactType", "AVRO")
        if kind == "AVRO":
            answer.json()  # else it is no schema, but another server's page
        return SchemaText(answer.text, kind=kind)


def _text_of(schema: str | None) -> str:
    if not schema:
        raise ValueError("expected a schema")
    return schema
