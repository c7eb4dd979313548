"""An exact index of fingerprints in memory: every query is compared with every entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from countermark.fingerprint.pdq import BITS, NEAR, Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = BITS // 64


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """An entry near a query."""

    distance: int
    reference: str


class FingerprintIndex:
    """Finds the entries within a Hamming distance of a query.

    A reference (a record or event id) may have several fingerprints. Adding is amortised constant; a query costs about
    a hundredth of a microsecond an entry.
    """

    def __init__(self, entries: Iterable[tuple[Fingerprint, str]] = ()) -> None:
        self._words: NDArray[np.uint64] = np.empty((0, _WORDS), np.uint64)
        self._references: list[str] = []
        for fingerprint, reference in entries:
            self.add(fingerprint, reference)

    def __len__(self) -> int:
        return len(self._references)

    def add(self, fingerprint: Fingerprint, reference: str) -> None:
        """Enter a fingerprint under a reference."""
        if len(self._references) == len(self._words):
            grown = np.empty((max(64, 2 * len(self._words)), _WORDS), np.uint64)
            grown[: len(self._words)] = self._words
            self._words = grown
        self._words[len(self._references)] = fingerprint.packed.view(np.uint64)
        self._references.append(reference)

    def query(self, fingerprint: Fingerprint, *, within: int = NEAR, limit: int = 10) -> list[Hit]:
        """The nearest entries within a distance, nearest first, equals in the order of their references.

        Args:
            fingerprint: what to look for.
            within: the greatest distance, 0 to 256.
            limit: how many hits at most.
        """
        words = self._words[: len(self._references)]
        distances = np.bitwise_count(words ^ fingerprint.packed.view(np.uint64)).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(distances <= within)
        return sorted(Hit(int(distances[index]), self._references[index]) for index in near)[:limit]
