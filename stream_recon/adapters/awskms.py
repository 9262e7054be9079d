"""A root key in AWS KMS: the service signs, the secret stays there.

Credentials, region and endpoint are those of the AWS SDK: environment (``AWS_REGION``, ``AWS_ENDPOINT_URL_KMS``), files, roles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NoConnection

from stream_recon.errors import KeyServiceAway, KeyServiceError

SPEC: Final = "ECC_NIST_EDWARDS25519"
ALGORITHM: Final = "ED25519_SHA_512"
HOW_TO_MAKE: Final = f"aws kms create-key --key-spec {SPEC} --key-usage SIGN_VERIFY"

_BEFORE_KEY: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 octets in the DER of an Ed25519 public key (RFC 8410)."""
_CONFIG: Final = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_AWAY: Final = frozenset(
    {
        "DependencyTimeout",
        "DependencyTimeoutException",
        "InternalFailure",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "ServiceUnavailable",
    }
)
_TOO_MANY: Final = frozenset({"LimitExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException"})
_NOT_ALLOWED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class KmsKey:
    """A key by its id, ``alias/NAME`` or ARN. Whatever an alias comes to mean later, the key it meant first signs."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._client: Any = None

    def public(self) -> bytes:
        """32 octets.

        Raises:
            KeyServiceAway: no answer, or none for now.
            KeyServiceError: not allowed, no such key, or one of another type.
        """
        found = self._asked(lambda client: client.get_public_key(KeyId=self._key))
        spec, usage, der = found["KeySpec"], found["KeyUsage"], found["PublicKey"]
        if spec != SPEC or usage != "SIGN_VERIFY":
            raise KeyServiceError(f"{self._told}: it is {spec} for {usage}; a root key is {SPEC}: {HOW_TO_MAKE}")
        if not der.startswith(_BEFORE_KEY):
            raise KeyServiceError(f"{self._told}: what it sent is no public key of {SPEC}")
        self._key = found["KeyId"]
        return bytes(der.removeprefix(_BEFORE_KEY))

    def sign(self, message: bytes) -> bytes:
        """What the service gives out as the signature of a message. Raises as ``public``."""
        found = self._asked(
            lambda client: client.sign(KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHM)
        )
        return bytes(found["Signature"])

    def make(self) -> None:
        """Raises ``KeyServiceError``, which says how: who may make keys in an account is seldom who signs."""
        text = f"made by whoever answers for the account: {HOW_TO_MAKE}; let the signer kms:GetPublicKey and kms:Sign it"
        raise KeyServiceError(f"{self._told}: {text}; then stream-recon keys show 'awskms:///{self._key}?name=NAME'")

    # ---- what is asked, and what went wrong ----------------------------------------------------------------------------

    @property
    def _told(self) -> str:
        return f"AWS KMS, {self._key}"

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        try:
            if self._client is None:
                region = self._key.split(":")[3] if self._key.startswith("arn:") else None
                self._client = boto3.Session().client("kms", region_name=region, config=_CONFIG)
            return ask(self._client)
        except ClientError as error:
            raise self._refused(error) from error
        except (HTTPClientError, NoConnection) as error:
            text = f"no answer ({type(error).__name__}); is AWS_REGION right, and AWS_ENDPOINT_URL_KMS, if it is set?"
            raise KeyServiceAway(f"{self._told}: {text}") from error
        except CredentialRetrievalError as error:
            raise KeyServiceAway(f"{self._told}: its credentials could not be had; is their provider there?") from error
        except NoCredentialsError as error:
            raise KeyServiceError(f"{self._told}: no credentials; run aws configure, or give this machine a role") from error
        except NoRegionError as error:
            raise KeyServiceError(f"{self._told}: no region; set AWS_REGION, or name the key by its ARN") from error
        except (BotoCoreError, ValueError) as error:  # a profile that is not there, an endpoint that is none
            raise KeyServiceError(
                f"{self._told}: the AWS SDK is not set up ({type(error).__name__}); see aws configure list"
            ) from error

    def _refused(self, error: ClientError) -> KeyServiceError:
        about: Any = error.response
        code, status = str(about.get("Error", {}).get("Code")), about.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _TOO_MANY or status == 429:
            return KeyServiceAway(f"{self._told}: too many requests for its rate limit ({code}); raise its quota")
        if code in _AWAY or status >= 500:
            return KeyServiceAway(f"{self._told}: it failed ({code})")
        if code in _NOT_ALLOWED:
            needed = "kms:GetPublicKey and kms:Sign"
            return KeyServiceError(
                f"{self._told}: not allowed ({code}); the caller needs {needed}: see aws sts get-caller-identity"
            )
        if code == "NotFoundException":
            return KeyServiceError(f"{self._told}: no such key in this region and account; make one: {HOW_TO_MAKE}")
        if code == "DisabledException":
            return KeyServiceError(f"{self._told}: it is disabled; aws kms enable-key lets it sign")
        if code == "KMSInvalidStateException":
            return KeyServiceError(f"{self._told}: it is about to be deleted, or not ready; aws kms describe-key says which")
        if code in {"UnsupportedOperationException", "InvalidKeyUsageException"}:
            return KeyServiceError(f"{self._told}: it does not sign ({code}); a root key is {SPEC}: {HOW_TO_MAKE}")
        return KeyServiceError(f"{self._told}: refused ({code})")
