"""``audit witness``: a witness for logs (c2sp.org/tlog-witness), its memory in a directory.

DIR/lock                        held by the one witness that runs on it
DIR/ORIGIN_HASH.checkpoint      the checkpoint of a log that was cosigned last: a note, as it is served

A checkpoint is put in the place of the one before and synced before its cosignature is answered. Whoever loses the directory
has lost the witness: with an empty one its key would cosign a second history.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock
from typing import Final

from stream_recon.adapters.answering import Answering, Reply
from stream_recon.audit.note import verifier
from stream_recon.audit.witness import Witness, origin_hash
from stream_recon.cli.bundles import cosigner, put_in_place, witness_line
from stream_recon.cli.keyfiles import read_key
from stream_recon.cli.live import Screen, logged
from stream_recon.cli.output import EXIT_FINE, shown_text
from stream_recon.cli.stopping import signals
from stream_recon.errors import ConfigError, ProofError, StateError, StateHeld

logger = logging.getLogger("stream_recon.witness")

_SUFFIX: Final = ".checkpoint"


class Directory:
    """What a witness remembers, in files."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def last(self, origin: str) -> bytes | None:
        """Raises ``OSError``: it is there, and cannot be read."""
        try:
            return self._path(origin).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, origin: str, note: bytes) -> None:
        """Raises ``OSError``."""
        put_in_place(self._path(origin), note)

    def _path(self, origin: str) -> Path:
        return self._place / f"{origin_hash(origin)}{_SUFFIX}"


@contextmanager
def _held(place: Path) -> Iterator[Directory]:
    """The directory, which is made if it is not there, by one process at a time."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateHeld(f"{place}: another witness runs on this directory; stop it first") from error
            yield Directory(place)
    except OSError as error:
        raise StateError(f"{place}: cannot be used: {error.strerror or error}; a witness must remember what it signed") from error


class _Serving:
    """The paths of a witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._one_at_a_time = Lock()

    def handle(self, method: str, path: str, body: bytes) -> Reply | None:
        if path == "/add-checkpoint":
            if method != "POST":
                return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"expected POST\n"
            return self._add(body)
        name = path.removeprefix("/").removesuffix("/checkpoint")
        found = self._witness.checkpoint(name) if method == "GET" and path == f"/{name}/checkpoint" else None
        return None if found is None else (HTTPStatus.OK, "text/plain; charset=utf-8", found)

    def _add(self, body: bytes) -> Reply:
        with self._one_at_a_time:
            answer = self._witness.add_checkpoint(body, int(time.time()))
        if answer.why:
            level = logging.ERROR if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY else logging.INFO
            logger.log(level, "%d: %s", answer.status, shown_text(answer.why))
        return answer.status, answer.type, answer.body


def witness(key: Path, logs: Sequence[str], listen: str, state: Path) -> int:
    """Runs a witness until it is stopped. Raises ``ReconError``."""
    signer = cosigner(read_key(key))
    try:
        known = [verifier(vkey) for vkey in logs]
    except ProofError as error:
        raise ConfigError(f"--log: {error}") from error
    stop = Event()
    with Screen(terminal=False) as screen, logged(screen, "witness"), _held(state) as memory:
        try:
            made = Witness(signer, known, memory)
        except ProofError as error:
            raise StateError(f"{state}: {error}; a witness has a directory and a key of its own, and keeps both") from error
        with signals(stop.set), closing(Answering("--listen", listen, _Serving(made).handle)) as serving:
            for origin, size in made.sizes.items():
                logger.info("%s: %s", origin, f"goes on after {size} entries" if size else "nothing of it was cosigned before")
            logger.info("%s answers at port %d; for policies: %s", signer.name, serving.port, witness_line(signer))
            stop.wait()
    return EXIT_FINE
