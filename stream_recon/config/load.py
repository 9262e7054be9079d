"""From a topology file to a ``TopologyPlan``: read, check every field, check how fields agree, build the frozen plan.

Whatever would have no effect is refused, not passed over: a setting that the reader believes in is part of what "equal" means.
The settings of the live service (``kafka``, ``registry``, ``start``, ``heartbeat``, lifts, buffers, outputs) are checked here
too, and shape nothing in ``replay``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from stream_recon.config import expressions, scalars
from stream_recon.config.kafka import Settings, overlaid, read_settings
from stream_recon.config.live import check_live, check_together
from stream_recon.config.source import Document, FieldPath, read
from stream_recon.config.topology import Checkpoints, EverySide, HashKey, Registry, Side, Tokens, Topology
from stream_recon.config.wording import note_problems
from stream_recon.model.plan import (
    BINLOG,
    CheckpointPlan,
    Format,
    History,
    Ids,
    Order,
    RegistryPlan,
    SidePlan,
    TokenPlan,
    TopologyPlan,
)

T = TypeVar("T")

HASH_KEY_MAX_BYTES = 4096


def load_topology(path: Path) -> TopologyPlan:
    """The plan in the file at ``path``. Raises ``ConfigError``, a line for each thing to mend."""
    document = read(path)
    _note_nulls(document, document.data, ())
    topology: Topology | None = None
    try:
        topology = Topology.model_validate(document.data)
    except ValidationError as error:
        note_problems(document, error)
    if topology is None:
        document.refuse()
        raise AssertionError("a topology that pydantic refused has a problem to show")
    _check_names(document, topology)
    _check_event_times(document, topology)
    _check_tables(document, topology)
    _check_registries(document, topology)
    for side_path, side in _sides(topology):
        _check_side(document, side_path, side)
    _check_compare(document, topology)
    plan = _plan(document, topology)
    check_live(document, topology, _sides(topology), plan)
    document.refuse()
    return plan


def load_topologies(paths: Sequence[Path], prefix: str | None = None) -> list[TopologyPlan]:
    """The plans of one deployment, ``prefix`` instead of their own if given. Raises ``ConfigError``."""
    plans = [load_topology(path) for path in paths]
    if prefix is not None:
        plans = [replace(plan, prefix=prefix) for plan in plans]
    check_together(plans)
    return plans


def _sides(topology: Topology) -> Iterator[tuple[FieldPath, Side]]:
    yield ("source",), topology.source
    for i, target in enumerate(topology.targets):
        yield ("targets", i), target


def _note_nulls(document: Document, value: object, path: FieldPath) -> None:
    """A field without a value says nothing; only in ``columns`` does null mean something."""
    if isinstance(value, dict):
        for name, item in value.items():
            if item is None and path[-1:] != ("columns",):
                document.problem((*path, name), "has no value; write one, or remove the line for the default")
            _note_nulls(document, item, (*path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _note_nulls(document, item, (*path, i))


def _check_names(document: Document, topology: Topology) -> None:
    seen: dict[str, FieldPath] = {}
    for path, side in _sides(topology):
        if side.name in seen:
            of = "the source" if seen[side.name] == ("source",) else f"targets[{seen[side.name][-1]}]"
            document.problem(
                (*path, "name"), f"got {side.name!r}, which is the name of {of}; write a name of its own for each side"
            )
        seen.setdefault(side.name, path)


def _check_event_times(document: Document, topology: Topology) -> None:
    """``event_time`` has a meaning in format json only: elsewhere the format knows the time."""
    for path, side in _sides(topology):
        if side.event_time is not None and side.format != Format.JSON:
            text = f"has no effect in format {side.format}, which carries the commit time; remove it, or move it to a json side"
            document.problem((*path, "event_time"), text)
    if topology.event_time is not None and all(side.format != Format.JSON for _, side in _sides(topology)):
        document.problem(("event_time",), "has no effect: no side has format json; remove it")


def _check_tables(document: Document, topology: Topology) -> None:
    """``table`` picks among the tables of one topic, which other formats do not mix."""
    for path, side in _sides(topology):
        if side.table is not None and side.format not in BINLOG:
            document.problem(
                (*path, "table"), f"has no effect in format {side.format}, which has a topic for each table; remove it"
            )


def _check_registries(document: Document, topology: Topology) -> None:
    for path, side in _sides(topology):
        if side.format == Format.DEBEZIUM_AVRO and side.registry is None and topology.registry is None:
            document.problem(
                (*path, "format"),
                f"{side.format} needs the schemas of its messages; write registry: {{url: http://localhost:8081}}, or "
                "registry: {file: schemas-by-id.json}",
            )


def _registry(document: Document, path: FieldPath, registry: Registry | None) -> RegistryPlan | None:
    if registry is None:
        return None
    file = None if registry.file is None else str((document.path.parent / registry.file).resolve())
    settings = read_settings(document, (*path, "settings"), registry.settings, os.environ)
    return RegistryPlan(registry.url, file, Ids(registry.ids), registry.headers, settings)


def _check_side(document: Document, path: FieldPath, side: Side) -> None:
    for name, values in (("topics", side.topics), ("key", side.key)):
        for i, value in enumerate(values):
            if value in values[:i]:
                document.problem((*path, name, i), f"{value!r} is listed twice; keep one")
    for name, entry in side.columns.items():
        if entry is not None and expressions.plain_column(entry) is None:
            try:
                expressions.columns_read(entry)
            except ValueError as error:
                document.problem((*path, "columns", name), str(error))
    for i, name in enumerate(side.key):
        if name in side.columns and side.columns[name] is None:
            document.problem(
                (*path, "columns", name), f"null would leave out a key column; remove it here, or {name} from key (item {i + 1})"
            )


def _check_compare(document: Document, topology: Topology) -> None:
    compare = topology.compare
    for i, name in enumerate(compare.large):
        if name in compare.ignore:
            document.problem(("compare", "large", i), f"{name!r} is ignored as well; keep it in one of ignore and large")
    for name, tolerance in compare.tolerance.items():
        path: FieldPath = ("compare", "tolerance", name)
        if list(tolerance) != ["absolute"]:
            document.problem(path, 'an unknown tolerance; the one there is, is {absolute: "0.01"}')
        else:
            text = (
                "tolerances need the confirm step, which this version cannot do; remove it, and round in columns:, for example "
            )
            document.problem(path, f'{text}{name}: "round({name}, 2)" on both sides')


def _secret_key(document: Document, path: FieldPath, setting: HashKey | None) -> bytes | None:
    """The key from the environment or a file (one line break at its end is an editor's, and no part of it)."""
    if setting is None:
        return None
    if setting.env is not None:
        field, key = "env", os.environb.get(setting.env.encode())
        missing = f"the environment variable {setting.env} is not set; set it to the key"
    else:
        assert setting.file is not None
        field, missing = "file", f"{setting.file} cannot be read; name a file (relative to this one) that holds the key"
        try:
            raw = (document.path.parent / setting.file).read_bytes()
            key = raw.removesuffix(b"\n").removesuffix(b"\r")
        except OSError:
            key = None
    if key is None:
        document.problem((*path, field), missing)
    elif not 0 < len(key) <= HASH_KEY_MAX_BYTES:
        document.problem(
            (*path, field), f"the key has {len(key)} bytes; use 32 random bytes (1 to {HASH_KEY_MAX_BYTES} are taken)"
        )
    return key


def _tokens(document: Document, setting: Tokens | None) -> TokenPlan | None:
    if setting is None:
        return None
    key = _secret_key(document, ("tokens", "key"), setting.key)
    return None if key is None else TokenPlan(tuple(sorted(set(setting.columns))), key, setting.version)


def _plan(document: Document, topology: Topology) -> TopologyPlan:
    """The plan; what a secret or a client setting lacks is noted, so it is good only if nothing was."""
    kafka = read_settings(document, ("kafka",), topology.kafka, os.environ)
    common = _registry(document, ("registry",), topology.registry)
    sides = [
        _side_plan(
            topology,
            side,
            overlaid(kafka, read_settings(document, (*path, "kafka"), side.kafka, os.environ)),
            _registry(document, (*path, "registry"), side.registry) or common,
        )
        for path, side in _sides(topology)
    ]
    return TopologyPlan(
        name=topology.name,
        source=sides[0],
        targets=tuple(sides[1:]),
        window=topology.window,
        settle=topology.settle,
        clock_skew=topology.clock_skew,
        mode=topology.mode,
        parallelism=topology.parallelism,
        dead_letters_max_share=topology.dead_letters.max_share,
        dead_letters_over=topology.dead_letters.over,
        dead_letters_masked=topology.dead_letters.payload == "masked",
        forget_deleted=topology.forget_deleted,
        max_ahead=topology.max_ahead,
        max_buffer=topology.max_buffer,
        ignore=tuple(sorted(set(topology.compare.ignore))),
        large=tuple(sorted(set(topology.compare.large))),
        hash_key=_secret_key(document, ("hash_key",), topology.hash_key),
        tokens=_tokens(document, topology.tokens),
        prefix=topology.outputs.prefix,
        kafka=kafka,
        checkpoints=_checkpoints(document, topology.checkpoints),
    )


def _checkpoints(document: Document, setting: Checkpoints | None) -> CheckpointPlan | None:
    if setting is None:
        return None
    location = setting.location
    if "://" not in location:
        location = str((document.path.parent / location).resolve())
    return CheckpointPlan(location, setting.every, setting.keep)


def _side_plan(topology: Topology, side: Side, kafka: Settings, registry: RegistryPlan | None) -> SidePlan:
    """``side`` with the settings of the whole topology where it has none of its own."""

    def own(name: str) -> EverySide | None:
        return next((level for level in (side, topology) if name in level.model_fields_set), None)

    def setting(name: str, default: T) -> T:
        level = own(name)
        value: T = default if level is None else getattr(level, name)
        return value

    heartbeat = setting("heartbeat", topology.heartbeat)
    return SidePlan(
        name=side.name,
        topics=tuple(side.topics),
        format=Format(side.format),
        key=tuple(side.key),
        columns=tuple(sorted(side.columns.items())),
        types=tuple(sorted(side.types.items())),
        timezones=tuple(sorted((topology.timezone | side.timezone).items())),
        out_of_orderness=setting("out_of_orderness", 5 * scalars.UNITS_US["s"]),
        max_future=setting("max_future", scalars.UNITS_US["h"]),
        idle_after=setting("idle_after", 30 * scalars.UNITS_US["s"]),
        stall_timeout=setting("stall_timeout", None),
        order=Order(setting("order", Order.LOG.value)),
        history=History(setting("history", History.COMPLETE.value)),
        unicode_nfc=setting("unicode", "none") == "nfc",
        event_time=setting("event_time", None) if side.format == Format.JSON else None,
        heartbeat=heartbeat.topic if heartbeat is not None else None,
        start=setting("start", "earliest"),
        kafka=kafka,
        registry=registry if side.format == Format.DEBEZIUM_AVRO else None,
        table=side.table,
    )
