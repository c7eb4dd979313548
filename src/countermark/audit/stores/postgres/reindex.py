"""The look-up index of a log in PostgreSQL, made anew from the entries."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import islice
from typing import Any, Final

import orjson
from psycopg import errors, sql

from countermark.audit.query import index_row
from countermark.audit.scan import checked_entries
from countermark.audit.stores.postgres.connect import Connection, connect, reported, store_name
from countermark.audit.stores.postgres.look_ups import IndexWriter
from countermark.audit.stores.postgres.reader import PostgresReader
from countermark.audit.stores.postings import BLOCK
from countermark.audit.tree import leaf_hash
from countermark.errors import AuditStoreDamaged

_NEWEST_INDEX: Final = "countermark.audit.stores.postgres.migrations.versions.0002_postings"


def rebuild_index(parameters: dict[str, Any], progress: Callable[[int, int], None] | None) -> int:
    """Derive the index again in one transaction, each entry checked first; gives their number.

    Writers may go on: their sequencer waits until the index is there.

    Raises:
        AuditStoreDamaged: an entry is not what was recorded; nothing was changed.
    """
    with reported(store_name(parameters)), connect(parameters) as connection, connection.transaction():
        connection.execute("SELECT epoch FROM sequencer FOR UPDATE")
        _empty(connection)
        reader = PostgresReader(connection)
        size = reader.head().size
        entries = checked_entries(reader, 0, size)
        index, done = IndexWriter(connection), 0
        while page := list(islice(entries, BLOCK)):
            leaves = [leaf_hash(body) for _, body in page]
            try:
                index.add(done, leaves, [index_row(orjson.loads(body)) for _, body in page])
            except errors.UniqueViolation as error:
                said = error.diag.message_detail
                raise AuditStoreDamaged(f"Entries bear the same event id, the last from {done} on: {said}") from None
            done += len(page)
            if progress:
                progress(done, size)
    return size


def _empty(connection: Connection) -> None:
    """Begin with an empty index; make what somebody dropped of it. Rights on that are then lost."""
    for table, statements in import_module(_NEWEST_INDEX).INDEX.items():
        if connection.execute("SELECT to_regclass(%s) IS NULL", (table,)).fetchall()[0][0]:
            for statement in statements:
                connection.execute(statement.encode())
        else:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
