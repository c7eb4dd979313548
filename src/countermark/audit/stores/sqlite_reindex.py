"""Building the look-up index of an SQLite store anew from its entries."""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path

import orjson

from countermark.audit.findings import twins
from countermark.audit.lock import WriterLock
from countermark.audit.query import IndexRow, index_row
from countermark.audit.scan import checked_entries
from countermark.audit.stores.postings import BLOCK
from countermark.audit.stores.sqlite_lookups import INDEX_SCHEMA, INDEX_TABLES, add_look_ups
from countermark.audit.stores.sqlite_reader import SqliteReader
from countermark.audit.stores.sqlite_schema import (
    OLDER_INDEX,
    SCHEMA_VERSION,
    connect_reader,
    connect_writer,
    reported,
)
from countermark.audit.sweep import Progress
from countermark.audit.tree import leaf_hash
from countermark.errors import AuditError, AuditStoreDamaged, NotFound


def rebuild_index(path: Path, progress: Progress | None = None) -> int:
    """Drop the index, however damaged, and derive it from the entries again; all or nothing. Gives their number.

    Raises:
        NotFound: there is no such store.
        HomeLocked: a process writes to it.
        AuditStoreDamaged: an entry is not what was recorded. The index may tell what it was: it is left alone.
        AuditError: a store of another version.
    """
    if not path.is_file():
        raise NotFound(f"There is no audit store at {path}.")
    lock = WriterLock(path.with_name(path.name + ".lock"))
    try:
        reader, writer = connect_reader(path), connect_writer(path)
        try:
            with reported(path):
                return _rebuild(SqliteReader(reader), writer, path, progress)
        finally:
            reader.close()
            writer.close()
    finally:
        lock.release()


def _rebuild(reader: SqliteReader, writer: sqlite3.Connection, path: Path, progress: Progress | None) -> int:
    if reader.version() not in OLDER_INDEX | {SCHEMA_VERSION}:
        raise AuditError(
            f"The audit store {path} has format {reader.version()}; this version reads format {SCHEMA_VERSION}.",
            remedy="Use the version of countermark that wrote it, or a newer one.",
        )
    try:
        broken = _drop(writer)
        for statement in INDEX_SCHEMA.split(";"):
            if statement.strip():
                writer.execute(statement)
        size = _fill(reader, writer, progress)
        writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        writer.execute("COMMIT")
    except BaseException:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise
    finally:
        writer.execute("PRAGMA writable_schema = RESET")
    if broken:
        reader.connection.close()
        writer.execute("VACUUM")  # the broken tables' pages belong to nothing now
    return size


def _drop(writer: sqlite3.Connection) -> bool:
    """Begin a transaction and remove the index tables in it.

    Gives whether they were too broken to be dropped and could only be forgotten.
    """
    writer.execute("BEGIN IMMEDIATE")
    try:
        for table in INDEX_TABLES:
            writer.execute(f"DROP TABLE IF EXISTS {table}")
    except sqlite3.DatabaseError:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
    else:
        return False
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("PRAGMA writable_schema = ON")
    places = ", ".join("?" * len(INDEX_TABLES))
    writer.execute(f"DELETE FROM sqlite_schema WHERE tbl_name IN ({places})", INDEX_TABLES)  # noqa: S608
    writer.execute("PRAGMA writable_schema = RESET")
    return True


def _fill(reader: SqliteReader, writer: sqlite3.Connection, progress: Progress | None) -> int:
    size = reader.head().size
    entries = checked_entries(reader, 0, size)
    done = 0
    while batch := list(islice(entries, BLOCK)):
        try:
            rows = [(index, leaf_hash(entry), index_row(orjson.loads(entry))) for index, entry in batch]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise AuditStoreDamaged(f"One of the entries from {batch[0][0]} is recorded but is no event.") from None
        try:
            add_look_ups(writer, rows)
        except sqlite3.IntegrityError:
            raise _twins(writer, rows) from None
        done += len(batch)
        if progress:
            progress(done, size)
    return size


def _twins(writer: sqlite3.Connection, rows: list[tuple[int, bytes, IndexRow]]) -> AuditStoreDamaged:
    """Which of these entries bears an event id that an earlier one has, so that it cannot be indexed."""
    for index, _, (event_id, *_) in rows:
        (found,) = writer.execute("SELECT max(seq) FROM event_index WHERE event_id = ?", (event_id,)).fetchone()
        if found is not None and found != index:
            return AuditStoreDamaged(twins(found, index))
    return AuditStoreDamaged("The index cannot be made of these entries.")
