"""Keyed randomness that is the same for ever.

Everything secret about the mark (where the tones are, which dimension carries which bit, every sign) is drawn from
SHAKE-256 (FIPS 202) seeded with a derived key. Library generators are no substitute: their streams may change from
one release to the next, and a mark must be found by programs that are years younger than it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.payload import derive_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOMAIN = b"countermark/lattice/v1/"
"""Prefix of every label, so that no other use of the same master key meets these streams."""


def label(purpose: str) -> bytes:
    """The full label of one purpose."""
    return DOMAIN + purpose.encode()


def words(key: bytes, purpose: str, count: int) -> NDArray[np.uint64]:
    """``count`` keyed words, uniform over 64 bits."""
    stream = hashlib.shake_256(derive_key(key, label(purpose))).digest(8 * count)
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)


def permutation(key: bytes, purpose: str, count: int) -> NDArray[np.intp]:
    """A keyed permutation of ``count`` items: the order of as many 64-bit words (ties are as good as impossible)."""
    return np.argsort(words(key, purpose, count), kind="stable")


def signs(key: bytes, purpose: str, count: int) -> NDArray[np.float64]:
    """``count`` keyed signs, each -1.0 or 1.0."""
    return 1.0 - 2.0 * (words(key, purpose, count) >> np.uint64(63)).astype(np.float64)
