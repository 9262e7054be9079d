"""Decides, for each pair, which columns are compared and from what each side makes them (DESIGN 7, ``columns``).

A side *offers* names: its own columns, less those that an entry of ``columns`` uses (they left the default under their own name)
and those set to null, plus the entries themselves. Compared is what both sides offer, less ``compare.ignore``; key columns
always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_recon.config.expressions import columns_read, plain_column
from stream_recon.config.scalars import did_you_mean
from stream_recon.errors import ConfigError
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, SidePlan, TopologyPlan, TypeRule


@dataclass(frozen=True, slots=True)
class _View:
    """One side as far as its columns go. ``known`` (upstream names, key included) is None if nothing was seen of them."""

    side: SidePlan
    where: str
    known: frozenset[str] | None
    explicit: Mapping[str, str]
    left_out: frozenset[str]
    used: frozenset[str]

    def defaults(self, other: _View) -> frozenset[str]:
        """Names that the side offers under their own name; without knowledge, what the other side offers."""
        names = self.known
        if names is None:
            names = (other.known or frozenset()) - other.used - other.left_out | frozenset(other.explicit) | self.key_upstream()
        return names - self.used - self.left_out

    def key_upstream(self) -> frozenset[str]:
        """Upstream names that ``key`` names without a mapping."""
        return frozenset(k for k in self.side.key if k not in self.explicit)

    def offers(self, other: _View) -> frozenset[str]:
        return self.defaults(other) | frozenset(self.explicit)


def resolve_feeds(
    plan: TopologyPlan, source_columns: frozenset[str] | None, target_columns: Mapping[str, frozenset[str] | None]
) -> tuple[tuple[FeedPlan, FeedPlan], ...]:
    """One (source feed, target feed) for each target, in the plan's order; both list the same names in byte order.

    Columns are upstream names as seen; None or an empty set: nothing was seen of that side, which is taken to have the other's.
    Raises ``ConfigError`` naming topology, side and field, and what to write.
    """
    source = _view(plan, plan.source, source_columns)
    return tuple(_pair(plan, source, _view(plan, target, target_columns.get(target.name))) for target in plan.targets)


def unused_settings(
    plan: TopologyPlan, source_columns: frozenset[str] | None, target_columns: Mapping[str, frozenset[str] | None]
) -> tuple[str, ...]:
    """Warnings: settings that name a column which was not seen: misspelt, or the recording is too short to show it."""
    views = [_view(plan, plan.source, source_columns), *(_view(plan, t, target_columns.get(t.name)) for t in plan.targets)]
    found = [w for view in views for w in _unseen(view)]
    if all(view.known is not None for view in views):
        names = frozenset[str]().union(*(v.known or () for v in views), *(v.explicit for v in views))
        found += [
            f"{plan.name}: compare.ignore: no side has a column {name!r}{did_you_mean(name, names)}"
            for name in plan.ignore
            if name not in names
        ]
        keys = frozenset[str]().union(*(_key_names(v, frozenset(names)) for v in views))
        found += [
            f"{plan.name}: compare.ignore: {n!r} is a key column; it is compared all the same" for n in plan.ignore if n in keys
        ]
    for target in views[1:]:
        for view, other in ((views[0], target), (target, views[0])):
            if view.known is not None and other.known is not None:
                found += _one_sided(view, other, frozenset(plan.ignore))
    return tuple(found)


def _one_sided(view: _View, other: _View, ignored: frozenset[str]) -> Iterable[str]:
    """What looks compared and is not: a column that the other side lacks, or writes in other letters."""
    offered = other.offers(view)
    names = view.offers(other) - offered - ignored - other.left_out - {view.side.event_time}
    if names:
        hints = {name: did_you_mean(name, offered) for name in sorted(names)}
        listed = ", ".join(f"{name!r}{hint}" for name, hint in hints.items())
        yield (
            f"{view.where}: not compared, as side {other.side.name} has no such column: {listed}; "
            "map it in columns:, or name it in compare.ignore"
        )


def _unseen(view: _View) -> Iterable[str]:
    if view.known is None:
        return
    named = [("types", name) for name, _ in view.side.types] + [("timezone", name) for name, _ in view.side.timezones]
    named += [(f"columns.{name}", read) for name, entry in view.explicit.items() for read in _reads(entry)]
    named += [("event_time", view.side.event_time)] if view.side.event_time else []
    for field, name in named:
        if name not in view.known:
            yield f"{view.where}: {field}: no message has a column {name!r}{did_you_mean(name, view.known)}"


def _view(plan: TopologyPlan, side: SidePlan, columns: frozenset[str] | None) -> _View:
    explicit = {name: entry for name, entry in side.columns if entry is not None}
    left_out = frozenset(name for name, entry in side.columns if entry is None)
    used = frozenset(read for entry in explicit.values() for read in _reads(entry))
    view = _View(side, f"{plan.name}: side {side.name}", None, explicit, left_out, used)
    if not columns:
        return view
    # A key may stand in the message key alone (format json): its columns are the side's even if no payload has them.
    known = columns | view.key_upstream() | {r for k in side.key if k in explicit for r in _reads(explicit[k])}
    return _View(side, view.where, known, explicit, left_out, used)


def _reads(entry: str) -> tuple[str, ...]:
    column = plain_column(entry)
    return columns_read(entry) if column is None else (column,)


def _pair(plan: TopologyPlan, source: _View, target: _View) -> tuple[FeedPlan, FeedPlan]:
    offered = {source.side.name: source.offers(target), target.side.name: target.offers(source)}
    keys = {v.side.name: _key_names(v, offered[v.side.name]) for v in (source, target)}
    if keys[source.side.name] != keys[target.side.name]:
        raise ConfigError(
            f"{plan.name}: the key of side {source.side.name} is {_listed(keys[source.side.name])}, of side {target.side.name} "
            f"{_listed(keys[target.side.name])}; map one onto the other's names in columns:, such as columns: {{id: order_id}}"
        )
    key = keys[source.side.name]
    ignored = frozenset(plan.ignore) - key
    for view, other in ((source, target), (target, source)):
        _check_explicit(view, other, offered[other.side.name], ignored)
    names = ((offered[source.side.name] & offered[target.side.name]) - ignored) | key
    _check_large(plan, names, key, both_known=source.known is not None or target.known is not None)
    _check_tokens(plan, names, both_known=source.known is not None or target.known is not None)
    return _feed(plan, source, names, key), _feed(plan, target, names, key)


def _key_names(view: _View, offered: frozenset[str]) -> frozenset[str]:
    """The mapped names of the side's key: each entry is one, or an upstream name that one entry of ``columns`` maps."""
    names: set[str] = set()
    for entry in view.side.key:
        mapped = sorted(name for name, text in view.explicit.items() if plain_column(text) == entry)
        if entry in view.explicit or not mapped:
            names.add(entry)
        elif len(mapped) == 1:
            names.add(mapped[0])
        else:
            raise ConfigError(f"{view.where}: key {entry!r} is mapped to {' and '.join(mapped)}; write the mapped name in key:")
    missing = sorted(names - offered)
    if missing:
        raise ConfigError(
            f"{view.where}: key {missing[0]!r} is neither a column nor a mapped name (its own name went into another entry of "
            f"columns:, or null left it out); write columns: {{{missing[0]}: UPSTREAM_COLUMN}}, or another key"
        )
    return frozenset(names)


def _check_explicit(view: _View, other: _View, offered: frozenset[str], ignored: frozenset[str]) -> None:
    for name, entry in view.explicit.items():
        if name not in offered and name not in ignored:
            raise ConfigError(
                f"{view.where}: columns.{name}: side {other.side.name} has no column {name!r}{did_you_mean(name, offered)}; "
                f"there write columns: {{{name}: ITS_COLUMN}}, or here {name}: null"
            )
        # A json payload leaves out what is null, so a short recording may not show the column; Debezium always sends all.
        for read in _reads(entry):
            if (
                view.known is not None
                and view.side.format != Format.JSON
                and read not in view.known
                and len(view.known) > len(view.side.key)
            ):
                raise ConfigError(
                    f"{view.where}: columns.{name} reads {read!r}, which no message has{did_you_mean(read, view.known)}; "
                    f"the columns are {_listed(view.known)}"
                )


def _check_large(plan: TopologyPlan, names: frozenset[str], key: frozenset[str], *, both_known: bool) -> None:
    for name in plan.large:
        if name in key:
            raise ConfigError(
                f"{plan.name}: compare.large: {name!r} is a key column, which is never unknown; remove it from large"
            )
        if name not in names and both_known:
            near = did_you_mean(name, names)
            raise ConfigError(f"{plan.name}: compare.large: {name!r} is no compared column; compared are {_listed(names)}{near}")


def _check_tokens(plan: TopologyPlan, names: frozenset[str], *, both_known: bool) -> None:
    for name in () if plan.tokens is None else plan.tokens.columns:
        if name not in names and both_known:
            near = did_you_mean(name, names)
            raise ConfigError(f"{plan.name}: tokens.columns: {name!r} is no compared column; compared are {_listed(names)}{near}")


def _listed(names: Iterable[str]) -> str:
    return "[" + ", ".join(sorted(names)) + "]"


def _feed(plan: TopologyPlan, view: _View, names: frozenset[str], key: frozenset[str]) -> FeedPlan:
    side = view.side
    types, zones = dict(side.types), dict(side.timezones)
    tokens = () if plan.tokens is None else plan.tokens.columns
    columns = tuple(
        _column(
            name, view.explicit.get(name, None), types, zones, large=name in plan.large, key=name in key, token=name in tokens
        )
        for name in sorted(names, key=lambda n: n.encode())
    )
    return FeedPlan(
        side=side.name,
        format=side.format,
        columns=columns,
        types=side.types,
        timezones=side.timezones,
        event_time=side.event_time,
        unicode_nfc=side.unicode_nfc,
        hash_key=plan.hash_key,
        registry=side.registry,
        tokens=plan.tokens,
        table=side.table,
    )


def _column(
    name: str, entry: str | None, types: Mapping[str, TypeRule], zones: Mapping[str, str], *, large: bool, key: bool, token: bool
) -> ColumnPlan:
    upstream = name if entry is None else plain_column(entry)
    if upstream is None:
        assert entry is not None
        return ColumnPlan(name, None, entry, columns_read(entry), large=large, key=key, token=token)
    return ColumnPlan(
        name,
        upstream,
        None,
        (upstream,),
        type=types.get(upstream),
        timezone=zones.get(upstream),
        large=large,
        key=key,
        token=token,
    )
