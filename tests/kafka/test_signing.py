"""``audit sign`` beside ``run`` on a real broker: killed and started again, its bundle proves all that the service said; there is
one signer at a time, and no two histories.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_recon.audit.entries import EVENT
from stream_recon.audit.verify import notes
from stream_recon.cli.main import run
from stream_recon.cli.verifying import check, read_policy
from tests.kafka.living import COMMAND, ROOT, START_S, STOP_S, Deployment, Json, Shape, Table, now_us, stays, wait_for
from tests.kafka.loading import read
from tests.unit.audit.saying import said
from tools.kafka.broker import Broker

NAME = "example.com/recon"
MANY = range(1, 41)
"""Keys that are lost in one window: its certificate holds many events in each chain."""
WITHIN_S = 60.0


class Signing:
    """``audit sign`` into one bundle, as often as it is started."""

    def __init__(self, topologies: Sequence[str], place: Path, key: Path | str, bundle: Path, more: Sequence[str] = ()) -> None:
        self.bundle, self._more = bundle, more
        self._topologies, self._key, self._log = topologies, key, place / "sign.log"
        self.process: subprocess.Popen[bytes]

    def command(self, what: str, *more: str) -> list[str]:
        return [*COMMAND, "audit", what, *self._topologies, "--bundle", str(self.bundle), "--key", str(self._key), *more]

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = self.command("sign", "--every", "1", "--every-events", "7", *self._more)
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def refused(self, *words: str) -> None:
        done = subprocess.run(self.command("sign"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_S)
        assert done.returncode == 3, done
        assert all(word in done.stderr for word in words), done.stderr

    def export(self) -> Json:
        done = subprocess.run(
            self.command("export", "--json"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_S
        )
        assert done.returncode == 0, done.stderr
        found: Json = json.loads(done.stdout)
        return found

    def checkpoints(self) -> list[bytes]:
        path = self.bundle / "checkpoints"
        return notes(path.read_bytes())[0] if path.exists() else []

    def entries(self) -> int:
        """Those under the last checkpoint."""
        made = self.checkpoints()
        return int(made[-1].split(b"\n")[1]) if made else 0

    def waits_until_signed(self, entries: int) -> None:
        def signed() -> bool:
            assert self.process.poll() is None, self.log()
            return self.entries() >= entries

        wait_for(signed, f"{entries} entries are signed, {self.entries()} were", WITHIN_S)

    def ended(self, code: int, *words: str) -> None:
        assert self.process.wait(STOP_S) == code, self.log()
        assert all(word in self.log() for word in words), self.log()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()[-3000:]

    def bodies(self) -> dict[str, list[bytes]]:
        """Audit bodies by chain, as they were signed."""
        found: dict[str, list[bytes]] = {}
        for line in (self.bundle / "entries.jsonl").read_bytes().splitlines():
            entry = json.loads(line)
            if entry["payloadType"] == EVENT:
                body = b64decode(entry["payload"])
                found.setdefault(json.loads(body)["chain"], []).append(body)
        return found


@pytest.fixture
def table(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Table]:
    """A source and a target; nothing runs yet."""
    table = Table("orders", Shape("json"), broker.bootstrap, prefix)
    deployment = Deployment(broker.bootstrap, prefix, tmp_path, [table])
    table.both(0, "agreed")
    try:
        yield table
    finally:
        deployment.close()
        print(deployment.log())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    assert run(["keys", "new", NAME, "--out", str(path)]) == 0
    return path


@contextmanager
def signing(
    topologies: Sequence[str], place: Path, key: Path | str, name: str = "bundle", more: Sequence[str] = ()
) -> Iterator[Signing]:
    signer = Signing(topologies, place, key, place / name, more)
    signer.start()
    try:
        yield signer
    finally:
        signer.kill()
        print(signer.log())


def verify(bundle: Path, policy: Path, capfd: pytest.CaptureFixture[str], *more: str) -> tuple[int, Json]:
    capfd.readouterr()
    code = run(["audit", "verify", str(bundle), "--policy", str(policy), "--json", *more])
    found: Json = json.loads(capfd.readouterr().out)
    return code, found


def by_chain(bootstrap: str, topic: str) -> dict[str, list[bytes]]:
    """Bodies of a topic by chain."""
    found: dict[str, list[bytes]] = {}
    for one in read(bootstrap, [topic]):
        found.setdefault(one.body["chain"], []).append(one.value)
    return found


def test_a_signer_that_is_killed_again_and_again_proves_all_that_was_said(
    broker: Broker, table: Table, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment = table.deployment
    deployment.start()
    with table.busy():
        table.waits_until_closed(now_us(), within=WITHIN_S)
        with signing(table.deployment.files, tmp_path, key) as signer:
            for n in range(3):
                for lost in MANY:
                    table.write("source", 100 * n + lost, "lost")
                signer.waits_until_signed(signer.entries() + 12)
                os.kill(signer.process.pid, signal.SIGKILL)
                signer.process.wait()
                signer.start()
            table.waits_until_closed(now_us(), within=WITHIN_S)
            table.waits_until_opened(200 + MANY[-1], "missing_in_target", WITHIN_S)
            entries = signer.entries()
            signer.waits_until_signed(entries + 4)
            signer.process.send_signal(signal.SIGTERM)
            signer.ended(0, "stopping")
    assert deployment.stop() == {"all": 0}
    kept = tmp_path / "kept"
    kept.write_bytes(signer.checkpoints()[len(signer.checkpoints()) // 2] + b"\n")
    made = signer.export()
    assert made["checkpoint"].encode() == signer.checkpoints()[-1]

    policy = signer.bundle / "policy"
    code, report = verify(signer.bundle, policy, capfd, "--kept", str(kept))
    assert (code, report["findings"]) == (0, [])
    audit, events = (by_chain(broker.bootstrap, f"{deployment.prefix}.{name}") for name in ("audit", "discrepancies"))
    assert signer.bodies() == audit
    assert {name: row["events"] for name, row in report["chains"].items()} == {name: len(b) for name, b in audit.items()}
    assert sum(row["clean"] for row in report["chains"].values()) > 0
    assert sum(row["open"] for row in report["chains"].values()) == 3 * len(MANY)
    assert sorted((signer.bundle / "discrepancies.jsonl").read_bytes().splitlines()) == sorted(
        e for lines in events.values() for e in lines
    )
    published = [one.value for one in read(broker.bootstrap, [f"{deployment.prefix}.checkpoints"])]
    assert published == signer.checkpoints()

    lines = (signer.bundle / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (place,) = [n for n, line in enumerate(lines) if b64decode(json.loads(line)["payload"]) == audit[min(audit)][2]]
    (signer.bundle / "entries.jsonl").write_bytes(b"".join([*lines[:place], *lines[place + 1 :]]))
    code, report = verify(signer.bundle, policy, capfd)
    assert code == 1
    assert any("1 before this one missing" in finding["text"] for finding in report["findings"])


def test_one_signer_at_a_time_and_one_history(
    broker: Broker, table: Table, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table.deployment.start()
    with table.busy(), signing(table.deployment.files, tmp_path, key) as first:
        first.waits_until_signed(8)
        first.refused("another process adds to this bundle")
        Signing(table.deployment.files, tmp_path, key, tmp_path / "fresh").refused(
            "entries are not the", "published checkpoint", "nothing was signed"
        )

        # it stands still while another one takes over with a copy of its bundle
        os.kill(first.process.pid, signal.SIGSTOP)
        shutil.copytree(first.bundle, tmp_path / "copy")
        (tmp_path / "second").mkdir()
        with signing(table.deployment.files, tmp_path / "second", key, "../copy") as second:
            second.waits_until_signed(first.entries() + 8)
            os.kill(first.process.pid, signal.SIGCONT)
            first.ended(3, "another signer of this deployment has taken over")
            second.waits_until_signed(second.entries() + 4)
            second.process.send_signal(signal.SIGTERM)
            second.ended(0)
    assert second.checkpoints()[: len(first.checkpoints())] == first.checkpoints()
    assert [one.value for one in read(broker.bootstrap, [f"{table.deployment.prefix}.checkpoints"])] == second.checkpoints()
    code, report = verify(second.bundle, second.bundle / "policy", capfd, "--kept", str(first.bundle / "checkpoints"))
    assert (code, report["findings"]) == (0, [])


def test_a_signer_that_is_killed_and_loses_its_bundle_goes_on_from_its_copy(
    broker: Broker, table: Table, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table.deployment.start()
    location = tmp_path / "far" / "copy"
    with table.busy(), signing(table.deployment.files, tmp_path, key, more=["--copy-to", str(location)]) as signer:
        for _ in range(4):
            signer.waits_until_signed(signer.entries() + 8)
            signer.kill()
            shutil.rmtree(signer.bundle)
            assert run(["audit", "fetch", str(location), str(signer.bundle), "--to-sign"]) == 0
            signer.start()
        signer.waits_until_signed(signer.entries() + 8)
        away = location.rename(tmp_path / "away")  # and a file in its place: nothing can be written
        location.write_text("")
        signer.waits_until_signed(signer.entries() + 8)
        assert "cannot be written" in signer.log()
        location.unlink()
        away.rename(location)
        signer.waits_until_signed(signer.entries() + 8)
        signer.process.send_signal(signal.SIGTERM)
        signer.ended(0, "stopping")
    assert run(["audit", "fetch", str(location), str(tmp_path / "auditor")]) == 0
    code, report = verify(tmp_path / "auditor", signer.bundle / "policy", capfd, "--kept", str(signer.bundle / "checkpoints"))
    assert (code, report["findings"]) == (0, [])
    assert [one.value for one in read(broker.bootstrap, [f"{table.deployment.prefix}.checkpoints"])] == signer.checkpoints()


# ---- topics of which the test says what is in them -------------------------------------------------------------------------


class Spoken:
    """The outputs of a deployment that no service runs."""

    def __init__(self, bootstrap: str, prefix: str, place: Path, key: Path) -> None:
        self.names = [f"{prefix}recon.{name}" for name in ("audit", "discrepancies")]
        self.bundle = place / "bundle"
        self.topology = place / "orders.yaml"
        self._key = key
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        in_order = {"enable.idempotence": True}  # a topic that was just made refuses the first messages now and then
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **in_order})
        side = {"format": "json", "key": ["id"]}
        self.topology.write_text(
            json.dumps(
                {
                    "version": 1,
                    "name": "orders",
                    "kafka": {"bootstrap.servers": bootstrap},
                    "source": {"name": "s", "topics": ["s"], **side},
                    "targets": [{"name": "t", "topics": ["t"], **side}],
                    "window": "1s",
                    "settle": "2s",
                    "outputs": {"prefix": f"{prefix}recon"},
                }
            )
        )
        self.make()

    def make(self) -> None:
        for made in self.admin.create_topics([NewTopic(name, 1) for name in self.names]).values():
            made.result(WITHIN_S)

    def unmake(self) -> None:
        for gone in self.admin.delete_topics(self.names).values():
            gone.result(WITHIN_S)
        wait_for(lambda: not self.admin.list_topics(timeout=WITHIN_S).topics.keys() & set(self.names), "they are gone", WITHIN_S)

    def say(self, bodies: Sequence[bytes], events: Sequence[bytes] = (), run: str | None = None) -> None:
        headers: list[tuple[str, str | bytes | None]] = [] if run is None else [("stream-recon-run", run)]
        for topic, octets in [*((self.names[1], e) for e in events), *((self.names[0], b) for b in bodies)]:
            self._producer.produce(topic, octets, b"key", 0, headers=headers)
        assert self._producer.flush(WITHIN_S) == 0

    def export(self) -> int:
        return run(["audit", "export", str(self.topology), "--bundle", str(self.bundle), "--key", str(self._key), "--json"])


@pytest.fixture
def spoken(bootstrap: str, prefix: str, tmp_path: Path, key: Path) -> Spoken:
    return Spoken(bootstrap, prefix, tmp_path, key)


def test_an_export_of_topics_adds_what_is_new_and_nothing_of_a_run_of_its_own(
    spoken: Spoken, capfd: pytest.CaptureFixture[str]
) -> None:
    of = said([("t/a/0", 2), ("t/a/1", 0), ("t/a/0", 0), ("t/a/1", 1), ("t/a/0", 1)])
    spoken.say(of.bodies[:2], of.events[:2])
    spoken.say(of.bodies[:1], of.events[:1], run="20261122")
    new = []
    for bodies, events in ([], []), (of.bodies[2:4], of.events[2:3]), ([], []), (of.bodies[4:], of.events[3:]):
        spoken.say(bodies, events)
        capfd.readouterr()
        assert spoken.export() == 0
        new.append(json.loads(capfd.readouterr().out)["new"])
    assert new == [2, 2, 0, 1]
    code, report = verify(spoken.bundle, spoken.bundle / "policy", capfd)
    assert (code, report["checkpoints"]) == (0, 4)
    assert {name: (row["events"], row["open"]) for name, row in report["chains"].items()} == {"t/a/0": (3, 3), "t/a/1": (2, 1)}


def test_events_that_are_gone_are_told_and_what_stands_before_them_is_signed(
    spoken: Spoken, capfd: pytest.CaptureFixture[str]
) -> None:
    of = said([("t/a/0", 1), ("t/a/0", 2)])
    spoken.say(of.bodies, of.events[:2])
    assert spoken.export() == 3
    assert "t/a/0: of the discrepancy events of the certificate at 1" in (told := capfd.readouterr().err)
    assert "compaction took them" in told
    code, report = verify(spoken.bundle, spoken.bundle / "policy", capfd)
    assert (code, report["chains"]["t/a/0"]["events"]) == (0, 1)
    spoken.say([], of.events[2:])
    assert spoken.export() == 0
    assert verify(spoken.bundle, spoken.bundle / "policy", capfd)[0] == 0


def test_topics_of_another_history_are_refused(spoken: Spoken, capfd: pytest.CaptureFixture[str]) -> None:
    of = said([("t/a/0", 0), ("t/a/0", 0)])
    spoken.say(of.bodies)
    assert spoken.export() == 0
    spoken.say(of.bodies[:1])
    assert spoken.export() == 3
    assert "t/a/0, seq 0: seq 2 must come here" in capfd.readouterr().err
    spoken.unmake()
    spoken.make()
    spoken.say(of.bodies)
    assert spoken.export() == 3
    assert "they were made anew" in capfd.readouterr().err
    assert verify(spoken.bundle, spoken.bundle / "policy", capfd)[0] == 0


def test_a_signer_whose_topics_are_made_anew_signs_what_it_has_and_ends(spoken: Spoken, tmp_path: Path, key: Path) -> None:
    of = said([("t/a/0", 1)] * 2)
    spoken.say(of.bodies[:1], of.events[:1])
    with signing([str(spoken.topology)], tmp_path, key) as signer:
        signer.waits_until_signed(2)
        spoken.say(of.bodies[1:], of.events[1:])
        signer.waits_until_signed(3)
        spoken.unmake()
        signer.ended(3, "error:", spoken.names[0])
    assert check(spoken.bundle, read_policy(spoken.bundle / "policy")).holds


def test_a_broker_that_is_away_is_waited_for(prefix: str, tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    of = said([("t/a/0", 1)] * 4)
    with Broker(tmp_path / "broker") as own:
        spoken = Spoken(own.bootstrap, prefix, tmp_path, key)
        spoken.say(of.bodies[:2], of.events[:2])
        with signing([str(spoken.topology)], tmp_path, key) as signer:
            signer.waits_until_signed(3)
            own.kill()
            made = len(signer.checkpoints())
            stays(lambda: signer.process.poll() is None, "it waits")
            assert len(signer.checkpoints()) <= made + 1
            own.restart()
            spoken.say(of.bodies[2:], of.events[2:])
            signer.waits_until_signed(5)
            signer.process.send_signal(signal.SIGTERM)
            signer.ended(0)
        published = [one.value for one in read(own.bootstrap, [f"{prefix}recon.checkpoints"])]
    assert published == signer.checkpoints()
    code, report = verify(spoken.bundle, spoken.bundle / "policy", capfd)
    assert (code, report["chains"]["t/a/0"]["open"]) == (0, 4)


# ---- witnesses -------------------------------------------------------------------------------------------------------------


class Witnessing:
    """``audit witness`` at one port, as often as it is started."""

    def __init__(self, place: Path, name: str, log: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._key, self._state, self._log = place / f"{name}.key", place / name, place / f"{name}.log"
        assert run(["keys", "new", f"witness.example/{name}", "--out", str(self._key)]) == 0
        capfd.readouterr()
        assert run(["keys", "show", str(self._key), "--witness"]) == 0
        line = capfd.readouterr().out.strip()
        assert run(["keys", "show", str(log), "--json"]) == 0
        self._vkey = json.loads(capfd.readouterr().out)["vkey"]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._address = f"127.0.0.1:{taken.getsockname()[1]}"
        self.line = f"{line} http://{self._address}"
        self.start()

    def start(self) -> None:
        command = [*COMMAND, "audit", "witness", "--key", str(self._key), "--log", self._vkey]
        command += ["--listen", self._address, "--state", str(self._state)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: "answers at port" in self.log(), "the witness answers", START_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()


def test_witnesses_cosign_what_goes_on_are_caught_up_and_refuse_a_fork(
    bootstrap: str, prefix: str, tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    witnesses = [Witnessing(tmp_path, name, key, capfd) for name in ("w1", "w2")]
    capfd.readouterr()
    assert run(["keys", "show", str(key)]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("log ")]
    lines += [one.line for one in witnesses]
    policy = tmp_path / "policy"
    policy.write_text("\n".join([*lines, "group both all witness.example/w1 witness.example/w2", "quorum both", ""]))
    asked = ("--policy", str(policy))

    spoken = Spoken(bootstrap, prefix, tmp_path, key)
    of = said([("t/a/0", 1)] * 6)
    try:
        spoken.say(of.bodies[:2], of.events[:2])
        with signing([str(spoken.topology)], tmp_path, key, more=asked) as signer:
            signer.waits_until_signed(3)
            assert verify(spoken.bundle, policy, capfd)[0] == 0

            witnesses[0].kill()
            spoken.say(of.bodies[2:4], of.events[2:4])
            signer.waits_until_signed(5)
            code, report = verify(spoken.bundle, policy, capfd)
            assert code == 1
            assert any("2 of them, are under no checkpoint that enough witnesses" in f["text"] for f in report["findings"])
            signer.kill()  # it remembers nothing of who cosigned what
            signer.start()
            witnesses[0].start()
            spoken.say(of.bodies[4:], of.events[4:])
            signer.waits_until_signed(7)
            wait_for(lambda: signer.checkpoints()[-1].count("—".encode()) == 3, "both have cosigned", WITHIN_S)
            signer.process.send_signal(signal.SIGTERM)
            signer.ended(0, "witness witness.example/w1 did not cosign", "too few witnesses")
        code, report = verify(spoken.bundle, policy, capfd)
        assert (code, report["findings"], report["entries"]) == (0, [], signer.entries())
        published = [one.value for one in read(bootstrap, [f"{prefix}recon.checkpoints"])]
        assert [made.startswith(note) for made, note in zip(signer.checkpoints(), published, strict=True)] == [True] * len(
            published
        )

        # who has the root key makes another history of the log, in another deployment
        (tmp_path / "fork").mkdir()
        fork = Spoken(bootstrap, f"{prefix}fork", tmp_path / "fork", key)
        other = said([("t/a/0", 0)] * 12)
        fork.say(other.bodies)
        with signing([str(fork.topology)], tmp_path / "fork", key, more=asked) as forger:
            forger.waits_until_signed(13)
            forger.process.send_signal(signal.SIGTERM)
            forger.ended(0, "this is another history, a fork")
        assert all("do not go on from" in one.log() for one in witnesses)
        code, report = verify(fork.bundle, policy, capfd)
        assert code == 1
        assert any("too few witnesses cosigned any" in f["text"] for f in report["findings"])
        assert verify(fork.bundle, fork.bundle / "policy", capfd)[0] == 1
    finally:
        for one in witnesses:
            one.kill()
            print(one.log())
