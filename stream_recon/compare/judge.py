"""Equal, different or inconclusive, for all touched keys of a window at once (DESIGN 3.5).

equal  iff  right is left or any candidate (a row of the left in the look-ahead); equal if a known one is equal,
       else inconclusive if one of them is unknown
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from stream_recon.model.versions import State

Mask = npt.NDArray[np.bool_]
Versions = npt.NDArray[np.void]
States = npt.NDArray[np.uint8]


class Verdict(IntEnum):
    """What is said of a key in a window."""

    EQUAL = 0
    DIFFERENT = 1
    INCONCLUSIVE = 2


def present(versions: Versions) -> Mask:
    """Where a row stands and is known."""
    state: States = versions["state"]
    return np.asarray(state == State.PRESENT, np.bool_)


def absent(versions: Versions) -> Mask:
    """Where it is known that no row stands."""
    state: States = versions["state"]
    return np.asarray(state <= State.ABSENT, np.bool_)


def unknown(versions: Versions) -> Mask:
    """Where it is not known what stands."""
    state: States = versions["state"]
    return np.asarray(state == State.UNKNOWN, np.bool_)


def same(left: Versions, right: Versions) -> Mask:
    """Pair by pair: both known, and the same row or both absent."""
    both = present(left) & present(right)
    equal: Mask = (left["ident"] == right["ident"]).all(axis=1)
    return (both & equal) | (absent(left) & absent(right))


def judge(left: Versions, right: Versions, candidate_same: Mask, candidate_unknown: Mask) -> npt.NDArray[np.uint8]:
    """A ``Verdict`` a key. The candidate masks say whether a row of the look-ahead equals ``right``, or is unknown."""
    open_ = unknown(left) | unknown(right) | candidate_unknown
    verdict = np.where(open_, Verdict.INCONCLUSIVE, Verdict.DIFFERENT)
    return np.where(~unknown(right) & (same(left, right) | candidate_same), Verdict.EQUAL, verdict).astype(np.uint8)
