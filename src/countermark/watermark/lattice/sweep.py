"""Finding the scale of an upright crop from everything that a key knows in advance.

In a smooth picture under heavy compression the tones alone drown among hundreds of scales, while pilots and tones
together still stand out. That takes a correlation for every scale, so only the commonest edit is swept: a crop that was
not turned, whose canonical plane is therefore enlarged by a factor of one to two. The known pattern has little above a
quarter of a cycle a pixel, so half the resolution will do.
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

_STEP = 0.008
"""Logarithmic step between scales; half of one leaves four fifths of the correlation."""
_LEVELS = np.arange(0.01, np.log(2.1), _STEP).reshape(-1, 23)
"""Logarithms of all scales, by the blur that they share against aliasing."""
_BLUR = 0.8
"""Deviation, in half-resolution pixels of the pattern over two, of that blur."""


def sweep(
    plane: NDArray[np.float32], key: bytes, parameters: Parameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The score of the best lock under every scale, each an array of one length: (scales, scores).

    A scale maps pattern coordinates to those of the channel ``plane``. Scores are those of
    :class:`~countermark.watermark.lattice.shift.Correlation`; 0 where the plane is too narrow for a tile.
    """
    return np.exp(_LEVELS.ravel()), np.array(list(_scores(plane, key, parameters)))


def _scores(plane: NDArray[np.float32], key: bytes, parameters: Parameters) -> Iterator[float]:
    for level in _LEVELS:
        blurred = smooth(plane, _BLUR * float(np.exp(level.mean())))
        for scale in np.exp(level):
            cutting = cut(blurred, np.diag([2 * scale, 2 * scale, 1.0]), parameters.tile // 2)
            if cutting is None:
                yield 0.0
            else:
                folded = cutting.folded(parameters.super_tile)
                yield Correlation(folded, key, parameters, upright=True).score
