"""The tables of a log in PostgreSQL: readers for everybody, writes for the one sequencer that the epoch names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors

from countermark.audit.privacy import Sealed
from countermark.audit.query import IndexRow
from countermark.audit.stores.idle import IdleReaders
from countermark.audit.stores.postgres.connect import Connection, connect, index_reported, reported, store_name
from countermark.audit.stores.postgres.look_ups import IndexWriter
from countermark.audit.stores.postgres.reader import PostgresReader
from countermark.audit.stores.postgres.schema import require_newest
from countermark.audit.tree import EMPTY_ROOT
from countermark.errors import AuditError, AuditStoreDamaged, NotFound

IDLE_READERS: Final = 4
INSERT_ENTRY: Final = "INSERT INTO entry SELECT * FROM unnest(%b::bigint[], %b::bytea[])"
_NOT_FLUSHED = ("off", "local", "remote_write")


def make_durable(connection: Connection, name: str) -> None:
    """Every commit of this session reaches the disk before it returns, whatever the server's default is.

    Raises:
        AuditError: the server runs without ``fsync``.
    """
    shown = connection.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchall()
    fsync, commit = shown[0]
    if fsync != "on":
        raise AuditError(
            f"The server of {name} runs with fsync = {fsync}: a power cut would lose what was acknowledged.",
            remedy="Set fsync = on in postgresql.conf and restart the server.",
        )
    if commit in _NOT_FLUSHED:
        connection.execute("SET synchronous_commit = on")


_IN_OFFICE = "SELECT 1 / (epoch = %s)::int FROM sequencer WHERE id = 0 FOR UPDATE"
"""Divides by zero where another epoch began."""
_ADVANCE = """WITH moved AS (UPDATE head SET size = %s, root = %s WHERE size = %s AND root = %s RETURNING id)
SELECT ln(count(*)) FROM moved"""
"""Takes the logarithm of zero where the head is not where it was left."""
# Whether an event is in the log already is known with the row: only the sequencer that asks adds any.
_TAKE = """SELECT inbox.id, inbox.event_id, inbox.body, inbox.sealed, inbox.channel, event_index.seq
FROM inbox LEFT JOIN event_index USING (event_id) ORDER BY inbox.id LIMIT %s"""
_CUSTODY: Final = """SET lock_timeout = '60s';
SELECT pg_advisory_lock((x'436D4C68'::bigint << 32) | 'sequencer'::regclass::oid::bigint)"""
ADD_PENDING = "INSERT INTO pending (attempt, tenant, time, session) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"


class PostgresStore:
    """The tables, to read.

    Raises:
        EnvironmentLacking: the database cannot be reached.
        NotFound: it holds no log.
        AuditError: a log of another version.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.name = store_name(parameters)
        self._parameters = parameters
        self._idle = IdleReaders[PostgresReader](IDLE_READERS, lambda reader: reader.connection.close())
        with reported(self.name):
            first = self._connect()
            self._idle.give(first)
            if not first.connection.execute("SELECT to_regclass('alembic_version')").fetchall()[0][0]:
                self.close()
                raise NotFound(f"There is no audit log in {self.name}.")
            require_newest(first.connection, self.name)

    def _connect(self) -> PostgresReader:
        connection = connect(self._parameters)
        connection.execute("SET default_transaction_read_only = on")
        return PostgresReader(connection)

    @contextmanager
    def reader(self) -> Iterator[PostgresReader]:
        """A reader for a few queries by one thread."""
        with reported(self.name):
            reader = self._idle.take() or self._connect()
            try:
                yield reader
            finally:
                if reader.connection.broken:
                    reader.connection.close()
                else:
                    self._idle.give(reader)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresReader]:
        """A reader that sees the store as it is now, however much is appended meanwhile."""
        with self.reader() as reader, reader.connection.transaction():
            reader.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield reader

    def erase(self, event_ids: Sequence[str]) -> None:
        """Delete the data keys and ciphertexts of events, durably; any thread may call it beside the writer.

        PostgreSQL leaves deleted rows in its pages and its write-ahead log until later: ``VACUUM`` is asked for here,
        archived write-ahead logs and backups are for the operator to let expire.
        """
        with reported(self.name), connect(self._parameters) as connection:
            make_durable(connection, self.name)
            with connection.transaction():
                connection.execute("DELETE FROM secret WHERE key_id = ANY(%s)", (list(event_ids),))
                connection.execute("DELETE FROM blob WHERE event_id = ANY(%s)", (list(event_ids),))
            connection.execute("VACUUM secret, blob")

    @contextmanager
    def custody(self) -> Iterator[None]:
        """Meanwhile nobody else places a hold or erases, in whatever process or host.

        Raises:
            AuditError: somebody else is at it for longer than a minute.
        """
        with reported(self.name), connect(self._parameters) as connection:
            try:
                connection.execute(_CUSTODY.encode())
            except errors.LockNotAvailable as error:
                raise AuditError(
                    f"Another process has been placing a hold or erasing in {self.name} for a minute.",
                    remedy="Let it finish, or end it where it was stopped; then try again.",
                ) from error
            yield  # the lock goes with the connection

    def close(self) -> None:
        """Close every connection."""
        self._idle.close()


class SequencerStore:
    """The tables, to write: a :class:`~countermark.audit.stores.interface.WriterStore`.

    Every transaction begins with a statement that fails unless the epoch is still the one under which this sequencer
    took office, and that holds the row until the end; a successor raises the epoch before it reads anything. So what
    a sequencer writes that was stopped for a while, or cut off from a server that failed over, either came before its
    successor's first look or does not come at all. The advisory lock alone would not do: it is not replicated, and
    poolers lose it.

    Statements go to the server without waiting for each other's results, so a transaction takes one round trip: what
    must hold is said in SQL, in expressions that fail where it does not.
    """

    def __init__(self, connection: Connection, name: str, epoch: int) -> None:
        self.name = name
        self.writer = PostgresReader(connection)
        self._connection = connection
        self._epoch = epoch
        self._index = IndexWriter(connection)
        self._waiting: list[str] = []
        self._new: set[str] = set()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing, and only in office. What is not ``durable`` may be lost in a power cut, never torn.

        Raises:
            AuditError: another sequencer took over.
            AuditStoreDamaged: the head was moved by somebody else.
        """
        try:
            with self._connection.pipeline(), self._connection.transaction():
                if not durable:
                    self._execute("SET LOCAL synchronous_commit = off")
                self._execute(_IN_OFFICE, (self._epoch,))
                yield
        except errors.DivisionByZero as error:
            raise AuditError(
                f"Another process has taken over as the sequencer of {self.name}.",
                remedy="Open the log again; what was acknowledged is safe.",
            ) from error
        except errors.InvalidArgumentForLogarithm as error:
            raise AuditStoreDamaged(f"The head of {self.name} was changed by someone else.") from error
        except psycopg.Error as error:
            with reported(self.name):
                raise error
        finally:
            self._new = set()  # what was taken is in the log now, or this sequencer is at its end

    def create(self, origin: str, verifier_key: str) -> None:
        """Make the rows of a new, empty log. Call inside a transaction."""
        self._many("INSERT INTO meta VALUES (%s, %s)", [("origin", origin), ("verifier_key", verifier_key)])
        self._execute("INSERT INTO head VALUES (0, 0, %s, '')", (EMPTY_ROOT,))

    def take(self, limit: int) -> list[tuple[int, str, bytes, bytes | None, str]]:
        """The oldest rows of the inbox: id, event id, body, protected fields, whom to tell."""
        rows = self._connection.execute(_TAKE, (limit,), binary=True).fetchall()
        self._new = {event_id for _, event_id, _, _, _, seq in rows if seq is None}
        return [(number, event_id, body, sealed, channel) for number, event_id, body, sealed, channel, _ in rows]

    def known(self, event_ids: Sequence[str]) -> Mapping[str, tuple[int, bytes | None]]:
        """Index and bytes of those events that are in the log already."""
        event_ids = [event_id for event_id in event_ids if event_id not in self._new]
        if not event_ids:
            return {}
        query = (
            "SELECT event_id, seq, body FROM event_index LEFT JOIN entry USING (seq)"
            ' WHERE event_id = ANY(%b::text[] COLLATE "C")'
        )
        with index_reported():
            rows = self._connection.execute(query, (list(event_ids),), binary=True)
        return {event_id: (seq, body) for event_id, seq, body in rows}

    def add_bodies(self, first: int, bodies: Sequence[bytes]) -> None:
        """Store entries, of which ``first`` is the index of the first."""
        self._execute(INSERT_ENTRY, (list(range(first, first + len(bodies))), list(bodies)))

    def add_look_ups(self, first: int, leaves: Sequence[bytes], rows: Sequence[IndexRow]) -> None:
        """Index entries by leaf hash and look-up columns."""
        self._index.add(first, leaves, rows)

    def add_sealed(self, event_id: str, sealed: Sealed) -> None:
        """Store the ciphertexts of an event and its wrapped data key."""
        key = sealed.key
        insert = "INSERT INTO secret (key_id, master_id, wrapped_dek) VALUES (%s, %s, %s)"
        self._execute(insert, (key.key_id, key.master_id, key.wrapped))
        rows = [(event_id, field, ciphertext) for field, ciphertext in sealed.ciphertexts.items()]
        self._many("INSERT INTO blob VALUES (%s, %s, %s)", rows)

    def put_tiles(self, tiles: Iterable[tuple[int, int, bytes]]) -> None:
        """Store tiles, over their narrower predecessors."""
        upsert = "INSERT INTO tile VALUES (%s, %s, %s) ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes"
        self._many(upsert, list(tiles))

    def advance_head(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        """Move the head from one ``(size, root)`` to the next; the transaction fails where it was elsewhere."""
        self._execute(_ADVANCE, (*new, *old))

    def put_note(self, size: int, note: str, *, keep: bool) -> None:
        """Publish a signed checkpoint; ``keep`` it for the record too. Wakes whoever waits for it."""
        self._execute("UPDATE head SET note = %s", (note,))
        if keep:
            upsert = "INSERT INTO checkpoint VALUES (%s, %s) ON CONFLICT (size) DO UPDATE SET note = excluded.note"
            self._execute(upsert, (size, note))
        if self._waiting:
            self._execute("SELECT pg_notify(channel, '') FROM unnest(%s::text[]) AS channel", (self._waiting,))
            self._waiting = []

    def add_pending(self, attempt: str, tenant: str, time: str, session: str) -> None:
        """Remember that an attempt of this process began. Others do so themselves, beside the sequencer."""
        self._execute(ADD_PENDING, (attempt, tenant, time, session))

    def remove_pending(self, attempts: Sequence[str]) -> None:
        """These attempts have their outcome."""
        self._execute("DELETE FROM pending WHERE attempt = ANY(%b::text[])", (list(attempts),))

    def remove_from_inbox(
        self, ids: Sequence[int], refused: Sequence[tuple[int, str, str]], waiting: Sequence[str]
    ) -> None:
        """These rows are in the log, or ``refused`` as ``(id, event_id, reason)``; ``waiting`` will be told."""
        self._many("INSERT INTO refused VALUES (%s, %s, %s)", refused)
        self._execute("DELETE FROM inbox WHERE id = ANY(%s)", (list(ids),))
        self._waiting = list(waiting)

    def _execute(self, query: str, values: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), values)

    def _many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(query.encode(), rows)
