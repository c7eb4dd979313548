"""Finding scale and rotation of a crop from everything that a key knows in advance.

In a smooth picture under heavy compression the tones alone drown: the true matrix may stand anywhere among the scales,
and some sixty places down among the rotated ones. Pilots and tones together still stand out. That takes a correlation
for each matrix, so it comes late and leaves out quarter turns and flips. The known pattern has little above a quarter
of a cycle a pixel, so half the resolution will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice.mask import smooth
from countermark.watermark.lattice.read import cut
from countermark.watermark.lattice.shift import Correlation, folded_spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters
    from countermark.watermark.lattice.synchronise import Candidates

_CROPS = np.exp(np.arange(0.01, np.log(2.1), 0.008))
"""Every scale of an upright crop, whose plane is enlarged by up to two; half a step leaves four fifths of the lock."""
_TURNED = 64
"""Rotated matrices that are tried, of those that do not shrink: a crop enlarges."""
_DISTINCT = 0.012
"""Two of them differ by more than this in some entry."""
_BLUR = 0.8
"""Deviation of the blur against aliasing, in pixels of the pattern."""
_BLURS_AN_OCTAVE = 3


@dataclass(frozen=True)
class Swept:
    """Matrices (n × 2 × 2, from pattern coordinates to those of a channel plane) and the plane's spectrum under each.

    Where the plane is too narrow for a tile, a matrix is left out.
    """

    matrices: NDArray[np.float64]
    spectra: list[NDArray[np.complex64]]

    def scores(self, key: bytes, parameters: Parameters) -> list[float]:
        """The score of the best lock under each matrix, as of :class:`Correlation`."""
        return [Correlation(spectrum, key, parameters, upright=True).score for spectrum in self.spectra]


def upright_crops(plane: NDArray[np.float32], parameters: Parameters) -> Swept:
    """Every scale that an upright crop may have. It does not depend on a key."""
    return _swept(plane, _CROPS[:, None, None] * np.eye(2), parameters)


def turned_crops(plane: NDArray[np.float32], candidates: Candidates, parameters: Parameters) -> Swept:
    """The matrices of rotated crops that a key's tones find most promising."""
    return _swept(plane, candidates.turned_crops(_TURNED, _DISTINCT), parameters)


def _swept(plane: NDArray[np.float32], matrices: NDArray[np.float64], parameters: Parameters) -> Swept:
    octaves = np.log2(np.linalg.det(matrices)) / 2
    levels = np.rint(octaves * _BLURS_AN_OCTAVE) / _BLURS_AN_OCTAVE
    blurred = {level: smooth(plane, _BLUR * 2.0**level) for level in np.unique(levels)}
    kept, spectra = [], []
    for matrix, level in zip(matrices, levels, strict=True):
        halved = np.eye(3)
        halved[:2, :2] = 2 * matrix
        cutting = cut(blurred[level], halved, parameters.tile // 2)
        if cutting is not None:
            kept.append(matrix)
            spectra.append(folded_spectrum(cutting.folded(parameters.super_tile)))
    return Swept(np.array(kept).reshape(-1, 2, 2), spectra)
