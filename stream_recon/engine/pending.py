"""What a step changes, not yet in the store: reads see it, and it goes to the store in one batch with the log position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream_recon.ports import Store


class Pending:
    """A store with changes on top. ``drop`` is for ranges that nobody reads again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._puts: dict[bytes, bytes] = {}
        self._deletes: set[bytes] = set()
        self._ranges: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Sets one value."""
        self._deletes.discard(key)
        self._puts[key] = value

    def put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Sets values, key by key."""
        if self._deletes:
            self._deletes.difference_update(keys)
        self._puts.update(zip(keys, values, strict=True))

    def delete(self, key: bytes) -> None:
        """Takes one key out."""
        self._puts.pop(key, None)
        self._deletes.add(key)

    def drop(self, start: bytes, end: bytes) -> None:
        """Takes out ``[start, end)``, also what was put there since the last ``commit``."""
        for key in [k for k in self._puts if start <= k < end]:
            del self._puts[key]
        self._ranges.append((start, end))

    def get(self, key: bytes) -> bytes | None:
        """One value."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of the keys."""
        if not self._puts and not self._deletes:
            return self._store.get_many(keys)
        puts, deletes = self._puts, self._deletes
        asked = [k for k in keys if k not in puts and k not in deletes]
        stored = iter(self._store.get_many(asked))
        return [puts[k] if k in puts else None if k in deletes else next(stored) for k in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries under a prefix, in order of their keys."""
        mine = sorted((k, v) for k, v in self._puts.items() if k.startswith(prefix))
        at = 0
        for key, value in self._store.scan(prefix):
            while at < len(mine) and mine[at][0] < key:
                yield mine[at]
                at += 1
            if at < len(mine) and mine[at][0] == key:
                yield mine[at]
                at += 1
            elif key not in self._deletes:
                yield key, value
        yield from mine[at:]

    def commit(self) -> None:
        """All changes to the store, all or nothing."""
        self._store.write(self._puts.items(), self._deletes, self._ranges)
        self._puts, self._deletes, self._ranges = {}, set(), []
