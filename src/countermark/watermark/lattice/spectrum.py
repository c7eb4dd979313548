"""The power spectrum of a channel plane, where the tones stand as a lattice of peaks.

An affine map of the picture turns and stretches that lattice and nothing else: if the plane shows the tile through
the 2×2 matrix M, a tone of frequency f (cycles a period) is at M^-T · f / 512 cycles a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAPER = 0.06
"""Share of each side over which the window rises, against the cross of a picture's edges."""
_NEIGHBOURHOOD = 31
_PEAK_CAP = 14.0
_MAX_SIZE = 2048


@dataclass(frozen=True)
class Spectrum:
    """Power over its neighbourhood's, on a half plane.

    Attributes:
        power: size × (size/2 + 1); row index is vertical frequency + size/2, column index horizontal frequency.
        size: length of the transform in both directions.
    """

    power: NDArray[np.float32]
    size: int


def spectrum_of(plane: NDArray[np.float32], least: int = 1024, cap: float = _PEAK_CAP) -> Spectrum:
    """The spectrum of a plane, with a transform of at least ``least``; very long planes give their middle only.

    A peak counts for at most ``cap`` times its neighbourhood, so that no texture outvotes 24 tones.
    """
    plane = _middle(plane)
    height, width = plane.shape
    size = max(least, 1 << (max(height, width) - 1).bit_length())
    window = _taper(height)[:, None] * _taper(width)[None]
    transform = fft.fftshift(fft.rfft2(plane * window, (size, size)), axes=0)
    power = transform.real**2 + transform.imag**2
    around = cv2.blur(power, (_NEIGHBOURHOOD, _NEIGHBOURHOOD))
    around += np.float32(1e-6) * power.max() + np.float32(1e-12)
    return Spectrum(np.minimum(power / around, np.float32(cap)), size)


def _middle(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    top, left = (max(0, (length - _MAX_SIZE) // 2) for length in plane.shape)
    return plane[top : top + _MAX_SIZE, left : left + _MAX_SIZE]


def _taper(length: int) -> NDArray[np.float32]:
    index = np.arange(length)
    rise = np.minimum(index + 0.5, length - index - 0.5) / (_TAPER * length)
    taper: NDArray[np.float32] = np.clip(rise, 0, 1).astype(np.float32)
    return taper


def tone_positions(
    matrices: NDArray[np.floating], tones: NDArray[np.float64], period: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row (each n × tones) of every tone in a spectrum of ``size``, under each 2×2 matrix (n × 2 × 2)."""
    m = np.asarray(matrices, np.float32)
    a, b, c, d = m[:, 0, 0, None], m[:, 0, 1, None], m[:, 1, 0, None], m[:, 1, 1, None]
    scale = np.float32(size / period) / (a * d - b * c)
    u, v = tones.T.astype(np.float32)
    column, row = (d * u - c * v) * scale, (a * v - b * u) * scale
    np.negative(row, out=row, where=column < 0)  # the other half plane is the conjugate of this one
    row += np.float32(size // 2)
    return np.abs(column), row


def grid_indices(
    matrices: NDArray[np.floating], tones: NDArray[np.float64], period: int, size: int
) -> NDArray[np.int32]:
    """Flat indices into a spectrum of ``size`` of each tone (rows) under each 2×2 matrix (columns)."""
    column, row = tone_positions(matrices, tones, period, size)
    column, row = np.rint(column, out=column).clip(0, size // 2), np.rint(row, out=row).clip(0, size - 1)
    indices = row.astype(np.int32) * (size // 2 + 1) + column.astype(np.int32)
    return np.ascontiguousarray(indices.T)


def grid_powers(power: NDArray[np.float32], indices: NDArray[np.int32]) -> NDArray[np.float32]:
    """The power at all tones together, for each matrix of :func:`grid_indices`."""
    flat, total = power.ravel(), np.zeros(indices.shape[1], np.float32)
    for of_tone in indices:
        total += flat.take(of_tone)
    return total


def tone_scores(
    spectrum: Spectrum, matrices: NDArray[np.floating], tones: NDArray[np.float64], period: int
) -> NDArray[np.float32]:
    """How strongly the tones stand out under each 2×2 matrix (n × 2 × 2), in deviations of noise.

    In noise the normalised power is exponential with mean and deviation 1, so the sum over k tones less k, over √k,
    is of unit deviation for one matrix; a search takes the best of very many.
    """
    column, row = tone_positions(matrices, tones, period, spectrum.size)
    found = cv2.remap(spectrum.power, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)
    return np.asarray((found.sum(axis=1) - len(tones)) / np.sqrt(len(tones)), np.float32)
