"""What was signed last, in a store of its own: compare-and-swapped before each checkpoint is shown to anybody.

The log publishes a checkpoint only after this record has moved from the previous head to the new one, so a store that
was rolled back, or a second copy of the log with the same key, cannot publish a history that contradicts one already
signed. The record holds the checkpoint itself: whoever can write both stores and lacks the log's key cannot make a
record of a head that was never signed. It must never be restored from a backup. Idea: the compare-and-swap backend of
FiloSottile/sunlight.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from countermark.audit.stores.interface import SignedHead
from countermark.audit.stores.sqlite_schema import connect_reader, connect_writer, reported
from countermark.errors import AuditRollback, AuditStoreDamaged


@contextmanager
def _record_reported(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, and what to do about a record that is damaged: it is not the log."""
    try:
        with reported(path):
            yield
    except AuditStoreDamaged as error:
        raise AuditStoreDamaged(
            f"The record of what was signed, {path}, is damaged.",
            remedy="Move it away and keep it as evidence; then let the newest checkpoint kept elsewhere vouch for the"
            " log: countermark log vouch --checkpoint FILE --reason WHY",
        ) from error


def signed_elsewhere(origin: str) -> AuditRollback:
    """The refusal to sign after something that this writer does not know of."""
    return AuditRollback(
        f"Something else signed for the log '{origin}' since this writer opened it.",
        remedy="Two copies of one log are being written. Stop this one and keep its files as evidence.",
    )


class SignedStore:
    """The record ``signed(origin, size, root, note)`` of one or more logs."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.name = str(path)
        with _record_reported(path):
            self._connection = connect_reader(path) if read_only else connect_writer(path)
        if not read_only:
            with _record_reported(path):
                self._connection.execute("PRAGMA synchronous = FULL")
                self._make_table()

    def _make_table(self) -> None:
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS signed (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,"
            " note TEXT NOT NULL DEFAULT '') STRICT"
        )
        columns = [name for _, name, *_ in self._connection.execute("PRAGMA table_info(signed)")]
        if "note" not in columns:
            with suppress(sqlite3.OperationalError):  # another process adds it at this very moment
                self._connection.execute("ALTER TABLE signed ADD COLUMN note TEXT NOT NULL DEFAULT ''")

    def get(self, origin: str) -> SignedHead | None:
        """What was signed last for a log."""
        with _record_reported(self.path):
            # every column: one that was not opened for writing since may lack the note
            row = self._connection.execute("SELECT * FROM signed WHERE origin = ?", (origin,)).fetchone()
        return SignedHead(row[1], bytes(row[2]), *row[3:]) if row else None

    def swap(self, origin: str, old: SignedHead | None, new: SignedHead) -> None:
        """Move the record from ``old`` (``None``: no record yet) to ``new``; durable on return.

        A record that is at ``new`` already will do: the very same head may be signed twice.

        Raises:
            AuditRollback: the record is at neither of the two.
        """
        with _record_reported(self.path):
            moved = self._insert(origin, new) if old is None else self._update(origin, old, new)
        if not moved and self.get(origin) != new:
            raise signed_elsewhere(origin)

    def _insert(self, origin: str, new: SignedHead) -> bool:
        try:
            self._connection.execute("INSERT INTO signed VALUES (?, ?, ?, ?)", (origin, new.size, new.root, new.note))
        except sqlite3.IntegrityError:
            return False
        return True

    def _update(self, origin: str, old: SignedHead, new: SignedHead) -> bool:
        cursor = self._connection.execute(
            "UPDATE signed SET size = ?, root = ?, note = ? WHERE origin = ? AND size = ? AND root = ?",
            (new.size, new.root, new.note, origin, old.size, old.root),
        )
        return cursor.rowcount == 1

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
