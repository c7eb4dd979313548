"""Pixels made ready for other people's models and services."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SENT_SIDE: Final = 1024
"""No side of an image that is sent anywhere is longer: services resize anyway, and bound what they take."""
_SQUARE_ENOUGH: Final = 1.1
_JPEG_QUALITY: Final = 92


def squares(pixels: NDArray[np.uint8]) -> list[Image.Image]:
    """Overlapping squares that together show the whole image.

    Models cut the centre out of what they are given, or squeeze it; either would hide something.

    Args:
        pixels: RGB uint8, H×W×3.
    """
    height, width = pixels.shape[:2]
    shorter, longer = sorted((height, width))
    if longer <= _SQUARE_ENOUGH * shorter:
        return [Image.fromarray(pixels).resize((longer, longer), Image.Resampling.LANCZOS)]
    starts = np.linspace(0, longer - shorter, math.ceil(longer / shorter * 1.25)).astype(int)
    cut = [pixels[s : s + shorter] if height > width else pixels[:, s : s + shorter] for s in starts]
    return [Image.fromarray(np.ascontiguousarray(part)) for part in cut]


def as_jpeg(pixels: NDArray[np.uint8], *, shortest: int = 0) -> str:
    """A JPEG file in base64, no side longer than :data:`SENT_SIDE` unless the other would be below ``shortest``.

    Args:
        pixels: RGB uint8, H×W×3.
        shortest: the least length of a side that the receiver takes, in pixels.
    """
    height, width = pixels.shape[:2]
    scale = max(min(1.0, SENT_SIDE / max(height, width)), shortest / min(height, width))
    image = Image.fromarray(pixels)
    if scale != 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    with io.BytesIO() as buffer:
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        return base64.b64encode(buffer.getvalue()).decode("ascii")
