"""reconcile: one digest partition's log in, discrepancies and certificates out, state kept in a store.

    entry -> share of its topology -> events           fold: the same log gives the same bytes
    commit: state and log position in one batch, after the outputs are safe

A share is of one generation. What an older one still says is a zombie's and dropped; an open record of a newer one ends the share
and begins it anew: under numbers of its own in the store, in the same chains (docs/decisions/0012).

The store is a cache of the log: what is lost of it is folded again from its position, without saying anything twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from stream_recon.audit.chain import Head
from stream_recon.engine.pending import Pending
from stream_recon.engine.remember import dump, restore
from stream_recon.engine.share import Share
from stream_recon.engine.terms import Event, Standing
from stream_recon.errors import LogError, StateError
from stream_recon.limits import SEGMENT_CACHE_BYTES, STATE_FORMAT
from stream_recon.model.digest import Open, decode, encode
from stream_recon.ports import Entry, Store

_META = b"M"
_SHARE = b"S"


class Reconciler:
    """One digest partition. ``position`` is the next log position to fold.

    Of rows of windows still open ``cache_bytes`` stay in memory, which may be changed between two commits; what is beyond is read
    again when its window closes, ``slice_bytes`` at once: of more, the keys are judged in slices.
    """

    def __init__(
        self, home: int, store: Store, *, cache_bytes: int = SEGMENT_CACHE_BYTES, slice_bytes: int | None = None
    ) -> None:
        self.home = home
        self.position = 0
        self.shares: dict[str, Share] = {}
        self.cache_bytes = cache_bytes
        self._slice_bytes = slice_bytes
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
        self.position, self._pairs = meta["position"], meta["next"]
        for name, message in list(self._pending.scan(_SHARE + b"O")):
            topology = name[2:].decode()
            opened = decode(message)
            assert isinstance(opened, Open)
            self.shares[topology] = self._share(opened, meta["pairs"][topology], {})
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
        share = self.shares.get(record.topology)
        self.position = entry.offset + 1
        if share is not None and record.generation < share.opened.generation:
            return iter(())
        self._touched.add(record.topology)
        if isinstance(record, Open):
            return self._open(record, share, entry.timestamp)
        if share is None or record.generation > share.opened.generation:
            raise LogError(
                f"digest log: a record of topology {record.topology}, generation {record.generation}, "
                "stands before its open record: the log was made anew or cut; run stream-recon reset, then start again"
            )
        return share.fold(record, entry.timestamp)

    def _open(self, opened: Open, share: Share | None, appended: int) -> Iterator[Event]:
        """The first open record of a generation begins the share; the same again changes at most what its pairs may keep."""
        if share is None:
            self._begin(opened, {})
        elif share.opened.generation < opened.generation:
            return self._rebuild(share, opened, appended)
        elif share.opened.same(opened):
            share.bound(opened)
            self._pending.put(_SHARE + b"O" + opened.topology.encode(), encode(opened))
        else:
            raise LogError(
                f"digest log: topology {opened.topology} was opened with other settings, and answers of both would not agree; "
                "for the new ones run stream-recon rebuild"
            )
        return iter(())

    def _rebuild(self, share: Share, opened: Open, appended: int) -> Iterator[Event]:
        """Nothing of the old share goes before everything is said: a run that was cut off in between says the rest of it."""
        yield from share.rebuilt(opened, appended)
        for pair in share.pairs:
            pair.store.clear()
        self._begin(opened, share.chains)

    def _share(self, opened: Open, first_pair: int, heads: Mapping[str, Head]) -> Share:
        share = Share(opened, self.home, self._pending, first_pair, heads)
        if self._slice_bytes is not None:
            for pair in share.pairs:
                pair.closer.slice_bytes = self._slice_bytes
        return share

    def _begin(self, opened: Open, heads: Mapping[str, Head]) -> None:
        share = self._share(opened, self._pairs, heads)
        self.shares[opened.topology] = share
        self._pairs += len(share.pairs)
        self._pending.put(_SHARE + b"O" + opened.topology.encode(), encode(opened))

    @property
    def standing(self) -> list[Standing]:
        """How every pair stands, for metrics."""
        return [standing for share in self.shares.values() for standing in share.standing]

    def commit(self) -> None:
        """State and position to the store, in one batch; rows beyond the memory bound leave memory.

        Raises:
            StorageFull: nothing was written.
        """
        for topology in self._touched:
            self._pending.put(_SHARE + b"M" + topology.encode(), dump(self.shares[topology]))
        self._touched.clear()
        numbers = {topology: share.first_pair for topology, share in self.shares.items()}
        place = {"position": self.position, "pairs": numbers, "next": self._pairs}
        meta = {"format": STATE_FORMAT, "home": self.home, **place}
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
            if kept > self.cache_bytes:
                segment.rows = None
