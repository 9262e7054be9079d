"""Reads a YAML file into plain values and remembers on which line each one stands.

Only what a topology needs is taken: mappings with text keys, lists, scalars of YAML 1.2. Duplicate keys, merge keys, foreign
tags, aliases that contain themselves and several documents are refused here, so that nothing of a file is ever passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stream_recon.errors import ConfigError

FILE_MAX_BYTES = 4 * 1024**2
"""A topology is a page of text; more is a wrong file."""

NODES_MAX = 100_000
"""Bounds what aliases of aliases can unfold to."""

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend: its line (1 is the first), its field, and the sentence for the user."""

    line: int
    path: FieldPath
    text: str


@dataclass(slots=True)
class Document:
    """The values of one file and where they stand.

    ``lines`` holds the line of each field's name (of a list's element), ``numbers`` how each thing is written that YAML
    takes for a number.
    """

    path: Path
    data: Any = None
    lines: dict[FieldPath, int] = field(default_factory=dict)
    numbers: dict[FieldPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: FieldPath, text: str) -> None:
        """Notes one thing to mend, the first of a field only; ``refuse`` raises them all."""
        if all(path != p.path for p in self.problems):
            self.problems.append(Problem(self.line(path), path, text))

    def line(self, path: FieldPath) -> int:
        """The line of ``path``, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def refuse(self) -> None:
        """Raises ``ConfigError`` with every problem noted so far, in the order of the file; returns if there is none."""
        if self.problems:
            rows = [
                f"{self.path}:{p.line}: {f'{spelled(p.path)}: ' if p.path else ''}{p.text}"
                for p in sorted(set(self.problems), key=_order)
            ]
            raise ConfigError("\n".join(rows))


def _order(problem: Problem) -> tuple[int, str, str]:
    return problem.line, spelled(problem.path), problem.text


def spelled(path: FieldPath) -> str:
    """``("targets", 0, "name")`` -> ``targets[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path) -> Document:
    """The document in ``path``. Raises ``ConfigError`` (file and line) unless it is one YAML mapping."""
    document = Document(path)
    node = _compose(path)
    if node is None:
        raise ConfigError(f"{path}:1: the file is empty; write a topology: version, name, source, targets")
    document.data = _Walk(document).value(node, ())
    if not isinstance(document.data, dict):
        raise ConfigError(
            f"{path}:{node.start_mark.line + 1}: expected a mapping (version: 1, name: ..., source: ..., targets: ...)"
        )
    return document


def _compose(path: Path) -> Node | None:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; name a topology file") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(f"{path}: larger than {FILE_MAX_BYTES} bytes; this is no topology file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError(
            f"{path}:{line}: not YAML: {error.problem or error.context}; mend the line, indentation by spaces"
        ) from error
    except (YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    return node


class _Walk:
    """Turns nodes into values, noting lines; the nodes above the current one are kept to find an alias of itself."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._above: list[int] = []
        self._nodes = 0

    def value(self, node: Node, path: FieldPath) -> Any:
        self._nodes += 1
        if id(node) in self._above or self._nodes > NODES_MAX:
            raise ConfigError(
                f"{self._document.path}:{node.start_mark.line + 1}: an alias that unfolds without end; write it out"
            )
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        self._above.append(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._above.pop()

    def _mapping(self, node: MappingNode, path: FieldPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                self._document.problems.append(Problem(line, path, "a field's name must be plain text"))
            elif key in result:
                text = f"is written twice, here and on line {first[key]}; keep one of them"
                self._document.problems.append(Problem(line, (*path, key), text))
            else:
                first[key] = self._document.lines[*path, key] = line
                result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: Node, path: FieldPath) -> Any:
        kind, text = str(node.tag).removeprefix("tag:yaml.org,2002:"), str(node.value)
        if kind in {"str", "timestamp", "value", "merge"}:
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in {"int", "float"}:
            self._document.numbers[path] = text
        if kind == "int" and re.fullmatch(r"[-+]?[0-9]+", text) and len(text) <= 40:
            return int(text)
        if kind == "float":
            try:
                return float(text)
            except ValueError:
                return text
        if kind == "int":
            return text
        self._document.problem(path, f"has the tag {node.tag}, which means nothing here; write a plain value")
        return None
