"""reconcile: one digest partition's log in, discrepancies and certificates out, state kept in a store.

    entry -> share of its topology -> events           fold: the same log gives the same bytes
    commit: state and log position in one batch, after the outputs are safe

The store is a cache of the log: what is lost of it is folded again from its position, without saying anything twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from stream_recon.engine.pending import Pending
from stream_recon.engine.remember import dump, restore
from stream_recon.engine.share import Share
from stream_recon.engine.terms import Event
from stream_recon.errors import LogError, StateError
from stream_recon.limits import SEGMENT_CACHE_BYTES, STATE_FORMAT
from stream_recon.model.digest import Open, decode, encode
from stream_recon.ports import Entry, Store

_META = b"M"
_SHARE = b"S"


class Reconciler:
    """One digest partition. ``position`` is the next log position to fold."""

    def __init__(self, home: int, store: Store, *, cache_bytes: int = SEGMENT_CACHE_BYTES) -> None:
        self.home = home
        self.position = 0
        self.shares: dict[str, Share] = {}
        self._cache_bytes = cache_bytes
        self._pending = Pending(store)
        self._pairs = 0
        self._touched: set[str] = set()
        self._load()

    def _load(self) -> None:
        """Raises StateError if the state was written by another version or for another digest partition."""
        saved = self._pending.get(_META)
        if saved is None:
            return
        meta = orjson.loads(saved)
        if meta["format"] != STATE_FORMAT:
            raise StateError(
                f"state: expected format {STATE_FORMAT}, got {meta['format']}: it was written by another version of "
                "stream-recon; use that version, or delete the state directory: it is made again from the log"
            )
        if meta["home"] != self.home:
            raise StateError(
                f"state: expected digest partition {self.home}, got {meta['home']}: this is another worker's directory"
            )
        self.position = meta["position"]
        for name, message in list(self._pending.scan(_SHARE + b"O")):
            topology = name[2:].decode()
            opened = decode(message)
            assert isinstance(opened, Open)
            number = meta["pairs"][topology]
            self.shares[topology] = Share(opened, self.home, self._pending, number)
            self._pairs = max(self._pairs, number + len(opened.pairs))
            memory = self._pending.get(_SHARE + b"M" + topology.encode())
            assert memory is not None
            restore(self.shares[topology], memory)

    def fold(self, entry: Entry) -> Iterator[Event]:
        """The next message of the log; its events are to be taken to their end before the next message or a commit.

        Raises:
            LogError: it breaks the log's rules.
        """
        if entry.offset < self.position:
            raise LogError(f"digest log: expected position {self.position} of partition {self.home}, got {entry.offset}")
        record = decode(entry.value)
        self.position = entry.offset + 1
        self._touched.add(record.topology)
        if isinstance(record, Open):
            self._open(record)
            return iter(())
        if record.topology not in self.shares:
            raise LogError(f"digest log: a record of topology {record.topology} stands before its open record")
        return self.shares[record.topology].fold(record, entry.timestamp)

    def _open(self, opened: Open) -> None:
        if opened.topology in self.shares:
            if self.shares[opened.topology].opened != opened:
                raise LogError(
                    f"digest log: topology {opened.topology} was opened with other settings; "
                    "use another state directory for the new ones"
                )
            return
        self.shares[opened.topology] = Share(opened, self.home, self._pending, self._pairs)
        self._pairs += len(opened.pairs)
        self._pending.put(_SHARE + b"O" + opened.topology.encode(), encode(opened))

    def commit(self) -> None:
        """State and position to the store, in one batch; rows beyond the memory bound leave memory.

        Raises:
            StorageFull: nothing was written.
        """
        for topology in self._touched:
            self._pending.put(_SHARE + b"M" + topology.encode(), dump(self.shares[topology]))
        self._touched.clear()
        numbers = {t: s.pairs[0].store.number for t, s in self.shares.items()}
        meta = {"format": STATE_FORMAT, "home": self.home, "position": self.position, "pairs": numbers}
        self._pending.put(_META, orjson.dumps(meta))
        self._pending.commit()
        self._spill()

    def _spill(self) -> None:
        """Keeps at most ``cache_bytes`` of rows whose window is still open; the nearest stay."""
        segments = [
            (number, segment)
            for share in self.shares.values()
            for pair in share.pairs
            for side in (pair.source, pair.target)
            for number, held in side.segments.items()
            for segment in held
            if segment.rows is not None
        ]
        kept = 0
        for _, segment in sorted(segments, key=lambda s: s[0]):
            kept += segment.nbytes
            if kept > self._cache_bytes:
                segment.rows = None
