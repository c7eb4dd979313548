"""Every entry rehashed, in one pass that remembers next to nothing: what verification does while nothing is wrong.

The log is swept a stretch of :data:`STRETCH` entries at a time. Each stretch is compared with its stored leaf hashes
and leaves behind one hash for each tile, over which the upper tiles and all roots are computed. Full stretches never
change again, so that other processes may sweep them, each over a connection of its own.

A sweep only tells *that* something differs. What differs is for whoever has all hashes before them to explain.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Final

from countermark.audit.protected import Claims
from countermark.audit.query import IndexRow, columns_of
from countermark.audit.stores.interface import ReaderStore, StoreReader
from countermark.audit.tiles import FULL_TILE_BYTES, TILE_WIDTH, TileBuilder, tile_sizes
from countermark.audit.tree import HASH_BYTES, CompactRange, edge_within, levels_over, root_over
from countermark.errors import CountermarkError

STRETCH: Final = 1 << 14
INDEX_STEP: Final = 4096
"""How many entries are compared with the look-up index at once; divides :data:`STRETCH`."""
WORTH_PROCESSES: Final = 4
"""Below so many stretches, starting other processes costs more than they bring."""

_AHEAD: Final = 8
"""How many stretches a process, at most, this one is ahead of the slowest."""

Stretch = tuple[int, int]
"""The first entry, and the one after the last."""
Progress = Callable[[int, int], None]
OpenStore = Callable[[], ReaderStore]
"""Opens the store once more, in another process: must be picklable."""


@dataclass(frozen=True)
class Swept:
    """One stretch in which everything agrees.

    ``tile_roots``: the hashes of its full tiles, concatenated. ``edges``: for each size asked about that is not a
    multiple of the tile width, the perfect subtrees of its last tile. ``not_as_indexed``: entries, in order.
    ``claims``: what the entries say of protected fields, where asked for.
    """

    tile_roots: bytes
    edges: dict[int, tuple[bytes, ...]]
    not_as_indexed: list[int]
    claims: Claims


@dataclass
class Intact:
    """What a sweep of a log leaves behind in which entries and tree hashes agree: roots, by size."""

    size: int
    roots: dict[int, bytes] = field(default_factory=dict)
    not_as_indexed: list[int] = field(default_factory=list)
    claims: Claims = field(default_factory=Claims)

    def root(self, size: int) -> bytes | None:
        """The root of the first ``size`` entries; ``None`` where there are not so many."""
        return self.roots.get(size)


# --- one stretch ----------------------------------------------------------------------------------------------------


def sweep_stretch(
    reader: StoreReader, first: int, end: int, sizes: Sequence[int], *, index: bool, protected: bool
) -> Swept | None:
    """Compare the entries from ``first`` to ``end`` with their stored leaf hashes, and with the index if asked.

    ``None`` where they differ. ``sizes``: those from ``first + 1`` to ``end`` of which the root is wanted.
    """
    claims = Claims()
    roots, edges, wrong = bytearray(), dict[int, tuple[bytes, ...]](), list[int]()
    pending: list[tuple[bytes, IndexRow | None]] = []
    at = first
    for page in reader.pages(first, end):
        width = min(TILE_WIDTH, end - at)
        if len(page) != width or page[0][0] != at or page[-1][0] != at + width - 1:
            return None
        leaves = _leaf_hashes(page)
        if leaves is None or b"".join(leaves) != reader.tile(0, at // TILE_WIDTH):
            return None
        levels = levels_over(leaves)
        for size in sizes[bisect_right(sizes, at) : bisect_right(sizes, at + width)]:
            edges[size] = edge_within(levels, size - at) if size % TILE_WIDTH else ()
        roots += levels[-1][0] if width == TILE_WIDTH else b""
        at += width
        if protected:
            for number, body in page:
                claims.read(number, body)
        if index:
            pending += zip(leaves, (columns_of(body) for _, body in page), strict=True)
            if len(pending) >= INDEX_STEP or at == end:
                wrong += reader.not_as_indexed(at - len(pending), pending)
                pending = []
    return Swept(bytes(roots), edges, wrong, claims) if at == end else None


def _leaf_hashes(page: Sequence[tuple[int, bytes]]) -> list[bytes] | None:
    sha256 = hashlib.sha256
    try:  # leaf_hash written out, as in levels_over
        return [sha256(b"\x00" + body).digest() for _, body in page]
    except TypeError:  # not bytes: the table itself was tampered with
        return None


# --- the whole log --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What is to be swept, and how.

    ``sizes``, sorted: those of which roots are wanted. ``jobs`` counts processes; more than one need ``open_store``.
    ``protected``: whether to gather what is said of protected fields. ``stretch`` is a multiple of the tile width, and
    of :data:`INDEX_STEP` where the index is compared.
    """

    size: int
    sizes: Sequence[int]
    index: bool
    protected: bool = False
    jobs: int = 1
    open_store: OpenStore | None = None
    stretch: int = STRETCH

    @property
    def shared(self) -> bool:
        """Whether other processes take part."""
        return self.jobs > 1 and self.open_store is not None and self.size >= WORTH_PROCESSES * self.stretch

    def stretches(self) -> list[Stretch]:
        """All of them, in order."""
        return [(first, min(first + self.stretch, self.size)) for first in range(0, self.size, self.stretch)]

    def sizes_within(self, first: int, end: int) -> list[int]:
        """The wanted sizes that end inside a stretch."""
        return list(self.sizes[bisect_right(self.sizes, first) : bisect_right(self.sizes, end)])


def sweep(reader: StoreReader, plan: Plan, progress: Progress | None = None) -> Intact | None:
    """Rehash a whole log; ``None`` where entries, leaf hashes or tree hashes differ from each other."""
    if next(reader.pages(-(2**63), 0), None):
        return None  # entries before the first
    growing = _Growing(reader, plan)
    for (first, end), swept in _all_swept(reader, plan):
        if swept is None or not growing.take(first, end, swept):
            return None
        if progress:
            progress(end, plan.size)
    return growing.finish()


class _Growing:
    """The tree over the tiles swept so far: its edge, and the rightmost tiles above level 0."""

    def __init__(self, reader: StoreReader, plan: Plan) -> None:
        self._reader = reader
        self._plan = plan
        self._edge = CompactRange()
        self._upper = TileBuilder()
        self._intact = Intact(plan.size)
        if plan.sizes and plan.sizes[0] == 0:
            self._intact.roots[0] = root_over(())

    def take(self, first: int, end: int, swept: Swept) -> bool:
        """Add a stretch; ``False`` where a tile above it is not as stored."""
        wanted = iter(self._plan.sizes_within(first, end))
        size = next(wanted, None)
        for number in range(-(-(end - first) // TILE_WIDTH)):
            tile_end = first + (number + 1) * TILE_WIDTH
            while size is not None and size < tile_end:
                self._intact.roots[size] = root_over((*self._edge.roots, *swept.edges[size]))
                size = next(wanted, None)
            tile_root = swept.tile_roots[number * HASH_BYTES : (number + 1) * HASH_BYTES]
            if tile_root:
                self._edge.append(tile_root)
                self._upper.append(tile_root)
            while size is not None and size == tile_end:
                self._intact.roots[size] = self._edge.root()
                size = next(wanted, None)
        self._intact.not_as_indexed += swept.not_as_indexed
        self._intact.claims.extend(swept.claims)
        return self._as_stored(only_full=True)

    def finish(self) -> Intact | None:
        """The result, once all stretches are in."""
        counts = {level: -(-hashes // TILE_WIDTH) for level, hashes in tile_sizes(self._plan.size)}
        if not self._as_stored(only_full=False) or self._reader.tile_counts() != counts:
            return None
        return self._intact

    def _as_stored(self, *, only_full: bool) -> bool:
        return all(
            self._reader.tile(level + 1, index) == hashes
            for level, index, hashes in self._upper.take_changed()
            if not only_full or len(hashes) == FULL_TILE_BYTES
        )


# --- several processes ----------------------------------------------------------------------------------------------


def _all_swept(reader: StoreReader, plan: Plan) -> Iterator[tuple[Stretch, Swept | None]]:
    """Every stretch and its outcome, in order."""
    stretches = plan.stretches()
    if plan.shared:
        full = stretches[: plan.size // plan.stretch]
        stretches = stretches[len(full) :]
        yield from _swept_together(reader, plan, full)
    for stretch in stretches:
        yield stretch, _sweep_here(reader, plan, stretch)


def _sweep_here(reader: StoreReader, plan: Plan, stretch: Stretch) -> Swept | None:
    sizes = plan.sizes_within(*stretch)
    return sweep_stretch(reader, *stretch, sizes, index=plan.index, protected=plan.protected)


def _swept_together(
    reader: StoreReader, plan: Plan, stretches: Sequence[Stretch]
) -> Iterator[tuple[Stretch, Swept | None]]:
    """Sweep full stretches in other processes and, while they start and work, in this one.

    Where another finds anything wrong, our own snapshot has the last word.
    """
    opening = partial(_open_store, plan.open_store)
    pool = ProcessPoolExecutor(plan.jobs - 1, get_context("spawn"), initializer=opening)
    try:
        ahead = deque(stretches)
        begun: deque[tuple[Stretch, Future[Swept | None] | None, Swept | None]] = deque()
        while ahead or begun:
            busy = sum(future is not None and not future.done() for _, future, _ in begun)
            for _ in range(min(2 * (plan.jobs - 1) - busy, len(ahead))):
                begun.append((ahead[0], _sweep_there(pool, plan, ahead.popleft()), None))
            stretch, future, swept = begun[0]
            if future and not future.done() and ahead and len(begun) < _AHEAD * plan.jobs:
                begun.append((ahead[0], None, _sweep_here(reader, plan, ahead.popleft())))
                continue
            begun.popleft()
            yield stretch, _outcome(future) or _sweep_here(reader, plan, stretch) if future else swept
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(future: Future[Swept | None]) -> Swept | None:
    """What another process found, if that is nothing wrong."""
    try:
        swept = future.result()
    except (CountermarkError, BrokenProcessPool):
        return None
    return None if swept is None or swept.not_as_indexed else swept


def _sweep_there(pool: ProcessPoolExecutor, plan: Plan, stretch: Stretch) -> Future[Swept | None]:
    sizes = plan.sizes_within(*stretch)
    try:
        return pool.submit(_sweep_for_another, *stretch, sizes, index=plan.index, protected=plan.protected)
    except BrokenProcessPool as error:
        broken = Future[Swept | None]()
        broken.set_exception(error)
        return broken


_store: ReaderStore | None = None
"""In a process that sweeps for another: the store, open."""


def _open_store(open_store: OpenStore | None) -> None:
    global _store  # noqa: PLW0603 (what a pool's initializer opens can be kept nowhere else)
    _store = open_store() if open_store else None


def _sweep_for_another(first: int, end: int, sizes: Sequence[int], *, index: bool, protected: bool) -> Swept | None:
    assert _store is not None
    with _store.reader() as reader:
        return sweep_stretch(reader, first, end, sizes, index=index, protected=protected)
