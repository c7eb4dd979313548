"""Which entries have what in common, as bitmaps: how a page of several filters is answered without walking the log.

For every full block of :data:`BLOCK` entries and every term that occurs among them (``tenant=default``,
``category=violence``, ``word=refused``) a store keeps one row with a bit for each entry, or with their numbers where
they are few. A query reads a row a term and block, newest block first, and intersects them: a fixed, small cost for
each block whatever the terms have in common, where a walk along one B-tree index takes a step for each entry that
some other filter turns down. Bitmap indexes are old: O'Neil & Quass, "Improved query performance with variant
indexes", SIGMOD 1997.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final, Protocol, TypeVar

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, words_of

BLOCK: Final = 4096
TIMES: Final = "times"
"""The term under which a block's row holds its earliest and latest time, ``first/last``."""
_FEW: Final = 32
_LONGEST: Final = 500
_EXACT: Final = ("type", "tenant", "decision", "model", "policy", "actor")
_SETS: Final = {"categories": "category", "words": "word"}
_SHARED = tuple(name for name in _EXACT if name != "actor")
_shared_facets = itemgetter(*(INDEX_COLUMNS.index(name) for name in (*_SHARED, *_SETS)))
_ACTOR = INDEX_COLUMNS.index("actor")
_TIME = INDEX_COLUMNS.index("time")
FILTERS: Final = frozenset({*_EXACT, "category", "text", "since", "until", "before"})
"""The filters that postings can answer; another one is about a value that hardly two entries share."""

RowT = TypeVar("RowT")
Postings = dict[str, bytes]
"""What each row of a block holds, by term."""


class PostingTables(Protocol):
    """What a store holds of full blocks, and the index rows of single entries."""

    most_at_once: int
    """Blocks to be asked for together: one where asking costs nothing, more where a server is asked over a network."""

    def postings(self, blocks: range, terms: Sequence[str]) -> Mapping[int, Mapping[str, bytes]]:
        """The rows of these terms in these blocks, by block and term."""

    def matching(self, wanted: Filter, first: int, end: int) -> list[int]:
        """Entries from ``first`` to ``end`` (exclusive) whose index rows match, newest first."""


# --- making ---------------------------------------------------------------------------------------------------------


class Block:
    """The postings of one block, from the indexed columns of its entries as they come."""

    def __init__(self) -> None:
        self._alike: dict[IndexRow, list[int]] = {}
        self._times: list[str] = []

    def add(self, first: int, rows: Sequence[IndexRow | None]) -> None:
        """Entries that follow each other, of which ``first`` is the index of the first; ``None``: one is no event."""
        alike = self._alike
        # Entries are alike in all but who asked, so what they share is taken apart once for all of them.
        for offset, row in enumerate(rows, first % BLOCK):
            if row is not None:
                alike.setdefault(_shared_facets(row), []).append(offset)
                alike.setdefault((row[_ACTOR],), []).append(offset)
        times = [row[_TIME] or "" for row in rows if row is not None]
        self._times += [min(times), max(times)] if times else []

    def postings(self) -> Postings:
        """The rows of the block."""
        having: dict[str, list[int]] = {}
        for facets, offsets in self._alike.items():
            for term in _terms(facets):
                having.setdefault(term, []).extend(offsets)
        made = {term: _pack(offsets) for term, offsets in having.items()}
        return made | {TIMES: f"{min(self._times)}/{max(self._times)}".encode()} if self._times else made


def postings_of(first: int, rows: Sequence[IndexRow | None]) -> Postings:
    """The rows of one block, of which ``first`` is the index of the first entry given; ``None``: one is no event."""
    block = Block()
    block.add(first, rows)
    return block.postings()


def blocks_of(first: int, rows: Sequence[RowT]) -> Iterator[tuple[int, Sequence[RowT]]]:
    """The rows of entries that follow each other, ``first`` and those after it, block by block, with its number."""
    at = 0
    while at < len(rows):
        number = (first + at) // BLOCK
        end = (number + 1) * BLOCK - first
        yield number, rows[at:end]
        at = end


def _terms(facets: IndexRow) -> Iterator[str]:
    if len(facets) == 1:
        if facets[0] is not None:
            yield _term("actor", facets[0])
        return
    for name, value in zip(_SHARED, facets, strict=False):
        if value is not None:
            yield _term(name, value)
            if name == "policy":
                yield _term(name, value.rpartition("@")[0])
    for name, value in zip(_SETS.values(), facets[len(_SHARED) :], strict=True):
        for member in (value or "").split():
            yield _term(name, member)


def _term(name: str, value: str) -> str:
    """Whatever somebody writes into a reason must fit a key: PostgreSQL's end at 2,700 bytes."""
    if len(value) <= _LONGEST:
        return f"{name}={value}"
    return f"{name}#{hashlib.sha256(value.encode(errors='replace')).hexdigest()}"


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


def misposted(block: int, expected: Postings, stored: Mapping[str, bytes]) -> set[int]:
    """Of which entries of a block the stored rows say otherwise than ``expected``; for wrong times, its first."""
    wrong: set[int] = set()
    for term in expected.keys() | stored.keys():
        left, right = expected.get(term, b""), bytes(stored.get(term, b""))
        if left != right:
            entries = 1 if term == TIMES else _unpack(left) ^ _unpack(right)
            wrong |= {block * BLOCK + offset for offset in _offsets(entries or 1)}
    return wrong


# --- answering ------------------------------------------------------------------------------------------------------


def posted(tables: PostingTables, wanted: Filter, blocks: int) -> Iterator[int]:
    """Entries of the first ``blocks`` that match, newest first; ``wanted`` within :data:`FILTERS`."""
    terms = sorted(_wanted_terms(wanted))
    before = BLOCK * blocks if wanted.before is None else min(wanted.before, BLOCK * blocks)
    for block, rows in _newest_first(tables, (before - 1) // BLOCK + 1, (TIMES, *terms)):
        entries = _common(rows, terms) & ((1 << min(before - block * BLOCK, BLOCK)) - 1)
        if entries:
            entries &= _within_times(tables, wanted, block, rows.get(TIMES, b""), only_these=not terms)
        yield from (block * BLOCK + offset for offset in _offsets(entries, newest_first=True))


def _newest_first(
    tables: PostingTables, blocks: int, terms: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, bytes]]]:
    """The rows of each block; the further back, the more blocks are asked for at once."""
    end, at_once = blocks, 1
    while end > 0:
        asked = range(max(0, end - at_once), end)
        found = tables.postings(asked, terms)
        for block in reversed(asked):
            yield block, found.get(block, {})
        end, at_once = asked.start, min(2 * at_once, tables.most_at_once)


def _wanted_terms(wanted: Filter) -> set[str]:
    given = wanted.given()
    terms = {_term(name, str(given[name])) for name in (*_EXACT, "category") if name in given}
    return terms | {_term("word", word) for word in words_of(wanted.text or "")}


def _common(rows: Mapping[str, bytes], terms: Sequence[str]) -> int:
    """The entries of a block that have every term; every bit where no term is wanted and there are entries."""
    entries = -1 if TIMES in rows else 0
    for term in terms:
        entries &= _unpack(rows.get(term, b""))
    return entries


def _within_times(tables: PostingTables, wanted: Filter, block: int, times: bytes, *, only_these: bool) -> int:
    """The entries of a block within the times wanted; their rows are read only where the block is not all in.

    ``only_these``: no other filter tells which of the block's bits are entries.
    """
    first, _, last = times.decode(errors="replace").partition("/")
    since, until = wanted.since or "", wanted.until
    if last < since or (until is not None and first >= until):
        return 0
    if first >= since and (until is None or last < until) and not only_these:
        return -1
    start = block * BLOCK
    within = tables.matching(Filter(since=wanted.since, until=until), start, start + BLOCK)
    return sum(1 << (seq - start) for seq in within)


def _offsets(entries: int, *, newest_first: bool = False) -> Iterator[int]:
    """Which bits are set."""
    while entries:
        offset = entries.bit_length() - 1 if newest_first else (entries & -entries).bit_length() - 1
        yield offset
        entries ^= 1 << offset
