"""Finding scale, rotation and aspect from the tones alone.

A grid of affine matrices is scored on the spectrum, the best of each family are refined by a local search, and what
remains is a handful of hypotheses. The tones are the same under quarter turns and flips, so ±45° is every rotation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from countermark.watermark.lattice.spectrum import Spectrum, tone_positions, tone_scores
from countermark.watermark.lattice.tile import KeyedTile, keyed_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

_SHORTLIST = (3, 3, 2)
"""Hypotheses kept of each family: scale only; scale and rotation; two scales (aspect)."""
_CONTENDERS = 300
_DISTINCT = 0.02
"""Two matrices that differ by no more than this in every entry are one hypothesis."""

_STEPS = (0.0035, 0.0025, 0.0016, 0.001, 0.0006)
"""Deviation of the local search in each round, in matrix entries (0.001 is half a pixel over 512)."""
_TRIALS = 128
_KEPT = 4
"""Hypotheses that survive the first two rounds, the unmoved one among them."""


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """All matrices of the coarse search (n × 2 × 2), and where each family begins and ends."""
    scale_only = _similarities(np.exp(np.arange(np.log(0.5), np.log(2.4), 0.002)), np.zeros(1))
    scales = np.exp(np.arange(np.log(0.55), np.log(2.35), 0.005))
    rotated = _similarities(scales, np.deg2rad(np.arange(-45, 45, 0.3)))
    sides = np.exp(np.arange(np.log(0.65), np.log(1.9), 0.006))
    x, y = np.meshgrid(sides, sides, indexing="ij")
    aspect = np.abs(np.log(x / y))
    chosen = (aspect > 0.008) & (aspect < 0.4)
    stretched = np.zeros((int(chosen.sum()), 2, 2))
    stretched[:, 0, 0], stretched[:, 1, 1] = x[chosen], y[chosen]
    families = (scale_only, rotated, stretched)
    return np.concatenate(families), np.cumsum([0, *map(len, families)])


def _similarities(scales: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    scale, angle = (axis.ravel() for axis in np.meshgrid(scales, angles, indexing="ij"))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


@lru_cache(maxsize=16)
def _grid_indices(key: bytes, parameters: Parameters, size: int) -> NDArray[np.int32]:
    """Flat indices into a spectrum of each tone (rows) under each matrix of the grid (columns)."""
    column, row = tone_positions(_grid()[0], keyed_tile(key, parameters).tones, parameters.period, size)
    column, row = np.rint(column, out=column).clip(0, size // 2), np.rint(row, out=row).clip(0, size - 1)
    indices = row.astype(np.int32) * (size // 2 + 1) + column.astype(np.int32)
    return np.ascontiguousarray(indices.T)


def shortlist(spectrum: Spectrum, key: bytes, parameters: Parameters) -> NDArray[np.float64]:
    """The most promising matrices of the grid, n × 2 × 2, the unmoved one first."""
    matrices, bounds = _grid()
    # A peak between two samples is seen from either: the grid need not hit it exactly.
    power = cv2.dilate(spectrum.power, np.ones((2, 2), np.uint8)).ravel()
    scores = np.zeros(len(matrices), np.float32)
    for indices in _grid_indices(key, parameters, spectrum.size):
        scores += power.take(indices)
    chosen: list[NDArray[np.float64]] = []
    for start, end, count in zip(bounds, bounds[1:], _SHORTLIST, strict=False):
        chosen += _best_distinct(matrices[start:end], scores[start:end], count, chosen)
    return np.array([np.eye(2), *chosen])


def _best_distinct(
    matrices: NDArray[np.float64], scores: NDArray[np.float32], count: int, others: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    top = np.argpartition(-scores, _CONTENDERS)[:_CONTENDERS]
    found: list[NDArray[np.float64]] = []
    for index in top[np.argsort(-scores[top])]:
        if all(np.abs(matrices[index] - other).max() > _DISTINCT for other in (*others, *found)):
            found.append(matrices[index])
        if len(found) == count:
            break
    return found


def refine(
    spectrum: Spectrum, tile: KeyedTile, matrices: NDArray[np.float64], kept: int = _KEPT
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Improve hypotheses by a random local search on the tone score, all at once.

    Args:
        spectrum: where the tones are looked for.
        tile: whose tones.
        matrices: n × 2 × 2; the first is never dropped.
        kept: how many survive the first rounds.

    Returns:
        The survivors and their tone scores, in no order but that the first stays first.
    """
    generator = np.random.default_rng(0)  # its own, so that equal input gives equal output
    period = tile.parameters.period
    best = tone_scores(spectrum, matrices, tile.tones, period)
    for step, deviation in enumerate(_STEPS):
        noise = generator.standard_normal((len(matrices), _TRIALS, 2, 2), np.float32)
        trials = matrices[:, None] + deviation * noise
        scores = tone_scores(spectrum, trials.reshape(-1, 2, 2), tile.tones, period).reshape(len(matrices), _TRIALS)
        winner = scores.argmax(axis=1)
        better = np.flatnonzero(scores.max(axis=1) > best)
        matrices = matrices.copy()
        matrices[better] = trials[better, winner[better]]
        best = np.maximum(best, scores.max(axis=1))
        if step == 1 and len(matrices) > kept:
            survivors = np.concatenate([[0], 1 + np.argsort(-best[1:])[: kept - 1]])
            matrices, best = matrices[survivors], best[survivors]
    return matrices, best
