"""``audit sign`` by a key in AWS KMS, on a real broker, while the way to the service is closed and opened again."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.amazon import SECRET, made, served
from tests.kafka.living import wait_for
from tests.kafka.loading import read
from tests.kafka.test_signing import NAME, WITHIN_S, Spoken, signing, verify
from tests.unit.audit.saying import said
from tools.kafka.network import HOST, choose_ports
from tools.kafka.proxy import Proxy


@pytest.fixture
def way(tmp_path: Path) -> Iterator[dict[int, int]]:
    """A door to the service, for a proxy; the SDK is told of no other."""
    with served() as port, pytest.MonkeyPatch.context() as monkeypatch:
        (door,) = choose_ports(tmp_path / "ports", 1)
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://{HOST}:{door}")
        yield {door: port}


def test_a_key_service_that_is_away_is_waited_for(
    bootstrap: str, prefix: str, way: dict[int, int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Proxy(way):
        reference = f"awskms:///{made()}?name={NAME}"
    of = said([("t/a/0", 1)] * 4)
    spoken = Spoken(bootstrap, prefix, tmp_path, Path("unused"))
    with ExitStack() as door, signing([str(spoken.topology)], tmp_path, reference) as signer:
        door.enter_context(Proxy(way))
        spoken.say(of.bodies[:1], of.events[:1])
        signer.waits_until_signed(2)
        door.close()
        spoken.say(of.bodies[1:2], of.events[1:2])
        wait_for(lambda: signer.log().count("no answer") > 1, "it says twice that the service is away", WITHIN_S)
        assert signer.process.poll() is None
        assert signer.entries() == 2

        door.enter_context(Proxy(way))
        signer.waits_until_signed(3)
        door.close()
        told = signer.log().count("no answer")
        spoken.say(of.bodies[2:], of.events[2:])
        wait_for(lambda: signer.log().count("no answer") > told, "it is away again", WITHIN_S)
        signer.process.send_signal(signal.SIGTERM)
        signer.ended(3, "no answer")
        assert signer.entries() == 3

        door.enter_context(Proxy(way))
        signer.start()
        signer.waits_until_signed(6)
        signer.process.send_signal(signal.SIGTERM)
        signer.ended(0, "stopping")
    code, report = verify(signer.bundle, signer.bundle / "policy", capfd)
    assert (code, report["findings"], report["chains"]["t/a/0"]["events"]) == (0, [], 4)
    assert [one.value for one in read(bootstrap, [f"{prefix}recon.checkpoints"])] == signer.checkpoints()
    assert SECRET not in signer.log()
