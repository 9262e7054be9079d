"""Bundles elsewhere: ``--copy-to`` sends one to a bucket after each checkpoint, ``audit fetch`` brings it from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from stream_recon.adapters.copies import PART_OCTETS, Copy, Head
from stream_recon.cli.bundles import FILES, held, put_in_place
from stream_recon.cli.places import POSITIONS
from stream_recon.cli.verifying import CHECKPOINTS, POLICY
from stream_recon.config.scalars import parse_location
from stream_recon.errors import ConfigError, InputError

_SMALL: Final = (POLICY, POSITIONS)


class Copied:
    """The copy of a bundle."""

    def __init__(self, location: str, bundle: Path) -> None:
        """Sees that what is there is the bundle as it was.

        Raises:
            ConfigError: the location is none that can be used.
            InputError: another bundle is there, or more of this one.
            Undelivered: it cannot be read.
        """
        self._bundle = bundle
        self._copy = _at(location, "--copy-to")
        self._head = self._copy.head() or Head()
        with held(bundle) as files:
            size = files[CHECKPOINTS].seek(0, 2)
            if size < self._head.sizes.get(CHECKPOINTS, 0) or not _begins(self._copy, self._head, size, bundle, CHECKPOINTS):
                advice = "name another location, or audit fetch it into a new bundle"
                raise InputError(f"{location}: holds another log, or more of this one than the bundle; {advice}")

    def ahead(self) -> None:
        """Sends what belongs to the next checkpoint, before anybody hears of that. Raises ``Undelivered`` or ``OSError``."""
        self._copy.promise(replace(self._head, ahead=self._send()))

    def send(self) -> None:
        """Sends what stands in the bundle, which ends with a checkpoint. Raises ``Undelivered`` or ``OSError``."""
        head = self._send()
        self._copy.promise(head)
        self._head = head

    def _send(self) -> Head:
        sizes = self._copy.send({name: self._bundle / name for name in FILES}, self._head.sizes)
        return Head(sizes, {name: path.read_text() for name in _SMALL if (path := self._bundle / name).exists()})


def fetch(location: str, bundle: Path, *, ahead: bool = False) -> int:
    """Brings a copy into a bundle, which is made, or was fetched before; returns how many octets are new. ``ahead``: with what a
    signer needs to go on where its machine was lost.

    Raises:
        ConfigError: the location is none that can be used.
        InputError: there is none, or the bundle is not what it was.
        Undelivered: the location cannot be read, or the bundle cannot be written.
    """
    copy = _at(location, "LOCATION")
    head = copy.head()
    if head is None:
        raise InputError(f"{location}: there is no copy of a bundle; audit sign --copy-to makes one")
    if ahead and head.ahead is not None:
        head = head.ahead
    new = 0
    with held(bundle) as files:
        for name in FILES:
            size = files[name].seek(0, 2)
            if size > head.sizes.get(name, 0) or not _begins(copy, head, size, bundle, name):
                raise InputError(f"{bundle}: its {name} is not what it was at {location} before; fetch into a new directory")
        for name in FILES:
            start, end = files[name].seek(0, 2), head.sizes.get(name, 0)
            for octets in copy.octets(name, start, end):
                files[name].write(octets)
            files[name].flush()
            new += end - start
        for name, text in head.small.items():
            if name in _SMALL:
                put_in_place(bundle / name, text.encode())
    return new


def _at(location: str, setting: str) -> Copy:
    try:
        place = parse_location(location)
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}") from error
    return Copy(place if "://" in place else str(Path(place).absolute()), setting)


def _begins(copy: Copy, head: Head, size: int, bundle: Path, name: str) -> bool:
    """Whether file and copy are the same in the last part of what both have: of checkpoints, that says it of all before."""
    end = min(size, head.sizes.get(name, 0))
    start = max(end - PART_OCTETS, 0)
    with (bundle / name).open("rb") as file:
        file.seek(start)
        return b"".join(copy.octets(name, start, end)) == file.read(end - start)
