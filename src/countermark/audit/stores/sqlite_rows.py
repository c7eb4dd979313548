"""Many rows with few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

_AT_ONCE: Final = (64, 16, 4, 1)


def insert_rows(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]], *, replace: bool = False
) -> None:
    """Insert rows of all columns of a table, over those of the same key if ``replace``.

    ``executemany`` lets go of the interpreter's lock and takes it back once a row: with many threads that append, the
    one that commits for all would wait for some other each time. The statements are of a few lengths only, so SQLite's
    cache of them stays small.
    """
    at, verb = 0, "INSERT OR REPLACE" if replace else "INSERT"
    for count in _AT_ONCE:
        if len(rows) - at >= count:
            one = f"({', '.join('?' * len(rows[at]))})"
            statement = f"{verb} INTO {table} VALUES {', '.join([one] * count)}"
            while len(rows) - at >= count:
                connection.execute(statement, list(chain.from_iterable(rows[at : at + count])))
                at += count
