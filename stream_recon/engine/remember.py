"""A share's memory as bytes, and back: what is not rows, base records or open discrepancies. Version: ``limits.STATE_FORMAT``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from stream_recon.align.fold import Hole, Truncate, Version
from stream_recon.align.side import Segment, Side
from stream_recon.audit.chain import Head
from stream_recon.engine.causes import Cause
from stream_recon.engine.pair import Pair
from stream_recon.engine.share import Share
from stream_recon.engine.suspension import Suspension
from stream_recon.engine.terms import Memory
from stream_recon.model.digest import Counts, Partition
from stream_recon.model.versions import State

_TIMES = ("next", "watermark", "raw", "loaded", "latest", "leading")
_KNOWN = (*_TIMES, "repeated", "gaps", "floor", "retired", "part", "base", "schemas")


def dump(share: Share) -> bytes:
    """The memory of a share."""
    return orjson.dumps(
        {
            "ended": share.ended,
            "stalled": share.stalled,
            "drifted": share.drifted,
            "heads": share.heads,
            "announced": share.announced,
            "known": [{n: getattr(k, n) for n in _KNOWN} | {"counts": k.counts} for k in share.known.values()],
            "pairs": [_pair(p) for p in share.pairs],
        }
    )


def restore(share: Share, data: bytes) -> None:
    """Puts a share that was just made from its open record where it was when ``data`` was dumped."""
    values = orjson.loads(data)
    share.ended, share.stalled, share.drifted = values["ended"], values["stalled"], values["drifted"]
    share.heads = {chain: Head(**head) for chain, head in values["heads"].items()}
    for record in values["announced"]:
        share.appear(Partition(**record))
    for known, saved in zip(share.known.values(), values["known"], strict=True):
        for name in _KNOWN:
            setattr(known, name, saved[name])
        known.counts = Counts(**saved["counts"])
    share.take_seats()
    for pair, saved in zip(share.pairs, values["pairs"], strict=True):
        _restore_pair(pair, saved)


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "memory": pair.memory,
        "sequence": pair.sequence,
        "sides": [_side(pair.source), _side(pair.target)],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "segments": [*side.filed.items()],
        "truncates": side.truncates,
        "holes": side.holes,
        "carried": [[h, k, asdict(v) | {"ident": v.ident.hex(), "hash": v.hash.hex()}] for h, k, v in side.carried],
        "loaded": side.loaded,
        "folded": side.folded,
        "top": side.folded_top.tolist(),
    }


def _restore_pair(pair: Pair, values: dict[str, Any]) -> None:
    memory = values["memory"]
    head, causes = Head(**memory.pop("head")), [Cause(**c) for c in memory.pop("causes")]
    assumed = {label: (first, last) for label, (first, last) in memory.pop("assumed").items()}
    held = memory.pop("suspended")
    suspended = None if held is None else Suspension(**{**held, "rows": tuple(held["rows"])})
    pair.memory = Memory(**memory, head=head, causes=causes, assumed=assumed, suspended=suspended)
    pair.sequence = values["sequence"]
    for side, saved in zip((pair.source, pair.target), values["sides"], strict=True):
        for number, filed in saved["segments"]:
            for sequence, count, touching, size in zip(*(filed[n::4] for n in range(4)), strict=True):
                side.file(number, Segment(sequence, count, touching, None, size=size))
        side.truncates = [Truncate(**c) for c in saved["truncates"]]
        side.holes = [Hole(**h) for h in saved["holes"]]
        side.carried = [(h, k, _version(v)) for h, k, v in saved["carried"]]
        side.loaded, side.folded = saved["loaded"], saved["folded"]
        side.folded_top = np.array(saved["top"], np.int64)
        side.top = side.folded_top.copy()
    for key, discrepancy in sorted(pair.store.discrepancies(), key=lambda one: one[1].first_seen):
        pair.open[halves(key)] = discrepancy
    for which in (0, 1):
        pair.unknown[which].update({halves(key): None for key in pair.store.loading(which)})


def _version(values: dict[str, Any]) -> Version:
    octets = {n: bytes.fromhex(values[n]) for n in ("ident", "hash")}
    return Version(**{**values, **octets, "state": State(values["state"])})


def halves(key: bytes) -> tuple[int, int]:
    """A key id as the two numbers that the engine knows it by."""
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
