"""What is done to a real export, and what an auditor is told. Each attack is caught, or docs/spec/proof.md says what it takes.

The export is that of the README's replay: six chains, three discrepancy events, in two steps with a checkpoint each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.audit import dsse, policy
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.ed25519 import Key, PrivateKey
from stream_recon.audit.entries import EVENT, STATEMENT, SigningKey
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import Signer, sign
from stream_recon.audit.text import decoded, encoded, json_object
from stream_recon.audit.verify import Bundle, Report, notes, verify
from stream_recon.cli.bundles import policy_text
from stream_recon.cli.exporting import export
from stream_recon.cli.main import run
from stream_recon.limits import SIGNING_KEY_SECONDS

ROOT = Signer("example.com/recon", PrivateKey(b"root" * 8))
SEEDS = [b"one!" * 8, b"two!" * 8]
THIEF = PrivateKey(b"evil" * 8)
NOW = 1_795_306_435
POLICY = policy.parse(policy_text(ROOT).encode())
REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "tests/fixtures/dual-write"
TARGET = "orders/mariadb/6"
"""The chain with the discrepancies."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's replay leaves."""
    out = tmp_path_factory.mktemp("results")
    sides = [f"--side=postgres={FIXTURES}/pg-json-orders.jsonl.gz", f"--side=mariadb={FIXTURES}/maria-json-orders.jsonl.gz"]
    assert run(["replay", str(REPOSITORY / "topologies/orders.yaml"), *sides, "--out", str(out), "--json"]) == 1
    return out


def earlier(results: Path, out: Path, bodies: int) -> Path:
    """What would have been there when so many audit bodies were."""
    audit = (results / "audit.jsonl").read_bytes().splitlines(keepends=True)[:bodies]
    held = {(b["chain"], b["window"]["end"]) for b in map(json.loads, audit)}
    events = (results / "discrepancies.jsonl").read_bytes().splitlines(keepends=True)
    out.mkdir()
    (out / "audit.jsonl").write_bytes(b"".join(audit))
    kept = [e for e in events if ((v := json.loads(e))["chain"], v["window"]["end"]) in held]
    (out / "discrepancies.jsonl").write_bytes(b"".join(kept))
    return out


class Files:
    """A bundle in memory, to be changed."""

    def __init__(self, entries: list[bytes], events: list[bytes], checkpoints: bytes) -> None:
        self.entries, self.events, self.checkpoints = entries, events, checkpoints

    def copy(self) -> Files:
        return Files(list(self.entries), list(self.events), self.checkpoints)

    def check(self, *, kept: bytes | None = None, chains: tuple[str, ...] = ()) -> Report:
        older = [] if kept is None else [("kept", kept)]
        return verify(POLICY, Bundle(iter(self.entries), iter(self.events), self.checkpoints), older, chains)

    def where(self, chain: str) -> list[int]:
        """Its entries."""
        return [n for n, line in enumerate(self.entries) if json_object(dsse.parse(line).payload).get("chain") == chain]

    def body(self, place: int) -> dict[str, Any]:
        return json_object(dsse.parse(self.entries[place]).payload)

    def checkpointed(self, root: Signer, time: int) -> None:
        """The checkpoints of somebody who has a root key: one, over all entries."""
        tree = Tree()
        for line in self.entries:
            tree.add(dsse.parse(line).signed)
        self.checkpoints = sign(Checkpoint.at(root.name, tree.size, tree.root, time).text, [root]) + b"\n"


def read(bundle: Path) -> Files:
    entries, events = ((bundle / f"{name}.jsonl").read_bytes().splitlines(keepends=True) for name in ("entries", "discrepancies"))
    return Files(entries, events, (bundle / "checkpoints").read_bytes())


@pytest.fixture(scope="module")
def bundle(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    place = tmp_path_factory.mktemp("bundle")
    seeds, times = iter(SEEDS), iter(range(NOW, NOW + 1000))
    for step in (earlier(results, place / "half", 40), results):
        export(step, place / "bundle", ROOT, clock=lambda: next(times), seed=lambda: next(seeds))
    return read(place / "bundle")


def told(report: Report) -> str:
    return "\n".join(map(str, report.findings))


def caught(report: Report, *patterns: str) -> None:
    """Every pattern is in a finding of its own words."""
    assert not report.holds
    for pattern in patterns:
        assert re.search(pattern, told(report)), told(report)


def signed(body: dict[str, Any] | bytes, key: Key, kind: str = EVENT) -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return dsse.sign(kind, octets, [key]).dumps() + b"\n"


# ---- nothing is done ---------------------------------------------------------------------------------------------------


def test_what_was_exported_holds(bundle: Files) -> None:
    report = bundle.check(chains=(TARGET,))
    assert (told(report), report.holds) == ("", True)
    assert (report.entries, report.checkpoints, report.origin) == (71 + 2, 2, ROOT.name)
    assert sum(chain.head.seq for chain in report.chains.values()) == 71
    assert report.chains[TARGET].open == 2
    first, second = notes(bundle.checkpoints)[0]
    for kept in (first, second, bundle.checkpoints):
        assert bundle.check(kept=kept).holds


# ---- by somebody without a key -----------------------------------------------------------------------------------------


def edit(files: Files) -> None:
    place = files.where(TARGET)[5]
    value = json.loads(files.entries[place])
    value["payload"] = encoded(decoded(value["payload"]).replace(b'"discrepant"', b'"clean"     '))
    assert value != json.loads(files.entries[place])
    files.entries[place] = json.dumps(value).encode() + b"\n"


def reorder(files: Files) -> None:
    a, b = files.where(TARGET)[4:6]
    files.entries[a], files.entries[b] = files.entries[b], files.entries[a]


def insert(files: Files) -> None:
    place = files.where(TARGET)[4]
    files.entries.insert(place, signed(files.body(place), THIEF))


def splice(files: Files) -> None:
    """A clean window of another chain in place of a discrepant one."""
    files.entries[files.where(TARGET)[3]] = files.entries[files.where("orders/mariadb/1")[3]]


def renamed(files: Files) -> None:
    """The same, under the name of the chain."""
    body = files.body(files.where("orders/mariadb/1")[3]) | {"chain": TARGET}
    place = files.where(TARGET)[3]
    value = json.loads(files.entries[place])
    value["payload"] = encoded(json.dumps(body).encode())
    files.entries[place] = json.dumps(value).encode() + b"\n"


def repeat(files: Files) -> None:
    files.entries += files.entries[20:30]


def remove(files: Files) -> None:
    del files.entries[files.where(TARGET)[3]]


def cut_off(files: Files) -> None:
    del files.entries[-5:]


def cut_in_the_middle(files: Files) -> None:
    files.entries[-1] = files.entries[-1][:100]


def delete_chain(files: Files) -> None:
    gone = set(files.where("orders/mariadb/4"))
    files.entries = [line for n, line in enumerate(files.entries) if n not in gone]


def delete_chain_with_events(files: Files) -> None:
    gone = set(files.where(TARGET))
    files.entries = [line for n, line in enumerate(files.entries) if n not in gone]


def swap_signing_key(files: Files) -> None:
    """Another key is introduced in place of the first, and signs all that the first signed."""
    files.entries[0] = signed(SigningKey(THIEF.public, NOW, NOW + 3600).statement(ROOT.name), THIEF, STATEMENT)
    files.entries[1:40] = [signed(dsse.parse(line).payload, THIEF) for line in files.entries[1:40]]


def change_an_event(files: Files) -> None:
    files.events[1] = files.events[1].replace(b'"id":', b'"id" :', 1)


def remove_an_event(files: Files) -> None:
    del files.events[0]


def add_an_event(files: Files) -> None:
    files.events.append(files.events[-1])


def swap_events(files: Files) -> None:
    files.events[0], files.events[1] = files.events[1], files.events[0]


def change_a_checkpoint(files: Files) -> None:
    files.checkpoints = files.checkpoints.replace(b"\n73\n", b"\n72\n")


def reorder_checkpoints(files: Files) -> None:
    files.checkpoints = b"".join(note + b"\n" for note in reversed(notes(files.checkpoints)[0]))


def cut_a_checkpoint(files: Files) -> None:
    files.checkpoints = files.checkpoints[:-30]


def unfinished(files: Files) -> None:
    """The last checkpoint is away."""
    files.checkpoints = notes(files.checkpoints)[0][0] + b"\n"


def no_checkpoint(files: Files) -> None:
    files.checkpoints = b""


def another_kind(files: Files) -> None:
    files.entries.append(signed({"type": "note"}, THIEF, "application/json"))


def rubbish(files: Files) -> None:
    files.entries[7] = b"not JSON\n"


TREE = r"entries are not those of the checkpoint of .*: at least one from entry {} on was changed, removed, put in or moved"

ATTACKS: dict[Callable[[Files], None], tuple[str, ...]] = {
    edit: (
        rf"{TARGET}, seq 5: it is signed by none of the keys .* before it: it was changed",
        rf"{TARGET}, seq 6: it does not name",
        TREE.format("\\d+"),
    ),
    reorder: (rf"{TARGET}, seq 5: seq 4 must come here: 1 before this one missing", r"seq 4: seq 6 must come here"),
    insert: (
        rf"{TARGET}, seq 4: it is signed by none of the keys",
        rf"{TARGET}, seq 4: seq 5 must come here: a body is repeated",
    ),
    splice: (r"orders/mariadb/1, seq 3: seq", rf"{TARGET}, seq 4: seq 3 must come here: 1 before this one missing"),
    renamed: (rf"{TARGET}, seq 3: it is signed by none of the keys", rf"{TARGET}, seq 3: it does not name the body before it"),
    repeat: (r"must come here: a body is repeated", r"entry 73: entries from 73 on, 10 of them, are under no checkpoint"),
    remove: (
        rf"{TARGET}, seq 4: seq 3 must come here: 1 before",
        r"the log had 73 entries .*, the bundle has 72: 1 are cut off at its end, or",
    ),
    cut_off: (r"the log had 73 entries at 2026-11-22T00:..:..Z, the bundle has 68: 5 are cut off",),
    cut_in_the_middle: (r"entry 72: the last line is cut off", r"the bundle has 72: 1 are cut off"),
    delete_chain: (r"the log had 73 entries .*, the bundle has 69: 4 are cut off at its end, or were taken out before",),
    delete_chain_with_events: (TREE.format("\\d+"), r"3 discrepancy events at the end belong to no entry"),
    swap_signing_key: (
        r"entry 0: the log's root key did not sign this statement",
        r"entry 1, .*: it is signed by none of the keys",
        TREE.format(0),
    ),
    change_an_event: (rf"{TARGET}, seq \d+: its events_root is not that of the \d discrepancy events found",),
    remove_an_event: (rf"{TARGET}, seq \d+: its events_root is not that of the 0 discrepancy events found",),
    add_an_event: (r"1 discrepancy events at the end belong to no entry",),
    swap_events: (r"events_root is not",),
    change_a_checkpoint: (r"checkpoint 1: the signature by example.com/recon.* does not hold", r"are under no checkpoint"),
    reorder_checkpoints: (r"checkpoint 1: it has 41 entries, the one before it had 73: the log was set back",),
    cut_a_checkpoint: (r"ends with \d+ octets that are no whole checkpoint", r"are under no checkpoint"),
    unfinished: (r"entry 41: entries from 41 on, 32 of them, are under no checkpoint: nothing says that they stay",),
    no_checkpoint: (r"no checkpoint is signed as the policy demands: nothing in this bundle can be believed",),
    another_kind: (r"entry 73: this version knows no entries of type 'application/json'",),
    rubbish: (r"entry 7: it is no envelope", TREE.format(0)),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_who_has_no_key_is_caught(bundle: Files, attack: Callable[[Files], None]) -> None:
    files = bundle.copy()
    attack(files)
    caught(files.check(), *ATTACKS[attack])


@settings(max_examples=150)
@given(data=st.data())
def test_no_octet_can_be_changed(bundle: Files, data: st.DataObject) -> None:
    """One octet, anywhere: it is caught, or it is a hint for readers (an envelope's keyid) and nothing that is signed changed."""
    files = bundle.copy()
    parts = data.draw(st.sampled_from([files.entries, files.events, [files.checkpoints]]))
    place = data.draw(st.integers(0, len(parts) - 1))
    at = data.draw(st.integers(0, len(parts[place]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda octet: octet != parts[place][at]))
    changed = parts[place][:at] + bytes([other]) + parts[place][at + 1 :]
    if parts is files.entries or parts is files.events:
        parts[place] = changed
    else:
        files.checkpoints = changed
    if files.check().holds:
        assert [dsse.parse(line).signed for line in files.entries] == [dsse.parse(line).signed for line in bundle.entries]
        assert (files.events, files.checkpoints) == (bundle.events, bundle.checkpoints)


# ---- by somebody with a key --------------------------------------------------------------------------------------------


def test_another_root_key_is_not_believed(bundle: Files) -> None:
    """Everything made anew under a key of the same name."""
    files, root = bundle.copy(), Signer(ROOT.name, THIEF)
    files.entries[0] = signed(SigningKey(THIEF.public, NOW, NOW + 3600).statement(ROOT.name), THIEF, STATEMENT)
    files.checkpointed(root, NOW)
    caught(files.check(), r"checkpoint 0: no key that is trusted signed this note", r"nothing in this bundle can be believed")


def test_a_stolen_signing_key_puts_nothing_under_a_checkpoint(bundle: Files) -> None:
    """A clean window in place of a discrepant one, signed well, and the chain mended to its end."""
    files, key = bundle.copy(), PrivateKey(SEEDS[0])
    rewrite(files, key, PrivateKey(SEEDS[1]))
    report = files.check()
    caught(report, TREE.format(0))
    assert report.broken == 1
    caught(files.check(kept=notes(bundle.checkpoints)[0][0]), r"kept: the first 41 entries of the bundle are not those")


def rewrite(files: Files, *keys: PrivateKey) -> None:
    """Makes a body of the target's chain another, and all after it name it: what whoever has the signing keys can do."""
    from stream_recon.audit.chain import body_hash

    places, prev = files.where(TARGET), None
    for n, place in enumerate(places):
        body = files.body(place)
        if n >= 2:
            body |= {"prev": prev, "time": "2026-11-21T06:00:00.000000Z"}
        entry = signed(body, keys[0] if place <= 41 else keys[1])
        prev = body_hash(dsse.parse(entry).payload)
        files.entries[place] = entry


def test_a_fork_under_the_true_root_key_is_caught_by_a_kept_checkpoint(bundle: Files) -> None:
    files = bundle.copy()
    rewrite(files, PrivateKey(SEEDS[0]), PrivateKey(SEEDS[1]))
    files.checkpointed(ROOT, NOW + 100)
    assert (
        files.check().holds
    )  # alone it is a history like any other: that is why an auditor keeps a checkpoint, or asks for witnesses
    caught(
        files.check(kept=bundle.checkpoints),
        r"kept: the first 41 entries .*, and the log's key has signed both: a fork; keep both",
    )
    fork, true = files.checkpoints, bundle.checkpoints
    files.checkpoints = notes(true)[0][1] + b"\n" + fork
    caught(files.check(), r"checkpoint 1: there are two roots for 73 entries: the log's key has signed two histories, a fork")
    files.checkpoints = notes(true)[0][0] + b"\n" + fork
    caught(files.check(), r"but a later one holds, so the log's key has signed two histories, a fork")


def test_a_cut_with_its_checkpoints_is_caught_by_a_kept_one(bundle: Files) -> None:
    files = bundle.copy()
    del files.entries[41:]
    unfinished(files)
    events = [e for e in files.events if any(json.loads(e)["window"] == files.body(n)["window"] for n in files.where(TARGET))]
    files.events = events
    assert files.check().holds  # as the log was then
    caught(
        files.check(kept=bundle.checkpoints),
        r"kept: the log had 73 entries at .*, the bundle has 41: 32 are cut off at its end",
    )


def test_a_chain_that_was_never_taken_in_is_missed_by_name(bundle: Files) -> None:
    files = bundle.copy()
    delete_chain(files)
    files.checkpointed(ROOT, NOW + 100)
    assert files.check().holds
    caught(files.check(chains=("orders/mariadb/4",)), r"orders/mariadb/4: this chain must be here, and no entry is of it")


@pytest.mark.parametrize(
    ("when", "good"), [(NOW, True), (NOW + SIGNING_KEY_SECONDS - 1, True), (NOW + SIGNING_KEY_SECONDS + 1, False)]
)
def test_a_signing_key_is_good_for_its_time(bundle: Files, when: int, good: bool) -> None:
    """By the checkpoint that takes its entries in, which the root key signs."""
    files = bundle.copy()
    del files.entries[41:]
    files.events = [
        e for e in files.events if any(json.loads(e)["window"] == files.body(n)["window"] for n in files.where(TARGET))
    ]
    files.checkpointed(ROOT, when)
    report = files.check()
    assert report.holds == good, told(report)
    if not good:
        caught(report, r"entry 1, .*: its key may sign from 2026-11-22T00:..:..Z to .*, the checkpoint .* is of .*: not its time")


def test_a_key_signs_nothing_before_it_is_introduced(bundle: Files) -> None:
    files = bundle.copy()
    files.entries[0], files.entries[1] = files.entries[1], files.entries[0]
    files.checkpointed(ROOT, NOW)
    caught(files.check(), r"entry 0, .*: it is signed by none of the keys")


def test_a_statement_is_for_one_log(bundle: Files) -> None:
    files = bundle.copy()
    files.entries[0] = signed(
        SigningKey(PrivateKey(SEEDS[0]).public, NOW, NOW + 3600).statement("example.com/x"), ROOT.key, STATEMENT
    )
    files.checkpointed(ROOT, NOW)
    caught(files.check(), r"entry 0: expected a statement of the log example.com/recon")
