"""The look-up index of a log in PostgreSQL, made anew from the entries."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import islice
from typing import Any, Final

import orjson
from psycopg import sql

from countermark.audit.query import INDEX_COLUMNS, index_row
from countermark.audit.scan import checked_entries
from countermark.audit.stores.postgres.connect import Connection, connect, reported, store_name
from countermark.audit.stores.postgres.reader import PostgresReader
from countermark.audit.tree import leaf_hash

_AT_ONCE: Final = 1000
INSERT_INDEX: Final = sql.SQL(
    "INSERT INTO event_index (seq, leaf, {}) SELECT * FROM unnest(%b::bigint[], %b::bytea[]{})"
).format(sql.SQL(", ").join(map(sql.Identifier, INDEX_COLUMNS)), sql.SQL(", %b::text[]" * len(INDEX_COLUMNS)))
"""Index rows, a column an array."""
_NEWEST_INDEX: Final = "countermark.audit.stores.postgres.migrations.versions.0001_log"


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
        done = 0
        while page := list(islice(entries, _AT_ONCE)):
            rows = [(leaf_hash(body), *index_row(orjson.loads(body))) for _, body in page]
            columns = map(list, zip(*rows, strict=True))
            connection.execute(INSERT_INDEX, ([index for index, _ in page], *columns))
            done += len(page)
            if progress:
                progress(done, size)
    return size


def _empty(connection: Connection) -> None:
    """Begin with an empty index; make its table where somebody dropped it. Rights on the old one are then lost."""
    if connection.execute("SELECT to_regclass('event_index') IS NULL").fetchall()[0][0]:
        for statement in import_module(_NEWEST_INDEX).INDEX:
            connection.execute(statement.encode())
    else:
        connection.execute("TRUNCATE event_index")
