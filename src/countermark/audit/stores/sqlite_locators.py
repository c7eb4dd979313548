"""Where a value stands that hardly two entries share, such as a picture's digest: found with one probe a block.

A B-tree over such values gives every append a page of its own for each column, anywhere in the file: with four of them
a log of 400,000 entries took batches at half the rate. Here the values of a full block are hashed to 32 bits, sorted,
and stored once, in :data:`BUCKETS` rows. A look-up reads one row a block, newest first; what it finds are candidates,
each to be compared with its row of ``event_index``. Writing sorted runs instead of updating a tree: O'Neil et al., "The
log-structured merge-tree", Acta Informatica 33, 1996.
"""

from __future__ import annotations

import sqlite3
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final
from zlib import crc32

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow
from countermark.audit.stores.postings import BLOCK

LOCATED: Final = ("attempt", "output_sha256", "manifest_sha256", "watermark_payload")
"""The columns whose values can be found so; ``event_id``, which must be unique, has an index of its own."""
BUCKETS: Final = 128
LOCATOR_TABLE: Final = "CREATE TABLE locator (place INTEGER PRIMARY KEY, keys BLOB NOT NULL) STRICT;"
"""``place`` is block x :data:`BUCKETS` + bucket; ``keys`` as of :func:`locators_of`."""
_COLUMNS = [(INDEX_COLUMNS.index(name), crc32(name.encode())) for name in LOCATED]
_SEEDS = {name: crc32(name.encode()) for name in LOCATED}
_HASH_BITS: Final = 32

Locators = dict[int, bytes]
"""What each row of a block holds, by place."""


def locators_of(block: int, rows: Sequence[tuple[int, IndexRow]]) -> Locators:
    """The rows of one block, from the indices and indexed columns of its entries.

    A key is 8 bytes, little-endian: above, the CRC-32 of column name and value; below, the entry's number in its block.
    A row holds the keys of one bucket, named by the uppermost bits of the hash, in rising order; none for an empty one.
    """
    keys = [
        crc32(value.encode(), seed) << _HASH_BITS | index % BLOCK
        for column, seed in _COLUMNS
        for index, row in rows
        if (value := row[column]) is not None
    ]
    keys.sort()
    made, start = Locators(), 0
    for bucket in range(BUCKETS):
        end = bisect_left(keys, (bucket + 1) * (1 << 2 * _HASH_BITS) // BUCKETS, start)
        if end > start:
            made[block * BUCKETS + bucket] = _little_endian(array("Q", keys[start:end])).tobytes()
        start = end
    return made


def _little_endian(keys: array[int]) -> array[int]:
    if sys.byteorder == "big":
        keys.byteswap()
    return keys


def _keys(packed: bytes) -> array[int]:
    return _little_endian(array("Q", packed[: len(packed) // 8 * 8]))


def misplaced(connection: sqlite3.Connection, block: int, rows: Sequence[tuple[int, IndexRow]]) -> set[int]:
    """Of which entries of a block the stored rows say otherwise than ``rows``."""
    expected = locators_of(block, rows)
    places = block * BUCKETS, (block + 1) * BUCKETS
    stored = dict(connection.execute("SELECT place, keys FROM locator WHERE place >= ? AND place < ?", places))
    wrong = set[int]()
    for place in expected.keys() | stored.keys():
        left, right = expected.get(place, b""), bytes(stored.get(place, b""))
        if left != right:
            wrong |= {block * BLOCK + key % BLOCK for key in set(_keys(left)) ^ set(_keys(right)) or {0}}
    return wrong


def located(connection: sqlite3.Connection, wanted: Filter, blocks: int) -> Iterator[int]:
    """Entries of the first ``blocks`` that may match, newest first; ``wanted`` names a value of :data:`LOCATED`."""
    name, value = next((name, value) for name, value in wanted.given().items() if name in _SEEDS)
    key = crc32(str(value).encode(errors="replace"), _SEEDS[name]) << _HASH_BITS
    bucket = key * BUCKETS >> 2 * _HASH_BITS
    for block in range(blocks - 1, -1, -1):
        row = connection.execute("SELECT keys FROM locator WHERE place = ?", (block * BUCKETS + bucket,)).fetchone()
        if row:
            keys = _keys(row[0])
            alike = keys[bisect_left(keys, key) : bisect_left(keys, key + BLOCK)]
            yield from (block * BLOCK + found % BLOCK for found in reversed(alike))
