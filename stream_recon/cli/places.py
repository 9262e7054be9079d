"""``BUNDLE/positions``: where in the topics a bundle goes on. It proves nothing, and auditors need none of it.

{"topics": {NAME: ID}, "at": {ROOT: {"places": [[TOPIC, PARTITION, OFFSET]...],
                                     "floors": [[TOPIC, PARTITION, CHAIN, OFFSET]...]}}}

It is written before the checkpoint that it belongs to, which it names by the tree's root, and keeps what it says of the one
before: so it knows of the last checkpoint whatever was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from stream_recon.cli.bundles import put_in_place
from stream_recon.errors import InputError
from stream_recon.ports import Place

POSITIONS: Final = "positions"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where to go on by place, and what of single chains is signed beyond it."""

    places: Mapping[Place, int]
    floors: Mapping[tuple[Place, str], int]


class Places:
    """The file in a bundle, and the ids of the topics that it is of."""

    def __init__(self, bundle: Path, topics: Mapping[str, str]) -> None:
        self._path = bundle / POSITIONS
        self._topics = dict(topics)
        self._last: dict[str, Any] = {}

    def read(self, root: bytes) -> Standing:
        """Where the bundle stands whose last checkpoint has this root.

        Raises:
            InputError: it does not say, or the topics are not those that it is of.
        """
        advice = "a bundle is added to from where it began: name another bundle, with a key of its own"
        try:
            said = orjson.loads(self._path.read_bytes())
            topics, at = said["topics"], said["at"][root.hex()]
            places = {(topic, partition): offset for topic, partition, offset in at["places"]}
            floors = {((topic, partition), chain): offset for topic, partition, chain, offset in at["floors"]}
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror or error}; {advice}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._path}: does not say where the last checkpoint of this bundle stands; {advice}") from error
        if topics != self._topics:
            raise InputError(f"{self._path}: is of topics {topics}, there are {self._topics}: they were made anew; {advice}")
        self._last = {root.hex(): at}
        return Standing(places, floors)

    def write(self, root: bytes, standing: Standing) -> None:
        """Says where the bundle stands under a checkpoint with this root, which is to be written next. Raises ``OSError``."""
        at = {
            "places": [[*place, offset] for place, offset in sorted(standing.places.items())],
            "floors": [[*place, chain, offset] for (place, chain), offset in sorted(standing.floors.items())],
        }
        put_in_place(self._path, orjson.dumps({"topics": self._topics, "at": {**self._last, root.hex(): at}}) + b"\n")
        self._last = {root.hex(): at}
