"""Root keys in the transit engine of a real Vault (``make test-keys`` builds it)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from stream_recon.cli.main import run
from stream_recon.cli.rootkeys import root_key
from stream_recon.errors import KeyServiceAway, KeyServiceError
from tests.unit.cli.test_proving import export, results, verify
from tools.kafka.network import HOST, choose_ports
from tools.vault.build import built

NAME = "example.com/recon"
START_SECONDS = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Vault that is not initialised yet."""
    (port,) = choose_ports(tmp_path_factory.mktemp("vault") / "ports", 1)
    with subprocess.Popen([built(), f"{HOST}:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert re.search(rf"listens on {HOST}:{port}", process.stdout.readline())
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def opened(server: str) -> tuple[hvac.Client, str]:
    """Its administrator, and what unseals it. Before it is initialised it is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAULT_ADDR", server)
        patch.setenv("VAULT_TOKEN", "hvs.none-yet")
        refused("hashivault://recon?name=n", KeyServiceAway, "sealed, or under maintenance")
    client = hvac.Client(url=server)
    made = client.sys.initialize(secret_shares=1, secret_threshold=1)
    client.token = made["root_token"]
    client.sys.submit_unseal_key(made["keys"][0])
    _until(lambda: _serves(client))
    client.sys.enable_secrets_engine("transit")
    client.sys.enable_secrets_engine("transit", path="team/keys")
    return client, made["keys"][0]


def _serves(client: hvac.Client) -> bool:
    """Health is an object while it does, else the answer that says why not."""
    return isinstance(client.sys.read_health_status(method="GET"), dict)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def vault(opened: tuple[hvac.Client, str], server: str, monkeypatch: pytest.MonkeyPatch) -> hvac.Client:
    """Its administrator; the environment is that of a signer with a token for the keys ``recon*`` only."""
    client = opened[0]
    rules = "\n".join(
        f'path "{mount}/{what}/recon*" {{ capabilities = ["create", "read", "update"] }}'
        for mount in ("transit", "team/keys")
        for what in ("keys", "sign")
    )
    client.sys.create_or_update_policy("signer", rules)
    token: str = client.auth.token.create(policies=["signer"])["auth"]["client_token"]
    monkeypatch.setenv("VAULT_ADDR", server)
    monkeypatch.setenv("VAULT_TOKEN", token)
    return client


def refused(reference: str, kind: type[KeyServiceError], *words: str) -> None:
    with pytest.raises(KeyServiceError) as caught:
        root_key(reference)
    said = str(caught.value)
    assert type(caught.value) is kind, said
    assert all(word in said for word in words), said
    assert os.environ.get("VAULT_TOKEN", "hvs.") not in said
    assert "\n" not in said


def test_a_bundle_is_signed_by_vault(vault: hvac.Client, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its key is made by ``keys new``; when it is rotated, the log goes on under the version that it began with."""
    assert run(["keys", "new", NAME, "--out", "hashivault://recon-bundle"]) == 0
    policy = tmp_path / "policy"
    policy.write_text(capfd.readouterr().out, encoding="utf-8")
    key = f"hashivault://recon-bundle?name={NAME}"
    assert export(results(tmp_path / "out", 2), tmp_path / "bundle", key) == 0
    vault.secrets.transit.rotate_key("recon-bundle")
    assert export(results(tmp_path / "out", 3), tmp_path / "bundle", key) == 0
    assert verify(tmp_path / "bundle", policy) == 0
    shown = capfd.readouterr()
    assert "the proof holds: 5 entries under 2 checkpoints" in shown.out
    everything = b"".join(path.read_bytes() for path in (tmp_path / "bundle").iterdir()).decode()
    assert os.environ["VAULT_TOKEN"] not in shown.out + shown.err + everything
    assert root_key(key).verifier != root_key(f"{key}&version=2").verifier
    refused(f"{key}&version=3", KeyServiceError, "there is no version 3, but 1, 2: say ?version=N")


def test_a_mount_with_slashes_and_a_token_in_its_file(
    vault: hvac.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vault-token").write_text(os.environ["VAULT_TOKEN"])
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["keys", "new", NAME, "--out", "hashivault://team/keys/recon-mounted"]) == 0
    key = root_key(f"hashivault://team/keys/recon-mounted?name={NAME}").key
    assert key.public.verifies(b"text", key.sign(b"text"))
    (tmp_path / ".vault-token").unlink()
    refused(f"hashivault://team/keys/recon-mounted?name={NAME}", KeyServiceError, "no token; set VAULT_TOKEN, or run vault login")


def test_a_key_is_never_written_over(vault: hvac.Client, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", NAME, "--out", "hashivault://recon-once"]) == 0
    assert run(["keys", "new", NAME, "--out", "hashivault://recon-once"]) == 3
    assert "exists already; a key is never written over" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"key_type": "ecdsa-p256"}, "it is of type ecdsa-p256; a root key is ed25519: vault write transit/keys/recon-"),
        ({"key_type": "aes256-gcm96"}, "it is of type aes256-gcm96; a root key is ed25519"),
        ({"key_type": "ed25519", "derived": True}, "it is a derived key of type ed25519"),
    ],
)
def test_keys_of_other_types_are_refused(vault: hvac.Client, made: dict[str, Any], words: str) -> None:
    name = f"recon-{made['key_type']}-{len(made)}"
    vault.secrets.transit.create_key(name, **made)
    refused(f"hashivault://{name}?name=n", KeyServiceError, words)


def test_what_is_not_there_or_not_allowed_is_told(vault: hvac.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(
        "hashivault://recon-no?name=n",
        KeyServiceError,
        "no such key; stream-recon keys new NAME --out hashivault://transit/recon-no",
    )
    allowed = "the token needs read on transit/keys/other and update on transit/sign/other, and may be over"
    refused("hashivault://other?name=n", KeyServiceError, "not allowed", allowed)
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    refused("hashivault://recon-no?name=n", KeyServiceError, "not allowed")
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    refused(
        "hashivault://nowhere/recon?name=n",
        KeyServiceError,
        "no transit engine there; vault secrets enable -path=nowhere transit",
    )


def test_a_rate_limit_is_told(vault: hvac.Client) -> None:
    reference = f"hashivault://recon-limited?name={NAME}"
    assert run(["keys", "new", NAME, "--out", "hashivault://recon-limited"]) == 0
    vault.adapter.post("/v1/sys/quotas/rate-limit/tight", json={"path": "transit/", "rate": 1, "interval": "100s"})
    try:
        root_key(reference)
        refused(reference, KeyServiceAway, "too many requests for its rate limit; raise its quota")
    finally:
        vault.adapter.delete("/v1/sys/quotas/rate-limit/tight")


def test_a_vault_that_is_sealed_is_away_until_it_is_not(vault: hvac.Client, opened: tuple[hvac.Client, str]) -> None:
    assert run(["keys", "new", NAME, "--out", "hashivault://recon-sealed"]) == 0
    key = root_key(f"hashivault://recon-sealed?name={NAME}").key
    vault.sys.seal()
    try:
        with pytest.raises(KeyServiceAway, match="sealed, or under maintenance; vault operator unseal opens it"):
            key.sign(b"text")
    finally:
        vault.sys.submit_unseal_key(opened[1])
    _until(lambda: _serves(vault))
    assert key.public.verifies(b"text", key.sign(b"text"))


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("closed", KeyServiceAway, "no answer (Connection refused); is VAULT_ADDR right"),
        ("nonsense", KeyServiceError, "VAULT_ADDR: no address; write https://HOST:8200"),
        ("", KeyServiceError, "VAULT_ADDR is not set"),
    ],
)
def test_where_no_vault_is(
    address: str, kind: type[KeyServiceError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = choose_ports(tmp_path / "ports", 1)
    monkeypatch.setenv("VAULT_ADDR", f"http://somebody:hunter2@{HOST}:{port}" if address == "closed" else address)
    monkeypatch.setenv("VAULT_TOKEN", "hvs.secret")
    refused("hashivault://recon?name=n", kind, words)
    with pytest.raises(KeyServiceError) as caught:
        root_key("hashivault://recon?name=n")
    assert "hunter2" not in str(caught.value)
