"""Checkpoints of digest partitions' states in a directory or a bucket, whatever ``pyarrow.fs`` reaches.

    LOCATION/PREFIX/LOG/PARTITION/files/SHA256                         files of the state, each once
    LOCATION/PREFIX/LOG/PARTITION/manifests/POSITION-SHA256.json       which of them are one checkpoint

Nearly all of RocksDB's files are never changed, so a checkpoint sends what no earlier one sent. Its manifest goes last, by a
move or as one object: a checkpoint is there whole, or not at all. What comes back is held against its SHA-256 before it is used.

A worker that lost its place may not know it yet, so two may write at once. What keeps them from each other's files:

1. A checkpoint must be further than all that are there: a former owner behind its heir sends none.
2. Files that no manifest names go only if they are an hour older than the manifest just written, both by the location's own
   clock: another writer's new ones have no manifest yet. While a manifest cannot be read, no file goes.
3. Files go before manifests: those of a manifest that is dropped stay until the next turn, for who just counted on them.
4. Before its manifest is written, all files of a checkpoint are seen in one listing; what went meanwhile is sent again.

What is left is a writer that stands still between that listing and its manifest, for a whole turn: its checkpoint is found
incomplete when it is read, and the one before it is taken.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from pyarrow import fs

from stream_recon.adapters.locations import FAILURES, OBJECTS, opened, reason
from stream_recon.errors import CheckpointFailed
from stream_recon.limits import CHECKPOINT_FORMAT, STATE_FORMAT
from stream_recon.ports import Kept

logger = logging.getLogger("stream_recon.checkpoints")

LINGER_SECONDS: Final = 3600.0
"""A file that no manifest names is another writer's for so long."""

_ROUNDS: Final = 3
_STREAMS: Final = 4
_CHUNK: Final = 4 * 1024**2
_MANIFEST: Final = re.compile(r"([0-9]{20})-([0-9a-f]{64})\.json")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a state."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Manifest:
    """One checkpoint."""

    state_format: int
    position: int
    created: int
    files: tuple[_File, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A manifest by its name."""

    position: int
    sha256: str
    path: str
    mtime: float


class _Unusable(Exception):
    """Why a checkpoint is passed over."""


class Checkpoints:
    """Checkpoints of one log's digest partitions. One call at a time for each digest partition."""

    def __init__(self, location: str, prefix: str, log: str, keep: int, *, linger: float = LINGER_SECONDS) -> None:
        """``log``: the id of the digest log's topic, so that no state meets another log. ``keep``: how many checkpoints stay.

        Raises:
            ConfigError: the location is none that can be used.
        """
        self._location = location
        self._owner: dict[str, Any] = {"deployment": prefix, "log": log}
        self._keep = keep
        self._linger = linger
        self._opened: tuple[fs.FileSystem, str] | None = None
        self._hashes: dict[int, dict[tuple[object, ...], str]] = {}
        try:
            self._open()
        except OSError as error:  # the region of a bucket is asked for: that may work a little later
            logger.warning("checkpoints: %s cannot be reached: %s", location, reason(error))

    def _open(self) -> tuple[fs.FileSystem, str]:
        if self._opened is None:
            self._opened = opened(self._location, "checkpoints.location")
        return self._opened

    # ---- writing -------------------------------------------------------------------------------------------------------

    def save(self, home: int, snapshot: Path, position: int, created: int) -> int:
        """Keeps the files in ``snapshot``, the state at a log position; returns the octets sent: none if it is there already.

        Raises:
            CheckpointFailed: it is not kept; also if one that is further is there.
        """
        with self._failing("written"):
            shelf = self._shelf(home)
            for listed in shelf.manifests():
                if listed.position > position:
                    raise CheckpointFailed(
                        f"checkpoints: {listed.path} is further than the state of digest partition {home}, at {position}: "
                        "another worker holds it by now, or the group was set back; none is made until that is passed"
                    )
                if listed.position == position and self._is_usable(shelf, listed, home):
                    return 0
            files = self._measured(home, snapshot)
            sent = shelf.send(snapshot, files)
            manifest = _Manifest(STATE_FORMAT, position, created, tuple(files))
            shelf.write(self._owner | {"digest_partition": home}, manifest)
            self._tidy(shelf, home)
            return sent

    def _tidy(self, shelf: _Shelf, home: int) -> None:
        """What is not deleted now, is at the next turn."""
        try:
            shelf.tidy(self._owner | {"digest_partition": home}, self._keep, self._linger)
        except FAILURES as error:
            logger.warning("checkpoints: nothing old can be deleted at %s: %s", self._location, reason(error))

    def _measured(self, home: int, snapshot: Path) -> list[_File]:
        """The files with their checksums; those of tables, which are never changed, are kept in mind."""
        known, kept, files = self._hashes.get(home, {}), dict[tuple[object, ...], str](), list[_File]()
        for path in sorted(snapshot.iterdir()):
            stat = path.stat()
            mark = (path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            sha256 = known.get(mark) or _sha256(path)
            if path.suffix == ".sst":
                kept[mark] = sha256
            files.append(_File(path.name, stat.st_size, sha256))
        self._hashes[home] = kept
        return files

    # ---- reading -------------------------------------------------------------------------------------------------------

    def restore(self, home: int, into: Path, low: int, high: int) -> Kept | None:
        """Puts the newest checkpoint that can be used, at a position from ``low`` to ``high``, into a new directory. What is
        broken, incomplete, of another format or ahead is passed over with a warning. None: there is none.

        Raises:
            CheckpointFailed: the location cannot be read.
        """
        with self._failing("read"):
            shelf = self._shelf(home)
            for listed in shelf.manifests():
                if listed.position < low:
                    break
                try:
                    manifest = self._usable(shelf, listed, home, high)
                    shutil.rmtree(into, ignore_errors=True)
                    into.mkdir(parents=True)
                    shelf.fetch(manifest.files, into)
                except (_Unusable, *FAILURES) as error:
                    logger.warning("checkpoint %s is passed over: %s", listed.path, reason(error))
                    shutil.rmtree(into, ignore_errors=True)
                else:
                    return Kept(manifest.position, manifest.created)
        return None

    def _is_usable(self, shelf: _Shelf, listed: _Listed, home: int) -> bool:
        try:
            self._usable(shelf, listed, home, listed.position)
        except _Unusable:
            return False
        return True

    def _usable(self, shelf: _Shelf, listed: _Listed, home: int, high: int) -> _Manifest:
        if listed.position > high:
            raise _Unusable(f"it is ahead of the group's position, {high}: the group was set back")
        manifest = shelf.read(listed, self._owner | {"digest_partition": home})
        if manifest.state_format != STATE_FORMAT:
            raise _Unusable(_other_version("state", STATE_FORMAT, manifest.state_format))
        return manifest

    # ---- the end -------------------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """Where those of this log are, in words."""
        return f"{self._own} at {self._location}"

    def forget(self) -> None:
        """Deletes all that there is of this log.

        Raises:
            CheckpointFailed: not all of it could be deleted.
        """
        with self._failing("deleted from"):
            system, base = self._open()
            own = f"{base}/{self._own}"
            if system.get_file_info(own).type != fs.FileType.NotFound:
                system.delete_dir(own)

    # ---- all -----------------------------------------------------------------------------------------------------------

    @property
    def _own(self) -> str:
        return f"{self._owner['deployment']}/{self._owner['log']}"

    def _shelf(self, home: int) -> _Shelf:
        system, base = self._open()
        return _Shelf(system, f"{base}/{self._own}/{home}")

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (_Unusable, *FAILURES) as error:
            raise CheckpointFailed(f"checkpoints: {self._location} cannot be {what}: {reason(error)}") from error


class _Shelf:
    """The place of one digest partition."""

    def __init__(self, system: fs.FileSystem, base: str) -> None:
        self._system = system
        self._objects = system.type_name in OBJECTS
        self._files = f"{base}/files"
        self._manifests = f"{base}/manifests"

    def manifests(self) -> list[_Listed]:
        """What is there, the furthest first."""
        found = ((_MANIFEST.fullmatch(info.base_name), info) for info in self._listing(self._manifests))
        listed = [_Listed(int(m[1]), m[2], info.path, info.mtime_ns / 1e9) for m, info in found if m]
        return sorted(listed, key=lambda one: (one.position, one.path), reverse=True)

    def read(self, listed: _Listed, owner: dict[str, Any]) -> _Manifest:
        """Raises _Unusable for what is broken, of another version, or somebody else's."""
        with self._system.open_input_stream(listed.path, compression=None) as stream:
            data = stream.read()
        if hashlib.sha256(data).hexdigest() != listed.sha256:
            raise _Unusable("the manifest is broken: it is not what was written")
        return _manifest(data, owner)

    def write(self, owner: dict[str, Any], manifest: _Manifest) -> None:
        """The moment from which the checkpoint is there."""
        body = {"format": CHECKPOINT_FORMAT, **owner, **asdict(manifest)}
        data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        name = f"{manifest.position:020d}-{hashlib.sha256(data).hexdigest()}.json"
        with (
            self._written(f"{self._manifests}/{name}") as path,
            self._system.open_output_stream(path, compression=None) as stream,
        ):
            stream.write(data)

    def send(self, snapshot: Path, files: Sequence[_File]) -> int:
        """Sends what is not there, until one listing shows all of it. Returns the octets sent."""
        sent = 0
        for _ in range(_ROUNDS):
            there = {info.base_name: info.size for info in self._listing(self._files)}
            missing = {file.sha256: file for file in files if there.get(file.sha256) != file.size}
            if not missing:
                return sent
            for file in missing.values():
                self._send(snapshot / file.name, file.sha256)
                sent += file.size
        raise _Unusable("files that were sent are not there")

    def _send(self, file: Path, sha256: str) -> None:
        with (
            self._written(f"{self._files}/{sha256}") as path,
            file.open("rb") as source,
            self._system.open_output_stream(path, compression=None) as sink,
        ):
            shutil.copyfileobj(source, sink, _CHUNK)

    @contextmanager
    def _written(self, path: str) -> Iterator[str]:
        """Where to write a file so that it comes to ``path`` whole."""
        if self._objects:
            yield path
            return
        beside = f"{self._files}/{uuid.uuid4().hex}.part"  # among the files, where what a crash leaves goes with the unnamed ones
        for directory in (self._files, self._manifests):
            self._system.create_dir(directory, recursive=True)
        yield beside
        self._system.move(beside, path)

    def fetch(self, files: Sequence[_File], into: Path) -> None:
        """Raises _Unusable if one is gone, or not what was written."""

        def one(file: _File) -> None:
            read = hashlib.sha256()
            size = 0
            with (
                self._system.open_input_stream(f"{self._files}/{file.sha256}", compression=None) as source,
                (into / file.name).open("xb") as sink,
            ):
                while chunk := source.read(_CHUNK):
                    read.update(chunk)
                    size += len(chunk)
                    sink.write(chunk)
                sink.flush()
                os.fsync(sink.fileno())
            if (size, read.hexdigest()) != (file.size, file.sha256):
                raise _Unusable(f"file {file.name} is broken: {size} of {file.size} octets, or others than were written")

        with ThreadPoolExecutor(_STREAMS) as pool:
            list(pool.map(one, files))

    def tidy(self, owner: dict[str, Any], keep: int, linger: float) -> None:
        """Deletes what is not needed any more, by the rules above. The last manifest was written just now."""
        listed = self.manifests()
        known: list[_Manifest | None] = [self._known(one, owner) for one in listed]
        usable = [m.position for m in known if m is not None and m.state_format == STATE_FORMAT]
        if None not in known:
            named = {file.sha256 for manifest in known if manifest is not None for file in manifest.files}
            before = max((one.mtime for one in listed), default=0.0) - linger
            for info in self._listing(self._files):
                if info.base_name not in named and info.mtime_ns / 1e9 < before:
                    self._system.delete_file(info.path)
        if len(usable) >= keep:
            for one in listed:
                if one.position < usable[keep - 1]:
                    self._system.delete_file(one.path)

    def _known(self, listed: _Listed, owner: dict[str, Any]) -> _Manifest | None:
        try:
            return self.read(listed, owner)
        except (_Unusable, FileNotFoundError):
            return None

    def _listing(self, directory: str) -> list[fs.FileInfo]:
        return [i for i in self._system.get_file_info(fs.FileSelector(directory, allow_not_found=True)) if i.is_file]


def _manifest(data: bytes, owner: dict[str, Any]) -> _Manifest:
    try:
        body = orjson.loads(data)
        written, version = {name: body[name] for name in owner}, body["format"]
        if version != CHECKPOINT_FORMAT:
            raise _Unusable(_other_version("checkpoint", CHECKPOINT_FORMAT, version))
        files = tuple(_File(f["name"], int(f["size"]), f["sha256"]) for f in body["files"])
        manifest = _Manifest(int(body["state_format"]), int(body["position"]), int(body["created"]), files)
        named = all(Path(f.name).name == f.name and _SHA256.fullmatch(f.sha256) for f in files)
    except (ValueError, KeyError, TypeError) as error:
        raise _Unusable("the manifest is none: a field is missing or of another kind") from error
    if written != owner:
        raise _Unusable(f"it belongs to {written}, and not to {owner}")
    if not named:
        raise _Unusable("the manifest is none: a file has a name that is none")
    return manifest


def _other_version(what: str, expected: int, got: object) -> str:
    return (
        f"expected {what} format {expected}, got {got}: another version of stream-recon wrote it; start that version to use it, "
        "or let this one fold the digest log from its beginning and write checkpoints of its own"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
