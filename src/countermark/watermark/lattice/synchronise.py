"""Finding scale, rotation and aspect from the tones alone.

A grid of affine matrices is scored on the spectrum, the best of each family are refined by a local search, and what
remains is a handful of hypotheses. The tones are the same under quarter turns and flips, so ±45° is every rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from countermark.watermark.lattice.spectrum import Spectrum, grid_indices, grid_powers, tone_scores
from countermark.watermark.lattice.tile import KeyedTile, keyed_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

_SHORTLIST = (3, 3, 2)
"""Hypotheses kept of each family: scale only; scale and rotation; two scales (aspect)."""
_RARE_SHORTLIST = (2, 2, 1, 2)
"""The same of what happens less often: small crops, upright and turned; a strong squeeze; a small part of a page."""
_STRETCHED, _SQUEEZED = 0.4, 0.72
"""Greatest natural logarithm of the ratio of the sides in the two families of two scales."""
_LEAST_CROP = 0.97
"""Scale from which a rotated matrix is one of a crop, which enlarges, or nearly."""
_CONTENDERS = 1500
"""The best of a family, among which distinct ones are sought."""
_DISTINCT = 0.02
"""Two matrices that differ by no more than this in every entry are one hypothesis."""

_STEPS = (0.0035, 0.0025, 0.0016, 0.001, 0.0006)
"""Deviation of the local search in each round, in matrix entries (0.001 is half a pixel over 512)."""
_TRIALS = 128
_KEPT = 4
"""Hypotheses that survive the first two rounds, the unmoved one among them."""


@dataclass(frozen=True)
class _Grid:
    """All matrices of the coarse search.

    Attributes:
        matrices: n × 2 × 2.
        families: as in :data:`_SHORTLIST`.
        rare: as in :data:`_RARE_SHORTLIST`.
        turned_crops: which of the second family do not shrink.
    """

    matrices: NDArray[np.float64]
    families: tuple[slice, ...]
    rare: tuple[slice, ...]
    turned_crops: slice


@lru_cache(maxsize=1)
def _grid() -> _Grid:
    scale_only = _similarities(np.exp(np.arange(np.log(0.5), np.log(2.4), 0.002)), np.zeros(1))
    angles = np.deg2rad(np.arange(-45, 45, 0.3))
    scales = np.exp(np.arange(np.log(0.55), np.log(2.35), 0.005))
    # The larger the scale, the nearer the tones are to the centre of the spectrum: coarser steps will do.
    small_crops = _similarities(np.exp(np.arange(np.log(2.4), np.log(3.6), 0.002)), np.zeros(1))
    turned = _similarities(np.exp(np.arange(np.log(2.35), np.log(3.2), 0.005)), angles[::2])
    small_parts = _similarities(np.exp(np.arange(np.log(0.3), np.log(0.5), 0.002)), np.zeros(1))
    common = scale_only, _similarities(scales, angles), _stretched()
    families = (*common, small_crops, turned, _squeezed(), small_parts)
    ends = np.cumsum([0, *map(len, families)]).tolist()
    crops = ends[1] + len(angles) * int(np.searchsorted(scales, _LEAST_CROP))
    slices = tuple(map(slice, ends, ends[1:]))
    return _Grid(np.concatenate(families), slices[: len(common)], slices[len(common) :], slice(crops, ends[2]))


def _stretched() -> NDArray[np.float64]:
    sides = np.exp(np.arange(np.log(0.65), np.log(1.9), 0.006))
    x, y = np.meshgrid(sides, sides, indexing="ij")
    aspect = np.abs(np.log(x / y))
    return _diagonal(x, y, (aspect > 0.008) & (aspect < _STRETCHED))


def _squeezed() -> NDArray[np.float64]:
    """One side to half at the least (16:9 forced into a square is .56), of whole pictures and of crops to half."""
    mean = np.exp(np.arange(np.log(0.97), np.log(1.45), 0.006))
    root = np.exp(np.arange(_STRETCHED, _SQUEEZED, 0.012) / 2)
    mean, root = np.meshgrid(mean, np.concatenate([root, 1 / root]), indexing="ij")
    return _diagonal(mean * root, mean / root, np.ones(mean.shape, bool))


def _diagonal(x: NDArray[np.float64], y: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    matrices = np.zeros((int(chosen.sum()), 2, 2))
    matrices[:, 0, 0], matrices[:, 1, 1] = x[chosen], y[chosen]
    return matrices


def _similarities(scales: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    scale, angle = (axis.ravel() for axis in np.meshgrid(scales, angles, indexing="ij"))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


@lru_cache(maxsize=16)
def _grid_indices(key: bytes, parameters: Parameters, size: int) -> NDArray[np.int32]:
    return grid_indices(_grid().matrices, keyed_tile(key, parameters).tones, parameters.period, size)


class Candidates:
    """Every matrix of the grid with its tone score on one spectrum, of which the most promising are taken."""

    def __init__(self, spectrum: Spectrum, key: bytes, parameters: Parameters) -> None:
        self._grid = _grid()
        # A peak between two samples is seen from either: the grid need not hit it exactly.
        power = np.asarray(cv2.dilate(spectrum.power, np.ones((2, 2), np.uint8)), np.float32)
        self._scores = grid_powers(power, _grid_indices(key, parameters, spectrum.size))

    def shortlist(self) -> NDArray[np.float64]:
        """A few of each family, n × 2 × 2, the unmoved one first."""
        return np.concatenate([np.eye(2)[None], self._few(self._grid.families, _SHORTLIST)])

    def rare(self) -> NDArray[np.float64]:
        """A few of what happens less often, n × 2 × 2: apart, so that they crowd out nothing more common."""
        return self._few(self._grid.rare, _RARE_SHORTLIST)

    def _few(self, families: tuple[slice, ...], counts: tuple[int, ...]) -> NDArray[np.float64]:
        chosen = np.empty((0, 2, 2))
        for family, count in zip(families, counts, strict=True):
            chosen = np.concatenate([chosen, self._best(family, count, _DISTINCT, chosen)])
        return chosen

    def turned_crops(self, count: int, distinct: float) -> NDArray[np.float64]:
        """Up to ``count`` that enlarge and turn, n × 2 × 2, of which no two are within ``distinct`` in every entry."""
        return self._best(self._grid.turned_crops, count, distinct, np.empty((0, 2, 2)))

    def _best(self, family: slice, count: int, distinct: float, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best of a family that differ from each other and from those ``known``, best first."""
        scores = self._scores[family]
        top = np.argpartition(-scores, min(_CONTENDERS, len(scores) - 1))[:_CONTENDERS]
        top = top[np.argsort(-scores[top])]
        left = self._grid.matrices[family][top]
        for other in known:
            left = left[_differ(left, other, distinct)]
        found: list[NDArray[np.float64]] = []
        while len(left) and len(found) < count:
            found.append(left[0])
            left = left[_differ(left, left[0], distinct)]
        return np.array(found).reshape(-1, 2, 2)


def _differ(matrices: NDArray[np.float64], other: NDArray[np.float64], distinct: float) -> NDArray[np.bool_]:
    """Which of the matrices differ from the other by more than ``distinct`` in some entry."""
    return np.asarray(np.abs(matrices - other).max(axis=(1, 2)) > distinct)


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
