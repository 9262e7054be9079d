"""``reset``: what it says and deletes beside topics and groups, which real brokers test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.cli import upkeep
from stream_recon.errors import ConfigError, StateError
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names


class Log:
    """A deployment of which there is a log, or none any more."""

    def __init__(self, plans: Sequence[TopologyPlan], id_: str | None) -> None:
        self.plans, self.names, self._id = plans, Names(plans[0].prefix), id_

    def log_id(self) -> str | None:
        return self._id

    def remove(self, *, outputs: bool) -> None:
        self._id = None


@pytest.fixture
def topology(location: str, tmp_path: Path) -> Path:
    side = {"format": "json", "key": ["id"]}
    body = {
        "version": 1,
        "name": "x",
        "window": "10s",
        "settle": "5s",
        "source": {"name": "s", "topics": ["s"], **side},
        "targets": [{"name": "t", "topics": ["t"], **side}],
        "checkpoints": {"location": location},
    }
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


@pytest.fixture
def kept(location: str, tmp_path: Path) -> Checkpoints:
    """Those of the log ``LOG``, of which there is one."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "000001.sst").write_bytes(b"state")
    kept = Checkpoints(location, "recon", "LOG", 3)
    kept.save(0, snapshot, 7, 0)
    return kept


def is_there(kept: Checkpoints, tmp_path: Path) -> bool:
    return kept.restore(0, tmp_path / "restored", 1, 1 << 40) is not None


def reset(topology: Path, *, yes: bool = True) -> int:
    return upkeep.reset([topology], None, topology.parent / "state", outputs=False, yes=yes, as_json=False)


@pytest.mark.parametrize(("log", "goes"), [("LOG", True), ("OTHER", False), (None, False)])
def test_a_reset_deletes_the_checkpoints_of_the_log_that_it_deletes(
    topology: Path,
    kept: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    log: str | None,
    goes: bool,
) -> None:
    monkeypatch.setattr(upkeep, "_stopped", lambda plans: Log(plans, log))
    state = tmp_path / "state" / "recon" / "state-LOG"
    state.mkdir(parents=True)
    with pytest.raises(ConfigError, match="add --yes") as refused:
        reset(topology, yes=False)
    assert (f"checkpoints {kept.place}" in str(refused.value)) == goes
    assert is_there(kept, tmp_path)
    assert state.exists()
    assert reset(topology) == 0
    assert is_there(kept, tmp_path) != goes
    assert not state.exists()
    assert (f"checkpoints {kept.place}" in capfd.readouterr().err) == goes


@pytest.mark.parametrize("location", ["directory"], indirect=True)
def test_a_reset_says_which_checkpoints_it_could_not_delete(
    topology: Path, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_stopped", lambda plans: Log(plans, "LOG"))
    (Path(location) / "recon").mkdir(parents=True)
    (Path(location) / "recon" / "LOG").write_bytes(b"no directory")
    state = tmp_path / "state" / "recon"
    state.mkdir(parents=True)
    with pytest.raises(StateError, match=f"delete recon/LOG at {location} by hand"):
        reset(topology)
    assert not state.exists()
