"""Finding quarter turn, flip and shift from the phases of the tones.

Once scale and rotation are right, the folded tile holds the tones at one of eight orientations and an unknown shift
of a tile. All of them are tried by correlation with the tones' template.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.tile import KeyedTile

_FRACTIONS = np.arange(-0.6, 0.61, 0.2)
"""Shifts, in pixels, tried around the best whole one."""


@dataclass(frozen=True)
class Lock:
    """One orientation and shift under which the tones agree.

    Attributes:
        score: correlation in robust deviations of all orientations and shifts. Pictures make it heavy-tailed: it says
            where to look, never whether there is a mark.
        local: 3×3 map from tile coordinates to those of the folded tile.
    """

    score: float
    local: NDArray[np.float64]


@dataclass(frozen=True)
class _Orientation:
    """One of the eight symmetries of the square, as an operation and as coordinates: old = matrix · new + origin."""

    flipped: bool
    quarter_turns: int
    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]

    def apply(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.rot90(tile[:, ::-1] if self.flipped else tile, self.quarter_turns)


@lru_cache(maxsize=4)
def _orientations(side: int) -> tuple[_Orientation, ...]:
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    found = []
    for flipped in (False, True):
        for turns in range(4):
            x, y = (np.rot90(axis[:, ::-1] if flipped else axis, turns) for axis in (columns, rows))
            matrix = np.array([[x[0, 1] - x[0, 0], x[1, 0] - x[0, 0]], [y[0, 1] - y[0, 0], y[1, 0] - y[0, 0]]])
            found.append(_Orientation(flipped, turns, matrix.astype(float), np.array([x[0, 0], y[0, 0]], float)))
    return tuple(found)


@lru_cache(maxsize=4)
def _fraction_phases(side: int) -> NDArray[np.complex128]:
    """The phases of all fractional shifts: (fraction of y, fraction of x) × rows × columns, flattened."""
    turns = np.exp(2j * np.pi * _FRACTIONS[:, None] * np.fft.fftfreq(side))
    return np.asarray(np.einsum("ar,bc->abrc", turns, turns).reshape(len(_FRACTIONS) ** 2, -1))


def find_lock(folded: NDArray[np.float32], tile: KeyedTile) -> Lock:
    """The orientation and shift of a folded tile under which its tones agree best."""
    orientations = _orientations(tile.parameters.tile)
    spectra = fft.fft2(np.stack([orientation.apply(folded) for orientation in orientations]).astype(np.float32))
    matched = spectra * tile.tone_template
    correlation = fft.ifft2(matched).real
    which, row, column = (int(index) for index in np.unravel_index(correlation.argmax(), correlation.shape))
    y, x = _refine_shift(matched[which], row, column)
    local = np.eye(3)
    local[:2, :2] = orientations[which].matrix
    local[:2, 2] = orientations[which].matrix @ np.array([x, y]) + orientations[which].origin
    deviation = 1.4826 * np.median(np.abs(correlation)) + 1e-9
    return Lock(float(correlation.max() / deviation), local)


def _refine_shift(matched: NDArray[np.complex64], row: int, column: int) -> tuple[float, float]:
    """The shift (y, x) to a fifth of a pixel, by evaluating the correlation between its samples."""
    frequency = np.fft.fftfreq(len(matched))
    centred = matched * np.exp(2j * np.pi * (frequency[:, None] * row + frequency[None] * column))
    best = int((_fraction_phases(len(matched)) @ centred.ravel()).real.argmax())
    y, x = divmod(best, len(_FRACTIONS))
    return row + float(_FRACTIONS[y]), column + float(_FRACTIONS[x])
