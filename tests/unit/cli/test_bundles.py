"""Bundles that grow while the service runs: whatever is interrupted, the next one goes on, and what was published stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import pytest

from stream_recon.adapters.kafka.checkpoints import PublishedCheckpoints
from stream_recon.audit import policy
from stream_recon.audit.chain import Head, link
from stream_recon.audit.ed25519 import PrivateKey, PublicKey
from stream_recon.audit.note import COSIGNATURE, Signer, parse
from stream_recon.audit.verify import notes
from stream_recon.cli.bundles import Ledger, Made, opened, policy_text
from stream_recon.cli.places import Places, Standing
from stream_recon.cli.signing import _taken
from stream_recon.cli.verifying import check
from stream_recon.errors import InputError, KeyServiceAway, ProofError
from stream_recon.limits import SIGNING_KEY_SECONDS

ROOT = Signer("example.com/recon", PrivateKey(b"root" * 8))
POLICY = policy.parse(policy_text(ROOT).encode())
NOW = 1_795_306_435


class Killed(Exception):
    """In the middle."""


def ledger(bundle: Path, newest: bytes | None = None, now: int = NOW) -> AbstractContextManager[Ledger]:
    times = count(now)
    return opened(bundle, ROOT, clock=lambda: next(times), seed=lambda: b"seed" * 8, newest=newest)


def bodies(chain: str = "t/a/0") -> Iterator[bytes]:
    head = Head()
    while True:
        body, head = link(head, "schema_drift", chain, {"columns": []})
        yield body


def add(to: Ledger, said: Iterator[bytes], events: int) -> None:
    for _ in range(events):
        to.add(next(said), [])


def content(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def killed_while_publishing(bundle: Path, said: Iterator[bytes], events: int, newest: bytes | None) -> bytes:
    """Adds, and is killed when a checkpoint is on its way; returns its note."""
    sent: list[bytes] = []

    def publish(note: bytes) -> bytes:
        sent.append(note)
        raise Killed

    with ledger(bundle, newest) as one:
        add(one, said, events)
        with pytest.raises(Killed):
            one.checkpoint(publish)
    return sent[0]


def test_a_checkpoint_that_was_published_is_taken_up_and_one_that_was_not_is_cut_off(tmp_path: Path) -> None:
    bundle, said = tmp_path / "bundle", bodies()
    with ledger(bundle) as one:
        add(one, said, 3)
        first = one.checkpoint()
    published = killed_while_publishing(bundle, said, 2, first)
    assert notes((bundle / "checkpoints").read_bytes()) == ([first], b"")

    with ledger(bundle, published, NOW + 100) as again:
        assert (again.size, again.last is not None and again.last.size) == (7, 7)
        again.begin()
    assert notes((bundle / "checkpoints").read_bytes()) == ([first, published], b"")
    assert check(bundle, POLICY).holds

    same = content(bundle)
    lost = killed_while_publishing(bundle, said, 2, published)
    with ledger(bundle, published) as again:
        assert again.chains["t/a/0"].head.seq == 5
        again.begin()
    assert content(bundle) == same
    assert lost not in notes((bundle / "checkpoints").read_bytes())[0]
    assert check(bundle, POLICY).holds


class OnItsWay(PublishedCheckpoints):
    """A checkpoint whose transaction is only settled when somebody else takes the place."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after

    def newest(self) -> bytes | None:
        return self._before

    def take(self) -> bytes | None:
        return self._after


def test_a_checkpoint_that_others_cosigned_is_the_one_that_was_published(tmp_path: Path) -> None:
    said = bodies()
    sent: list[bytes] = []
    witness = Signer("witness.example/1", PrivateKey(b"w" * 32), COSIGNATURE)

    def publish(note: bytes) -> bytes:
        sent.append(note)
        return note + witness.line(parse(note).text, NOW).encode()

    with ledger(tmp_path) as one:
        add(one, said, 3)
        cosigned = one.checkpoint(publish)
    with ledger(tmp_path, sent[0]) as again:
        add(again, said, 2)
        last = again.checkpoint()
    assert cosigned != sent[0]
    assert notes((tmp_path / "checkpoints").read_bytes()) == ([cosigned, last], b"")


def test_a_checkpoint_that_was_on_its_way_is_taken_up_too(tmp_path: Path) -> None:
    said = bodies()
    with ledger(tmp_path) as one:
        add(one, said, 3)
        first = one.checkpoint()
    published = killed_while_publishing(tmp_path, said, 2, first)
    with _taken(tmp_path, ROOT, OnItsWay(first, published)) as again:
        assert again.size == 7
        again.begin()
    assert notes((tmp_path / "checkpoints").read_bytes()) == ([first, published], b"")


def test_a_bundle_that_lacks_what_was_published_is_not_added_to(tmp_path: Path) -> None:
    said = bodies()
    for name, events in (("short", 1), ("other", 5), ("long", 7)):
        with ledger(tmp_path / name) as one:
            add(one, bodies() if name == "short" else bodies("t/b/0"), events)
            one.checkpoint()
    with ledger(tmp_path / "true") as one:
        add(one, said, 5)
        newest = one.checkpoint()
    for name in ("empty", "short", "other", "long"):
        before = content(tmp_path / name) if name != "empty" else dict.fromkeys(("checkpoints", "discrepancies.jsonl"), b"")
        with pytest.raises(InputError, match="published"), ledger(tmp_path / name, newest):
            pytest.fail("it was opened")
        assert content(tmp_path / name).items() >= before.items()
    with ledger(tmp_path / "true", newest) as one:
        assert one.size == 6


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with ledger(tmp_path), pytest.raises(InputError, match="another process adds to this bundle"), ledger(tmp_path):
        pytest.fail("it was opened twice")


def test_a_key_that_ended_before_the_checkpoint_is_told_and_its_entries_are_signed_anew(tmp_path: Path) -> None:
    times = iter([NOW, NOW + 3600])
    with opened(tmp_path, ROOT, clock=lambda: next(times), seed=lambda: b"seed" * 8) as one:
        add(one, bodies(), 1)
        with pytest.raises(ProofError, match="before their checkpoint: start again"):
            one.checkpoint()
    with ledger(tmp_path, now=NOW + 3600) as one:
        add(one, bodies(), 1)
        one.checkpoint()
    assert check(tmp_path, POLICY).holds


def test_keys_take_turns_in_time_for_the_longest_way_to_a_checkpoint(tmp_path: Path) -> None:
    now, said = [NOW], bodies()
    with opened(tmp_path, ROOT, clock=lambda: now[0], seed=lambda: b"seed" * 7 + now[0].to_bytes(4, "big"), newest=None) as one:
        for _ in range(8):
            for wait in (1, 900, 899):  # the last body of a key, and half an hour to its checkpoint
                add(one, said, 1)
                now[0] += wait
            one.checkpoint()
    report = check(tmp_path, POLICY)
    assert (report.findings, report.checkpoints) == ([], 8)
    assert report.entries == 8 * 3 + 8, "a statement every half an hour"


def test_positions_are_those_of_the_last_checkpoint_whichever_it_is(tmp_path: Path) -> None:
    one, two = Standing({("a", 0): 3}, {(("a", 0), "t/a/0"): 5}), Standing({("a", 0): 9}, {})
    places = Places(tmp_path, {"a": "id"})
    places.write(b"1", Standing({}, {}))
    places.write(b"2", one)
    places.write(b"3", two)
    for root, standing in ((b"2", one), (b"3", two)):
        assert Places(tmp_path, {"a": "id"}).read(root) == standing
    for root, topics, said in ((b"1", {"a": "id"}, "does not say"), (b"3", {"a": "new"}, "made anew")):
        with pytest.raises(InputError, match=said):
            Places(tmp_path, topics).read(root)


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b'{"topics": {}, "at": {"33": {}}}', b'{"topics": {}, "at": {"33": {"places": [1]}}}']
)
def test_positions_that_cannot_be_read_are_refused(tmp_path: Path, octets: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Places(tmp_path, {}).read(b"3")
    (tmp_path / "positions").write_bytes(octets)
    with pytest.raises(InputError, match="does not say where the last checkpoint of this bundle stands"):
        Places(tmp_path, {}).read(b"3")


class Distant:
    """The root key in a service that is away for so many calls."""

    away = 0

    @property
    def public(self) -> PublicKey:
        return ROOT.key.public

    def sign(self, message: bytes) -> bytes:
        if self.away:
            self.away -= 1
            raise KeyServiceAway("away")
        return ROOT.key.sign(message)


def distant(bundle: Path, clock: Callable[[], int]) -> tuple[Distant, AbstractContextManager[Ledger]]:
    key = Distant()
    return key, opened(bundle, Signer(ROOT.name, key), clock=clock, seed=lambda: b"seed" * 8)


def test_a_key_service_that_is_away_for_hours_delays_and_loses_nothing(tmp_path: Path) -> None:
    """Each call takes longer than a signing key lives: a key is made anew at each, a checkpoint keeps the time of its text."""
    now, waits = [NOW], 0

    def patiently(work: Callable[[], Made]) -> Made:
        nonlocal waits
        while True:
            try:
                return work()
            except KeyServiceAway:
                waits += 1
                now[0] += SIGNING_KEY_SECONDS

    key, opening = distant(tmp_path, lambda: now[0])
    said = bodies()
    with opening as one:
        one.patiently = patiently
        for _ in range(3):
            key.away = 2
            add(one, said, 2)
            key.away = 2
            one.checkpoint()
    assert waits == 12
    report = check(tmp_path, POLICY, [])
    assert (report.findings, report.entries, report.checkpoints) == ([], 9, 3)


def test_where_nobody_waits_the_bundle_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    key, opening = distant(tmp_path, lambda: NOW)
    said = bodies()
    with opening as one:
        add(one, said, 2)
        first = one.checkpoint()
        add(one, said, 1)
        key.away = 1
        with pytest.raises(KeyServiceAway):
            one.checkpoint()
    assert notes((tmp_path / "checkpoints").read_bytes()) == ([first], b"")
    with ledger(tmp_path) as again:
        assert again.chains["t/a/0"].head.seq == 2
        again.checkpoint()
    report = check(tmp_path, POLICY, [])
    assert (report.findings, report.entries) == ([], 3)
