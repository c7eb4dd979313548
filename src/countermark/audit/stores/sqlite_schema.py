"""The tables of ``audit.db``, and how connections to it are opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from countermark.audit.stores.sqlite_lookups import INDEX_SCHEMA, INDEX_TABLES
from countermark.errors import AuditError, AuditIndexUnusable, AuditStoreDamaged, NotFound, OutputUnwritable

SCHEMA_VERSION: Final = 3
OLDER_INDEX: Final = frozenset({1, 2})
"""The versions whose stores differ in their look-up index only: building that anew brings them up to date."""
APPLICATION_ID: Final = 0x436D4C67
"""``CmLg`` in the file's header, so that ``file audit.db`` can tell it."""
BUSY_TIMEOUT_MS: Final = 10_000
CACHE_KIB: Final = 64 * 1024
"""The writer's page cache: keys of the look-up index are random, and so are the pages that each append touches."""
PAGE_BYTES: Final = 8192
"""Of a new file. An entry is about 2 kB: of SQLite's usual pages, half would stay empty wherever two do not fit."""
WAL_PAGES: Final = 5_000
"""How far the write-ahead log grows (40 MB) before it is folded into the file: pages written often go there once."""

SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE tile (level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, root BLOB NOT NULL,
                   note TEXT NOT NULL) STRICT;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
{INDEX_SCHEMA}CREATE TABLE blob (event_id TEXT NOT NULL, field TEXT NOT NULL, ciphertext BLOB NOT NULL,
                   PRIMARY KEY (event_id, field)) STRICT;
CREATE TABLE secret (key_id TEXT PRIMARY KEY, master_id TEXT NOT NULL, wrapped_dek BLOB NOT NULL) STRICT;
CREATE TABLE pending (attempt TEXT PRIMARY KEY, tenant TEXT NOT NULL, time TEXT NOT NULL,
                      session TEXT NOT NULL) STRICT;
CREATE VIEW event AS SELECT event_index.*, CAST(body AS TEXT) AS document FROM event_index JOIN entry USING (seq);
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""  # noqa: S608


def schema_complaints(connection: sqlite3.Connection, *, of_index: bool = False) -> list[str]:
    """In what a store's tables differ from :data:`SCHEMA`: a sentence each, none where nothing differs.

    Whoever can write the file can put a view in a table's place, or have a trigger empty what is written. Indices that
    somebody added to the look-up index are no complaint, nor tables and views under other names.

    Args:
        connection: to the store.
        of_index: of the look-up index, which can be made anew, instead of everything else.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(SCHEMA)
        expected = _objects(model)
    found = _objects(connection)
    complaints = [
        f"The {kind} '{name}' of the store {'was changed' if (kind, name) in found else 'is missing'}."
        for (kind, name), (table, statement) in expected.items()
        if (table in INDEX_TABLES) is of_index and found.get((kind, name)) != (table, statement)
    ]
    ours = {name for _, name in expected} - {*INDEX_TABLES}
    for (kind, name), (table, _) in found.items():
        if not of_index and (kind, name) not in expected and (kind == "trigger" or table in ours):
            complaints.append(f"The store holds the {kind} '{name}' on '{table}', which is not the log's.")
    return complaints


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, str]]:
    """Table and statement of everything in a schema, by kind and name; blanks do not count."""
    rows = connection.execute("SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema")
    return {(str(kind), str(name)): (str(table), " ".join(str(sql).split())) for kind, name, table, sql in rows}


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes; every commit reaches the disk unless a transaction says otherwise.

    Raises:
        OutputUnwritable: the file cannot be made or opened for writing.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise OutputUnwritable(
            f"The audit store {path} cannot be written: {error.strerror or error}.",
            remedy="Whoever writes to a log must be able to write this file. Reading and verifying need not.",
        ) from error
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    with reported(path):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the platters
        connection.execute("PRAGMA secure_delete = ON")  # a deleted data key must not linger in free pages
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a running writer or on a copy.

    Raises:
        NotFound: no such file.
        AuditError: the file cannot be read.
    """
    if not path.is_file():
        raise NotFound(f"There is no audit store at {path}.")
    uri = path.absolute().as_uri()
    connection = _connect(f"{uri}?mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        # A WAL database in a folder where we may not write: SQLite can read it only as immutable, which is right
        # exactly when nothing waits in its write-ahead log.
        connection.close()
        journal = path.with_name(path.name + "-wal")
        if journal.exists() and journal.stat().st_size:
            raise AuditError(
                f"The audit store {path} has unfinished writes in {journal.name}, in a folder that cannot be written.",
                remedy="Copy the whole folder to where you may write, and read it there.",
            ) from None
        connection = _connect(f"{uri}?mode=ro&immutable=1")
    except sqlite3.DatabaseError:
        pass  # damaged: whoever reads on is told so with the store's name
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


NAME_A_STORE: Final = "Name the audit.db of a log. Where this was one, keep it as evidence and restore a good copy."


@contextmanager
def index_reported() -> Iterator[None]:
    """Tell damage to the look-up index, from which nothing is proved, from damage to what it was made from."""
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) not in _DAMAGE:
            raise
        raise AuditIndexUnusable(f"The log's look-up index cannot be used: {error}.") from error


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the store."""
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) == sqlite3.SQLITE_NOTADB:
            raise AuditStoreDamaged(
                f"{path} is not an SQLite database, or its first bytes are damaged.", remedy=NAME_A_STORE
            ) from error
        if _code(error) in _DAMAGE:
            raise AuditStoreDamaged(f"The audit store {path} cannot be read: {error}.") from error
        raise AuditError(
            f"The audit store {path} cannot be used: {error}.",
            remedy="Check the disk's space and permissions, then open the log again.",
        ) from error
