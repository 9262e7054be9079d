"""Reads bundle and policy from files for ``audit.verify``. What it imports needs only the standard library and ``cryptography``.

BUNDLE/policy               the policy under which whoever made it would check it; an auditor has one from elsewhere
BUNDLE/entries.jsonl        one envelope a line, in the order of the tree
BUNDLE/discrepancies.jsonl  the discrepancy events, exact bytes, in the order of the entries that name them
BUNDLE/checkpoints          signed notes, each followed by an empty line
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from stream_recon.audit.policy import Policy
from stream_recon.audit.policy import parse as parse_policy
from stream_recon.audit.verify import Bundle, Report, verify
from stream_recon.errors import ConfigError, InputError, ProofError

POLICY: Final = "policy"
ENTRIES: Final = "entries.jsonl"
EVENTS: Final = "discrepancies.jsonl"
CHECKPOINTS: Final = "checkpoints"


def read_policy(path: Path) -> Policy:
    """The policy in a file. Raises ``ConfigError``: there is none, or it is not one."""
    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; name a file with the policy") from error
    except ProofError as error:
        raise ConfigError(f"{path}: {error}") from error


def check(bundle: Path, policy: Policy, kept: Sequence[Path] = (), chains: Iterable[str] = ()) -> Report:
    """Checks the bundle in a directory; ``kept`` are files with checkpoints from before.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        older = [(str(path), path.read_bytes()) for path in kept]
        with (bundle / ENTRIES).open("rb") as entries, (bundle / EVENTS).open("rb") as events:
            return verify(policy, Bundle(entries, events, (bundle / CHECKPOINTS).read_bytes()), older, chains)
    except OSError as error:
        text = f"{error.filename}: cannot be read: {error.strerror or error}; a bundle is a directory that audit export made"
        raise InputError(text) from error
