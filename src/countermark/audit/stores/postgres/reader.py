"""What is asked of a store in PostgreSQL. One reader is one connection, used by one thread at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from psycopg import sql

from countermark.audit.privacy import SealedField, WrappedKey
from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow
from countermark.audit.stores.interface import Head, Pending, StoredRow
from countermark.audit.stores.postgres.connect import Connection, index_reported
from countermark.audit.stores.postgres.look_ups import beyond, misfiled, search
from countermark.errors import AuditStoreDamaged

ROWS_AT_ONCE: Final = 256
SEALED_AT_ONCE: Final = 16
"""Ciphertexts: some are pictures."""
_TABLES: Final = (
    *("meta", "inbox", "refused", "sequencer", "entry", "tile", "head", "checkpoint"),
    *("blob", "secret", "pending", "event_index", "posting"),
)
_CHANGES: Final = """SELECT relname, relkind <> 'r',
EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal),
EXISTS (SELECT 1 FROM pg_rewrite WHERE ev_class = pg_class.oid AND relkind = 'r'), relrowsecurity
FROM unnest(%s::text[]) AS name JOIN pg_class ON pg_class.oid = to_regclass(name) ORDER BY relname"""
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, INDEX_COLUMNS))

# A session lives as long as its connection holds the advisory lock of its number: see session_number.
_OVER = """NOT EXISTS (
    SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = session)"""


def session_number(session: str) -> int:
    """The advisory lock by which others see that a session (32 hexadecimal digits) lives."""
    return int(session[:15], 16)


class PostgresReader:
    """Read queries over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def meta(self) -> dict[str, str]:
        """Origin and verifier key as stored; empty in a store being made."""
        return dict(self._all("SELECT key, value FROM meta"))

    def head(self) -> Head:
        """The head.

        Raises:
            AuditStoreDamaged: its row is missing.
        """
        rows = self._all("SELECT size, root, note FROM head")
        if not rows:
            raise AuditStoreDamaged("The audit store has lost its head row.")
        return Head(*rows[0])

    def kept_checkpoints(self) -> list[tuple[int, str]]:
        """``(size, note)`` of the checkpoints kept for the record, oldest first."""
        return self._all("SELECT size, note FROM checkpoint ORDER BY size")

    def tile(self, level: int, index: int) -> bytes:
        """A tile's hashes; empty where there is none."""
        return self._one("SELECT hashes FROM tile WHERE level = %s AND idx = %s", (level, index)) or b""

    def file_complaints(self) -> list[str]:
        """Nothing: PostgreSQL checks its pages itself where data checksums are on."""
        return []

    def tile_keys(self) -> set[tuple[int, int]]:
        """``(level, index)`` of every stored tile."""
        return set(self._all("SELECT level, idx FROM tile"))

    def entry_count(self) -> int:
        """One more than the last entry's index."""
        return int(self._one("SELECT coalesce(max(seq), -1) + 1 FROM entry"))

    def body(self, index: int) -> bytes | None:
        """An entry's bytes, not yet checked against the tree."""
        body = self._one("SELECT body FROM entry WHERE seq = %s", (index,))
        return None if body is None else bytes(body)

    def bodies(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, not yet checked."""
        for page in self.pages(first, end):
            yield from page

    def pages(self, first: int, end: int) -> Iterator[list[tuple[int, bytes]]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, a tile's worth at a time."""
        query = "SELECT seq, body FROM entry WHERE seq >= %s AND seq < %s ORDER BY seq LIMIT %s"
        while page := self._all(query, (first, end, ROWS_AT_ONCE)):
            yield page
            first = page[-1][0] + 1

    @index_reported()
    def not_as_indexed(self, first: int, expected: Sequence[tuple[bytes, IndexRow | None]]) -> list[int]:
        """Of which entries, ``first`` and those after it, the look-up index says otherwise than ``expected``."""
        return misfiled(self.connection, first, expected)

    @index_reported()
    def index_rows_beyond(self, size: int) -> list[int]:
        """Entries that only the index knows, in a log of ``size`` entries."""
        return beyond(self.connection, size)

    def tile_counts(self) -> dict[int, int]:
        """How many tiles each level has."""
        return dict(self._all("SELECT level, count(*) FROM tile GROUP BY level"))

    def rows(self) -> Iterator[StoredRow]:
        """Every entry in stored order, with its index row, in one pass. Needs a transaction: a snapshot."""
        query = sql.SQL("SELECT seq, body, leaf, {} FROM entry LEFT JOIN event_index USING (seq) ORDER BY seq")
        with index_reported(), self.connection.cursor("all_entries", binary=True) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for row in cursor.execute(query.format(_COLUMNS)):
                yield row[0], row[1], row[2], row[3:]

    @index_reported()
    def indexed_leaves(self) -> list[bytes]:
        """The leaf hashes that the index holds, in order."""
        return [leaf for (leaf,) in self._all("SELECT leaf FROM event_index ORDER BY seq")]

    @index_reported()
    def index_of(self, event_id: str) -> int | None:
        """Where an event stands."""
        return self._one("SELECT seq FROM event_index WHERE event_id = %s", (event_id,))  # type: ignore[no-any-return]

    @index_reported()
    def newest_event_id(self) -> str | None:
        """The greatest event id of the log, as text; ``None`` in an empty one."""
        return self._one("SELECT max(event_id) FROM event_index")  # type: ignore[no-any-return]

    @index_reported()
    def search(self, wanted: Filter, *, limit: int = -1) -> list[int]:
        """Indices of matching entries, newest first; all of them where ``limit`` is negative."""
        return search(self.connection, wanted, limit)

    @index_reported()
    def fingerprints(self, after: int) -> list[tuple[int, str]]:
        """Up to 1,000 ``(index, fingerprint)`` of entries beyond ``after``, oldest first."""
        query = (
            "SELECT seq, fingerprint FROM event_index"
            " WHERE seq > %s AND fingerprint IS NOT NULL ORDER BY seq LIMIT 1000"
        )
        return self._all(query, (after,))

    def secret(self, key_id: str) -> WrappedKey | None:
        """A wrapped data key, unless it was erased."""
        rows = self._all("SELECT key_id, master_id, wrapped_dek FROM secret WHERE key_id = %s", (key_id,))
        return WrappedKey(*rows[0]) if rows else None

    def newest_master_id(self) -> str | None:
        """Under which master key the newest data key is wrapped."""
        return self._one("SELECT master_id FROM secret ORDER BY id DESC LIMIT 1")  # type: ignore[no-any-return]

    def blob(self, event_id: str, field: str) -> bytes | None:
        """The ciphertext of a protected field."""
        query = "SELECT ciphertext FROM blob WHERE event_id = %s AND field = %s"
        return self._one(query, (event_id, field))  # type: ignore[no-any-return]

    def sealed(self) -> tuple[set[str], set[tuple[str, str]]]:
        """Which data keys (by key id) and which ciphertexts (by event id and field) there are."""
        keys = {key_id for (key_id,) in self._all("SELECT key_id FROM secret")}
        return keys, set(self._all("SELECT event_id, field FROM blob"))

    def sealed_fields(self) -> Iterator[SealedField]:
        """Every ciphertext whose data key is there, those of an event together. Needs a transaction: a snapshot."""
        query = """SELECT key_id, master_id, wrapped_dek, field, ciphertext
        FROM secret JOIN blob ON event_id = key_id ORDER BY key_id"""
        with self.connection.cursor("sealed_fields", binary=True) as cursor:
            cursor.itersize = SEALED_AT_ONCE
            for key_id, master_id, wrapped, field, ciphertext in cursor.execute(query.encode()):
                yield SealedField(WrappedKey(key_id, master_id, wrapped), field, ciphertext)

    def schema_complaints(self) -> list[str]:
        """In what the tables differ from those that this program makes, where that changes what is read or written."""
        return [
            f"The table '{name}' of the store has a {what} that is not the log's."
            for name, *there in self._all(_CHANGES, (list(_TABLES),))
            for what, is_there in zip(("view in its place", "trigger", "rule", "row security"), there, strict=True)
            if is_there
        ]

    def pending(self, *, other_than_session: str) -> tuple[Pending, ...]:
        """Attempts begun by sessions that are over and not concluded, oldest first.

        One that an event in the inbox names is not: its outcome waits for a sequencer.
        """
        own = session_number(other_than_session) if other_than_session else -1
        named = "SELECT 1 FROM inbox WHERE position(convert_to(attempt, 'UTF8') IN body) > 0"
        query = (
            "SELECT attempt, tenant, time FROM pending"  # noqa: S608
            f" WHERE session <> %s AND {_OVER} AND NOT EXISTS ({named}) ORDER BY id"
        )
        return tuple(Pending(*row) for row in self._all(query, (own,)))

    def _all(self, query: str | sql.SQL | sql.Composed, values: Sequence[Any] = ()) -> list[Any]:
        encoded = query.encode() if isinstance(query, str) else query
        return self.connection.execute(encoded, values, binary=True).fetchall()

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        row = self.connection.execute(query.encode(), values, binary=True).fetchone()
        return row[0] if row else None
