"""PDQ: a perceptual hash of 256 bits.

It is Meta's: Davis and Rosen, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019.
A picture's luma is averaged down to 64×64, the 16×16 lowest frequencies (without the constant) of its cosine transform
are compared with their median, and each comparison is a bit. Fingerprints are compared by Hamming distance.

A fingerprint is not a mark: nobody wrote it, and pictures that look alike have like fingerprints. It points to records
and can contradict them; alone it proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import pdqhash

from countermark.errors import AssetInvalid, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 256

MATCH = 31
"""Distances up to this are the same picture: the threshold that PDQ's authors recommend for look-ups."""

NEAR = 97
"""Distances up to this are worth a look: one in about ten thousand pairs of unrelated photographs is as near."""

MIN_QUALITY = 50
"""Below this a picture is so featureless that its hash is noise, like that of others: PDQ's authors discard it."""

_REDUCED_SIDE = 512
"""Longer sides are reduced to this first. The hash's own filter averages down to 64 whatever comes in: robustness is
the same, the time a sixth at 1.5 megapixels, and the distance to the hash of the unreduced picture 2 to 12 bits."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A picture's PDQ hash.

    Attributes:
        bits: 64 hexadecimal digits, in PDQ's own order.
        quality: 0 (featureless) to 100; PDQ's authors discard hashes below 50.
    """

    bits: str
    quality: int

    def __post_init__(self) -> None:
        if len(self.bits) != BITS // 4 or not set(self.bits) <= set("0123456789abcdef"):
            raise UsageError(
                "A PDQ fingerprint must be 64 lowercase hexadecimal digits.",
                remedy="Take the fingerprint from the record or compute it again.",
            )

    @property
    def packed(self) -> NDArray[np.uint8]:
        """The hash as 32 bytes."""
        return np.frombuffer(bytes.fromhex(self.bits), np.uint8)


def compute(pixels: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of ``pixels`` (RGB, uint8, H×W×3).

    Raises:
        AssetInvalid: not such pixels.
    """
    bits, quality = pdqhash.compute(_reduced(pixels))
    return _fingerprint(bits, quality)


def dihedral(pixels: NDArray[np.uint8]) -> tuple[Fingerprint, ...]:
    """The fingerprints of all eight quarter turns and flips of ``pixels``, the picture itself first.

    To find a picture that may have been turned, look each of them up.

    Raises:
        AssetInvalid: not RGB pixels, uint8, H×W×3.
    """
    hashes, quality = pdqhash.compute_dihedral(_reduced(pixels))
    return tuple(_fingerprint(bits, quality) for bits in hashes)


def distance(first: Fingerprint, second: Fingerprint) -> int:
    """The Hamming distance of two fingerprints, 0 to 256."""
    return (int(first.bits, 16) ^ int(second.bits, 16)).bit_count()


def classify(distance: int) -> Literal["match", "near", "none"]:
    """What a distance means."""
    if distance <= MATCH:
        return "match"
    return "near" if distance <= NEAR else "none"


def _reduced(pixels: Any) -> NDArray[np.uint8]:
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise AssetInvalid("A fingerprint is taken of RGB pixels, uint8 of shape height × width × 3.")
    if 0 in pixels.shape:
        raise AssetInvalid("A fingerprint cannot be taken of an image without pixels.")
    height, width = pixels.shape[:2]
    size = min(width, _REDUCED_SIDE), min(height, _REDUCED_SIDE)
    if size != (width, height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels)


def _fingerprint(bits: NDArray[np.int64], quality: int) -> Fingerprint:
    return Fingerprint(np.packbits(bits.astype(np.uint8)).tobytes().hex(), int(quality))
