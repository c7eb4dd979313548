"""Finding scale and rotation of a crop from everything that a key knows in advance.

In a smooth picture under heavy compression the tones alone drown: the true matrix may stand anywhere among the scales,
and some sixty places down among the rotated ones. Pilots and tones together still stand out. That takes a correlation
for each matrix, so it comes late and leaves out quarter turns and flips. The known pattern has little above a quarter
of a cycle a pixel, so half the resolution will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice.mask import smooth
from countermark.watermark.lattice.read import cut
from countermark.watermark.lattice.shift import Correlation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters
    from countermark.watermark.lattice.synchronise import Candidates

_CROPS = np.exp(np.arange(0.01, np.log(2.1), 0.008))
"""Every scale of an upright crop, whose plane is enlarged by up to two; half a step leaves four fifths of the lock."""
_ROTATED = 64
"""Rotated matrices that are tried, of those that do not shrink: a crop enlarges."""
_DISTINCT = 0.012
"""Two of them differ by more than this in some entry."""
_BLUR = 0.8
"""Deviation of the blur against aliasing, in pixels of the pattern."""
_BLURS_AN_OCTAVE = 3


def sweep(
    plane: NDArray[np.float32], candidates: Candidates, key: bytes, parameters: Parameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The matrices of upright and of promising rotated crops (n × 2 × 2), and the score of the best lock under each.

    A matrix maps pattern coordinates to those of the channel ``plane``. Scores are those of
    :class:`~countermark.watermark.lattice.shift.Correlation`; 0 where the plane is too narrow for a tile.
    """
    matrices = np.concatenate([_CROPS[:, None, None] * np.eye(2), candidates.turned_crops(_ROTATED, _DISTINCT)])
    return matrices, np.array(list(_scores(plane, matrices, key, parameters)))


def _scores(
    plane: NDArray[np.float32], matrices: NDArray[np.float64], key: bytes, parameters: Parameters
) -> Iterator[float]:
    octaves = np.log2(np.linalg.det(matrices)) / 2
    levels = np.rint(octaves * _BLURS_AN_OCTAVE) / _BLURS_AN_OCTAVE
    blurred = {level: smooth(plane, _BLUR * 2.0**level) for level in np.unique(levels)}
    for matrix, level in zip(matrices, levels, strict=True):
        halved = np.eye(3)
        halved[:2, :2] = 2 * matrix
        cutting = cut(blurred[level], halved, parameters.tile // 2)
        if cutting is None:
            yield 0.0
        else:
            yield Correlation(cutting.folded(parameters.super_tile), key, parameters, upright=True).score
