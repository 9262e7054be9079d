"""What ``replay`` and ``run --once`` leave in a directory, held to what it promises: whole chains, events with their bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stream_recon.audit.follow import Chain, Events, by_chain
from stream_recon.audit.text import json_object
from stream_recon.errors import InputError, ProofError

AUDIT: Final = "audit.jsonl"
DISCREPANCIES: Final = "discrepancies.jsonl"
SUMMARY: Final = "summary.json"


@dataclass(frozen=True, slots=True)
class Step:
    """An audit event, as octets and as read, and the discrepancy events that belong to it, in their order."""

    octets: bytes
    body: Mapping[str, Any]
    said: Sequence[tuple[bytes, Mapping[str, Any]]]

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """The discrepancy events as read."""
        return [event for _, event in self.said]


def steps(place: Path, chains: dict[str, Chain] | None = None) -> Iterator[Step]:
    """The audit events of a run in their order, each chain held to what it promises (``audit.follow``).

    ``chains`` are followed on the way.

    Raises:
        InputError: they cannot be read, or do not hold.
    """
    chains = {} if chains is None else chains
    try:
        with (place / DISCREPANCIES).open("rb") as lines:
            events = by_chain(line.removesuffix(b"\n") for line in lines)
        with (place / AUDIT).open("rb") as lines:
            for line in lines:
                octets = line.removesuffix(b"\n")
                body = json_object(octets)
                name = str(body.get("chain"))
                own = events.setdefault(name, Events([]))
                wrong = list(chains.setdefault(name, Chain()).follow(octets, body, own))
                if wrong:
                    raise InputError(f"{place}: {name}, seq {body.get('seq')}: {wrong[0]}")
                yield Step(octets, body, tuple(own.last))
    except OSError as error:
        text = f"{error.filename}: cannot be read: {error.strerror or error}; name what replay or run --once left"
        raise InputError(text) from error
    except ProofError as error:
        raise InputError(f"{place}: {error}; name what replay or run --once left") from error
    left = {name: count for name, one in events.items() if (count := one.left())}
    if left:
        raise InputError(f"{place}: {DISCREPANCIES} holds discrepancy events that no certificate holds: {left}")
