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
        sign: -1 where they agree with the plane's negative.
    """

    score: float
    local: NDArray[np.float64]
    sign: int = 1


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


def folded_spectrum(folded: NDArray[np.float32]) -> NDArray[np.complex64]:
    """What a correlation needs of a plane folded to one period, whatever the key.

    Args:
        folded: 512×512, or 256×256 at half the resolution where the score is all that is asked for (the pattern has
            nothing above a quarter of a cycle a pixel).
    """
    return _low(fft.rfft2(folded))


class Correlation:
    """The correlation of a folded plane with a key's known pattern, over orientations and shifts.

    Args:
        spectrum: the plane's, as of :func:`folded_spectrum`.
        key: whose pattern.
        parameters: the constants.
        upright: leave out quarter turns and flips.
    """

    def __init__(
        self, spectrum: NDArray[np.complex64], key: bytes, parameters: Parameters, *, upright: bool = False
    ) -> None:
        self._parameters = parameters
        self._low = spectrum
        self._templates = _templates(key, parameters)[: 1 if upright else None]
        # One orientation at a time, which stays in the processor's cache.
        planes = map(self._plane, range(len(self._templates)))
        self._upright = next(planes)
        self._best, self._deepest = _Peak.of(self._upright, 0), _Peak.below(self._upright, 0)
        power = _mean_square(self._upright)
        for which, plane in enumerate(planes, start=1):
            self._best = max(self._best, _Peak.of(plane, which))
            self._deepest = max(self._deepest, _Peak.below(plane, which))
            power += _mean_square(plane)
        self._deviation = float(np.sqrt(power / len(self._templates))) + 1e-12

    def best(self) -> Lock:
        """The orientation and shift, to a fraction of a pixel, under which the pattern agrees best."""
        return self._lock(self._best, 1)

    def negative(self) -> Lock:
        """The same of the plane's negative, which costs nothing more: its correlation has the other sign."""
        return self._lock(self._deepest, -1)

    def _lock(self, peak: _Peak, sign: int) -> Lock:
        period = self._parameters.period
        matched = sign * self._low * self._templates[peak.which]
        y, x = _refine(matched, peak.row * period / _GRID, peak.column * period / _GRID, period)
        local = np.eye(3)
        local[:2, :2] = _orientations()[peak.which]
        local[:2, 2] = x, y
        return Lock(peak.value / self._deviation, local, sign)

    @property
    def score(self) -> float:
        """The score of the best lock."""
        return self._best.value / self._deviation

    @property
    def negative_score(self) -> float:
        """The score of the best lock on the negative."""
        return self._deepest.value / self._deviation

    def placed(self, count: int) -> list[Lock]:
        """The ``count`` best of the placements that records choose from, upright; best first."""
        pixels = self._parameters.placement_step
        step = pixels * _GRID // self._parameters.period
        values = self._upright[::step, ::step]
        order = np.argsort(-values, axis=None)[:count]
        shifts = [np.unravel_index(index, values.shape) for index in order]
        return [Lock(float(values[y, x]) / self._deviation, translation(x * pixels, y * pixels)) for y, x in shifts]

    def _plane(self, which: int) -> NDArray[np.float32]:
        """The correlation over all shifts in one orientation; its mean is zero, for no template has a constant."""
        padded = np.zeros((_GRID, _GRID // 2 + 1), np.complex64)
        template = self._templates[which]
        np.multiply(self._low[_LIMIT:], template[_LIMIT:], out=padded[: _LIMIT + 1, : _LIMIT + 1])
        np.multiply(self._low[:_LIMIT], template[:_LIMIT], out=padded[-_LIMIT:, : _LIMIT + 1])
        return np.asarray(fft.irfft2(padded), np.float32)


@dataclass(frozen=True, order=True)
class _Peak:
    value: float
    which: int
    row: int
    column: int

    @classmethod
    def of(cls, plane: NDArray[np.float32], which: int) -> _Peak:
        row, column = divmod(int(plane.argmax()), plane.shape[1])
        return cls(float(plane[row, column]), which, row, column)

    @classmethod
    def below(cls, plane: NDArray[np.float32], which: int) -> _Peak:
        row, column = divmod(int(plane.argmin()), plane.shape[1])
        return cls(-float(plane[row, column]), which, row, column)


def _mean_square(plane: NDArray[np.float32]) -> float:
    flat = plane.ravel()
    return float(np.dot(flat, flat)) / flat.size


def _refine(matched: NDArray[np.complex64], y: float, x: float, period: int) -> tuple[float, float]:
    """The shift (y, x) to a fraction of a pixel, by evaluating the correlation between the points of the grid."""
    frequency = np.arange(-_LIMIT, _LIMIT + 1) * (2j * np.pi / period)
    vertical = np.exp((y + _FINE)[:, None] * frequency)
    horizontal = np.exp((x + _FINE)[:, None] * frequency[_LIMIT:])
    best = int((vertical @ matched @ horizontal.T).real.argmax())
    row, column = divmod(best, len(_FINE))
    return y + float(_FINE[row]), x + float(_FINE[column])
