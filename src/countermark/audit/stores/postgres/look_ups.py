"""The look-up index of a log in PostgreSQL: a row of columns for each entry, and the postings of each full block.

What hardly two entries share, such as a picture's digest, has a B-tree of its own. What a page of entries is filtered
by has none: see :mod:`countermark.audit.stores.postings`. The newest block, still open, is answered from its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from psycopg import sql

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, columns_of, words_of
from countermark.audit.stores.postgres.connect import Connection
from countermark.audit.stores.postings import BLOCK, FILTERS, Block, blocks_of, misposted, posted, postings_of

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, INDEX_COLUMNS))
INSERT_INDEX: Final = sql.SQL(
    "INSERT INTO event_index (seq, leaf, {}) SELECT * FROM unnest(%b::bigint[], %b::bytea[]{})"
).format(_COLUMNS, sql.SQL(", %b::text[]" * len(INDEX_COLUMNS)))
"""Index rows, a column an array."""
_PUT_POSTINGS: Final = """INSERT INTO posting SELECT %s, * FROM unnest(%b::text[], %b::bytea[])
ON CONFLICT (block, term) DO UPDATE SET bits = excluded.bits"""
# A look-up for each pair, whatever the planner knows of the table: joined freely, it may read all of a large one.
_POSTINGS: Final = """SELECT block, term, bits
FROM generate_series(%s::bigint, %s::bigint) AS wanted_block, unnest(%s::text[]) AS wanted_term,
LATERAL (SELECT * FROM posting WHERE block = wanted_block AND term = wanted_term COLLATE "C" OFFSET 0) AS found"""


class IndexWriter:
    """Adds entries to the index, and the postings of each block with its last entry; inside the caller's transaction.

    It remembers the block that is being filled. Where it does not begin with its first entry, what was recorded before
    is read from the entries themselves.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._block: Block | None = None
        self._next = 0

    def add(self, first: int, leaves: Sequence[bytes], rows: Sequence[IndexRow]) -> None:
        """Index entries that follow each other by leaf hash and look-up columns."""
        columns = map(list, zip(*rows, strict=True))
        numbers = list(range(first, first + len(rows)))
        self._connection.execute(INSERT_INDEX, (numbers, list(leaves), *columns))
        block = self._block if self._block and first == self._next else self._begun(first)
        for number, part in blocks_of(first, rows):
            start = max(first, number * BLOCK)
            block.add(start, part)
            if start + len(part) == (number + 1) * BLOCK:
                put_postings(self._connection, number, block)
                block = Block()
        self._block, self._next = block, first + len(rows)

    def _begun(self, first: int) -> Block:
        block, start = Block(), first - first % BLOCK
        if start < first:
            query = b"SELECT body FROM entry WHERE seq >= %s AND seq < %s ORDER BY seq"
            bodies = self._connection.execute(query, (start, first), binary=True)
            block.add(start, [columns_of(body) for (body,) in bodies])
        return block


def put_postings(connection: Connection, number: int, block: Block) -> None:
    """Write the rows of a full block, over what was there."""
    postings = sorted(block.postings().items())
    terms, bits = ([pair[place] for pair in postings] for place in (0, 1))
    connection.execute(_PUT_POSTINGS.encode(), (number, terms, bits))


# --- checking -------------------------------------------------------------------------------------------------------


def misfiled(connection: Connection, first: int, expected: Sequence[tuple[bytes, IndexRow | None]]) -> list[int]:
    """Of which entries the index says otherwise than ``expected``, which begins at ``first``, where a block begins.

    ``expected`` holds leaf hash and columns; ``None`` for an entry that is no event, which always differs.
    """
    query = sql.SQL("SELECT seq, leaf, {} FROM event_index WHERE seq >= %s AND seq < %s").format(_COLUMNS)
    rows = connection.execute(query, (first, first + len(expected)), binary=True).fetchall()
    stored = {row[0]: row for row in rows}
    wrong = {
        index
        for index, (leaf, row) in enumerate(expected, first)
        if row is None or stored.get(index) != (index, leaf, *row)
    }
    for number, part in blocks_of(first, [row for _, row in expected]):
        rows = connection.execute("SELECT term, bits FROM posting WHERE block = %s", (number,), binary=True).fetchall()
        full = part if len(part) == BLOCK else []
        wrong |= misposted(number, postings_of(number * BLOCK, full), dict(rows))
    return sorted(wrong)


def beyond(connection: Connection, size: int) -> list[int]:
    """Entries that only the index knows, in a log of ``size`` entries: up to 1,000, or first ones of blocks."""
    query = "SELECT seq FROM event_index WHERE seq < 0 OR seq >= %s ORDER BY seq LIMIT 1000"
    rows = connection.execute(query, (size,)).fetchall()
    query = "SELECT DISTINCT block * %s FROM posting WHERE block < 0 OR block >= %s ORDER BY 1 LIMIT 1000"
    rows = rows or connection.execute(query, (BLOCK, -(-size // BLOCK))).fetchall()
    return [seq for (seq,) in rows]


# --- answering ------------------------------------------------------------------------------------------------------


def search(connection: Connection, wanted: Filter, limit: int) -> list[int]:
    """Indices of matching entries, newest first, up to ``limit`` (negative: all)."""
    tables, given = _Tables(connection), wanted.given().keys()
    if not given - {"before"} or not given <= FILTERS:
        return tables.matching(wanted, limit=limit)
    newest = connection.execute("SELECT max(seq) FROM event_index").fetchall()[0][0]
    full = 0 if newest is None else (newest + 1) // BLOCK
    newer = tables.matching(wanted, full * BLOCK, limit=limit)
    return list(islice(chain(newer, posted(tables, wanted, full)), None if limit < 0 else limit))


class _Tables:
    """What :func:`posted` asks for."""

    most_at_once = 64

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def postings(self, blocks: range, terms: Sequence[str]) -> Mapping[int, Mapping[str, bytes]]:
        found: dict[int, dict[str, bytes]] = {}
        values = (blocks.start, blocks.stop - 1, list(terms))
        for block, term, bits in self._connection.execute(_POSTINGS.encode(), values, binary=True):
            found.setdefault(block, {})[term] = bits
        return found

    def matching(
        self, wanted: Filter, first: int | None = None, end: int | None = None, *, limit: int = -1
    ) -> list[int]:
        conditions, values = [sql.SQL("true")], list[Any]()
        # A bound that says nothing would tempt the planner to walk along the numbers.
        for bound, condition in ((first, "seq >= %s"), (end, "seq < %s")):
            if bound is not None:
                conditions.append(sql.SQL(condition))
                values.append(bound)
        for name, value in wanted.given().items():
            for condition, bound in _conditions(name, value):
                conditions.append(condition)
                values.append(bound)
        select = sql.SQL("SELECT seq FROM event_index WHERE {} ORDER BY seq DESC LIMIT %s")
        query = select.format(sql.SQL(" AND ").join(conditions))
        rows = self._connection.execute(query, [*values, None if limit < 0 else limit], binary=True)
        return [seq for (seq,) in rows]


def _conditions(name: str, value: str | int) -> list[tuple[Any, Any]]:
    """What a condition of a filter is in this store, see :meth:`countermark.audit.query.Filter.where`."""
    if name in _OPERATORS:
        return [(_OPERATORS[name], words_of(str(value)) if name == "text" else value)]
    if name == "policy" and "@" not in str(value):
        return [(sql.SQL("policy >= %s"), f"{value}@"), (sql.SQL("policy < %s"), f"{value}A")]  # "A" follows "@"
    return [(sql.SQL("{} = %s").format(sql.Identifier(name)), value)]


# Sets are written as " one two ".
_OPERATORS: Final = {
    "since": sql.SQL("time >= %s"),
    "until": sql.SQL("time < %s"),
    "before": sql.SQL("seq < %s"),
    "category": sql.SQL("string_to_array(categories, ' ') @> ARRAY[%s::text]"),
    "text": sql.SQL("string_to_array(words, ' ') @> %s::text[]"),
}
