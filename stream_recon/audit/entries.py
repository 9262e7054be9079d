"""The entries of a log: what is signed, by whom, and how it becomes leaves of the log's tree.

    event       an audit event's exact body, signed by a signing key
    statement   a signing key and the time in which it may sign, signed by the log's root key

An entry is a DSSE envelope; its leaf is what was signed, the pre-authentication encoding of type and body. So a leaf says of what
kind it is, and a signature may be made anew without a change of the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.dsse import Envelope, key_id, sign
from stream_recon.audit.ed25519 import Key, PrivateKey, PublicKey
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import Signer
from stream_recon.audit.note import sign as sign_note
from stream_recon.audit.text import dumps, instant, json_object, seconds
from stream_recon.errors import ProofError
from stream_recon.limits import SIGNING_KEY_SECONDS

EVENT: Final = "application/vnd.stream-recon.event+json"
STATEMENT: Final = "application/vnd.stream-recon.key+json"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that may sign events which a checkpoint made in ``[begins, ends)`` (seconds since the epoch) takes in."""

    key: PublicKey
    begins: int
    ends: int

    def statement(self, origin: str) -> bytes:
        """What the root key of the log ``origin`` signs."""
        times = {"not_before": instant(self.begins), "not_after": instant(self.ends)}
        return dumps({"type": "key", "origin": origin, "key": self.key.octets.hex(), **times})


def signing_key(statement: bytes, origin: str) -> SigningKey:
    """Reads a statement. Raises ``ProofError``: it is none of this log."""
    value = json_object(statement)
    texts = [value.get(name) for name in ("type", "origin", "key", "not_before", "not_after")]
    if not all(isinstance(text, str) for text in texts) or texts[:2] != ["key", origin]:
        raise ProofError(f"expected a statement of the log {origin} about a signing key, got {statement[:80]!r}")
    _, _, key, begins, ends = map(str, texts)
    try:
        octets = bytes.fromhex(key)
    except ValueError as error:
        raise ProofError(f"expected a key in hex, got {key[:80]!r}") from error
    return SigningKey(PublicKey(octets), seconds(begins), seconds(ends))


class Sealer:
    """Makes the entries and checkpoints of one log, in the order in which they are taken.

    A signing key lives in memory only. The next one is introduced when half of the time of the present one is over, so that what
    is signed late comes under a checkpoint while the key may still sign.
    """

    def __init__(self, root: Signer, tree: Tree, seed: Callable[[], bytes]) -> None:
        """``tree``: over the entries that the log has; ``seed``: 32 octets by chance, new ones at each call."""
        self._root = root
        self._seed = seed
        self._key: tuple[PrivateKey, SigningKey] | None = None
        self._until: int | None = None
        """When the first of the keys ends that signed what is under no checkpoint yet."""
        self.tree = tree

    def event(self, body: bytes, now: int) -> Iterator[bytes]:
        """The envelope of a body, after that of a new key's statement if one is due. ``now``: seconds since the epoch.

        Where the root key fails to sign nothing was changed, and the call may be made again.
        """
        if self._key is None or not self._key[1].begins <= now < self._key[1].begins + SIGNING_KEY_SECONDS // 2:
            private = PrivateKey(self._seed())
            new = SigningKey(private.public, now, now + SIGNING_KEY_SECONDS)
            yield self._entry(STATEMENT, new.statement(self._root.name), self._root.key)
            self._key = private, new
        ends = self._key[1].ends
        self._until = ends if self._until is None else min(self._until, ends)
        yield self._entry(EVENT, body, self._key[0])

    def checkpoint(self, now: int) -> bytes:
        """The note of a checkpoint over all entries so far. Where the root key fails to sign the call may be made again.

        Raises:
            ProofError: a key that signed some of them may not sign any more. They must be signed anew.
        """
        if self._until is not None and now >= self._until:
            text = f"the key that signed the last entries ended at {instant(self._until)}, before their checkpoint"
            raise ProofError(f"{text}: start again, and they are signed anew")
        made = Checkpoint.at(self._root.name, self.tree.size, self.tree.root, now)
        note = sign_note(made.text, [self._root])
        self._until = None
        return note

    def _entry(self, kind: str, body: bytes, key: Key) -> bytes:
        envelope = sign(kind, body, [key])
        self.tree.add(envelope.signed)
        return envelope.dumps()


class Keys:
    """The signing keys that the entries of a log have introduced so far."""

    def __init__(self, origin: str, root: PublicKey) -> None:
        self._origin = origin
        self._root = {key_id(root): root}
        self._known: dict[str, SigningKey] = {}
        self._keys: dict[str, PublicKey] = {}

    def introduce(self, envelope: Envelope) -> str | None:
        """Takes a statement in; returns what is wrong with it."""
        if not envelope.signers(self._root):
            return "the log's root key did not sign this statement: whoever made it cannot introduce keys"
        found = signing_key(envelope.payload, self._origin)
        self._known[key_id(found.key)], self._keys[key_id(found.key)] = found, found.key
        return None

    def accept(self, envelope: Envelope, time: int) -> str | None:
        """Judges who signed an event that a checkpoint of ``time`` takes in; returns what is wrong."""
        signers = [self._known[name] for name in envelope.signers(self._keys)]
        if not signers:
            return "it is signed by none of the keys that the log introduced before it: it was changed, or is by somebody else"
        if not any(one.begins <= time < one.ends for one in signers):
            begins, ends = instant(signers[0].begins), instant(signers[0].ends)
            return (
                f"its key may sign from {begins} to {ends}, the checkpoint that takes it in is of {instant(time)}: not its time"
            )
        return None
