"""What was signed last, in a PostgreSQL database of its own: for writers on several hosts."""

from __future__ import annotations

import threading
from typing import Any

from countermark.audit.stores.interface import SignedHead
from countermark.audit.stores.postgres.connect import connect, parse_url, place, reported, store_name
from countermark.audit.stores.postgres.store import make_durable
from countermark.audit.stores.signed import signed_elsewhere
from countermark.errors import SettingsInvalid

_TABLE = """CREATE TABLE IF NOT EXISTS signed (origin text PRIMARY KEY, size bigint NOT NULL, root bytea NOT NULL);
ALTER TABLE signed ADD COLUMN IF NOT EXISTS note text NOT NULL DEFAULT ''"""
_COLUMNS = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('signed') AND attname IN ('root', 'note')"
_TABLE_LOCK = 0x436D4C67_5349474E  # "CmLgSIGN"


class PostgresSigned:
    """The record ``signed(origin, size, root, note)`` of one or more logs. Never restore it from a backup.

    Args:
        url: its database.
        read_only: never write.
        apart_from: the :func:`~.connect.place` of the log that it is to vouch for.

    Raises:
        SettingsInvalid: it is in the log's own database.
    """

    def __init__(self, url: str, *, read_only: bool = False, apart_from: tuple[Any, ...] | None = None) -> None:
        parameters = parse_url(url)
        self.name = store_name(parameters)
        self._mutex = threading.Lock()
        self._connection = connect(parameters)
        try:
            with reported(self.name):
                if place(self._connection) == apart_from:
                    raise SettingsInvalid(
                        f"The record of signed heads is to be kept in the log's own database, {self.name}.",
                        remedy="Name another, which is never restored from a backup together with the log.",
                    )
                (columns,) = self._connection.execute(_COLUMNS).fetchall()[0]
                self._there, self._complete = columns > 0, columns == 2
                if not read_only:
                    make_durable(self._connection, self.name)
                    self._make_table()
        except BaseException:
            self._connection.close()
            raise

    def _make_table(self) -> None:
        if not self._complete:
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_TABLE_LOCK,))
                self._connection.execute(_TABLE)
            self._there = self._complete = True

    def get(self, origin: str) -> SignedHead | None:
        """What was signed last for a log."""
        if not self._there:
            return None
        with self._mutex, reported(self.name):
            row = self._connection.execute("SELECT * FROM signed WHERE origin = %s", (origin,)).fetchone()
        return SignedHead(*row[1:]) if row else None

    def swap(self, origin: str, old: SignedHead | None, new: SignedHead) -> None:
        """Move the record from ``old`` (``None``: no record yet) to ``new``; durable on return.

        A record that is at ``new`` already will do: the very same head may be signed twice.

        Raises:
            AuditRollback: the record is at neither of the two.
        """
        with self._mutex, reported(self.name):
            if old is None:
                moved = self._connection.execute(
                    "INSERT INTO signed VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (origin, new.size, new.root, new.note),
                )
            else:
                moved = self._connection.execute(
                    "UPDATE signed SET size = %s, root = %s, note = %s WHERE origin = %s AND size = %s AND root = %s",
                    (new.size, new.root, new.note, origin, old.size, old.root),
                )
        if moved.rowcount != 1 and self.get(origin) != new:
            raise signed_elsewhere(origin)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
