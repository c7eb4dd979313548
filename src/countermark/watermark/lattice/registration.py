"""Laying an examined picture over the marked original.

Detection knows where the picture lies on the mark, but the mark repeats every 512 canonical pixels. What remains is a
short list of placements, each of which warps one picture on to the other; comparing pixels (or fingerprints) settles
which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from countermark.watermark.lattice.canonical import canonical_shape, pixels_to_plane
from countermark.watermark.lattice.parameters import V1
from countermark.watermark.lattice.read import translation
from countermark.watermark.lattice.tile import keyed_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.detect import Examination, Found


_REACH: Final = 8
"""How far what is laid over the original is followed beyond it, in sides of the original."""


def transform_of(found: Found, examination: Examination) -> tuple[float, ...]:
    """The row-major 3×3 map from pixel indices of the examined picture to the marked picture's canonical plane.

    It is known up to multiples of the period (512) in x and y; of these, the one that brings the centre of the
    examined picture into [0, 512) × [0, 512) is given.
    """
    parameters = examination.parameters
    height, width = examination.shape
    shape = examination.plane(found.side).shape
    row, column = keyed_tile(found.key, parameters).placement(found.payload.record_id)
    onto_mark = (
        translation(-column, -row)
        @ np.linalg.inv(found.hypothesis)
        @ pixels_to_plane(height, width, (shape[0], shape[1]))
    )
    x, y = apply(onto_mark, [((width - 1) / 2, (height - 1) / 2)])[0]
    period = parameters.period
    onto_mark = translation(-period * np.floor(x / period), -period * np.floor(y / period)) @ onto_mark
    return tuple(float(value) for value in (onto_mark / onto_mark[2, 2]).ravel())


def apply(matrix: NDArray[np.float64], points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Points (x, y) through a 3×3 projective map, n × 2."""
    moved = np.column_stack([np.asarray(points, float), np.ones(len(points))]) @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


def registrations(
    transform: Sequence[float], examined: tuple[int, int], original: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Every placement of the examined picture on the original that the mark's period allows.

    Args:
        transform: the nine numbers of a detection.
        examined: (height, width) of the examined picture, in pixels.
        original: (height, width) of the marked original, in pixels.

    Returns:
        3×3 maps from pixel indices (x, y, 1) of the examined picture to those of the original; the placement with
        the largest overlap first. Placements without overlap are left out.
    """
    onto_mark = np.asarray(transform, float).reshape(3, 3)
    plane = canonical_shape(*original)
    right, bottom = examined[1] - 1.0, examined[0] - 1.0
    corners = apply(onto_mark, [(0, 0), (right, 0), (right, bottom), (0, bottom)])
    limit = np.array([plane[1], plane[0]], float)
    # Near the horizon of a perspective a strip's corners lie anywhere: there would be millions of placements.
    reach = _REACH * np.maximum(limit, V1.period)
    low, high = (np.clip(edge, -reach, reach) for edge in (corners.min(axis=0), corners.max(axis=0)))
    first = np.floor(-high / V1.period).astype(int) + 1
    last = np.ceil((limit - low) / V1.period).astype(int) - 1

    to_pixels = np.linalg.inv(pixels_to_plane(*original, plane))
    placements = []
    for step_x in range(first[0], last[0] + 1):
        for step_y in range(first[1], last[1] + 1):
            shift = np.array([step_x, step_y], float) * V1.period
            overlap = float(np.prod(np.minimum(high + shift, limit) - np.maximum(low + shift, 0)))
            placements.append((overlap, to_pixels @ translation(*shift) @ onto_mark))
    placements.sort(key=lambda placement: -placement[0])
    return [matrix for _, matrix in placements]
