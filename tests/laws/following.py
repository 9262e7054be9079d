"""What was said, followed as an auditor does: every promise of a chain, with the discrepancy events that belong to it."""

from __future__ import annotations

from collections.abc import Iterable

from stream_recon.audit.follow import Chain, Events, by_chain
from stream_recon.audit.text import json_object


def complaints(bodies: Iterable[bytes]) -> list[str]:
    """All that does not hold in these bodies, audit and discrepancies in one order or in two."""
    parted: tuple[list[bytes], list[bytes]] = ([], [])
    for body in bodies:
        parted[json_object(body)["type"] == "discrepancy"].append(body)
    audit, discrepancies = parted
    events, chains, wrong = by_chain(discrepancies), dict[str, Chain](), list[str]()
    for body in audit:
        event = json_object(body)
        name = event["chain"]
        found = chains.setdefault(name, Chain()).follow(body, event, events.setdefault(name, Events([])))
        wrong += [f"{name} {event['seq']}: {text}" for text in found]
    return wrong + [f"{name}: {left} events that no body holds" for name, e in events.items() if (left := e.left())]
