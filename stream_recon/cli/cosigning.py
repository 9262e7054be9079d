"""``audit sign --policy``: asks the witnesses of a policy to cosign each checkpoint, all at once and not for long.

A witness is asked in a thread of its own, and by one request at a time: one that is away or slow is told, the checkpoint is
written without it, and the next checkpoint shows it the way from the one that it cosigned last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Final

from stream_recon.adapters.asking import Asking
from stream_recon.audit.checkpoint import parse as parse_checkpoint
from stream_recon.audit.merkle import consistency_of
from stream_recon.audit.note import MAX_SIGNATURES, Signer, Verifier
from stream_recon.audit.note import parse as parse_note
from stream_recon.audit.policy import Policy
from stream_recon.audit.witness import Request, cosignature, told_size
from stream_recon.cli.bundles import Mark, hashes
from stream_recon.cli.output import shown_text
from stream_recon.cli.verifying import read_policy
from stream_recon.errors import ConfigError, ProofError, Unreachable

logger = logging.getLogger("stream_recon.witnesses")

WAIT_SECONDS: Final = 5.0
"""A checkpoint waits so long for all witnesses together."""

_TRIES: Final = 3
"""Of one request: a first, one after the size was told, and one where another signer was faster."""

_SHOWN: Final = 200
"""Octets of an answer that are told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked: a policy, and the text of its file."""

    policy: Policy
    text: bytes


def read_witnesses(path: Path, root: Signer) -> Asked:
    """The policy in a file, for the log of a root key. Raises ``ConfigError``: it would have no effect."""
    policy = read_policy(path)
    if root.verifier not in policy.logs:
        raise ConfigError(f"{path}: believes no log {root.verifier.vkey}; write the line that stream-recon keys show prints")
    if not 0 < len(policy.urls) < MAX_SIGNATURES:
        raise ConfigError(f"{path}: names {len(policy.urls)} witnesses with a URL; write witness NAME VKEY URL, up to 99 times")
    return Asked(policy, path.read_bytes())


class _Witness:
    """One of them. ``line``: what it said to the last request; None: nothing that holds."""

    def __init__(self, name: str, key: Verifier, url: str, bundle: Path, mark: Mark, asking: Asking) -> None:
        self.name, self.key = name, key
        self.line: bytes | None = None
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._bundle, self._asking = bundle, asking
        self._mark, self._size = mark, mark.tree.size
        self._thread: Thread | None = None

    def begin(self, note: bytes) -> bool:
        """Asks, unless it is still being asked."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self.line = None
        self._thread = Thread(target=self._run, args=(note,), name=f"witness {self.name}", daemon=True)
        self._thread.start()
        return True

    def wait(self, seconds: float) -> bool:
        """Whether it has answered, one way or the other."""
        assert self._thread is not None
        self._thread.join(max(seconds, 0))
        return not self._thread.is_alive()

    def _run(self, note: bytes) -> None:
        try:
            self.line = self._ask(note)
        except (ProofError, Unreachable, OSError) as error:
            logger.warning("witness %s did not cosign: %s", self.name, shown_text(str(error)))

    def _ask(self, note: bytes) -> bytes:
        size = parse_checkpoint(parse_note(note).text).size
        for _ in range(_TRIES):
            proof, there = self._proof(self._size, size)
            status, body = self._asking.post(self._url, Request(self._size, tuple(proof), note).dumps())
            if status == HTTPStatus.OK:
                line = cosignature(note, body, self.key)
                self._size, self._mark = size, there
                return line
            if status != HTTPStatus.CONFLICT:
                said = body[:_SHOWN].decode("utf-8", "replace").strip()
                fork = ": to it this is another history, a fork" if status == HTTPStatus.UNPROCESSABLE_ENTITY else ""
                raise ProofError(f"{self._url} answers {status} {said}{fork}")
            self._size = told_size(body)
            if self._size > size:
                text = f"it has cosigned {self._size} entries, this log has {size}: its key has signed another history"
                self._size = 0
                raise ProofError(text)
        raise ProofError(f"{self._url} still tells another size, {self._size}")

    def _proof(self, old: int, size: int) -> tuple[list[bytes], Mark]:
        """From ``old`` entries to ``size``, and how far that read the bundle."""
        if old in {0, size}:
            return [], self._mark
        mark = self._mark if self._mark.tree.size <= old else Mark()
        tree, octets = mark.tree.copy(), mark.octets

        def read() -> Iterator[bytes]:
            nonlocal octets
            for one, length in hashes(self._bundle, mark.octets):
                tree.add_hash(one)
                octets += length
                yield one

        leaves = read()
        while tree.size < old:
            next(leaves)
        return consistency_of(tree.copy(), leaves, size), Mark(tree, octets)


class Witnesses:
    """All of them."""

    def __init__(self, asked: Asked, bundle: Path, mark: Mark) -> None:
        """``mark``: where the bundle's last checkpoint stands, which they are taken to have cosigned."""
        self._policy, self._asking = asked.policy, Asking()
        self._all = [
            _Witness(name, self._policy.witnesses[name], url, bundle, mark, self._asking)
            for name, url in self._policy.urls.items()
        ]

    def cosigned(self, note: bytes) -> bytes:
        """The note of a checkpoint, which will stay, with the lines of those that cosigned it within ``WAIT_SECONDS``."""
        until = time.monotonic() + WAIT_SECONDS
        begun = [one for one in self._all if one.begin(note)]
        done = [one for one in begun if one.wait(until - time.monotonic())]
        for one in self._all:
            if one not in done:
                logger.warning("witness %s has not answered in %g s; the next checkpoint asks again", one.name, WAIT_SECONDS)
        cosigned = note + b"".join(one.line for one in done if one.line is not None)
        if not self._policy.read(cosigned).witnessed:
            logger.warning("too few witnesses cosigned this checkpoint: the policy's quorum is %s", self._policy.quorum)
        return cosigned

    def close(self) -> None:
        """Ends the connections."""
        self._asking.close()
