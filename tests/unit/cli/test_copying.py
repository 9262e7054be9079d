"""Copies of bundles: at any moment the bundle under one of its checkpoints, brought back octet for octet, and never another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from stream_recon.adapters import copies
from stream_recon.adapters.copies import Copy
from stream_recon.audit.chain import Head, link
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.audit.note import Signer
from stream_recon.audit.policy import parse
from stream_recon.cli.bundles import FILES, opened, policy_text
from stream_recon.cli.copying import Copied, fetch
from stream_recon.cli.main import run
from stream_recon.cli.verifying import check
from stream_recon.errors import ConfigError, InputError, Undelivered
from tests.buckets import SECRET
from tests.unit.cli.test_proving import results

ROOT = Signer("example.com/recon", PrivateKey(b"root" * 8))
POLICY = parse(policy_text(ROOT).encode())
NOW = 1_795_306_435
SMALL_PART = 500


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies.Copy.__init__, "__kwdefaults__", {"part": SMALL_PART})


def bodies(before: int = 0) -> Iterator[bytes]:
    """Those of a chain of which so many were said before."""
    head = Head()
    for seq in count():
        body, head = link(head, "schema_drift", "t/a/0", {"columns": []})
        if seq >= before:
            yield body


def grow(
    bundle: Path, said: Iterator[bytes], checkpoints: int, send: Callable[[], None] = lambda: None, seed: bytes = b"s"
) -> None:
    """Adds so many checkpoints, each over three bodies."""
    times = count(NOW)
    with opened(bundle, ROOT, clock=lambda: next(times), seed=lambda: seed * 32) as ledger:
        for _ in range(checkpoints):
            for _ in range(3):
                ledger.add(next(said), [])
            ledger.checkpoint()
            send()


def content(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir() if path.stat().st_size}


def test_what_is_fetched_is_the_bundle_and_only_what_is_new_comes_again(location: str, tmp_path: Path) -> None:
    bundle, back, said = tmp_path / "bundle", tmp_path / "back", bodies()
    grow(bundle, said, 3, Copied(location, bundle).send)
    assert fetch(location, back) == sum((bundle / name).stat().st_size for name in FILES)
    assert content(back) == content(bundle)
    assert check(back, POLICY).holds
    before = sum((bundle / name).stat().st_size for name in FILES)
    grow(bundle, said, 2, Copied(location, bundle).send)
    assert fetch(location, back) == sum((bundle / name).stat().st_size for name in FILES) - before
    assert fetch(location, back) == 0
    assert content(back) == content(bundle)
    assert check(back, POLICY).holds


def test_a_machine_that_is_lost_is_gone_on_for_from_the_copy(location: str, tmp_path: Path) -> None:
    bundle, heir, said = tmp_path / "bundle", tmp_path / "heir", bodies()
    grow(bundle, said, 2, Copied(location, bundle).send)
    fetch(location, heir)
    grow(heir, said, 2, Copied(location, heir).send, b"t")
    fetch(location, tmp_path / "back")
    assert content(tmp_path / "back") == content(heir)
    assert check(tmp_path / "back", POLICY).entries > check(bundle, POLICY).entries


def test_what_an_interrupted_turn_left_counts_for_nothing(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, heir, said = tmp_path / "bundle", tmp_path / "heir", bodies()
    send = Copied(location, bundle).send
    grow(bundle, said, 1, send)
    good, write = content(bundle), Copy._write
    left = 4

    def until_killed(copy: Copy, path: str, octets: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0 or path.endswith("bundle.json"):
            raise Undelivered("killed")
        write(copy, path, octets)

    monkeypatch.setattr(Copy, "_write", until_killed)
    with pytest.raises(Undelivered):
        grow(bundle, said, 4, send)
    monkeypatch.setattr(Copy, "_write", write)
    fetch(location, heir)
    assert content(heir) == good
    grow(heir, bodies(3), 5, Copied(location, heir).send, b"u")  # another history than the one of which parts were left
    fetch(location, tmp_path / "back")
    assert content(tmp_path / "back") == content(heir)
    assert check(tmp_path / "back", POLICY).holds


def test_a_signer_that_was_killed_after_its_checkpoint_was_published_is_gone_on_for(location: str, tmp_path: Path) -> None:
    bundle, said, copied = tmp_path / "bundle", bodies(), Copied(location, tmp_path / "bundle")
    grow(bundle, said, 1, copied.send)
    published: list[bytes] = []

    def publish(note: bytes) -> bytes:
        copied.ahead()
        published.append(note)
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), opened(bundle, ROOT, clock=lambda: NOW, seed=lambda: b"s" * 32) as ledger:
        ledger.add(next(said), [])
        ledger.checkpoint(publish)
    fetch(location, tmp_path / "auditor")
    assert check(tmp_path / "auditor", POLICY).holds
    fetch(location, tmp_path / "heir", ahead=True)
    resume = partial(opened, root=ROOT, clock=lambda: NOW, seed=lambda: b"t" * 32, newest=published[0])
    with (
        pytest.raises(InputError, match="its entries are not the 6 of its last published checkpoint"),
        resume(tmp_path / "auditor"),
    ):
        pass
    with resume(tmp_path / "heir") as ledger:
        ledger.begin()
    report = check(tmp_path / "heir", POLICY)
    assert (report.holds, report.entries) == (True, 6)


def test_a_copy_is_of_one_log_and_never_ahead_of_its_bundle(location: str, tmp_path: Path) -> None:
    bundle, other, old, said = tmp_path / "bundle", tmp_path / "other", tmp_path / "old", bodies()
    grow(bundle, said, 1, Copied(location, bundle).send)
    fetch(location, old)
    grow(bundle, said, 1, Copied(location, bundle).send)
    grow(other, bodies(), 4, seed=b"o")
    for wrong in (other, old):
        with pytest.raises(InputError, match="another log, or more of this one"):
            Copied(location, wrong)
    with pytest.raises(InputError, match="not what it was"):
        fetch(location, other)


def test_a_location_that_cannot_be_used_is_told(tmp_path: Path, s3: str) -> None:
    with pytest.raises(ConfigError, match="holds credentials"):
        Copied(f"s3://key:{SECRET}@bucket/path", tmp_path / "bundle")
    with pytest.raises(InputError, match="no copy of a bundle"):
        fetch(str(tmp_path), tmp_path / "bundle")
    with pytest.raises(Undelivered, match="cannot be written"):
        grow(tmp_path / "bundle", bodies(), 1, Copied(f"s3://no-such-bucket/path{s3}", tmp_path / "bundle").send)
    (tmp_path / "bundle.json").write_text('{"version": 2}')
    with pytest.raises(InputError, match="is not of a copy"):
        fetch(str(tmp_path), tmp_path / "bundle")


def test_a_part_that_was_cut_off_is_told(location: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    grow(bundle, bodies(), 3, Copied(location, bundle).send)
    copy = Copy(location, "--copy-to")
    copy._write(f"{copy._base}/entries.jsonl/00000001", b"{")
    with pytest.raises(InputError, match="has 1 octets of 500: it was cut off"):
        fetch(location, tmp_path / "back")


def test_the_commands_copy_and_fetch(tmp_path: Path, capsys: pytest.CaptureFixture[str], location: str) -> None:
    key, bundle, back = tmp_path / "root.key", tmp_path / "bundle", tmp_path / "back"
    assert run(["keys", "new", "example.com/recon", "--out", str(key)]) == 0
    (tmp_path / "policy").write_text(capsys.readouterr().out)
    left = str(results(tmp_path / "left", 3))
    assert run(["audit", "export", left, "--bundle", str(bundle), "--key", str(key), "--copy-to", location]) == 0
    assert run(["audit", "fetch", location, str(back)]) == 0
    assert run(["audit", "verify", str(back), "--policy", str(tmp_path / "policy")]) == 0
    assert content(back) == content(bundle)
