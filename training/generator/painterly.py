"""The second style: what a flat illustration would look like in gouache, made from the finished flat picture.

Outlines wander as a brush does, colour lies in broad dabs along one direction, and pigment gathers darker along the
edges of each area. Nothing of it is finer than a fiftieth of the picture, so that 64 pixels can hold it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID = 128
"""Side of the grid on which slow fields are made before they are enlarged."""


def _clouds(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """A smooth random field of about unit deviation with so many bumps down and across."""
    bumps = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(bumps, (_GRID, _GRID), interpolation=cv2.INTER_CUBIC), np.float32)


def _dabs(rng: np.random.Generator) -> NDArray[np.float32]:
    """Broad dabs with soft ends, in -1..1, all along a direction that bends a little."""
    turn = cv2.getRotationMatrix2D((_GRID / 2, _GRID / 2), float(rng.uniform(-28, 28)), 1.5)
    straight = cv2.warpAffine(_clouds(rng, 26, 7), turn, (_GRID, _GRID), borderMode=cv2.BORDER_REFLECT)
    y, x = np.mgrid[0:_GRID, 0:_GRID].astype(np.float32)
    bent = cv2.remap(
        straight,
        x + 5 * _clouds(rng, 4, 4),
        y + 5 * _clouds(rng, 4, 4),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.tanh(2.2 * bent).astype(np.float32)


def paint(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn a flat picture into a painted one.

    Args:
        pixels: RGB uint8 S×S×3 of any size; the same `rng` state gives the same painting at every size.
        rng: source of all that is left to chance.

    Returns:
        RGB uint8 of the same shape.
    """
    side = len(pixels)

    def enlarge(field: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)

    dabs, wander = _dabs(rng), 0.0032 * side
    shift_x, shift_y = (wander * enlarge(_clouds(rng, 18, 18) + 0.5 * dabs) for _ in range(2))
    grid = np.arange(side, dtype=np.float32)
    warped = cv2.remap(
        pixels, grid[None, :] + shift_x, grid[:, None] + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    ).astype(np.float32)
    wide = cv2.resize(cv2.resize(warped, (96, 96), interpolation=cv2.INTER_AREA), (side, side))
    rim = np.abs(warped - wide).max(-1)
    lightness = 1 + enlarge(0.035 * _clouds(rng, 5, 5) + 0.05 * dabs) - 0.0022 * rim
    warmth = enlarge(0.03 * _clouds(rng, 4, 4))
    for channel, tint in enumerate((1.0, 0.0, -1.0)):
        warped[..., channel] *= lightness + tint * warmth
    return np.asarray(warped.clip(0, 255).round(), np.uint8)
