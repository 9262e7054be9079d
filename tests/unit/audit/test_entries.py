"""Signing keys that come and go while a log is written."""

from __future__ import annotations

from itertools import count, pairwise

import pytest

from stream_recon.audit import dsse, policy
from stream_recon.audit.chain import Head, link
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.audit.entries import EVENT, STATEMENT, Sealer, signing_key
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import Signer
from stream_recon.audit.verify import Bundle, Report, verify
from stream_recon.errors import ProofError
from stream_recon.limits import SIGNING_KEY_SECONDS

ROOT = Signer("example.com/recon", PrivateKey(b"root" * 8))
POLICY = policy.parse(f"log {ROOT.verifier.vkey}\nquorum none".encode())
NOW = 1_795_306_435
MINUTE = 60


def seeds() -> Sealer:
    numbers = count(1)
    return Sealer(ROOT, Tree(), lambda: next(numbers).to_bytes(32, "big"))


def written(sealer: Sealer, times: list[int], checkpoint_every: int) -> tuple[list[bytes], bytes]:
    head, entries, checkpoints = Head(), list[bytes](), b""
    for n, time in enumerate(times, 1):
        body, head = link(head, "stalled", "t/a/0", {})
        entries += sealer.event(body, time)
        if n % checkpoint_every == 0:
            checkpoints += sealer.checkpoint(time) + b"\n"
    return [entry + b"\n" for entry in entries], checkpoints


def checked(entries: list[bytes], checkpoints: bytes) -> Report:
    return verify(POLICY, Bundle(entries, [], checkpoints))


def test_keys_follow_each_other_with_overlap() -> None:
    """A day, an event a minute, a checkpoint after 25: what a key signed at its half comes under a checkpoint in its time."""
    entries, checkpoints = written(seeds(), [NOW + n * MINUTE for n in range(1440)], 25)
    report = checked(entries[: _covered(entries)], checkpoints)
    assert (report.holds, report.broken) == (True, 0), report.findings
    envelopes = [dsse.parse(line[:-1]) for line in entries]
    introduced = [signing_key(e.payload, ROOT.name) for e in envelopes if e.payload_type == STATEMENT]
    assert len(introduced) == 1440 * MINUTE // (SIGNING_KEY_SECONDS // 2)
    for one, two in pairwise(introduced):
        assert one.begins < two.begins < one.ends < two.ends


def _covered(entries: list[bytes]) -> int:
    """Entries up to the last checkpoint: 1425 events, and the statements before them."""
    events = 0
    for place, line in enumerate(entries):
        events += dsse.parse(line[:-1]).payload_type == EVENT
        if events == 1425:
            return place + 1
    raise AssertionError


def test_the_old_key_is_good_beside_the_new_one() -> None:
    old, new = PrivateKey((1).to_bytes(32, "big")), PrivateKey((2).to_bytes(32, "big"))
    sealer, head = seeds(), Head()
    first, head = link(head, "stalled", "t/a/0", {})
    second, head = link(head, "stalled", "t/a/0", {})
    third, _ = link(head, "stalled", "t/a/0", {})
    half = NOW + SIGNING_KEY_SECONDS // 2
    entries = [*sealer.event(first, NOW), *sealer.event(second, half)]
    assert [dsse.parse(e).signatures[0].keyid for e in entries[1::2]] == [dsse.key_id(k.public) for k in (old, new)]
    late = dsse.sign(EVENT, third, [old])
    sealer.tree.add(late.signed)
    lines = [*(entry + b"\n" for entry in entries), late.dumps() + b"\n"]
    assert checked(lines, sealer.checkpoint(NOW + SIGNING_KEY_SECONDS - 1) + b"\n").holds
    assert not checked(lines, sealer.checkpoint(NOW + SIGNING_KEY_SECONDS) + b"\n").holds


def test_a_clock_that_goes_back_gets_a_new_key() -> None:
    entries, checkpoints = written(seeds(), [NOW, NOW - 1], 2)
    assert len(entries) == 4
    assert not checked(entries, checkpoints).holds  # the first key's time has not begun at that checkpoint


@pytest.mark.parametrize(
    "statement",
    [
        b"{}",
        b'{"type":"key","origin":"example.com/recon","key":"00","not_before":"2026-11-22T00:13:55Z","not_after":"2026-11-22T00:13:56Z"}',
        b'{"type":"key","origin":"example.com/recon","key":"zz","not_before":"2026-11-22T00:13:55Z","not_after":"2026-11-22T00:13:56Z"}',
        b'{"type":"key","origin":"example.com/recon","key":"%b","not_before":"now","not_after":"then"}' % (b"11" * 32),
    ],
)
def test_statements_that_are_none(statement: bytes) -> None:
    with pytest.raises(ProofError):
        signing_key(statement, ROOT.name)
