"""A witness and those who ask it, over HTTP: what a log signs is cosigned, a fork never, and who is away is caught up."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream_recon.adapters.answering import Answering
from stream_recon.audit import note as notes
from stream_recon.audit import policy
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.audit.note import COSIGNATURE, Signer, private_text
from stream_recon.audit.witness import Witness, origin_hash
from stream_recon.cli import cosigning
from stream_recon.cli.bundles import Ledger, opened, policy_text
from stream_recon.cli.cosigning import Asked, Witnesses, read_witnesses
from stream_recon.cli.main import run
from stream_recon.cli.signing import _Signer
from stream_recon.cli.verifying import check
from stream_recon.cli.witnessing import Directory, _Serving
from stream_recon.errors import ConfigError, Fenced
from tests.unit.audit.saying import said
from tests.unit.audit.test_witness import LEAVES, LOG, NOW, WITNESS, asked_octets, head

SECOND = Signer("witness.example/2", PrivateKey(b"2" * 32), COSIGNATURE)
NONE = b"old 0\n\n"


class Running:
    """A witness in this process, at a port of its own, which stays the same."""

    def __init__(self, place: Path, signer: Signer = WITNESS) -> None:
        place.mkdir(exist_ok=True)
        self.signer, self.place, self.port = signer, place, 0
        self.start()

    def start(self) -> None:
        handle = _Serving(Witness(self.signer, [LOG.verifier], Directory(self.place))).handle
        self.server = Answering("--listen", f"127.0.0.1:{self.port}", handle)
        self.port = self.server.port

    def close(self) -> None:
        self.server.close()

    @property
    def line(self) -> str:
        return f"witness {self.signer.name} {self.signer.verifier.vkey} http://127.0.0.1:{self.port}/"


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Running]:
    with closing(Running(tmp_path / "one")) as running:
        yield running


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Running]:
    with closing(Running(tmp_path / "two", SECOND)) as running:
        yield running


def post(port: int, body: bytes, path: str = "/add-checkpoint", method: str = "POST") -> tuple[int, str | None, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()


# ---- the server --------------------------------------------------------------------------------------------------------


def test_every_answer_over_http(witness: Running) -> None:
    good = head(LEAVES[:3])
    status, _, line = post(witness.port, NONE + good)
    assert status == 200
    assert notes.signed_by(notes.parse(good + line), [WITNESS.verifier])
    assert post(witness.port, NONE + good) == (409, "text/x.tlog.size", b"3\n")
    assert post(witness.port, b"old 3\n\n" + good)[0] == 200
    assert post(witness.port, b"old 3\n\n" + head([b"fork", *LEAVES[1:3]]))[0] == 422
    assert post(witness.port, b"anything")[0] == 400
    assert post(witness.port, NONE + good, "/")[0] == 404
    assert post(witness.port, b"", method="GET")[0] == 405
    assert post(witness.port, b"x" * 65_537)[0] == 413
    status, _, kept = post(witness.port, b"", f"/{origin_hash(LOG.name)}/checkpoint", "GET")
    assert status == 200
    assert set(notes.signed_by(notes.parse(kept), [LOG.verifier, WITNESS.verifier])) == {LOG.verifier, WITNESS.verifier}
    assert post(witness.port, b"", f"/{origin_hash('another')}/checkpoint", "GET")[0] == 404
    with socket.create_connection(("127.0.0.1", witness.port)) as raw:
        raw.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b" 411 " in raw.recv(100)


def test_of_forks_that_are_sent_at_once_one_is_cosigned(witness: Running) -> None:
    forks = [NONE + head([bytes([n]), *LEAVES[1:5]]) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: post(witness.port, body)[0], forks))
    assert sorted(answers) == [200, *[409] * 15]


@pytest.mark.parametrize("address", ["7380", "localhost:", ":7380", "127.0.0.1:99999", "no.such.host.invalid:7380"])
def test_addresses_that_are_not_to_be_had(address: str) -> None:
    with pytest.raises(ConfigError, match="--listen"):
        Answering("--listen", address, lambda *_: None)


# ---- those who ask -----------------------------------------------------------------------------------------------------


class Signing:
    """A bundle that is signed step by step, with witnesses."""

    def __init__(self, bundle: Path, *lines: str, quorum: str = "both") -> None:
        self.bundle = bundle
        both = "group both all witness.example/1 witness.example/2\n" * (len(lines) == 2)
        text = policy_text(LOG).replace("quorum none\n", "") + "\n".join(lines) + f"\n{both}quorum {quorum}\n"
        self.asked = Asked(policy.parse(text.encode()), text.encode())
        self._seeds = iter(bytes([n]) * 32 for n in range(1, 99))
        self._bodies: list[tuple[str, int]] = []

    def opened(self) -> Iterator[tuple[Ledger, Witnesses]]:
        with ExitStack() as stack:
            seed = lambda: next(self._seeds)  # noqa: E731
            log = opened(self.bundle, LOG, clock=lambda: NOW, seed=seed, policy=self.asked.text)
            ledger = stack.enter_context(log)
            yield ledger, stack.enter_context(closing(Witnesses(self.asked, self.bundle, ledger.mark)))

    def sign(self, *steps: int, discrepancies: int = 0) -> list[bytes]:
        """So many bodies for each checkpoint; the notes."""
        made = []
        for ledger, witnesses in self.opened():
            for count in steps:
                before = len(self._bodies)
                self._bodies += [("t/a/0", discrepancies)] * count
                for step in said(self._bodies).steps[before:]:
                    ledger.add(step.body, step.events)
                made.append(ledger.checkpoint(witnesses.cosigned))
        return made

    def broken(self) -> str:
        return "\n".join(map(str, check(self.bundle, self.asked.policy).findings))


def lines(note: bytes) -> int:
    """Signatures under it."""
    return len(notes.parse(note).signatures)


def test_who_was_away_is_caught_up_and_then_the_proof_holds(
    witness: Running, second: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Signing(tmp_path / "bundle", witness.line, second.line)
    assert [lines(note) for note in log.sign(0, 3, 0, 5)] == [3, 3, 3, 3]
    assert log.broken() == ""
    second.close()
    assert [lines(note) for note in log.sign(2, 4)] == [2, 2]
    assert "witness witness.example/2 did not cosign" in caplog.text
    assert "too few witnesses cosigned this checkpoint: the policy's quorum is both" in caplog.text
    assert "entries from 9 on, 7 of them, are under no checkpoint that enough witnesses cosigned" in log.broken()
    second.start()
    assert [lines(note) for note in log.sign(1, 1)] == [3, 3]  # a signer that was started anew guesses, and is told
    assert log.broken() == ""
    assert (log.bundle / "policy").read_bytes() == log.asked.text
    second.close()
    assert [lines(note) for note in log.sign(0)] == [2]
    report = check(log.bundle, log.asked.policy)
    assert report.holds, "nothing is new since both cosigned"


def test_a_fork_is_cosigned_by_none_and_verify_says_so(
    witness: Running, second: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Signing(tmp_path / "bundle", witness.line, second.line)
    log.sign(5)
    for name, steps, why in ("shorter", (2,), "has signed another history"), ("longer", (3, 9), "a fork"):
        fork = Signing(tmp_path / name, witness.line, second.line)
        assert all(lines(note) == 1 for note in fork.sign(*steps, discrepancies=1))
        assert why in caplog.text
        assert "nothing in this bundle can be believed; too few witnesses cosigned any" in fork.broken()
        caplog.clear()
    assert lines(log.sign(1)[0]) == 3
    assert log.broken() == ""


def test_a_witness_that_does_not_answer_holds_nothing_up(
    witness: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cosigning, "WAIT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        line = f"witness {SECOND.name} {SECOND.verifier.vkey} http://127.0.0.1:{port}"
        log = Signing(tmp_path / "bundle", witness.line, line, quorum="witness.example/1")
        made = log.sign(3, 2)
    assert lines(made[0]) == lines(made[1]) == 2
    assert "witness witness.example/2 has not answered in 0.5 s" in caplog.text
    assert log.broken() == ""


def test_answers_that_do_not_hold_are_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answers = iter(
        [(200, b"ok\n"), (200, SECOND.line("x\n", NOW).encode()), (500, b"\x1b[2J"), *[(409, b"1\n")] * 3, (409, b"many\n")]
    )

    def handle(*_: object) -> tuple[int, str, bytes]:
        status, body = next(answers)
        return status, "text/plain", body

    with closing(Answering("--listen", "127.0.0.1:0", handle)) as server:
        line = f"witness {SECOND.name} {SECOND.verifier.vkey} http://127.0.0.1:{server.port}"
        log = Signing(tmp_path / "bundle", line, quorum="none")
        assert [lines(note) for note in log.sign(3, 2, 1, 1, 1)] == [1] * 5
    assert caplog.text.count("did not cosign") == 5
    assert "still tells another size, 1" in caplog.text
    assert "\x1b" not in caplog.text
    assert log.broken() == ""


def test_policies_without_effect_are_refused(tmp_path: Path) -> None:
    path, line = tmp_path / "policy", f"witness w {WITNESS.verifier.vkey}"
    for text, said_ in (
        (policy_text(LOG), "names 0 witnesses with a URL"),
        (f"{policy_text(LOG)}{line}\n", "names 0 witnesses with a URL"),
        (f"{policy_text(Signer('a', PrivateKey(b'a' * 32)))}{line} http://127.0.0.1:1\n", "believes no log example.com/recon"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=said_):
            read_witnesses(path, LOG)


# ---- the command -------------------------------------------------------------------------------------------------------


class Process:
    """``audit witness``, as often as it is started."""

    def __init__(self, place: Path) -> None:
        self.key, self.state = place / "witness.key", place / "state"
        self.key.write_text(private_text(WITNESS.name, b"w" * 32), encoding="utf-8")
        self.key.chmod(0o600)
        self.command = [sys.executable, "-m", "stream_recon", "audit", "witness", "--key", str(self.key)]
        self.command += ["--log", LOG.verifier.vkey, "--state", str(self.state), "--listen"]

    def start(self) -> int:
        """The port."""
        self.process = subprocess.Popen(
            [*self.command, "127.0.0.1:0"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"answers at port (\d+)", line):
                return int(found[1])
        raise AssertionError(self.process.wait())

    def end(self, number: int) -> int:
        os.kill(self.process.pid, number)
        code = self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def test_a_witness_that_is_killed_remembers_what_it_cosigned(tmp_path: Path) -> None:
    process, known = Process(tmp_path), 0
    with ThreadPoolExecutor(1) as pool:
        for moment in range(4):
            port = process.start()
            told = post(port, b"old 40\n\n" + head(LEAVES[:40]))
            assert told in [(409, "text/x.tlog.size", f"{size}\n".encode()) for size in (known, known + 1)]
            known = int(told[2])
            for _ in range(3):
                assert post(port, asked_octets(known, LEAVES[: known + 1]))[0] == 200
                known += 1
            on_its_way = pool.submit(post, port, asked_octets(known, LEAVES[: known + 1]))
            wait([on_its_way], moment / 1_000)
            assert process.end(signal.SIGKILL) == -signal.SIGKILL
            with suppress(OSError, http.client.HTTPException):
                known += on_its_way.result()[0] == 200
    process.start()
    done = subprocess.run([*process.command, "127.0.0.1:0"], capture_output=True, text=True, check=False)
    assert (done.returncode, "another witness runs on this directory" in done.stderr) == (3, True)
    assert process.end(signal.SIGTERM) == 0
    (kept,) = process.state.glob("*.checkpoint")
    kept.write_bytes(kept.read_bytes().replace(b"example.com/recon\n", b"example.com/recon\n1", 1))
    done = subprocess.run([*process.command, "127.0.0.1:0"], capture_output=True, text=True, check=False)
    assert (done.returncode, "does not hold for this text" in done.stderr) == (3, True)


def test_a_key_shows_its_line_as_a_witness(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key = Process(tmp_path).key
    assert run(["keys", "show", str(key), "--witness"]) == 0
    line = capfd.readouterr().out
    assert line == f"witness {WITNESS.name} {WITNESS.verifier.vkey}\n"
    assert run(["keys", "show", str(key), "--witness", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["witness"] == line.strip()


def test_witnesses_hear_of_nothing_that_is_not_published() -> None:
    """What is cut off and signed anew would be a fork to them, by an honest log."""
    done: list[str] = []

    def fenced(*_: object) -> None:
        done.append("publish")
        raise Fenced("another signer has taken over")

    def cosign(note: bytes) -> bytes:
        done.append("cosign")
        return note + b"line"

    signer = _Signer.__new__(_Signer)
    nothing = SimpleNamespace(positions={}, root=b"", standing=lambda _: ({}, {}), write=lambda *_: done.append("positions"))
    signer._joined = signer._bodies = signer._events = signer._ledger = signer._places = nothing  # type: ignore[assignment]
    signer._stopped, signer._cosign = lambda: False, cosign
    signer._copied = SimpleNamespace(ahead=lambda: done.append("copy"))  # type: ignore[assignment]
    signer._published = SimpleNamespace(publish=fenced)  # type: ignore[assignment]
    with pytest.raises(Fenced):
        signer._publish(b"note\n")
    assert done == ["positions", "copy", "publish"]
    signer._published = SimpleNamespace(publish=lambda *_: done.append("publish"))  # type: ignore[assignment]
    assert signer._publish(b"note\n") == b"note\nline"
    assert done[3:] == ["positions", "copy", "publish", "cosign"]
