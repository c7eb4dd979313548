"""Tree hashes as tiles (C2SP tlog-tiles): 256 hashes wide, eight tree levels high.

Tile ``index`` of ``level`` holds, in order, the Merkle tree hashes of 256 consecutive subtrees of ``256**level``
entries each; a hash stands at a level above 0 only once its subtree of 256 hashes below is full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from countermark.audit.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    SubtreeOracle,
    edge_within,
    node_hash,
    paired,
    perfect_root,
    root_over,
    split_point,
)

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
FULL_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES

ReadTile = Callable[[int, int], bytes]
"""``read(level, index)`` gives a tile's hashes, at least as wide as the tree asked about."""


def split_hashes(tile: bytes) -> list[bytes]:
    """The single hashes of a tile."""
    return [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]


def tile_sizes(size: int) -> Iterator[tuple[int, int]]:
    """``(level, hashes)`` for each level of the tiles of a tree of ``size`` entries."""
    level = 0
    while size:
        yield level, size
        level, size = level + 1, size >> TILE_HEIGHT


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path under which tlog-tiles serves a tile, such as ``tile/0/x001/234.p/17``."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def subtree_oracle(read: ReadTile) -> SubtreeOracle:
    """Subtree hashes computed from tiles: at most one tile is read for each perfect subtree.

    Raises:
        LookupError: from the oracle, where a stored tile is too narrow to hold the hash.
    """

    def perfect(start: int, size: int) -> bytes:
        height = size.bit_length() - 1
        level, levels_within_tile = divmod(height, TILE_HEIGHT)
        first = start >> (level * TILE_HEIGHT)
        index, offset = divmod(first, TILE_WIDTH)
        wanted = HASH_BYTES << levels_within_tile
        hashes = read(level, index)[offset * HASH_BYTES : offset * HASH_BYTES + wanted]
        if len(hashes) != wanted:
            raise LookupError(f"tile {index} of level {level} lacks hashes of entries {start} to {start + size - 1}")
        return perfect_root(split_hashes(hashes))

    def subtree(start: int, end: int) -> bytes:
        size = end - start
        if size & (size - 1) == 0 and start % size == 0:
            return perfect(start, size)
        middle = start + split_point(size)
        return node_hash(subtree(start, middle), subtree(middle, end))

    return subtree


class HashedTree:
    """All tiles of a tree computed from its leaf hashes, in memory (32 bytes an entry).

    Args:
        leaves: the leaf hashes, concatenated.
    """

    def __init__(self, leaves: bytes) -> None:
        self.leaves = leaves
        self.size = len(leaves) // HASH_BYTES
        self._levels = [leaves]
        while len(below := self._levels[-1]) >= FULL_TILE_BYTES:
            full = range(0, len(below) - FULL_TILE_BYTES + 1, FULL_TILE_BYTES)
            self._levels.append(b"".join(perfect_root(split_hashes(below[i : i + FULL_TILE_BYTES])) for i in full))
        self.subtree = subtree_oracle(self.tile)

    def tile(self, level: int, index: int) -> bytes:
        """One tile's hashes; empty where there is none."""
        if level >= len(self._levels):
            return b""
        return self._levels[level][index * FULL_TILE_BYTES : (index + 1) * FULL_TILE_BYTES]

    def keys(self) -> set[tuple[int, int]]:
        """``(level, index)`` of every tile."""
        counts = enumerate(-(-len(hashes) // FULL_TILE_BYTES) for hashes in self._levels)
        return {(level, index) for level, count in counts for index in range(count)}

    def root(self, size: int) -> bytes | None:
        """The root of the first ``size`` entries; ``None`` where there are not so many."""
        if size > self.size:
            return None
        return self.subtree(0, size) if size else EMPTY_ROOT


class _OpenTile:
    """The rightmost tile of a level while it fills: its hashes and the perfect subtrees over them, hashed once."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: Sequence[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[] for _ in range(TILE_HEIGHT + 1)]
        self.add(hashes)

    def __len__(self) -> int:
        return len(self._levels[0])

    def add(self, hashes: Sequence[bytes]) -> None:
        """Add hashes, no more than there is room for."""
        self._levels[0] += hashes
        for below, above in pairwise(self._levels):
            above.extend(paired(below[2 * len(above) :]))

    def edge(self) -> tuple[bytes, ...]:
        """The roots of its perfect subtrees, largest first; of a full tile the one over all of it."""
        return edge_within(self._levels, len(self))

    def __bytes__(self) -> bytes:
        return b"".join(self._levels[0])


class TileBuilder:
    """Grows the tiles of a tree leaf by leaf, remembers which tiles changed, and knows the tree's root.

    Only the rightmost tile of each level is in memory.

    Raises:
        LookupError: a stored tile is narrower than a tree of ``size`` entries needs.
    """

    def __init__(self, size: int = 0, read: ReadTile | None = None) -> None:
        self._counts: list[int] = []
        self._open: list[_OpenTile] = []
        self._changed: dict[tuple[int, int], bytes] = {}
        for level, count in tile_sizes(size):
            index, width = divmod(count, TILE_WIDTH)
            held = read(level, index)[: width * HASH_BYTES] if read and width else b""
            if len(held) != width * HASH_BYTES:
                raise LookupError(f"tile {index} of level {level} holds fewer than {width} hashes")
            self._counts.append(count)
            self._open.append(_OpenTile(split_hashes(held)))

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._counts[0] if self._counts else 0

    def root(self) -> bytes:
        """The tree's root now; O(log n) hashes."""
        return root_over([one for tile in reversed(self._open) for one in tile.edge()])

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash, and the hashes of the tiles that it fills."""
        self._push(0, leaf)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes, a tile's worth at a time."""
        start = 0
        while start < len(leaves):
            room = TILE_WIDTH - self.size % TILE_WIDTH
            self._push(0, *leaves[start : start + room])
            start += room

    def take_changed(self) -> list[tuple[int, int, bytes]]:
        """``(level, index, hashes)`` of each tile that changed since the last call."""
        for level, tile in enumerate(self._open):
            if tile:
                self._changed[level, self._counts[level] // TILE_WIDTH] = bytes(tile)
        changed = [(level, index, hashes) for (level, index), hashes in self._changed.items()]
        self._changed = {}
        return changed

    def _push(self, level: int, *hashes: bytes) -> None:
        if level == len(self._open):
            self._counts.append(0)
            self._open.append(_OpenTile())
        tile = self._open[level]
        tile.add(hashes)
        self._counts[level] += len(hashes)
        if len(tile) == TILE_WIDTH:
            self._changed[level, self._counts[level] // TILE_WIDTH - 1] = bytes(tile)
            self._open[level] = _OpenTile()
            self._push(level + 1, *tile.edge())
