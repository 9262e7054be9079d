"""Turns what pydantic found into sentences for a user: the field, what was got, what to write instead."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stream_recon.config.scalars import did_you_mean, shown
from stream_recon.config.source import Document, FieldPath
from stream_recon.config.topology import Topology

EXAMPLES = {
    "version": "version: 1",
    "name": "name: orders",
    "source": "source: {name: postgres, topics: [pg.public.orders], format: debezium-json, key: [id]}",
    "targets": "targets: [{name: mariadb, topics: [maria.shop.orders], format: debezium-json, key: [id]}]",
    "topics": "topics: [pg.public.orders]",
    "topic": "topic: pg.public.heartbeat",
    "format": "format: debezium-json",
    "key": "key: [id]",
    "columns": "columns: {amount: total}",
    "types": "types: {customer: uuid}",
    "timezone": "timezone: {created_at: Europe/Berlin}",
    "heartbeat": "heartbeat: {topic: pg.public.heartbeat}",
    "compare": "compare: {ignore: [updated_by], large: [note]}",
    "ignore": "ignore: [updated_by]",
    "large": "large: [note]",
    "tolerance": 'tolerance: {price: {absolute: "0.01"}}',
    "dead_letters": "dead_letters: {max_share: 5%, over: 10m}",
    "outputs": "outputs: {prefix: recon}",
    "checkpoints": "checkpoints: {location: s3://BUCKET/PATH}",
    "location": "location: s3://BUCKET/PATH",
    "keep": "keep: 3",
    "registry": "registry: {url: http://localhost:8081}",
    "kafka": "kafka: {bootstrap.servers: localhost:9092}",
    "parallelism": "parallelism: 1",
    "event_time": "event_time: updated_at",
}

_EXPECTED = {
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_type": "text (in quotes, if it looks like a number)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "a larger number",
    "less_than_equal": "a smaller number",
}


def note_problems(document: Document, error: ValidationError) -> None:
    """Adds every finding of ``error`` to ``document``, at its field."""
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        document.problem(path, _sentence(path, detail))


def _sentence(path: FieldPath, detail: ErrorDetails) -> str:
    kind, name = detail["type"], next((str(p) for p in reversed(path) if isinstance(p, str)), "")
    example = EXAMPLES.get(name)
    write = f"; write {example}" if example else ""
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "missing":
        return f"is missing{write}"
    if kind == "extra_forbidden":
        known = known_fields(path[:-1])
        near = did_you_mean(str(path[-1]), known) or "; known here are " + ", ".join(sorted(known))
        return f"unknown field{near}"
    if kind in {"too_short", "string_too_short"}:
        return f"must not be empty{write}"
    if path == ("version",):
        return f"got {shown(detail['input'])}; write version: 1, the only one there is"
    if path[-1:] in {("kafka",), ("checkpoints",)}:
        return f"expected a mapping{write}"  # what stands here may hold a secret
    return f"got {shown(detail['input'])}, expected {_EXPECTED.get(kind, detail['msg'])}{write}"


def known_fields(path: FieldPath) -> frozenset[str]:
    """The fields that the model at ``path`` has."""
    model: type[BaseModel] = Topology
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return frozenset(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in ``M``, ``M | None`` or ``list[M]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a)) is not None), None)
