"""The job that other engines do, too: its truth by brute force, what counts as said, and the figures made of it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import service
from benchmarks.peers import __main__ as command
from benchmarks.peers import job, report
from benchmarks.peers.catalogue import ENGINES, OURS, chosen
from benchmarks.peers.fetching import POM, versions
from benchmarks.peers.job import IDLE_PARTITION, WINDOW_US, Job, Verdict
from benchmarks.peers.measuring import Outcome, Said, verdict_of
from benchmarks.peers.process import Tree
from stream_recon.bench.data import Rows
from tests.kafka.loading import until
from tools import documents
from tools.soak import __main__ as soak


def last_rows(rows: Rows, until: int) -> dict[Verdict, tuple[int, ...]]:
    """Of each window that ends by then, and key."""
    found = {}
    for key, time, *columns in zip(rows.key, rows.time, rows.customer, rows.cents, rows.status, rows.note, strict=True):
        start = int(time) // WINDOW_US * WINDOW_US
        if start + WINDOW_US <= until:
            found[start // 1000, int(key)] = (int(time), *map(int, columns))
    return found


def differing(one: Job, until: int) -> set[Verdict]:
    source, target = last_rows(one.source, until), last_rows(one.target, until)
    return {name for name in source.keys() | target.keys() if source.get(name) != target.get(name)}


def test_what_must_be_found_is_what_differs() -> None:
    whole = job.whole(40_000)
    end = int(whole.source.time.max())
    assert differing(whole, end) == whole.must == whole.may
    assert len(whole.must) == 20 + 4
    assert len(whole.last) == 4 == len({key % 4 for _, key in whole.last})
    assert max(whole.must) in whole.last, "the last window is closed when these are found"


def test_of_a_stalled_target_only_what_it_has_passed_may_be_said() -> None:
    stall = job.stall()
    passed = int(stall.target.time.max()) - job.OUT_OF_ORDER_US
    assert differing(stall, passed) == stall.may
    assert 10 < len(stall.must) < len(stall.may)
    assert stall.must < stall.may
    assert not stall.last
    assert len(differing(stall, int(stall.source.time.max()))) > 3_000, "whoever closes these windows invents so many"


def test_an_idle_partition_is_empty_on_both_sides() -> None:
    idle = job.idle()
    for rows in (idle.source, idle.target):
        assert set((rows.key % 4).tolist()) == {0, 1, 2}
    assert differing(idle, int(idle.source.time.max())) == idle.must
    assert len(idle.last) == 3
    assert IDLE_PARTITION not in {key % 4 for _, key in idle.must}


def test_verdicts_of_others_and_of_ours_are_the_same() -> None:
    ours = b'{"status":"%s","key":{"id":7},"window":{"start":"2025-06-15T15:06:40.000000Z"}}'
    assert verdict_of(b'{"w":1750000000000,"k":7}') == (1_750_000_000_000, 7)
    assert verdict_of(ours % b"opened") == (1_750_000_000_000, 7)
    assert verdict_of(ours % b"resolved") is None


def test_what_is_said_is_held_against_the_truth() -> None:
    said = Said(replace(job.whole(4000), must=frozenset({(0, 1), (0, 2)}), may=frozenset({(0, 1), (0, 2), (0, 3)})))
    for verdict in ((0, 1), (0, 1), (0, 3), (0, 4)):
        said.hear(verdict)
    assert said.to_json() == {"planted": 2, "found": 1, "invented": 1, "repeated": 1}
    assert not said.finished
    for verdict in said.job.last:
        said.hear(verdict)
    assert said.finished


def pair(name: str, small: float, large: float, found: int = 9) -> report.Pair:
    def one(messages: int, cpu: float) -> Outcome:
        return Outcome(name, messages, 10.0, cpu, 100.0, 1.0, True, {"planted": 9, "found": found, "invented": 0, "repeated": 0})

    return report.Pair((200_000, 1_000_000), one(200_000, small), one(1_000_000, large))


def test_the_start_is_taken_away_and_ratios_are_of_one_round() -> None:
    rounds = [
        {OURS: [pair(OURS, 2.0, 6.0)], "faust": [pair("faust", 10.0, 90.0)]},
        {OURS: [pair(OURS, 4.0, 12.0)], "faust": [pair("faust", 20.0, 180.0, found=8)]},
        {OURS: [pair(OURS, 2.0, 6.0)], "faust": [pair("faust", 10.0, 98.0)]},
    ]
    ours, faust = report.figures(rounds)
    assert (ours.cpu_s_per_million, ours.times_ours) == (5.0, 1.0)
    assert (faust.cpu_s_per_million, faust.times_ours) == (110.0, 20.0)
    assert (faust.found, faust.planted) == (8, 9), "of verdicts the worst round counts"
    assert report.table([ours, faust], ENGINES)[3].split(" | ")[3:5] == ["110.00", "20.00"]


def test_without_ours_there_is_no_ratio() -> None:
    (faust,) = report.figures([{"faust": [pair("faust", 10.0, 90.0)]}])
    assert faust.times_ours is None


def test_of_too_few_messages_nothing_is_told() -> None:
    rounds = [{OURS: [pair(OURS, 6.0, 5.9)], "faust": [pair("faust", 10.0, 90.0)]}]
    ours, faust = report.figures(rounds)
    assert (ours.cpu_s_per_million, ours.times_ours, faust.times_ours) == (None, None, None)
    assert faust.cpu_s_per_million == 100.0
    assert report.table([ours], ENGINES)[2].split(" | ")[3] == "too few messages"


def test_an_engine_that_failed_has_no_figure() -> None:
    rounds = [{OURS: [pair(OURS, 2.0, 6.0)], "faust": [pair("faust", 10.0, 90.0)]}, {OURS: [pair(OURS, 2.0, 6.0)], "faust": []}]
    assert [one.engine for one in report.figures(rounds, {"faust"})] == [OURS]
    assert report.figures([]) == []


def test_engines_are_picked_by_name() -> None:
    assert [e.name for e in chosen("^quix")] == ["quix-eos", "quix-alo"]
    assert chosen(None) == list(ENGINES)
    for pattern, said in (("spark", "matches none of stream-recon, "), ("(", r"--only \(: ")):
        with pytest.raises(ValueError, match=said):
            chosen(pattern)


def test_a_slow_engine_gets_a_fifth() -> None:
    assert command.sizes(2_000_000, slow=False) == (400_000, 2_000_000)
    assert command.sizes(2_000_000, slow=True) == (80_000, 400_000)


def test_documents_keep_their_place_for_figures(tmp_path: Path) -> None:
    for document, begin in ((command.DOCUMENT, command.BEGIN), (service.DOCUMENT, service.BEGIN), (soak.DOCUMENT, soak.BEGIN)):
        copy = tmp_path / "document.md"
        copy.write_bytes(document.read_bytes())
        documents.put(copy, begin, "| figures |\n")
        changed = copy.read_text(encoding="utf-8")
        assert "| figures |" in changed
        documents.put(copy, begin, "other\n")
        assert copy.read_text(encoding="utf-8") == changed.replace("| figures |", "other")


def test_versions_are_those_that_are_pinned() -> None:
    told = versions()
    assert {"kafka", "flink", "flink-connector-kafka", "faust-streaming", "quixstreams"} == told.keys()
    assert f"<kafka.version>{told['kafka']}<" in POM.read_text(encoding="utf-8")


def test_a_tree_is_known_by_its_session_and_ends_as_a_whole(tmp_path: Path) -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with Tree([sys.executable, "-c", busy], {}, tmp_path / "log") as tree:
        until(lambda: tree.use().cpu > 0.3)
        assert tree.use().resident > 12_000_000, "that of two interpreters"
        assert tree.exit_code() is None
    assert tree.exit_code() is not None
    until(lambda: tree.use().resident == 0)


def test_the_section_says_when_how_and_on_what() -> None:
    result = {
        "date": "2026-11-22T03:00:00Z",
        "command": "python -m benchmarks.peers --write",
        "machine": {"cpu": "Some CPU", "cores": 2},
        "versions": {"python": "3.11.7", "flink": "2.2.0"},
        "round_count": 3,
    }
    lines = command.section(result, [["| a |", "| --- |"], ["| b |"]]).splitlines()
    text = " ".join(lines)
    for part in (
        "2026-11-22",
        "`python -m benchmarks.peers --write`",
        "Some CPU, 2 cores",
        "flink 2.2.0",
        "3 rounds",
        "(peers.json)",
    ):
        assert part in text
    assert lines[-5:] == ["", "| a |", "| --- |", "", "| b |"]
