"""The look-up index of an SQLite store: a row of columns for each entry, and what is derived from a full block of rows.

Postings and locators of a block are written once, when its last entry is: no append rewrites what an earlier one wrote.
The newest block, still open, is answered from its rows alone, which are fewer than :data:`BLOCK`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow
from countermark.audit.stores.postings import BLOCK, blocks_of, misposted, posted, postings_of
from countermark.audit.stores.sqlite_locators import BUCKETS, LOCATED, LOCATOR_TABLE, located, locators_of, misplaced

_REQUIRED = ("event_id", "time", "type", "tenant", "attempt")
_DEFINITIONS = ", ".join(f"{name} TEXT{' NOT NULL' if name in _REQUIRED else ''}" for name in INDEX_COLUMNS)
_COLUMNS = ", ".join(INDEX_COLUMNS)

_POSTING_TABLE = (
    "CREATE TABLE posting (block INTEGER NOT NULL, term TEXT NOT NULL, bits BLOB NOT NULL,"
    " PRIMARY KEY (block, term)) STRICT, WITHOUT ROWID;"
)
INDEX_TABLES: Final = ("event_index", "posting", "locator")
INDEX_SCHEMA: Final = f"""
CREATE TABLE event_index (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, {_DEFINITIONS}, UNIQUE (event_id)) STRICT;
{_POSTING_TABLE}
{LOCATOR_TABLE}
"""
"""What is derived from the entries, and can be made anew from them."""
_INSERT = f"INSERT INTO event_index (seq, leaf, {_COLUMNS}) VALUES (?, ?{', ?' * len(INDEX_COLUMNS)})"  # noqa: S608

Indexed = tuple[int, IndexRow]
"""An entry's number and indexed columns."""


def add_look_ups(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, IndexRow]]) -> None:
    """Index entries that follow each other, given by number, leaf hash and columns, inside the caller's transaction."""
    connection.executemany(_INSERT, ((index, leaf, *row) for index, leaf, row in rows))
    first, end = rows[0][0], rows[-1][0] + 1
    for block in range(first // BLOCK, end // BLOCK):
        indexed = _indexed(connection, block)
        made = postings_of(block * BLOCK, [row for _, row in indexed])
        postings = ((block, term, bits) for term, bits in sorted(made.items()))
        connection.executemany("INSERT OR REPLACE INTO posting VALUES (?, ?, ?)", postings)
        connection.executemany("INSERT OR REPLACE INTO locator VALUES (?, ?)", locators_of(block, indexed).items())


def _indexed(connection: sqlite3.Connection, block: int) -> list[Indexed]:
    query = f"SELECT seq, {_COLUMNS} FROM event_index WHERE seq >= ? AND seq < ? ORDER BY seq"  # noqa: S608
    return [(row[0], row[1:]) for row in connection.execute(query, (block * BLOCK, (block + 1) * BLOCK))]


# --- checking -------------------------------------------------------------------------------------------------------


def misfiled(connection: sqlite3.Connection, first: int, expected: Sequence[tuple[bytes, IndexRow | None]]) -> set[int]:
    """Of which entries the index says otherwise than ``expected``, which begins at ``first``, where a block begins.

    ``expected`` holds leaf hash and columns; ``None`` for an entry that is no event, which always differs.
    """
    end = first + len(expected)
    query = f"SELECT seq, leaf, {_COLUMNS} FROM event_index WHERE seq >= ? AND seq < ?"  # noqa: S608
    stored = {row[0]: row for row in connection.execute(query, (first, end))}
    wrong = {
        index
        for index, (leaf, row) in enumerate(expected, first)
        if row is None or stored.get(index) != (index, leaf, *row)
    }
    for block, part in blocks_of(first, [row for _, row in expected]):
        rows = part if len(part) == BLOCK else []
        postings = dict(connection.execute("SELECT term, bits FROM posting WHERE block = ?", (block,)))
        wrong |= misposted(block, postings_of(block * BLOCK, rows), postings)
        events = [(index, row) for index, row in enumerate(rows, block * BLOCK) if row is not None]
        wrong |= misplaced(connection, block, events)
    return wrong


def beyond(connection: sqlite3.Connection, size: int) -> list[int]:
    """Entries that only the index knows, in a log of ``size`` entries: up to 1,000, or first ones of blocks."""
    query = "SELECT seq FROM event_index WHERE seq < 0 OR seq >= ? ORDER BY seq LIMIT 1000"
    rows = [seq for (seq,) in connection.execute(query, (size,))]
    blocks = -(-size // BLOCK)
    query = "SELECT block FROM posting WHERE block < 0 OR block >= ? UNION SELECT place / ? FROM locator"
    query += " WHERE place < 0 OR place >= ? ORDER BY 1 LIMIT 1000"
    derived = connection.execute(query, (blocks, BUCKETS, blocks * BUCKETS))
    return rows or [block * BLOCK for (block,) in derived]


# --- answering ------------------------------------------------------------------------------------------------------


def search(connection: sqlite3.Connection, wanted: Filter, limit: int) -> list[int]:
    """Indices of matching entries, newest first, up to ``limit`` (negative: all)."""
    condition, values = wanted.where()
    select = f"SELECT seq FROM event_index WHERE {condition}"  # noqa: S608
    given = wanted.given().keys()
    if "event_id" in given or given <= {"before"}:
        return [seq for (seq,) in connection.execute(f"{select} ORDER BY seq DESC LIMIT ?", (*values, limit))]
    newest = connection.execute("SELECT max(seq) FROM event_index").fetchone()[0]
    full = 0 if newest is None else (newest + 1) // BLOCK
    newer = f"{select} AND seq >= ? ORDER BY seq DESC LIMIT ?"
    found = [seq for (seq,) in connection.execute(newer, (*values, full * BLOCK, limit))]
    for index in _in_full_blocks(connection, wanted, full, f"{select} AND seq = ?", values):
        if 0 <= limit <= len(found):
            break
        found.append(index)
    return found


def _in_full_blocks(
    connection: sqlite3.Connection, wanted: Filter, blocks: int, one: str, values: list[str | int]
) -> Iterator[int]:
    """Matching entries of the first ``blocks``, newest first; ``one`` asks whether a single entry matches."""
    if wanted.given().keys().isdisjoint(LOCATED):
        yield from posted(_Tables(connection), wanted, blocks)
        return
    for candidate in located(connection, wanted, blocks):
        if connection.execute(one, (*values, candidate)).fetchone():
            yield candidate


class _Tables:
    """What :func:`posted` asks for."""

    most_at_once = 1

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def postings(self, blocks: range, terms: Sequence[str]) -> Mapping[int, Mapping[str, bytes]]:
        query = f"SELECT term, bits FROM posting WHERE block = ? AND term IN (?{', ?' * (len(terms) - 1)})"  # noqa: S608
        return {block: dict(self._connection.execute(query, (block, *terms))) for block in blocks}

    def matching(self, wanted: Filter, first: int, end: int) -> list[int]:
        condition, values = wanted.where()
        query = f"SELECT seq FROM event_index WHERE seq >= ? AND seq < ? AND {condition} ORDER BY seq DESC"  # noqa: S608
        return [seq for (seq,) in self._connection.execute(query, (first, end, *values))]
