"""What is asked of an SQLite store. One reader is one connection, used by one thread at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from countermark.audit.privacy import SealedField, WrappedKey
from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow
from countermark.audit.stores.interface import Head, Pending, StoredRow
from countermark.audit.stores.sqlite_lookups import beyond, misfiled, search
from countermark.audit.stores.sqlite_schema import OLDER_INDEX, index_reported, schema_complaints
from countermark.errors import AuditIndexOutdated, AuditStoreDamaged

_COLUMNS = ", ".join(INDEX_COLUMNS)
ROWS_AT_ONCE = 256
P = ParamSpec("P")
T = TypeVar("T")


def _by_index(
    query: Callable[Concatenate[SqliteReader, P], T],
) -> Callable[Concatenate[SqliteReader, P], T]:
    """Mark a query that needs the look-up index: where that cannot be used, its error says so and nothing worse."""

    @wraps(query)
    def asked(reader: SqliteReader, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if reader.version() in OLDER_INDEX:
            raise AuditIndexOutdated("The log's look-up index is of an older version.")
        with index_reported():
            return query(reader, *args, **kwargs)

    return asked


class SqliteReader:
    """Read queries over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._execute = connection.execute

    def meta(self) -> dict[str, str]:
        """Origin and verifier key as stored; empty in a store being made."""
        if not self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
            return {}
        return dict(self._execute("SELECT key, value FROM meta"))

    def version(self) -> int:
        """The schema version; 0 for an empty file."""
        return int(self._execute("PRAGMA user_version").fetchone()[0])

    def head(self) -> Head:
        """The head.

        Raises:
            AuditStoreDamaged: its row is missing.
        """
        row = self._execute("SELECT size, root, note FROM head").fetchone()
        if row is None:
            raise AuditStoreDamaged("The audit store has lost its head row.")
        return Head(*row)

    def kept_checkpoints(self) -> list[tuple[int, str]]:
        """``(size, note)`` of the checkpoints kept for the record, oldest first."""
        return self._execute("SELECT size, note FROM checkpoint ORDER BY size").fetchall()

    def tile(self, level: int, index: int) -> bytes:
        """A tile's hashes; empty where there is none."""
        row = self._execute("SELECT hashes FROM tile WHERE level = ? AND idx = ?", (level, index)).fetchone()
        return bytes(row[0]) if row else b""

    @_by_index
    def file_complaints(self) -> list[str]:
        """What SQLite's own check says of the look-up index, such as rows hidden from it, and how its tables differ."""
        damage = [text for (text,) in self._execute("PRAGMA integrity_check(event_index)") if text != "ok"][:10]
        return [f"The store's file is damaged: {text}." for text in damage] + schema_complaints(
            self.connection, of_index=True
        )

    def tile_keys(self) -> set[tuple[int, int]]:
        """``(level, index)`` of every stored tile."""
        return set(self._execute("SELECT level, idx FROM tile"))

    def entry_count(self) -> int:
        """One more than the last entry's index."""
        return int(self._execute("SELECT ifnull(max(seq), -1) + 1 FROM entry").fetchone()[0])

    def body(self, index: int) -> bytes | None:
        """An entry's bytes, not yet checked against the tree."""
        row = self._execute("SELECT body FROM entry WHERE seq = ?", (index,)).fetchone()
        return bytes(row[0]) if row else None

    def bodies(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, not yet checked."""
        cursor = self._execute("SELECT seq, body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (first, end))
        while batch := cursor.fetchmany(ROWS_AT_ONCE):
            for seq, body in batch:
                yield seq, body if isinstance(body, bytes) else str(body).encode()

    def rows(self) -> Iterator[StoredRow]:
        """Every entry in stored order, with its index row, in one pass."""
        query = (
            f"SELECT entry.seq, body, leaf, {_COLUMNS} FROM entry LEFT JOIN event_index USING (seq) ORDER BY entry.seq"  # noqa: S608
        )
        with index_reported():
            cursor = self._execute(query)
            while batch := cursor.fetchmany(ROWS_AT_ONCE):
                for row in batch:
                    seq, body, leaf = row[:3]
                    yield seq, body if isinstance(body, bytes) else str(body).encode(), leaf, row[3:]

    def pages(self, first: int, end: int) -> Iterator[list[tuple[int, bytes]]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, a tile's worth at a time."""
        cursor = self._execute("SELECT seq, body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (first, end))
        while page := cursor.fetchmany(ROWS_AT_ONCE):
            yield page

    @_by_index
    def not_as_indexed(self, first: int, expected: Sequence[tuple[bytes, IndexRow | None]]) -> list[int]:
        """Of which entries, ``first`` and those after it, the look-up index says otherwise than ``expected``."""
        return sorted(misfiled(self.connection, first, expected))

    @_by_index
    def index_rows_beyond(self, size: int) -> list[int]:
        """Entries that only the index knows, in a log of ``size`` entries."""
        return beyond(self.connection, size)

    def tile_counts(self) -> dict[int, int]:
        """How many tiles each level has."""
        return dict(self._execute("SELECT level, count(*) FROM tile GROUP BY level"))

    @_by_index
    def indexed_leaves(self) -> list[bytes]:
        """The leaf hashes that the index holds, in order."""
        return [bytes(leaf) for (leaf,) in self._execute("SELECT leaf FROM event_index ORDER BY seq")]

    @_by_index
    def index_of(self, event_id: str) -> int | None:
        """Where an event stands."""
        row = self._execute("SELECT seq FROM event_index WHERE event_id = ?", (event_id,)).fetchone()
        return int(row[0]) if row else None

    @_by_index
    def newest_event_id(self) -> str | None:
        """The greatest event id of the log, as text; ``None`` in an empty one."""
        return self._execute("SELECT max(event_id) FROM event_index").fetchone()[0]  # type: ignore[no-any-return]

    @_by_index
    def search(self, wanted: Filter, *, limit: int = -1) -> list[int]:
        """Indices of matching entries, newest first."""
        return search(self.connection, wanted, limit)

    @_by_index
    def fingerprints(self, after: int) -> list[tuple[int, str]]:
        """Up to 1,000 ``(index, fingerprint)`` of entries beyond ``after``, oldest first."""
        query = (
            "SELECT seq, fingerprint FROM event_index WHERE seq > ? AND fingerprint IS NOT NULL ORDER BY seq LIMIT 1000"
        )
        return self._execute(query, (after,)).fetchall()

    def secret(self, key_id: str) -> WrappedKey | None:
        """A wrapped data key, unless it was erased."""
        row = self._execute("SELECT key_id, master_id, wrapped_dek FROM secret WHERE key_id = ?", (key_id,)).fetchone()
        return WrappedKey(*row) if row else None

    def newest_master_id(self) -> str | None:
        """Under which master key the newest data key is wrapped."""
        row = self._execute("SELECT master_id FROM secret ORDER BY rowid DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def blob(self, event_id: str, field: str) -> bytes | None:
        """The ciphertext of a protected field."""
        query = "SELECT ciphertext FROM blob WHERE event_id = ? AND field = ?"
        row = self._execute(query, (event_id, field)).fetchone()
        return bytes(row[0]) if row else None

    def sealed(self) -> tuple[set[str], set[tuple[str, str]]]:
        """Which data keys (by key id) and which ciphertexts (by event id and field) there are."""
        keys = {key_id for (key_id,) in self._execute("SELECT key_id FROM secret")}
        return keys, set(self._execute("SELECT event_id, field FROM blob"))

    def sealed_fields(self) -> Iterator[SealedField]:
        """Every ciphertext whose data key is there, those of an event together."""
        query = """SELECT key_id, master_id, CAST(wrapped_dek AS BLOB), field, CAST(ciphertext AS BLOB)
        FROM secret JOIN blob ON event_id = key_id ORDER BY key_id"""
        for key_id, master_id, wrapped, field, ciphertext in self._execute(query):  # one at a time: some are pictures
            yield SealedField(WrappedKey(key_id, master_id, wrapped), field, ciphertext)

    def schema_complaints(self) -> list[str]:
        """In what the tables differ from those that this program makes, the look-up index aside."""
        return schema_complaints(self.connection)

    def pending(self, *, other_than_session: str) -> tuple[Pending, ...]:
        """Attempts begun by other sessions and not concluded, oldest first."""
        query = "SELECT attempt, tenant, time FROM pending WHERE session <> ? ORDER BY rowid"
        return tuple(Pending(*row) for row in self._execute(query, (other_than_session,)))
