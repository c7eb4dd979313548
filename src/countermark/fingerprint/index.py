"""An exact index of fingerprints in memory, cheap to add to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from countermark.errors import UsageError
from countermark.fingerprint.hamming import LANES, Found, Packed, joined, pack_forms, scan
from countermark.fingerprint.multi_index import REACH, MultiIndex
from countermark.fingerprint.pdq import NEAR, Fingerprint

TAIL = 8192
"""Entries that are scanned before they become a block: scanning them takes some 30 microseconds."""

_SCANS_BEFORE_TABLES = 96
"""Making a block's tables costs about as much as scanning it a hundred times. A process that asks once (``countermark
verify FILE``) never pays for them; one that keeps asking pays at most twice what it had to."""


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """An entry near a query: the distance in bits, and the reference under which it was entered."""

    distance: int
    reference: int


class FingerprintIndex:
    """Finds the entries within a Hamming distance of a query, and is always right about it.

    References are whole numbers from 0 to 2**63 - 1, such as the indices of a log's entries; one may have several
    fingerprints. Up to 31 bits (a match) multi-index hashing is used, beyond that (near) every entry is compared.

    Entries collect in a small tail; a full tail becomes a block, and blocks of like size are merged (a log-structured
    merge), so that adding is amortised cheap and there are never more than a few blocks. 40 bytes an entry, and 64 more
    once matches were asked for often.

    Not for several threads at once.
    """

    def __init__(self, entries: Iterable[tuple[Fingerprint, int]] = ()) -> None:
        self._blocks: list[_Block] = []
        self._tail_references = np.empty(TAIL, np.int64)
        self._tail_packed = np.empty((TAIL, LANES), np.uint64)
        self._in_tail = 0
        for fingerprint, reference in entries:
            self.add(fingerprint, reference)

    def __len__(self) -> int:
        return sum(map(len, self._blocks)) + self._in_tail

    def add(self, fingerprint: Fingerprint, reference: int) -> None:
        """Enter a fingerprint under a reference.

        Raises:
            UsageError: the reference is no whole number from 0 to 2**63 - 1.
        """
        if not isinstance(reference, int | np.integer) or not 0 <= reference < 1 << 63:
            raise UsageError("A fingerprint's reference must be an integer from 0 to 2**63 - 1.")
        self.extend(np.array([reference], np.int64), fingerprint.packed.view(np.uint64).reshape(1, LANES))

    def extend(self, references: NDArray[np.int64], packed: Packed) -> None:
        """Enter many packed fingerprints (``n × 4``), each under the reference at its place."""
        while len(references):
            if not self._in_tail and len(references) >= TAIL:
                self._push(_Block(references.copy(), packed.copy()))
                return
            taken = min(TAIL - self._in_tail, len(references))
            place = slice(self._in_tail, self._in_tail + taken)
            self._tail_references[place], self._tail_packed[place] = references[:taken], packed[:taken]
            self._in_tail += taken
            references, packed = references[taken:], packed[taken:]
            if self._in_tail == TAIL:
                self._push(_Block(self._tail_references.copy(), self._tail_packed.copy()))
                self._in_tail = 0

    def _push(self, block: _Block) -> None:
        while self._blocks and len(self._blocks[-1]) < 2 * len(block):
            block = self._blocks.pop().followed_by(block)
        self._blocks.append(block)

    def entries(self) -> tuple[NDArray[np.int64], Packed]:
        """All references and packed fingerprints, in the order in which they were entered."""
        blocks = [*self._blocks, self._tail()]
        return np.concatenate([b.references for b in blocks]), np.concatenate([b.packed for b in blocks])

    def query(self, fingerprint: Fingerprint, *, within: int = NEAR, limit: int = 10) -> list[Hit]:
        """The nearest entries within a distance, nearest first, equals in the order of their references.

        Args:
            fingerprint: what to look for.
            within: the greatest distance, 0 to 256.
            limit: how many hits at most, from 0.
        """
        return self.query_forms((fingerprint,), within=within, limit=limit)

    def query_forms(self, forms: Sequence[Fingerprint], *, within: int = NEAR, limit: int = 10) -> list[Hit]:
        """As :meth:`query`, for a picture that may have been turned: an entry's distance is that to the nearest form.

        Asking for the eight dihedral forms together is faster than asking for each.
        """
        if not forms or within < 0 or limit <= 0:
            return []
        packed = pack_forms(forms)
        references, distances = joined([block.search(packed, within) for block in [*self._blocks, self._tail()]])
        nearest = np.lexsort((references, distances))[:limit]
        return [Hit(int(distances[i]), int(references[i])) for i in nearest]

    def _tail(self) -> _Block:
        return _Block(self._tail_references[: self._in_tail], self._tail_packed[: self._in_tail])


class _Block:
    """Entries that no longer change, with tables once they are worth their making."""

    def __init__(self, references: NDArray[np.int64], packed: Packed) -> None:
        self.references = references
        self.packed = packed
        self._tables: MultiIndex | None = None
        self._scanned = 0

    def __len__(self) -> int:
        return len(self.references)

    def followed_by(self, other: _Block) -> _Block:
        """Both in one; the tables are made anew when they are next worth it."""
        return _Block(np.concatenate([self.references, other.references]), np.concatenate([self.packed, other.packed]))

    def search(self, forms: Packed, within: int) -> Found:
        """References and distances of what is within reach."""
        positions, distances = self._search(forms, within)
        return self.references[positions], distances

    def _search(self, forms: Packed, within: int) -> Found:
        if within > REACH:
            return scan(self.packed, forms, within)
        if self._tables is None and self._scanned < _SCANS_BEFORE_TABLES:
            self._scanned += len(forms)
            return scan(self.packed, forms, within)
        if self._tables is None:
            self._tables = MultiIndex(self.packed)
        return self._tables.search(forms, within)
