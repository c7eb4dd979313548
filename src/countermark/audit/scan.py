"""Reading entries in order, each checked against its leaf hash; needs no look-up index."""

from __future__ import annotations

from collections.abc import Iterator

from countermark.audit.findings import span
from countermark.audit.stores.interface import StoreReader
from countermark.audit.tiles import TILE_WIDTH
from countermark.audit.tree import HASH_BYTES, leaf_hash
from countermark.errors import AuditStoreDamaged


def checked_entries(reader: StoreReader, first: int, end: int) -> Iterator[tuple[int, bytes]]:
    """``(index, entry)`` from ``first`` to ``end`` (exclusive).

    Raises:
        AuditStoreDamaged: an entry is missing or is not what was recorded.
    """
    expected, tile = first, b""
    for index, entry in reader.bodies(first, end):
        if not tile or index % TILE_WIDTH == 0:
            tile = reader.tile(0, index // TILE_WIDTH)
        offset = index % TILE_WIDTH * HASH_BYTES
        if index != expected or leaf_hash(entry) != tile[offset : offset + HASH_BYTES]:
            raise _not_as_recorded(expected)
        expected += 1
        yield index, entry
    if expected < end:
        raise AuditStoreDamaged(f"{span(expected, end - 1).capitalize()} of the log cannot be found.")


def _not_as_recorded(index: int) -> AuditStoreDamaged:
    return AuditStoreDamaged(f"Entry {index} of the log is not what was recorded.")
