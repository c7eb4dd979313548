"""Which entries have what in common, as bitmaps: how SQLite answers a page of several filters without walking the log.

For every :data:`BLOCK` entries and every term that occurs among them (``tenant=default``, ``category=violence``,
``word=refused``) there is one row with a bit for each entry, or with their numbers where they are few. A query reads a
row a term and block, newest block first, and intersects them: a fixed, small cost for each block whatever the terms
have in common, where a walk along one B-tree index takes a step for each entry that some other filter turns down.
Bitmap indexes are old: O'Neil & Quass, "Improved query performance with variant indexes", SIGMOD 1997.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, words_of

BLOCK: Final = 4096
POSTING_TABLE: Final = (
    "CREATE TABLE posting (block INTEGER NOT NULL, term TEXT NOT NULL, bits BLOB NOT NULL,"
    " PRIMARY KEY (block, term)) STRICT, WITHOUT ROWID;"
)
_FEW: Final = 32
_TIMES: Final = "times"
"""The term under which a block's row holds its earliest and latest time, ``first/last``."""
_EXACT: Final = ("type", "tenant", "decision", "model", "policy", "actor")
_SETS: Final = {"categories": "category", "words": "word"}
_SHARED = tuple(name for name in _EXACT if name != "actor")
_shared_facets = itemgetter(*(INDEX_COLUMNS.index(name) for name in (*_SHARED, *_SETS)))
_ACTOR = INDEX_COLUMNS.index("actor")
_TIME = INDEX_COLUMNS.index("time")
FILTERS: Final = frozenset({*_EXACT, "category", "text", "since", "until", "before"})
"""The filters that postings can answer; another one is about a value that hardly two entries share."""

Postings = dict[tuple[int, str], bytes]
"""What each row holds, by block and term."""


def postings_of(rows: Iterable[tuple[int, IndexRow]]) -> Postings:
    """The rows for these entries alone, given by index and indexed columns."""
    alike: dict[tuple[int, IndexRow], int] = {}
    times: dict[int, tuple[str, str]] = {}
    for index, row in rows:
        block, offset = divmod(index, BLOCK)
        # Entries are alike in all but who asked, so what they share is taken apart once for all of them.
        for key in ((block, _shared_facets(row)), (block, (row[_ACTOR],))):
            alike[key] = alike.get(key, 0) | 1 << offset
        time = row[_TIME] or ""
        first, last = times.get(block, (time, time))
        times[block] = min(first, time), max(last, time)
    bits: dict[tuple[int, str], int] = {}
    for (block, facets), entries in alike.items():
        for term in _terms(facets):
            bits[block, term] = bits.get((block, term), 0) | entries
    made = {key: _pack(entries) for key, entries in bits.items()}
    return made | {(block, _TIMES): f"{first}/{last}".encode() for block, (first, last) in times.items()}


def _terms(facets: IndexRow) -> Iterator[str]:
    if len(facets) == 1:
        if facets[0] is not None:
            yield f"actor={facets[0]}"
        return
    for name, value in zip(_SHARED, facets, strict=False):
        if value is not None:
            yield f"{name}={value}"
            if name == "policy":
                yield f"{name}={value.rpartition('@')[0]}"
    for name, value in zip(_SETS.values(), facets[len(_SHARED) :], strict=True):
        for member in (value or "").split():
            yield f"{name}={member}"


def _pack(entries: int) -> bytes:
    """Few bits as their numbers (0, then 16 bits each), many as they are (1, then the bitmap)."""
    if entries.bit_count() <= _FEW:
        return b"\x00" + b"".join(offset.to_bytes(2, "little") for offset in _offsets(entries))
    return b"\x01" + entries.to_bytes((entries.bit_length() + 7) // 8, "little")


def _unpack(packed: bytes) -> int:
    if packed[:1] == b"\x01":
        return int.from_bytes(packed[1:], "little")
    entries = 0
    for at in range(1, len(packed) - 1, 2):
        entries |= 1 << int.from_bytes(packed[at : at + 2], "little")
    return entries


def _union(term: str, left: bytes, right: bytes) -> bytes:
    if term != _TIMES:
        return _pack(_unpack(left) | _unpack(right))
    times = sorted((left + b"/" + right).decode().split("/"))
    return f"{times[0]}/{times[-1]}".encode()


def add_postings(connection: sqlite3.Connection, rows: Iterable[tuple[int, IndexRow]]) -> None:
    """Take entries into the stored postings, inside the caller's transaction."""
    made = postings_of(rows)
    query = "SELECT term, bits FROM posting WHERE block = ? AND term IN (SELECT value FROM json_each(?))"
    merged = []
    for block in {block for block, _ in made}:
        terms = [term for at, term in made if at == block]
        stored = dict(connection.execute(query, (block, json.dumps(terms))))
        for term in terms:
            bits = made[block, term]
            merged.append((block, term, _union(term, stored[term], bits) if term in stored else bits))
    connection.executemany("INSERT OR REPLACE INTO posting VALUES (?, ?, ?)", merged)


def differing(expected: Postings, stored: Postings) -> list[int]:
    """The entries of which stored postings say otherwise, in order; of wrong times, a block's first entry."""
    wrong: set[int] = set()
    for block, term in expected.keys() | stored.keys():
        left, right = expected.get((block, term), b""), stored.get((block, term), b"")
        if left == right:
            continue
        entries = 1 if term == _TIMES else _unpack(left) ^ _unpack(right)
        wrong |= {block * BLOCK + offset for offset in _offsets(entries or 1)}
    return sorted(wrong)


def stored_postings(connection: sqlite3.Connection, first: int, end: int) -> Postings:
    """The stored rows of the blocks that hold the entries from ``first`` to ``end`` (exclusive)."""
    query = "SELECT block, term, bits FROM posting WHERE block BETWEEN ? AND ?"
    found = connection.execute(query, (first // BLOCK, (end - 1) // BLOCK))
    return {(block, term): bytes(bits) for block, term, bits in found}


def blocks_beyond(connection: sqlite3.Connection, size: int) -> list[int]:
    """The first entries of blocks that only the postings know, in a log of ``size`` entries."""
    query = "SELECT DISTINCT block FROM posting WHERE block < 0 OR block > ? LIMIT 1000"
    return [block * BLOCK for (block,) in connection.execute(query, ((size - 1) // BLOCK,))]


# --- answering --------------------------------------------------------------------------------------------------


def search_postings(connection: sqlite3.Connection, wanted: Filter, limit: int) -> list[int]:
    """Indices of matching entries, newest first, up to ``limit`` (negative: all); ``wanted`` within :data:`FILTERS`."""
    terms = sorted(_wanted_terms(wanted))
    query = f"SELECT term, bits FROM posting WHERE block = ? AND term IN (?{', ?' * len(terms)})"  # noqa: S608
    newest = connection.execute("SELECT max(block) FROM posting").fetchone()[0]
    before = (BLOCK * (newest + 1) if newest is not None else 0) if wanted.before is None else wanted.before
    found: list[int] = []
    for block in range((before - 1) // BLOCK, -1, -1):
        rows = dict(connection.execute(query, (block, _TIMES, *terms)))
        entries = _common(rows, terms) & ((1 << min(before - block * BLOCK, BLOCK)) - 1)
        if entries:
            entries &= _within_times(connection, wanted, block, rows.get(_TIMES, b""), only_these=not terms)
        for offset in _offsets(entries, newest_first=True):
            if 0 <= limit <= len(found):
                return found
            found.append(block * BLOCK + offset)
    return found


def _wanted_terms(wanted: Filter) -> set[str]:
    given = wanted.given()
    terms = {f"{name}={given[name]}" for name in (*_EXACT, "category") if name in given}
    return terms | {f"word={word}" for word in words_of(wanted.text or "")}


def _common(rows: dict[str, bytes], terms: list[str]) -> int:
    """The entries of a block that have every term; every bit where no term is wanted and there are entries."""
    entries = -1 if _TIMES in rows else 0
    for term in terms:
        entries &= _unpack(rows.get(term, b""))
    return entries


def _within_times(connection: sqlite3.Connection, wanted: Filter, block: int, times: bytes, *, only_these: bool) -> int:
    """The entries of a block within the times wanted; their rows are read only where the block is not all in.

    ``only_these``: no other filter tells which of the block's bits are entries.
    """
    first, _, last = times.decode(errors="replace").partition("/")
    since, until = wanted.since or "", wanted.until
    if last < since or (until is not None and first >= until):
        return 0
    if first >= since and (until is None or last < until) and not only_these:
        return -1
    condition, values = Filter(since=wanted.since, until=until).where()
    query = f"SELECT seq FROM event_index WHERE seq >= ? AND seq < ? AND {condition}"  # noqa: S608
    start = block * BLOCK
    return sum(1 << (seq - start) for (seq,) in connection.execute(query, (start, start + BLOCK, *values)))


def _offsets(entries: int, *, newest_first: bool = False) -> Iterator[int]:
    """Which bits are set."""
    while entries:
        offset = entries.bit_length() - 1 if newest_first else (entries & -entries).bit_length() - 1
        yield offset
        entries ^= 1 << offset
