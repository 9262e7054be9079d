"""The state in a position's metadata: what comes back, what does not fit, what somebody else wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.engine.progress import Progress
from stream_recon.errors import StateError
from stream_recon.model.digest import Counts
from stream_recon.normalise.clock import NEVER, ClockState
from stream_recon.ports import Commit
from stream_recon.service.positions import METADATA_BYTES, Idle, Kept, Saved

NOW = 1_795_266_000_000_000

offsets = st.integers(0, (1 << 63) - 1)
times = st.just(NEVER) | st.integers(-(1 << 62), 1 << 62)
clocks = st.builds(ClockState, times, times, st.booleans(), times, times, st.none() | st.binary(min_size=16, max_size=16), times)
counts = st.builds(Counts, offsets, offsets, offsets, offsets, offsets)
kept = st.builds(Kept, st.integers(1, 1 << 31), st.builds(Progress, offsets, clocks, counts, offsets))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
idles = st.none() | st.builds(Idle, st.integers(0, 1 << 62), st.integers(0, 1 << 62))


@given(names, idles, st.dictionaries(names, kept, min_size=1, max_size=4))
def test_all_of_it_comes_back(topic_id: str, idle: Idle | None, views: dict[str, Kept]) -> None:
    saved = Saved(topic_id, idle, views)
    commit = saved.commit()
    assert Saved.load(commit) == saved
    assert commit.position == min(k.progress.position for k in views.values())


def many(views: int) -> Saved:
    """A busy topic: a billion messages, the last one a delete; names as long as people choose them."""
    clock = ClockState(NOW, NOW, False, NEVER, NOW, bytes(range(16)))
    progress = Progress(10**9, clock, Counts(10**9, 1000, 100, 10**6, 1000))
    return Saved(
        "Nq5c0nJxQqG2ZB7pWm1cXA", Idle(NOW, 600_000_000), {f"orders-{n:02}/postgres": Kept(3, progress) for n in range(views)}
    )


def test_twenty_views_fit() -> None:
    commit = many(20).commit()
    assert len(commit.metadata) <= METADATA_BYTES == 4096
    assert len(Saved.load(commit).views) == 20


def test_more_than_kafka_keeps_is_refused_before_kafka_does() -> None:
    with pytest.raises(StateError, match=r"30 topologies and targets .* need \d{4} bytes, Kafka keeps 4096"):
        many(30).commit()
    metadata = next(many(n) for n in range(20, 30) if not fits(many(n + 1))).commit().metadata
    assert METADATA_BYTES - 250 < len(metadata) <= METADATA_BYTES


def fits(saved: Saved) -> bool:
    try:
        saved.commit()
    except StateError:
        return False
    return True


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"app-1/2026",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'{"id": "x", "idle": null}',
        b'{"id": "x", "idle": 5, "views": {}}',
        b'{"id": "x", "idle": [1], "views": {}}',
        b'{"id": "x", "idle": null, "views": []}',
        b'{"id": "x", "idle": null, "views": null}',
        b'{"id": "x", "idle": null, "views": {"a/s": 1}}',
        b'{"id": "x", "idle": null, "views": {"a/s": [1, [2, true]]}}',
        b'{"id": "x", "idle": null, "views": {"a/s": [1, [2, true, "zz", [null, null, null, null], [0, 0, 0, 0, 0], 0]]}}',
        b'{"id": "x", "idle": null, "views": {"a/s": [1, [2, true, null, [null], [0, 0, 0, 0, 0], 0]]}}',
        b'{"id": "x", "idle": null, "views": {"a/s": [1, [2, true, null, [null, null, null, null], [0, 0, 0, 0, 0, 0], 0]]}}',
        b"\xff\xfe",
    ],
)
def test_what_another_program_committed_is_refused(metadata: bytes) -> None:
    with pytest.raises(StateError, match="position 7 was committed by another program"):
        Saved.load(Commit(7, metadata))
