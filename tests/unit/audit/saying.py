"""Chains of certificates with their discrepancy events, as reconcile says them and no more than a signer looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stream_recon.audit.chain import Head, link
from stream_recon.audit.joining import Step
from stream_recon.audit.merkle import root


@dataclass(frozen=True)
class Said:
    """What one digest partition says in several chains: partitions of the two topics, and what belongs together."""

    bodies: list[bytes]
    events: list[bytes]
    steps: list[Step]


def said(windows: list[tuple[str, int]]) -> Said:
    """Windows of chains, in order, each with so many events."""
    heads: dict[str, Head] = {}
    bodies: list[bytes] = []
    all_events: list[bytes] = []
    steps: list[Step] = []
    for chain, count in windows:
        head = heads.get(chain, Head())
        window = {"start": f"{head.seq}", "end": f"{head.seq + 1}"}
        event = {"chain": chain, "status": "opened", "window": window}
        events = [json.dumps(event | {"id": n}).encode() for n in range(count)]
        before = sum(len(step.events) for step in steps if step.chain == chain)
        content = {
            "window": window,
            "number": head.seq,
            "windows": 1,
            "verdict": "discrepant" if count else "clean",
            "counts": {"keys": count, "equal": 0, "different": count, "inconclusive": 0},
            "open": before + count,
            "causes": [],
            "ranges": [],
            "events_root": root(events).hex(),
        }
        body, heads[chain] = link(head, "window", chain, content)
        bodies.append(body)
        all_events += events
        steps.append(Step(chain, body, tuple(events)))
    return Said(bodies, all_events, steps)
