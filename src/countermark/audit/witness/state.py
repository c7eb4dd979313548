"""What a witness remembers: for each log, the one tree that it cosigned last. Losing it would be worse than stopping.

A witness that forgot what it saw would cosign any history from the beginning, so nothing here makes a missing file
anew: :meth:`WitnessState.create` is asked for once, with a new key.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from countermark.errors import AuditError, AuditStoreDamaged, NotFound, OutputUnwritable

APPLICATION_ID: Final = 0x436D5774
"""``CmWt`` in the file's header."""
SCHEMA_VERSION: Final = 2
_WITHOUT_UNPROVED: Final = 1
BUSY_TIMEOUT_MS: Final = 5_000
MAX_EVIDENCE: Final = 1_000
MAX_UNPROVED: Final = 1_000

_UNPROVED: Final = """
CREATE TABLE unproved (origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, time INTEGER NOT NULL,
                       note TEXT NOT NULL, PRIMARY KEY (origin, size, root)) STRICT;
"""
_SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, time INTEGER NOT NULL,
                   note TEXT NOT NULL) STRICT;
CREATE TABLE evidence (origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, time INTEGER NOT NULL,
                       note TEXT NOT NULL, PRIMARY KEY (origin, size, root)) STRICT;
{_UNPROVED}
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""

_TELL_APART: Final = f"""
{_UNPROVED}
INSERT INTO unproved SELECT * FROM evidence
    WHERE NOT EXISTS (SELECT 1 FROM seen WHERE seen.origin = evidence.origin AND seen.size = evidence.size);
DELETE FROM evidence
    WHERE NOT EXISTS (SELECT 1 FROM seen WHERE seen.origin = evidence.origin AND seen.size = evidence.size
                      AND seen.root != evidence.root);
PRAGMA user_version = {SCHEMA_VERSION};
"""  # noqa: S608
"""An earlier version called everything evidence that came with a wrong proof, which anybody can attach."""


@dataclass(frozen=True)
class Seen:
    """A signed tree of a log, such as the one cosigned last; when (seconds since 1970), and its note."""

    size: int
    root: bytes
    time: int
    note: str


class Turn:
    """One log's state, held by one transaction; nobody else can move it meanwhile."""

    def __init__(self, connection: sqlite3.Connection, origin: str) -> None:
        self._execute = connection.execute
        self._origin = origin

    @property
    def seen(self) -> Seen | None:
        """What was cosigned last; ``None`` where nothing was."""
        row = self._execute("SELECT size, root, time, note FROM seen WHERE origin = ?", (self._origin,)).fetchone()
        return Seen(*row) if row else None

    def put(self, seen: Seen) -> list[Seen]:
        """Move on to another tree; gives the unproved ones of its size that turn out to contradict it."""
        row = (self._origin, seen.size, seen.root, seen.time, seen.note)
        self._execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", row)
        settled = "FROM unproved WHERE origin = ? AND size = ?"
        query = f"SELECT size, root, time, note {settled} AND root != ?"
        contradicting = [Seen(*found) for found in self._execute(query, (self._origin, seen.size, seen.root))]
        for refused in contradicting:
            self.keep_evidence(refused)
        self._execute(f"DELETE {settled}", (self._origin, seen.size))
        return contradicting

    def keep_unproved(self, refused: Seen) -> None:
        """Keep a signed checkpoint that came with a wrong proof: of another history, or a stranger attached it.

        Kept once for each tree, the newest up to a bound.
        """
        row = (self._origin, refused.size, refused.root, refused.time, refused.note)
        self._execute("INSERT OR IGNORE INTO unproved VALUES (?, ?, ?, ?, ?)", row)
        newest = "SELECT rowid FROM unproved WHERE origin = ? ORDER BY rowid DESC LIMIT ?"
        self._execute(
            f"DELETE FROM unproved WHERE origin = ? AND rowid NOT IN ({newest})",  # noqa: S608
            (self._origin, self._origin, MAX_UNPROVED),
        )

    def keep_evidence(self, refused: Seen) -> None:
        """Keep a signed checkpoint of as many entries as the one cosigned and another root: the two convict the log.

        Kept once for each tree, whatever the bytes of the note, and up to a bound: a stranger can send them again.
        """
        (count,) = self._execute("SELECT count(*) FROM evidence WHERE origin = ?", (self._origin,)).fetchone()
        if count < MAX_EVIDENCE:
            row = (self._origin, refused.size, refused.root, refused.time, refused.note)
            self._execute("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)", row)


class WitnessState:
    """The SQLite file of one witness; any number of threads and processes may use it at once.

    Raises:
        NotFound: there is no such file.
        AuditStoreDamaged: it is no witness's state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise NotFound(
                f"There is no witness's state at {path}.",
                remedy="Make a witness with: countermark witness init. One that lost its state must not go on under"
                " its old key, for it would cosign any history: make a new one.",
            )
        with self._reported(), closing(self._connect()) as connection:
            identity = [
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            ]
            if identity == [APPLICATION_ID, _WITHOUT_UNPROVED]:
                self._tell_apart(connection)
            elif identity != [APPLICATION_ID, SCHEMA_VERSION]:
                raise AuditStoreDamaged(f"{path} is not the state of a witness of this version.")
            self.vkey: str = connection.execute("SELECT value FROM meta WHERE key = 'vkey'").fetchone()[0]
            """The verifier key that cosigns from this state."""

    @classmethod
    def create(cls, path: Path, vkey: str) -> WitnessState:
        """Make the state of a new witness.

        Raises:
            OutputUnwritable: the file exists, or its folder cannot be written.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise OutputUnwritable(
                f"The state {path} cannot be made: {error.strerror or error}.",
                remedy="Name a new file in a folder that you may write to: --state FILE.",
            ) from error
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            connection.execute("INSERT INTO meta VALUES ('vkey', ?)", (vkey,))
        return cls(path)

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Hold a log's state: what is read and put inside is one durable transaction, rolled back by an exception."""
        with self._reported(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Turn(connection, origin)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def all_seen(self) -> dict[str, Seen]:
        """What was cosigned last, by origin."""
        with self._reported(), closing(self._connect()) as connection:
            rows = connection.execute("SELECT origin, size, root, time, note FROM seen ORDER BY origin").fetchall()
        return {origin: Seen(*row) for origin, *row in rows}

    def evidence(self, origin: str) -> list[Seen]:
        """Signed checkpoints of a log with another root than what was cosigned at their size, smallest first."""
        return self._refused("evidence", origin)

    def unproved(self, origin: str) -> list[Seen]:
        """Signed checkpoints of a log of which nobody showed that they extend what was cosigned, smallest first."""
        return self._refused("unproved", origin)

    def _refused(self, table: str, origin: str) -> list[Seen]:
        query = f"SELECT size, root, time, note FROM {table} WHERE origin = ? ORDER BY size, time"  # noqa: S608
        with self._reported(), closing(self._connect()) as connection:
            return [Seen(*row) for row in connection.execute(query, (origin,))]

    def _tell_apart(self, connection: sqlite3.Connection) -> None:
        """Bring the state of an earlier version to this one's; nothing that was cosigned is touched."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == _WITHOUT_UNPROVED:  # no other was faster
                for statement in _TELL_APART.split(";"):
                    connection.execute(statement)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a state that vanished meanwhile must not come back empty.
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, TypeError) as error:
            raise AuditError(
                f"The witness's state {self.path} cannot be used: {error}.",
                remedy="Check the disk's space and permissions. Never restore an older copy of this file.",
            ) from error
