"""Copies of bundles in a bucket or another directory, whatever ``pyarrow.fs`` reaches.

    LOCATION/FILE/NUMBER     octets NUMBER * PART_OCTETS and following of a file that only grows; NUMBER from 0, in 8 digits
    LOCATION/bundle.json     how many octets of each file are the copy, its small files as they are; the same for what goes ahead

Objects cannot be added to: the last part is written again, longer, until it is whole. ``bundle.json`` goes last, as one object: a
copy is at any moment the bundle under one of its checkpoints, and what an interrupted turn left behind that counts for nothing.
What goes ahead is for a signer only: it belongs to a checkpoint that is published next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from pyarrow import fs

from stream_recon.adapters.locations import FAILURES, OBJECTS, opened, reason
from stream_recon.errors import InputError, Undelivered

PART_OCTETS: Final = 4 * 1024**2
_HEAD: Final = "bundle.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Head:
    """What a copy holds: ``sizes`` of the files that grow, in octets, and ``small`` files, each as text.

    ``ahead``: the same, with what is there for the next checkpoint.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    small: Mapping[str, str] = field(default_factory=dict)
    ahead: Head | None = None


class Copy:
    """One copy, to be written by one process at a time; readers may come at any time."""

    def __init__(self, location: str, setting: str, *, part: int = PART_OCTETS) -> None:
        """``setting``: where the location was written, for messages. ``part``: octets.

        Raises:
            ConfigError: the location is none that can be used.
            Undelivered: it cannot be reached.
        """
        self.location = location
        self._part = part
        with self._failing("reached"):
            self._system, self._base = opened(location, setting)

    def head(self) -> Head | None:
        """What is there; None: nothing yet.

        Raises:
            InputError: something else is there.
            Undelivered: it cannot be read.
        """
        path = f"{self._base}/{_HEAD}"
        with self._failing("read"):
            if self._system.get_file_info(path).type == fs.FileType.NotFound:
                return None
            octets = self._read(path)
        try:
            return _parsed(octets)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.location}/{_HEAD}: is not of a copy of a bundle: {reason(error)}") from error

    def octets(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """A file of the copy from ``start`` to ``end``, piece by piece.

        Raises:
            InputError: there is less.
            Undelivered: it cannot be read.
        """
        for number in range(start // self._part, -(-end // self._part)):
            at = number * self._part
            low, high = max(start - at, 0), min(end - at, self._part)
            with self._failing("read"):
                found = self._read(self._path(name, number))
            if len(found) < high:
                raise InputError(f"{self.location}: part {number} of {name} has {len(found)} octets of {high}: it was cut off")
            yield found[low:high]

    def send(self, files: Mapping[str, Path], sent: Mapping[str, int]) -> dict[str, int]:
        """Writes what is behind the first ``sent`` octets of each file; returns the sizes. It counts for nothing yet.

        Raises:
            Undelivered: it could not be written.
            OSError: a file cannot be read.
        """
        sizes = {name: path.stat().st_size for name, path in files.items()}
        for name, path in files.items():
            if sizes[name] == sent.get(name, 0):
                continue
            with path.open("rb") as file:
                for number in range(sent.get(name, 0) // self._part, -(-sizes[name] // self._part)):
                    file.seek(number * self._part)
                    self._write(self._path(name, number), file.read(min(self._part, sizes[name] - number * self._part)))
        return sizes

    def promise(self, head: Head) -> None:
        """Makes the copy what ``head`` says. Raises ``Undelivered``: it is what it was."""
        self._write(f"{self._base}/{_HEAD}", orjson.dumps({"version": _VERSION, **asdict(head)}) + b"\n")

    def _path(self, name: str, number: int) -> str:
        return f"{self._base}/{name}/{number:08d}"

    def _read(self, path: str) -> bytes:
        with self._system.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())

    def _write(self, path: str, octets: bytes) -> None:
        """Whole or not at all."""
        with self._failing("written"):
            target = path
            if self._system.type_name not in OBJECTS:
                self._system.create_dir(path.rpartition("/")[0], recursive=True)
                target = f"{path}.part"
            with self._system.open_output_stream(target, compression=None) as stream:
                stream.write(octets)
            if target != path:
                self._system.move(target, path)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise Undelivered(f"{self.location}: cannot be {what}: {reason(error)}") from error


def _parsed(octets: bytes) -> Head:
    body: Any = orjson.loads(octets)
    if body["version"] != _VERSION:
        raise ValueError(f"expected version {_VERSION}, got {body['version']}: another version of stream-recon wrote it")
    return _head(body)


def _head(body: Any) -> Head:
    sizes, small, ahead = body["sizes"], body["small"], body["ahead"]
    if any(type(size) is not int or size < 0 for size in sizes.values()) or any(type(text) is not str for text in small.values()):
        raise ValueError("a size or a text is none")
    return Head(sizes, small, None if ahead is None else _head(ahead))
