"""From soft bits to a record id: a small list of candidates, decided by the keyed tag alone.

After Chase ("A class of algorithms for decoding block codes with channel measurement information", IEEE Transactions
on Information Theory 18(1), 1972): the message bits that the reading is least certain of are tried both ways. A
candidate counts where its tag differs from the read one in at most a few places. Every such place is a further tag that
would have been accepted, so the chance of a false detection is at most

    words × candidates × (number of tags within that distance) × 2**-(bits of the tag),

whatever the picture is (NIST SP 800-107 rev. 1, section 5.3.4, on truncated tags).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.interface import RECORD_ID_BITS
from countermark.watermark.payload import false_positive_bound, tag_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LIMIT = 1e-6
"""The false-positive bound that a whole search keeps."""

MAX_FLIPS = 10


@dataclass(frozen=True, slots=True)
class Match:
    """A record id whose tag verifies, and the bound on the chance that any picture gives one so good."""

    record_id: int
    false_positive_probability: float


class TagSearch:
    """Looks for a record id in soft readings of a word (48 bits of id, then its tag).

    Args:
        tag_keys: every key that may have made the tag.
        tag_length: bits of the tag.
        tag_errors: how many bits of the tag may be wrong.
        words: how many readings one search is given at most.
    """

    def __init__(self, tag_keys: Sequence[bytes], *, tag_length: int, tag_errors: int, words: int) -> None:
        self._keys = tuple(tag_keys)
        self._length = tag_length
        self._errors = tag_errors
        self._words = words
        self.flips = max(flips for flips in range(MAX_FLIPS + 1) if flips == 0 or self._bound(flips) <= LIMIT)

    def _bound(self, flips: int, errors: int | None = None) -> float:
        """The chance, at most, that some candidate's tag is within ``errors`` bits on a picture without the mark."""
        reach = sum(comb(self._length, wrong) for wrong in range((self._errors if errors is None else errors) + 1))
        return false_positive_bound(self._words * len(self._keys) * 2**flips * reach, self._length)

    def find(self, words: Sequence[NDArray[np.float64]]) -> Match | None:
        """The best match in ``words``: soft bits, positive for a one, the larger the more certain."""
        best: tuple[int, int] | None = None
        for word in words[: self._words]:
            tag = _number(word[RECORD_ID_BITS:])
            for record_id in self._candidates(word[:RECORD_ID_BITS]):
                errors = min((tag ^ self._tag(key, record_id)).bit_count() for key in self._keys)
                if errors <= self._errors and (best is None or errors < best[0]):
                    best = errors, record_id
        return Match(best[1], self._bound(self.flips, best[0])) if best is not None else None

    def _tag(self, key: bytes, record_id: int) -> int:
        return _number(tag_bits(key, id_bits(record_id), self._length).astype(np.float64) - 0.5)

    def _candidates(self, soft: NDArray[np.float64]) -> Iterator[int]:
        """The hard decision, then every other combination of the bits that are least certain."""
        hard = _number(soft)
        doubtful = np.argsort(np.abs(soft), kind="stable")[: self.flips]
        masks = [1 << (RECORD_ID_BITS - 1 - int(place)) for place in doubtful]
        for pattern in range(1 << len(masks)):
            yield hard ^ sum(mask for i, mask in enumerate(masks) if pattern >> i & 1)


def id_bits(record_id: int) -> NDArray[np.uint8]:
    """The 48 bits of a record id, most significant first."""
    return np.unpackbits(np.frombuffer(record_id.to_bytes(RECORD_ID_BITS // 8, "big"), np.uint8))


def _number(soft: NDArray[np.float64]) -> int:
    return int.from_bytes(np.packbits(soft > 0).tobytes(), "big")
