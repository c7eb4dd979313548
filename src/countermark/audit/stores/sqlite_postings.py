"""Which entries have what in common, as bitmaps: how SQLite answers a page of several filters without walking the log.

For every full block of :data:`BLOCK` entries and every term that occurs among them (``tenant=default``,
``category=violence``, ``word=refused``) there is one row with a bit for each entry, or with their numbers where they
are few. A query reads a row a term and block, newest block first, and intersects them: a fixed, small cost for each
block whatever the terms have in common, where a walk along one B-tree index takes a step for each entry that some other
filter turns down. Bitmap indexes are old: O'Neil & Quass, "Improved query performance with variant indexes", SIGMOD
1997.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
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

Postings = dict[str, bytes]
"""What each row of a block holds, by term."""


def postings_of(rows: Sequence[tuple[int, IndexRow]]) -> Postings:
    """The rows of one block, from the indices and indexed columns of its entries."""
    alike: dict[IndexRow, list[int]] = {}
    for index, row in rows:
        # Entries are alike in all but who asked, so what they share is taken apart once for all of them.
        for facets in (_shared_facets(row), (row[_ACTOR],)):
            alike.setdefault(facets, []).append(index % BLOCK)
    having: dict[str, list[int]] = {}
    for facets, offsets in alike.items():
        for term in _terms(facets):
            having.setdefault(term, []).extend(offsets)
    made = {term: _pack(offsets) for term, offsets in having.items()}
    times = [row[_TIME] or "" for _, row in rows]
    return made | {_TIMES: f"{min(times)}/{max(times)}".encode()} if times else made


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


def _pack(offsets: list[int]) -> bytes:
    """Few entries as their numbers (0, then 16 bits each, rising), many as a bitmap (1, then its bytes)."""
    if len(offsets) <= _FEW:
        return struct.pack(f"<x{len(offsets)}H", *sorted(offsets))
    bits = bytearray(BLOCK // 8)
    for offset in offsets:
        bits[offset >> 3] |= 1 << (offset & 7)
    return b"\x01" + bits.rstrip(b"\x00")


def _unpack(packed: bytes) -> int:
    if packed[:1] == b"\x01":
        return int.from_bytes(packed[1:], "little")
    entries = 0
    for at in range(1, len(packed) - 1, 2):
        entries |= 1 << int.from_bytes(packed[at : at + 2], "little")
    return entries


def misposted(connection: sqlite3.Connection, block: int, rows: Sequence[tuple[int, IndexRow]]) -> set[int]:
    """Of which entries of a block the stored rows say otherwise than ``rows``; of wrong times, the block's first."""
    expected = postings_of(rows)
    stored = dict(connection.execute("SELECT term, bits FROM posting WHERE block = ?", (block,)))
    wrong: set[int] = set()
    for term in expected.keys() | stored.keys():
        left, right = expected.get(term, b""), bytes(stored.get(term, b""))
        if left != right:
            entries = 1 if term == _TIMES else _unpack(left) ^ _unpack(right)
            wrong |= {block * BLOCK + offset for offset in _offsets(entries or 1)}
    return wrong


# --- answering --------------------------------------------------------------------------------------------------


def posted(connection: sqlite3.Connection, wanted: Filter, blocks: int) -> Iterator[int]:
    """Entries of the first ``blocks`` that match, newest first; ``wanted`` within :data:`FILTERS`."""
    terms = sorted(_wanted_terms(wanted))
    query = f"SELECT term, bits FROM posting WHERE block = ? AND term IN (?{', ?' * len(terms)})"  # noqa: S608
    before = BLOCK * blocks if wanted.before is None else min(wanted.before, BLOCK * blocks)
    for block in range((before - 1) // BLOCK, -1, -1):
        rows = dict(connection.execute(query, (block, _TIMES, *terms)))
        entries = _common(rows, terms) & ((1 << min(before - block * BLOCK, BLOCK)) - 1)
        if entries:
            entries &= _within_times(connection, wanted, block, rows.get(_TIMES, b""), only_these=not terms)
        yield from (block * BLOCK + offset for offset in _offsets(entries, newest_first=True))


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
