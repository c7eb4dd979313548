"""A log in one SQLite file: write-ahead log, every commit synchronised to disk, readers that never block the writer."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from countermark.audit.privacy import Sealed
from countermark.audit.query import IndexRow
from countermark.audit.stores.idle import IdleReaders
from countermark.audit.stores.sqlite_lookups import add_look_ups
from countermark.audit.stores.sqlite_reader import SqliteReader
from countermark.audit.stores.sqlite_schema import (
    OLDER_INDEX,
    SCHEMA,
    SCHEMA_VERSION,
    connect_reader,
    connect_writer,
    index_reported,
    reported,
)
from countermark.audit.tree import EMPTY_ROOT
from countermark.errors import AuditError, AuditIndexOutdated, AuditStoreDamaged

IDLE_READERS = 8


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; ``None`` where none has."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SqliteStore:
    """The tables of one log.

    Writing belongs to whoever holds the log's writer lock, one thread at a time; readers may be many.

    Raises:
        NotFound: ``read_only`` and there is no such file.
        OutputUnwritable: not ``read_only`` and the file cannot be written.
        AuditIndexOutdated: not ``read_only`` and only the look-up index is of an older version.
        AuditError: a store of another version.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.name = str(path)
        self._idle = IdleReaders[SqliteReader](IDLE_READERS, lambda reader: reader.connection.close())
        self._custody = threading.Lock()
        self._connection = connect_reader(path) if read_only else connect_writer(path)
        self._file = _identity(path)
        self.writer = SqliteReader(self._connection)
        """Reads inside the writer's own transaction."""
        try:
            with reported(path):
                self._check_version(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def _check_version(self, *, read_only: bool) -> None:
        version = self.writer.version()
        if version in OLDER_INDEX and not read_only:
            raise AuditIndexOutdated(
                f"The look-up index of the audit store {self.path} is of an older version: nothing can be recorded"
                " before it is built anew. Entries and proofs can be read as ever."
            )
        if version not in OLDER_INDEX | {0, SCHEMA_VERSION}:
            raise AuditError(
                f"The audit store {self.path} has format {version}; this version reads format {SCHEMA_VERSION}.",
                remedy="Use the version of countermark that wrote it, or a newer one.",
            )
        complaints = [] if read_only or not version else self.writer.schema_complaints()
        if complaints:
            raise AuditStoreDamaged(
                f"The tables of {self.path} are not as the log made them. {complaints[0]}",
                remedy="Find out who can write the file. See all of it with: countermark log verify",
            )

    def reported(self) -> AbstractContextManager[None]:
        """Turns SQLite's errors into ours, naming this store."""
        return reported(self.path)

    # --- reading ----------------------------------------------------------------------------------------------------

    @contextmanager
    def reader(self) -> Iterator[SqliteReader]:
        """A reader for a few queries by one thread."""
        with reported(self.path):
            reader = self._idle.take() or SqliteReader(connect_reader(self.path))
            try:
                yield reader
            finally:
                self._idle.give(reader)

    @contextmanager
    def snapshot(self) -> Iterator[SqliteReader]:
        """A reader that sees the store as it is now, however much is appended meanwhile."""
        with self.reader() as reader:
            reader.connection.execute("BEGIN")
            try:
                yield reader
            finally:
                with suppress(sqlite3.Error):
                    reader.connection.execute("ROLLBACK")

    def custody(self) -> AbstractContextManager[object]:
        """Meanwhile no other thread places a hold or erases; other processes cannot."""
        return self._custody

    # --- writing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing. A transaction that is not ``durable`` may be lost in a power cut, never torn."""
        execute = self._connection.execute
        execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        execute("BEGIN IMMEDIATE")
        try:
            yield
            execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite rolls back by itself on some errors
                execute("ROLLBACK")
            raise
        if durable:
            self._check_in_place()

    def _check_in_place(self) -> None:
        """A file that was removed or replaced under its name takes commits as ever, and nobody will find them.

        SQLite refuses that itself, by the same sign, but not where it writes ahead (``SQLITE_READONLY_DBMOVED``).

        Raises:
            AuditStoreDamaged: that happened.
        """
        if _identity(self.path) == self._file:
            return
        raise AuditStoreDamaged(
            f"{self.path} was removed or replaced while it was written to; bring it back before the log is opened again"
        )

    def create(self, origin: str, verifier_key: str) -> None:
        """Make the tables of a new, empty log. Call inside a transaction."""
        for statement in SCHEMA.split(";"):
            if statement.strip():
                self._connection.execute(statement)
        meta = {"origin": origin, "verifier_key": verifier_key}
        self._connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        self._connection.execute("INSERT INTO head VALUES (0, 0, ?, '')", (EMPTY_ROOT,))

    def known(self, event_ids: Sequence[str]) -> dict[str, tuple[int, bytes | None]]:
        """Index and bytes of those events that are in the log already."""
        query = "SELECT event_id, seq FROM event_index WHERE event_id IN (SELECT value FROM json_each(?))"
        with index_reported():
            found = self._connection.execute(query, (json.dumps(list(event_ids)),)).fetchall()
        return {event_id: (index, self.writer.body(index)) for event_id, index in found}

    def add_bodies(self, first: int, bodies: Sequence[bytes]) -> None:
        """Store entries, of which ``first`` is the index of the first."""
        self._connection.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(bodies, first))

    def add_look_ups(self, first: int, leaves: Sequence[bytes], rows: Sequence[IndexRow]) -> None:
        """Index entries by leaf hash and look-up columns."""
        with index_reported():
            numbers = range(first, first + len(rows))
            add_look_ups(self._connection, list(zip(numbers, leaves, rows, strict=True)))

    def add_sealed(self, event_id: str, sealed: Sealed) -> None:
        """Store the ciphertexts of an event and its wrapped data key."""
        key = sealed.key
        self._connection.execute("INSERT INTO secret VALUES (?, ?, ?)", (key.key_id, key.master_id, key.wrapped))
        rows = [(event_id, field, ciphertext) for field, ciphertext in sealed.ciphertexts.items()]
        self._connection.executemany("INSERT INTO blob VALUES (?, ?, ?)", rows)

    def put_tiles(self, tiles: Iterable[tuple[int, int, bytes]]) -> None:
        """Store tiles, over their narrower predecessors."""
        self._connection.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", tiles)

    def advance_head(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        """Move the head from one ``(size, root)`` to the next.

        Raises:
            AuditStoreDamaged: the head is not where the writer left it.
        """
        cursor = self._connection.execute(
            "UPDATE head SET size = ?, root = ? WHERE size = ? AND root = ?", (*new, *old)
        )
        if cursor.rowcount != 1:
            raise AuditStoreDamaged(f"The head of {self.path} was changed by someone else.")

    def put_note(self, size: int, note: str, *, keep: bool) -> None:
        """Publish a signed checkpoint; ``keep`` it for the record too."""
        self._connection.execute("UPDATE head SET note = ?", (note,))
        if keep:
            self._connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", (size, note))

    def add_pending(self, attempt: str, tenant: str, time: str, session: str) -> None:
        """Remember that an attempt began."""
        self._connection.execute("INSERT OR IGNORE INTO pending VALUES (?, ?, ?, ?)", (attempt, tenant, time, session))

    def remove_pending(self, attempts: Sequence[str]) -> None:
        """These attempts have their outcome."""
        rows = [(attempt,) for attempt in attempts]
        self._connection.executemany("DELETE FROM pending WHERE attempt = ?", rows)

    def erase(self, event_ids: Sequence[str]) -> None:
        """Delete the data keys and ciphertexts of events, durably, and what the files remember of them.

        In a transaction and a connection of its own, so any thread may call it beside the writer. Where a reader keeps
        the write-ahead log from being emptied just now, its old pages go at the latest when the log is closed.
        """
        connection = connect_writer(self.path)
        try:
            with reported(self.path):
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                rows = [(event_id,) for event_id in event_ids]
                connection.executemany("DELETE FROM secret WHERE key_id = ?", rows)
                connection.executemany("DELETE FROM blob WHERE event_id = ?", rows)
                connection.execute("COMMIT")
                # The log ahead of the file still holds the pages on which the keys were first written.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection. The last one to close folds the write-ahead log into the file."""
        self._idle.close()
        self._connection.close()
