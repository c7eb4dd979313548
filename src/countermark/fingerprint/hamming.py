"""Hamming distances of many packed fingerprints at once.

Packed fingerprints are an array of ``uint64``, ``n × 4``: the 32 bytes of each hash in their own order, so that what
is written to disk is the same on every machine. Popcounts do not care about byte order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from countermark.fingerprint.pdq import BITS, Fingerprint

LANES = BITS // 64
"""64-bit lanes of a packed fingerprint."""

_CHUNK = 16_384
"""Fingerprints compared at a time: half a megabyte, which stays in a core's cache while every form passes over it."""

Packed = NDArray[np.uint64]
Found = tuple[NDArray[np.int64], NDArray[np.uint16]]
"""Positions of the fingerprints within reach, ascending, and the distance of each to the nearest form."""


def pack(hexadecimal: Sequence[str]) -> Packed:
    """Hashes of 64 hexadecimal digits, packed.

    Raises:
        ValueError: something else is among them.
    """
    if any(len(digits) != BITS // 4 for digits in hexadecimal):
        raise ValueError("a PDQ hash has 64 hexadecimal digits")
    # Each on its own: bytes.fromhex skips white space, so a faulty hash could borrow digits from its neighbour.
    parts = [bytes.fromhex(digits) for digits in hexadecimal]
    if any(len(part) != BITS // 8 for part in parts):
        raise ValueError("a PDQ hash has 64 hexadecimal digits")
    return np.frombuffer(b"".join(parts), np.uint64).reshape(-1, LANES)


def pack_forms(forms: Sequence[Fingerprint]) -> Packed:
    """Fingerprints, packed."""
    return pack([form.bits for form in forms])


def weigh(differences: Packed) -> NDArray[np.uint16]:
    """How many bits are set in each row, 0 to 256.

    The counts of the four lanes are added two at a time inside 16-bit words (a byte holds at most 128 before the last
    addition): numpy's own sum along so short an axis takes five times as long.
    """
    counts = np.bitwise_count(differences).view(np.uint16)
    pairs: NDArray[np.uint16] = counts[..., 0] + counts[..., 1]
    return (pairs & 0xFF) + (pairs >> 8)


def scan(packed: Packed, forms: Packed, within: int) -> Found:
    """Compare every fingerprint with every form; memory is bounded by the chunk, whatever the number."""
    # A row of four is too short to broadcast well: each form is repeated to the length of a chunk once.
    length = min(_CHUNK, len(packed))
    repeated = [np.tile(form, (length, 1)) for form in forms]
    differences = np.empty((length, LANES), np.uint64)
    found: list[Found] = []
    for start in range(0, len(packed), _CHUNK):
        chunk = packed[start : start + _CHUNK]
        rows = len(chunk)
        nearest = np.full(rows, BITS + 1, np.uint16)
        for form in repeated:
            weights = weigh(np.bitwise_xor(chunk, form[:rows], out=differences[:rows]))
            np.minimum(nearest, weights, out=nearest)
        hits = np.flatnonzero(nearest <= within)
        if len(hits):
            found.append((hits + start, nearest[hits]))
    return joined(found)


def joined(found: Sequence[Found]) -> Found:
    """Several findings as one."""
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.uint16)
    return np.concatenate([positions for positions, _ in found]), np.concatenate([distances for _, distances in found])
