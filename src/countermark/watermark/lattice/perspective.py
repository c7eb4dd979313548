"""Undoing a perspective, where tones are strong but no single affine map locks.

Under a perspective every region has an affine map of its own. The tones of five windows are made to agree on one
projective map, by the cross-entropy method (Rubinstein, "The cross-entropy method for combinatorial and continuous
optimization", Methodology and Computing in Applied Probability 1(2), 1999).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice.read import translation
from countermark.watermark.lattice.spectrum import Spectrum, spectrum_of, tone_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.tile import KeyedTile

_WINDOWS = ((0.5, 0.5), (0.28, 0.28), (0.28, 0.72), (0.72, 0.28), (0.72, 0.72))
"""Centres of the windows, as shares of width and height."""
_WINDOW_SPECTRUM = 512
_UNIT = 512.0
"""Perspective terms are tiny; they are searched in this unit."""
_FIRST_TRIALS = 3000
_TRIALS = 600
_MAP_ROUNDS = 12
_MAP_DEVIATION = np.array([0.03, 0.03, 0.03, 0.03, 0.15, 0.15])
_COOLING = 0.7
_BELIEVED = 15.0
"""Sum of the windows' tone scores from which a map is worth a lock."""


def from_windows(
    plane: NDArray[np.float32], tile: KeyedTile, matrix: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The projective hypothesis near the affine ``matrix`` on which the tones of all windows agree best.

    None where even that is weak. With q in tile coordinates about the plane's centre, the map is M·q / (1 + g·q);
    each window sees its Jacobian.
    """
    height, width = plane.shape
    centre = np.array([width, height]) / 2
    windows = [_window(plane, share) for share in _WINDOWS]

    def score(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(len(terms))
        for spectrum, middle in windows:
            total += tone_scores(spectrum, _jacobians(terms, middle - centre), tile.tones, tile.parameters.period)
        return total

    generator = np.random.default_rng(0)  # its own, so that equal input gives equal output
    best = mean = np.concatenate([matrix.ravel(), [0, 0]])
    best_score = -np.inf
    for step in range(_MAP_ROUNDS):
        count = _TRIALS if step else _FIRST_TRIALS
        trials = mean + _COOLING**step * _MAP_DEVIATION * generator.standard_normal((count, 6))
        trials[0] = best
        scores = score(trials)
        order = np.argsort(-scores)
        if scores[order[0]] > best_score:
            best, best_score = trials[order[0]], scores[order[0]]
        mean = best if step < _MAP_ROUNDS // 3 else trials[order[:7]].mean(axis=0)
    if best_score < _BELIEVED:
        return None
    hypothesis = np.eye(3)
    hypothesis[:2, :2], hypothesis[2, :2] = best[:4].reshape(2, 2), best[4:] / _UNIT
    return np.asarray(translation(*centre) @ hypothesis)


def _window(plane: NDArray[np.float32], share: tuple[float, float]) -> tuple[Spectrum, NDArray[np.float64]]:
    """The spectrum of a window of half the plane's sides around a point, and the window's middle (x, y)."""
    height, width = plane.shape
    size = np.array([(width + 1) // 2, (height + 1) // 2])
    left, top = np.maximum((np.array(share) * [width, height] - size / 2).astype(int), 0)
    window = plane[top : top + size[1], left : left + size[0]]
    hann = np.outer(np.hanning(window.shape[0]), np.hanning(window.shape[1])).astype(np.float32)
    return spectrum_of(window * hann, _WINDOW_SPECTRUM), np.array([left, top]) + size / 2


def _jacobians(terms: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Jacobians (n × 2 × 2) of q ↦ M·q / (1 + g·q) where it hits ``point``; each row of terms is (M, g)."""
    matrix, g = terms[:, :4].reshape(-1, 2, 2), terms[:, None, 4:] / _UNIT
    # The source solves M·q = point · (1 + g·q). The quotient rule then gives (M - point·gᵀ) / (1 + g·q).
    slope = matrix - point[:, None] * g
    source = np.linalg.solve(slope, np.broadcast_to(point[:, None], (len(terms), 2, 1)))
    return np.asarray(slope / (1 + g @ source))
