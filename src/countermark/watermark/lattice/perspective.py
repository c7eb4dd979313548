"""Undoing a perspective and whatever else no single family of affine maps holds: a screen photographed from the side.

Under a perspective every region has an affine map of its own, and in the spectrum of the whole the tones are smeared.
Windows of half the sides or less show them sharp. First every affine map that a photograph of a picture may have is
scored on the middle window; then the best of them are tried with several tilts on all five windows; last, both are made
to agree better by the cross-entropy method (Rubinstein, "The cross-entropy method for combinatorial and continuous
optimization", Methodology and Computing in Applied Probability 1(2), 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice.read import translation
from countermark.watermark.lattice.spectrum import Spectrum, grid_indices, grid_powers, spectrum_of, tone_scores
from countermark.watermark.lattice.tile import KeyedTile, keyed_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

_WINDOWS = ((0.5, 0.5), (0.28, 0.28), (0.28, 0.72), (0.72, 0.28), (0.72, 0.72))
"""Centres of the windows, as shares of width and height; the middle one first."""
_WINDOW_SPECTRUM = 256
_LARGEST_WINDOW = 512
"""Pixels a side, of a panorama's windows."""
_WINDOW_CAP = 4.0
"""A line of text or weave stands in all five windows: it must not be taken for tones that agree."""
_UNIT = 512.0
"""Perspective terms are tiny; they are searched in this unit."""

_SCALES = np.arange(np.log(0.6), np.log(1.3), 0.03)
_TURNS = np.arange(-0.168, 0.17, 0.024)
_STRETCHES = np.arange(-0.15, 0.16, 0.018)
_SHEARS = np.arange(-0.072, 0.08, 0.024)
"""Natural logarithms of scale and stretch (half of that of the ratio of the sides), radians, and shear, of the affine
maps that are tried: the picture fills three fifths of the frame or more and is held within ten degrees of upright."""
_DISTINCT = 0.025
_CONTENDERS = 600
_SEEDS = 24
_TILTS = np.stack(np.meshgrid(*2 * [np.linspace(-0.135, 0.135, 7)]), axis=-1).reshape(-1, 2)
"""Perspective terms tried on each of the best maps; a yaw of 25 degrees from twice the picture's side gives .11."""
_PROMISING = 11.5
"""Sum of the windows' tone scores from which a map is improved: one unmarked picture in sixteen has it."""
_BELIEVED = 15.0
"""The same, improved, from which a map is worth a lock: one in twenty."""

_NEAR_TRIALS = 3000
_NEAR_DEVIATION = np.array([0.03, 0.03, 0.03, 0.03, 0.15, 0.15])
_ROUNDS = 10
_FINALISTS = 8
_TRIALS = 400
_DEVIATION = np.array([0.012, 0.012, 0.012, 0.012, 0.03, 0.03])
_COOLING = 0.75


@dataclass(frozen=True)
class Windows:
    """The spectra of five windows of a channel plane, and where their middles lie (x, y) from the plane's."""

    spectra: tuple[Spectrum, ...]
    offsets: NDArray[np.float64]
    centre: NDArray[np.float64]

    def scores(self, terms: NDArray[np.float64], tile: KeyedTile) -> NDArray[np.float64]:
        """How well the tones of all windows agree on each projective map; each row of ``terms`` is (M, g).

        With q in pattern coordinates about the plane's centre, the map is M·q / (1 + g·q); each window sees its
        Jacobian.
        """
        total = np.zeros(len(terms))
        for spectrum, offset in zip(self.spectra, self.offsets, strict=True):
            total += tone_scores(spectrum, _jacobians(terms, offset), tile.tones, tile.parameters.period)
        return total


def windows_of(plane: NDArray[np.float32]) -> Windows:
    """What the search for a perspective needs of a plane. It does not depend on a key."""
    centre = np.array([plane.shape[1], plane.shape[0]]) / 2
    size = np.minimum([(plane.shape[1] + 1) // 2, (plane.shape[0] + 1) // 2], _LARGEST_WINDOW)
    hann = np.outer(np.hanning(size[1]), np.hanning(size[0])).astype(np.float32)
    spectra, middles = [], []
    for share in _WINDOWS:
        left, top = np.maximum((2 * np.array(share) * centre - size / 2).astype(int), 0)
        window = plane[top : top + size[1], left : left + size[0]]
        spectra.append(spectrum_of(window * hann, _WINDOW_SPECTRUM, _WINDOW_CAP))
        middles.append(np.array([left, top]) + size / 2)
    return Windows(tuple(spectra), np.array(middles) - centre, centre)


def from_windows(
    windows: Windows, tile: KeyedTile, near: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """The projective hypothesis on which the tones of all windows agree best; None where even that is weak.

    Args:
        windows: of the plane.
        tile: whose tones.
        near: an affine map (2×2) around which is looked too, whatever it is.
    """
    generator = np.random.default_rng(0)  # its own, so that equal input gives equal output
    seeds = _seeds(windows.spectra[0], tile).reshape(-1, 4)
    terms = np.column_stack([np.repeat(seeds, len(_TILTS), axis=0), np.tile(_TILTS, (len(seeds), 1))])
    if near is not None:
        noise = _NEAR_DEVIATION * generator.standard_normal((_NEAR_TRIALS, 6))
        terms = np.concatenate([terms, np.concatenate([near.ravel(), [0, 0]]) + noise])
    scores = windows.scores(terms, tile)
    if near is None and scores.max() < _PROMISING:
        return None
    for step in range(_ROUNDS):
        kept = max(1, _FINALISTS - step)
        terms = terms[np.argsort(-scores)[:kept]]
        trials = np.repeat(terms, _TRIALS // kept, axis=0)
        noise = _COOLING**step * _DEVIATION * generator.standard_normal(trials.shape)
        terms = np.concatenate([terms, trials + noise])
        scores = windows.scores(terms, tile)
    if scores.max() < _BELIEVED:
        return None
    best = terms[scores.argmax()]
    hypothesis = np.eye(3)
    hypothesis[:2, :2], hypothesis[2, :2] = best[:4].reshape(2, 2), best[4:] / _UNIT
    return np.asarray(translation(*windows.centre) @ hypothesis)


def _seeds(spectrum: Spectrum, tile: KeyedTile) -> NDArray[np.float64]:
    """The affine maps (n × 2 × 2) that the middle window's tones find most promising."""
    scores = grid_powers(spectrum.power, _grid_indices(tile.key, tile.parameters, spectrum.size))
    top = np.argpartition(-scores, _CONTENDERS)[:_CONTENDERS]
    left = _grid()[top[np.argsort(-scores[top])]]
    seeds: list[NDArray[np.float64]] = []
    while len(left) and len(seeds) < _SEEDS:
        seeds.append(left[0])
        left = left[np.abs(left - left[0]).max(axis=(1, 2)) > _DISTINCT]
    return np.array(seeds)


@lru_cache(maxsize=1)
def _grid() -> NDArray[np.float64]:
    """Scale times rotation times the exponential of the symmetric matrix of stretch and shear, n × 2 × 2."""
    scale, turn, stretch, shear = (
        axis.ravel() for axis in np.meshgrid(_SCALES, _TURNS, _STRETCHES, _SHEARS, indexing="ij")
    )
    size = np.hypot(stretch, shear) + 1e-12
    even, odd = np.cosh(size), np.sinh(size) / size
    bent = _matrices(even + odd * stretch, odd * shear, odd * shear, even - odd * stretch)
    turned = _matrices(np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn))
    return np.asarray(np.exp(scale)[:, None, None] * turned @ bent)


def _matrices(*entries: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(entries, axis=-1).reshape(-1, 2, 2)


@lru_cache(maxsize=16)
def _grid_indices(key: bytes, parameters: Parameters, size: int) -> NDArray[np.int32]:
    return grid_indices(_grid(), keyed_tile(key, parameters).tones, parameters.period, size)


def _jacobians(terms: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Jacobians (n × 2 × 2) of q ↦ M·q / (1 + g·q) where it hits ``point``; each row of terms is (M, g)."""
    matrix, g = terms[:, :4].reshape(-1, 2, 2), terms[:, None, 4:] / _UNIT
    # The source solves M·q = point · (1 + g·q). The quotient rule then gives (M - point·gᵀ) / (1 + g·q).
    slope = matrix - point[:, None] * g
    source = np.linalg.solve(slope, np.broadcast_to(point[:, None], (len(terms), 2, 1)))
    return np.asarray(slope / (1 + g @ source))
