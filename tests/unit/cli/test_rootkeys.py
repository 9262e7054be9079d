"""Root keys that a service holds: how they are named, what they sign, and what is said when they do not."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stream_recon.adapters.awskms import KmsKey
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.cli.main import run
from stream_recon.cli.rootkeys import ServiceKey, root_key
from stream_recon.errors import ConfigError, KeyServiceAway, KeyServiceError
from tests.amazon import SECRET, client, made, served
from tests.unit.cli.test_proving import export, results, verify
from tools.kafka.network import HOST, choose_ports

NAME = "example.com/recon"


@pytest.fixture(scope="module")
def kms() -> Iterator[int]:
    with served() as port:
        yield port


def refused(reference: str, kind: type[KeyServiceError], *words: str) -> None:
    with pytest.raises(KeyServiceError) as caught:
        root_key(reference)
    said = str(caught.value)
    assert type(caught.value) is kind, said
    assert all(word in said for word in words), said
    assert SECRET not in said
    assert "\n" not in said


# ---- how a key is named ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("gcpkms://projects/p", "write a file, hashivault://KEY or awskms:///KEY"),
        ("hashivault://", "write hashivault://KEY or hashivault://MOUNT/KEY"),
        ("hashivault://a/../b?name=n", "write hashivault://KEY"),
        ("hashivault://recon", "say the name of the log, like 'hashivault://recon?name=example.com/recon'"),
        ("hashivault://recon?name=a+b", "'a b' cannot name a key"),
        ("hashivault://recon?name=n&version=0", "version: got '0'; write the number of a version, like 1"),
        ("hashivault://recon?name=n&name=m", "after the question mark write name and version, each once at most"),
        ("hashivault://recon?name=n&token=s", "after the question mark write name and version"),
        ("awskms://localhost:4566/alias/recon?name=n", "with three slashes"),
        ("awskms:///alias/recon?name=n&version=2", "after the question mark write name, each once at most"),
        ("awskms:///arn:aws:s3:::bucket?name=n", "awskms:///ARN"),
    ],
)
def test_what_names_no_key_is_told(reference: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        root_key(reference)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "module", "vendor", "extra"),
    [
        ("hashivault://recon?name=n", "stream_recon.adapters.vault", "hvac", "vault"),
        ("awskms:///alias/recon?name=n", "stream_recon.adapters.awskms", "boto3", "kms"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    reference: str, module: str, vendor: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hidden:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == vendor:
                raise ModuleNotFoundError(name=name)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delitem(sys.modules, vendor, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Hidden, *sys.meta_path])
    with pytest.raises(ConfigError, match=rf"{vendor} is not installed; run pip install 'stream-recon\[{extra}\]'"):
        root_key(reference)


def test_a_key_in_a_file_needs_neither(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    assert run(["keys", "new", NAME, "--out", str(path)]) == 0
    assert root_key(str(path)).name == NAME


# ---- a service that is not to be believed ------------------------------------------------------------------------------


class Replaced:
    """Shows one key and signs by another."""

    def make(self) -> None:
        raise NotImplementedError

    def public(self) -> bytes:
        return PrivateKey(b"shown" + bytes(27)).public.octets

    def sign(self, message: bytes) -> bytes:
        return PrivateKey(b"other" + bytes(27)).sign(message)


class Weak(Replaced):
    """Shows a key under which everything holds."""

    def public(self) -> bytes:
        return bytes(32)


def test_a_signature_by_another_key_is_not_used() -> None:
    key = ServiceKey(Replaced(), "there")
    with pytest.raises(KeyServiceError, match="there: the signature that came back is not by the key it showed at the start"):
        key.sign(b"text")


def test_a_public_key_that_proves_nothing_is_refused() -> None:
    with pytest.raises(KeyServiceError, match=r"there: .* of low order"):
        ServiceKey(Weak(), "there")


# ---- AWS KMS -----------------------------------------------------------------------------------------------------------


def test_a_bundle_is_signed_by_kms(kms: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By its ARN, then by an alias of it: the same log goes on, and the policy of ``keys show`` believes it."""
    arn, alias = made(), f"alias/recon-{uuid.uuid4().hex}"
    client().create_alias(AliasName=alias, TargetKeyId=arn)
    key = f"awskms:///{alias}?name={NAME}"
    assert run(["keys", "show", key]) == 0
    policy = tmp_path / "policy"
    policy.write_text(capfd.readouterr().out, encoding="utf-8")
    assert export(results(tmp_path / "out", 2), tmp_path / "bundle", f"awskms:///{arn}?name={NAME}") == 0
    assert export(results(tmp_path / "out", 3), tmp_path / "bundle", key) == 0
    assert verify(tmp_path / "bundle", policy) == 0
    shown = capfd.readouterr()
    assert "the proof holds: 5 entries under 2 checkpoints" in shown.out
    everything = b"".join(path.read_bytes() for path in (tmp_path / "bundle").iterdir())
    assert SECRET not in shown.out + shown.err + everything.decode()


def test_an_alias_that_moves_does_not_move_the_signer(kms: int) -> None:
    one, other, alias = made(), made(), f"alias/moved-{uuid.uuid4().hex}"
    client().create_alias(AliasName=alias, TargetKeyId=one)
    signer = root_key(f"awskms:///{alias}?name={NAME}")
    client().update_alias(AliasName=alias, TargetKeyId=other)
    assert signer.key.public.verifies(b"text", signer.key.sign(b"text"))


def test_other_keys_are_refused_with_how_to_make_one(kms: int) -> None:
    right = "a root key is ECC_NIST_EDWARDS25519: aws kms create-key --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY"
    refused(f"awskms:///{made('ECC_NIST_P256')}?name=n", KeyServiceError, "it is ECC_NIST_P256 for SIGN_VERIFY", right)
    refused(f"awskms:///{made('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')}?name=n", KeyServiceError, "it does not sign", right)
    refused("awskms:///alias/nowhere?name=n", KeyServiceError, "alias/nowhere: no such key", "aws kms create-key")


def test_a_disabled_key_is_told_when_it_should_sign(kms: int) -> None:
    arn = made()
    signer = root_key(f"awskms:///{arn}?name={NAME}")
    client().disable_key(KeyId=arn)
    with pytest.raises(KeyServiceError, match="it is disabled; aws kms enable-key lets it sign"):
        signer.key.sign(b"text")


def test_kms_that_does_not_answer_is_away(kms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (closed,) = choose_ports(tmp_path / "ports", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://{HOST}:{closed}")
    refused("awskms:///alias/recon?name=n", KeyServiceAway, "no answer (EndpointConnectionError)", "AWS_ENDPOINT_URL_KMS")


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("AWS_ENDPOINT_URL_KMS", "nonsense", "the AWS SDK is not set up"),
        ("AWS_PROFILE", "nobody", "the AWS SDK is not set up (ProfileNotFound)"),
    ],
)
def test_an_sdk_that_is_not_set_up_is_told(
    kms: int, setting: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    refused("awskms:///alias/recon?name=n", KeyServiceError, words)


def test_no_credentials_and_no_region_are_told(kms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    refused("awskms:///alias/recon?name=n", KeyServiceError, "no region; set AWS_REGION, or name the key by its ARN")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refused(f"awskms:///{ARN}?name=n", KeyServiceError, "no credentials; run aws configure")


ARN = "arn:aws:kms:eu-west-1:000000000000:key/c28314f4-de6b-4f30-b331-e19e07ad938a"


def test_keys_new_says_how_a_key_is_made_in_kms(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", NAME, "--out", "awskms:///alias/recon"]) == 3
    assert "aws kms create-key --key-spec ECC_NIST_EDWARDS25519" in (said := capfd.readouterr().err)
    assert "stream-recon keys show 'awskms:///alias/recon?name=NAME'" in said


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("ThrottlingException", 400, KeyServiceAway, "too many requests"),
        ("KMSInternalException", 500, KeyServiceAway, "it failed (KMSInternalException)"),
        ("AccessDeniedException", 400, KeyServiceError, "the caller needs kms:GetPublicKey and kms:Sign"),
        ("ExpiredTokenException", 400, KeyServiceError, "not allowed (ExpiredTokenException)"),
        ("KMSInvalidStateException", 400, KeyServiceError, "about to be deleted"),
        ("ValidationException", 400, KeyServiceError, "refused (ValidationException)"),
    ],
)
def test_what_the_emulator_never_answers_is_told_apart(code: str, status: int, kind: type[KeyServiceError], words: str) -> None:
    """MiniStack asks nobody's permission and has no limits: these are the codes that AWS documents."""
    answer: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def ask(_: Any) -> None:
        raise ClientError(answer, "Sign")

    key = KmsKey(ARN)
    with pytest.raises(KeyServiceError) as caught:
        key._asked(ask)
    assert type(caught.value) is kind
    assert words in str(caught.value)
