"""What every watermark can do, and the checks that all of them share."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from countermark.errors import AssetInvalid, AssetTooLarge, AssetTooSmall, KeyUnavailable, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.model.marks import WatermarkDetection

MIN_KEY_BYTES = 16
"""The shortest key accepted: 128 bits."""

MIN_SIDE = 128
MAX_SIDE = 8192
"""Image sides, in pixels, that can carry a mark."""

MIN_EXAMINED_SIDE = 64
"""The shortest side in which a mark is looked for: a thumbnail may still carry its original's."""

RECORD_ID_BITS = 48
"""A record id is below 2**48."""


@runtime_checkable
class Detector(Protocol):
    """What finds marks in pixels."""

    algorithm: str

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        """What ``pixels`` (RGB, uint8, H×W×3) carry."""
        ...


@runtime_checkable
class Watermark(Detector, Protocol):
    """An algorithm that hides a record id in pixels and finds it again."""

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        """A marked copy of ``pixels`` (RGB, uint8, H×W×3) that carries ``record_id``."""
        ...


def check_key(key: Any) -> bytes:
    """The key itself.

    Raises:
        KeyUnavailable: it is not ``bytes``, or shorter than :data:`MIN_KEY_BYTES`.
    """
    if not isinstance(key, bytes):
        raise KeyUnavailable(f"A watermark key must be bytes, not {type(key).__name__}.")
    if len(key) < MIN_KEY_BYTES:
        raise KeyUnavailable(
            f"A watermark key of {len(key)} bytes is too short.",
            remedy=f"Give at least {MIN_KEY_BYTES} random bytes, or make the keys with: countermark keys init.",
        )
    return key


def whole_number(value: Any) -> int | None:
    """An integer as Python's own, one of numpy too; None for all else, truth values and numbers with a fraction."""
    try:
        return None if isinstance(value, bool | np.bool_) else index(value)
    except TypeError:
        return None


def check_record_id(record_id: int) -> int:
    """The record id as Python's integer (one of numpy's is taken too).

    Raises:
        UsageError: it is not an integer in [0, 2**48).
    """
    number = whole_number(record_id)
    if number is None or not 0 <= number < 1 << RECORD_ID_BITS:
        raise UsageError(
            f"A watermark's record id must be an integer from 0 to 2**{RECORD_ID_BITS} - 1.",
            remedy="Use the record id that the audit log assigned.",
        )
    return number


def check_pixels(pixels: Any, *, min_side: int = MIN_SIDE) -> NDArray[np.uint8]:
    """The pixels themselves, C-contiguous.

    Raises:
        AssetInvalid: not an RGB array of uint8, H×W×3.
        AssetTooSmall: a side below ``min_side``.
        AssetTooLarge: a side above :data:`MAX_SIDE`.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        given = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise AssetInvalid(
            f"A watermark works on RGB pixels, uint8 of shape height × width × 3, not on {given}.",
            remedy="Convert greyscale, alpha and deeper images to 8-bit RGB first.",
        )
    height, width = pixels.shape[:2]
    if min(height, width) < min_side:
        raise AssetTooSmall(
            f"An image of {width} × {height} pixels is too small for a watermark.",
            remedy=f"Give an image of at least {min_side} pixels a side.",
        )
    if max(height, width) > MAX_SIDE:
        raise AssetTooLarge(f"An image of {width} × {height} pixels is too large for a watermark.")
    return np.ascontiguousarray(pixels)
