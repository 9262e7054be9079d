"""The log port in one local file: SQLite in WAL mode, no server. For replay, the demo and the simulator.

    messages(topic, partition, position, timestamp, key, value)      commits(group, topic, partition, position, metadata)

One ``append`` is one transaction with ``synchronous=FULL``: what it returned from survives ``kill -9`` and a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stream_recon.errors import StateError, StorageFull
from stream_recon.ports import Commit, Entry

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    topic TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
    timestamp INTEGER NOT NULL, key BLOB, value BLOB NOT NULL, PRIMARY KEY (topic, part, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (
    grp TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL,
    position INTEGER NOT NULL, metadata BLOB NOT NULL, PRIMARY KEY (grp, topic, part)
) WITHOUT ROWID;
"""


class EmbeddedLog:
    """One file; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.

        Raises:
            StateError: it cannot be used: not writable, held by another process, not such a file, or from another version.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._check_version()
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except StateError:
            self._db.close()
            raise
        self._next = {
            (topic, part): position + 1
            for topic, part, position in self._db.execute("SELECT topic, part, max(position) FROM messages GROUP BY topic, part")
        }

    def _unusable(self, error: Exception) -> StateError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return StateError(
                f"state: {self._path} is held by another process; wait until that has ended, or give another state directory"
            )
        return StateError(f"state: cannot use {self._path}: {error}; give a directory that this user can write to")

    def _check_version(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StateError(
                f"state: {self._path} is from a newer version of stream-recon (format {version}, this one knows {_VERSION}); "
                "use that version, or another state directory"
            )
        self._db.execute(f"PRAGMA user_version={_VERSION}")

    def append(
        self,
        messages: Iterable[tuple[str, int, int, bytes | None, bytes]],
        commits: Mapping[tuple[str, str, int], Commit],
    ) -> None:
        """All or nothing, durable on return.

        Raises:
            StorageFull: nothing was written.
        """
        after = dict(self._next)
        rows = []
        for topic, part, timestamp, key, value in messages:
            position = after.get((topic, part), 0)
            rows.append((topic, part, position, timestamp, key, value))
            after[topic, part] = position + 1
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany(
                "INSERT INTO commits VALUES (?, ?, ?, ?, ?) ON CONFLICT (grp, topic, part) DO UPDATE "
                "SET position = excluded.position, metadata = excluded.metadata",
                [(*place, commit.position, commit.metadata) for place, commit in commits.items()],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._fault(error) from error
        self._next = after

    def _fault(self, error: sqlite3.Error) -> StorageFull | StateError:
        if getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_WRITE"):
            return StorageFull(
                f"state: no space left for {self._path}: free some, then run the same command again; nothing committed is lost"
            )
        return StateError(f"state: writing to {self._path} failed: {error}")

    def read(self, topic: str, partition: int, position: int, limit: int) -> Sequence[Entry]:
        """Up to ``limit`` messages from ``position`` on."""
        query = (
            "SELECT position, timestamp, key, value FROM messages "
            "WHERE topic = ? AND part = ? AND position >= ? ORDER BY position LIMIT ?"
        )
        return [Entry(*row) for row in self._db.execute(query, (topic, partition, position, limit))]

    def committed(self, group: str) -> Mapping[tuple[str, int], Commit]:
        """The group's positions by (topic, partition)."""
        query = "SELECT topic, part, position, metadata FROM commits WHERE grp = ?"
        return {
            (topic, part): Commit(position, metadata) for topic, part, position, metadata in self._db.execute(query, (group,))
        }

    def close(self) -> None:
        """Releases the file."""
        self._db.close()
