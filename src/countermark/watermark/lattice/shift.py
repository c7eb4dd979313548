"""Finding quarter turn, flip and shift from everything that a key knows in advance: pilots and tones.

Once scale and rotation are right, the plane folded to one period of the pattern holds it at one of eight orientations
and an unknown cyclic shift. All of them are tried by correlation with the known part of the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from countermark.watermark.lattice.read import translation
from countermark.watermark.lattice.tile import keyed_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

_LIMIT = 127
"""Highest frequency of the correlation, cycles a period: the annulus and what the super-tile's signs spread beyond."""
_GRID = 256
"""Shifts are first tried on this many points a period."""
_FINE = np.arange(-0.9, 0.91, 0.15)
"""Shifts, in canonical pixels, tried around the best of the grid."""
_WHITENING = 0.3
"""Power of the radius that takes back the amplitudes' slope, as the channel does by whitening."""


@dataclass(frozen=True)
class Lock:
    """One orientation and shift under which pilots and tones agree.

    Attributes:
        score: correlation in robust deviations of all orientations and shifts. It says where to look, never whether
            there is a mark.
        local: 3×3 map from pattern coordinates to those of the folded plane.
    """

    score: float
    local: NDArray[np.float64]


@lru_cache(maxsize=1)
def _orientations() -> tuple[NDArray[np.int64], ...]:
    """The eight symmetries of the square: folded = matrix · pattern."""
    turn, flip = np.array([[0, 1], [-1, 0]]), np.diag([-1, 1])
    turns = [np.linalg.matrix_power(turn, quarter) for quarter in range(4)]
    return (*turns, *(quarter @ flip for quarter in turns))


@lru_cache(maxsize=16)
def _templates(key: bytes, parameters: Parameters) -> NDArray[np.complex64]:
    """Conjugate spectra of the known pattern in every orientation, orientations × vertical × horizontal frequency."""
    tile = keyed_tile(key, parameters)
    known = tile.pattern(tile.pilot_vector())
    period = parameters.period
    x, y = np.meshgrid(np.arange(period), np.arange(period))
    radius = np.hypot(np.arange(-_LIMIT, _LIMIT + 1)[:, None], np.arange(_LIMIT + 1)[None])
    weight = (radius / parameters.super_tile) ** _WHITENING
    templates = []
    for matrix in _orientations():
        (a, b), (c, d) = matrix.T  # the inverse
        oriented = known[(c * x + d * y) % period, (a * x + b * y) % period]
        templates.append(_low(fft.rfft2(oriented)).conj() * weight)
    return np.array(templates, np.complex64)


def _low(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Frequencies up to the limit of a half spectrum, vertical ones from -limit to limit."""
    return np.concatenate([spectrum[-_LIMIT:, : _LIMIT + 1], spectrum[: _LIMIT + 1, : _LIMIT + 1]])


class Correlation:
    """The correlation of a folded plane (512×512) with a key's known pattern, over orientations and shifts."""

    def __init__(self, folded: NDArray[np.float32], key: bytes, parameters: Parameters) -> None:
        self._parameters = parameters
        self._matched = _low(fft.rfft2(folded)) * _templates(key, parameters)
        padded = np.zeros((len(self._matched), _GRID, _GRID // 2 + 1), np.complex64)
        padded[:, : _LIMIT + 1, : _LIMIT + 1] = self._matched[:, _LIMIT:]
        padded[:, -_LIMIT:, : _LIMIT + 1] = self._matched[:, :_LIMIT]
        self._values = fft.irfft2(padded)
        self._deviation = float(self._values.std()) + 1e-12

    def best(self) -> Lock:
        """The orientation and shift, to a fraction of a pixel, under which the pattern agrees best."""
        which, row, column = (int(index) for index in np.unravel_index(self._values.argmax(), self._values.shape))
        period = self._parameters.period
        y, x = _refine(self._matched[which], row * period / _GRID, column * period / _GRID, period)
        local = np.eye(3)
        local[:2, :2] = _orientations()[which]
        local[:2, 2] = x, y
        return Lock(float(self._values[which, row, column]) / self._deviation, local)

    def placed(self, count: int) -> list[Lock]:
        """The ``count`` best of the placements that records choose from, upright; best first."""
        step = self._parameters.placement_step * _GRID // self._parameters.period
        upright = self._values[0, ::step, ::step]
        order = np.argsort(-upright, axis=None)[:count]
        shifts = [np.array(np.unravel_index(index, upright.shape)) for index in order]
        return [
            Lock(
                float(upright[y, x]) / self._deviation,
                translation(*(self._parameters.placement_step * np.array([x, y]))),
            )
            for y, x in shifts
        ]


def _refine(matched: NDArray[np.complex64], y: float, x: float, period: int) -> tuple[float, float]:
    """The shift (y, x) to a fraction of a pixel, by evaluating the correlation between the points of the grid."""
    frequency = np.arange(-_LIMIT, _LIMIT + 1) * (2j * np.pi / period)
    vertical = np.exp((y + _FINE)[:, None] * frequency)
    horizontal = np.exp((x + _FINE)[:, None] * frequency[_LIMIT:])
    best = int((vertical @ matched @ horizontal.T).real.argmax())
    row, column = divmod(best, len(_FINE))
    return y + float(_FINE[row]), x + float(_FINE[column])
