"""Settings of the live service that make no sense beside another: in one topology, and between those of one run.

Each rule refuses what would run and prove nothing: a side that is paused for ever, a silence that cannot be told from a delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stream_recon.config.scalars import spelled_duration
from stream_recon.config.source import Document, FieldPath
from stream_recon.config.topology import Side, Topology
from stream_recon.errors import ConfigError
from stream_recon.model.plan import Format, SidePlan, TopologyPlan


def check_live(document: Document, topology: Topology, sides: Iterable[tuple[FieldPath, Side]], plan: TopologyPlan) -> None:
    """Notes which settings of ``topology``, as resolved in ``plan``, contradict each other. ``sides``: where they are written."""
    _check_max_ahead(document, topology)
    compared = {topic: side.name for side in reversed(plan.sides) for topic in side.topics}
    for (path, side), resolved in zip(sides, plan.sides, strict=True):
        _check_stall_timeout(document, path, side, resolved)
        _check_heartbeat(document, path, side, resolved, compared)


def check_together(plans: Sequence[TopologyPlan]) -> None:
    """Refuses what the topologies of one ``run`` cannot share.

    Raises:
        ConfigError: a line for each thing to mend.
    """
    problems = [*_twins(plans), *_deployments(plans), *_own_topics(plans)]
    if problems:
        raise ConfigError("\n".join(problems))


def _where(path: FieldPath, side: Side, name: str) -> FieldPath:
    """Where a setting of a side is written: there, or at the top for all sides."""
    return (*path, name) if name in side.model_fields_set else (name,)


def _check_max_ahead(document: Document, topology: Topology) -> None:
    parts = {name: int(getattr(topology, name)) for name in ("window", "settle", "clock_skew")}
    needed = sum(parts.values())
    if topology.max_ahead < needed:
        own = "max_ahead" in topology.model_fields_set
        what = "got" if own else "too long for the default max_ahead of"
        document.problem(
            ("max_ahead",) if own else (max(parts, key=lambda name: parts[name]),),
            f"{what} {spelled_duration(topology.max_ahead)}, less than window + settle + clock_skew: a side would be paused for "
            f"ever before a window can close; write max_ahead: {spelled_duration(needed)} or more",
        )


def _check_stall_timeout(document: Document, path: FieldPath, side: Side, resolved: SidePlan) -> None:
    stall_timeout, idle_after = resolved.stall_timeout, resolved.idle_after
    if stall_timeout is None:
        return
    at, name = _where(path, side, "stall_timeout"), resolved.name
    if idle_after is None:
        text = f"has no effect on side {name}, which without idle_after is never stalled; write never, or a time for idle_after"
        document.problem(at, text)
    elif stall_timeout <= idle_after:
        document.problem(
            at,
            f"is {spelled_duration(stall_timeout)} on side {name}, whose idle_after is {spelled_duration(idle_after)}: a silence "
            "would be taken for fact before it is one; write a longer time, or never",
        )


def _check_heartbeat(document: Document, path: FieldPath, side: Side, resolved: SidePlan, compared: dict[str, str]) -> None:
    if resolved.heartbeat is None:
        return
    at = _where(path, side, "heartbeat")
    if resolved.heartbeat in compared:
        document.problem(
            (*at, "topic"),
            f"{resolved.heartbeat!r} is compared, by side {compared[resolved.heartbeat]}; name the topic of another table "
            "that is written through the same database log",
        )
    if resolved.format == Format.JSON and resolved.event_time is None:
        document.problem(
            at,
            f"side {resolved.name} has format json and no event_time, so that the rows of a heartbeat have no commit time; write "
            "event_time: COLUMN there, or the heartbeat inside the other sides only",
        )


def _twins(plans: Sequence[TopologyPlan]) -> Iterator[str]:
    names = [plan.name for plan in plans]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name}: name: {names.count(name)} topologies have this name; write a name of its own for each"


def _deployments(plans: Sequence[TopologyPlan]) -> Iterator[str]:
    """One deployment to a run, and one cluster to a deployment. Settings are named, and never shown: they may be secrets."""
    prefixes = {plan.prefix: plan.name for plan in reversed(plans)}
    if len(prefixes) > 1:
        listed = ", ".join(f"{prefix} ({name})" for prefix, name in sorted(prefixes.items()))
        yield f"outputs.prefix: these topologies belong to several deployments: {listed}; start one run per prefix"
        return
    for plan in plans[1:]:
        differing = sorted({name for name, _ in set(plan.kafka) ^ set(plans[0].kafka)})
        if differing:
            yield (
                f"{plan.name}: kafka: {', '.join(differing)}: not as in {plans[0].name}, but a deployment has one cluster for "
                "its own topics; write the same at the top of both, and what one side needs inside that side"
            )
        if plan.checkpoints != plans[0].checkpoints:
            yield (f"{plan.name}: checkpoints: not as in {plans[0].name}, but a deployment has one state; write the same in both")


def _own_topics(plans: Sequence[TopologyPlan]) -> Iterator[str]:
    own = frozenset[str]().union(*(plan.own_topics for plan in plans))
    for plan in plans:
        for side in plan.sides:
            for topic in (*side.topics, *([] if side.heartbeat is None else [side.heartbeat])):
                if topic in own:
                    yield (
                        f"{plan.name}: side {side.name}: topic {topic!r} is one that the deployment itself writes; "
                        "read another topic, or write another outputs.prefix"
                    )
