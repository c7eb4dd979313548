"""From a channel plane and a geometric hypothesis to log-likelihood ratios.

A hypothesis is a 3×3 map from *tile coordinates* (a plane over which the tile repeats) to the channel plane. The
plane is warped back over whole tiles; each tile's dimensions are read, weighted with the signs of the super-tile at
one of its 64 offsets, and summed. The pilots tell which offset is right, and how much of the mark each ring of the
annulus has kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from countermark.watermark.lattice.tile import BANDS, KeyedTile, analyse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_AREA = 2400**2
"""Larger warped planes only come of absurd hypotheses."""


@dataclass(frozen=True)
class TiledPlane:
    """A channel plane brought to tile coordinates and cut into whole tiles.

    Attributes:
        tiles: rows × columns × side × side; zero outside the picture.
        coverage: for each pixel of the tile, how many tiles show it.
        area: pixels of the picture that are covered.
        origin: (row, column) of the first tile, in tiles.
    """

    tiles: NDArray[np.float32]
    coverage: NDArray[np.float32]
    area: float
    origin: tuple[int, int]

    def folded(self) -> NDArray[np.float32]:
        """The sum of all tiles, scaled so that noise keeps its deviation: what the tones stand out of."""
        return np.asarray(self.tiles.sum(axis=(0, 1)) / np.sqrt(np.maximum(self.coverage, 1)))


@dataclass(frozen=True)
class Reading:
    """The dimensions of one key under one hypothesis.

    Attributes:
        values: one value for each dimension.
        score: normalised correlation of the pilots, in deviations of one offset (the best of 64).
        offset: (row, column) of the first super-tile sign, 0..7.
    """

    values: NDArray[np.float64]
    score: float
    offset: tuple[int, int]


def translation(x: float, y: float) -> NDArray[np.float64]:
    """The 3×3 map that adds (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def cut(plane: NDArray[np.float32], hypothesis: NDArray[np.float64], side: int) -> TiledPlane | None:
    """Warp a plane to tile coordinates, over every tile that it touches; None where the hypothesis is absurd."""
    bounds = _tile_bounds(plane.shape, hypothesis, side)
    if bounds is None:
        return None
    low, size = bounds
    rows, columns = int(size[1]) // side, int(size[0]) // side
    local = hypothesis @ translation(*low)
    warped = _warp(plane, local, size, cv2.INTER_LINEAR)
    covered = _warp(np.ones_like(plane), local, size, cv2.INTER_NEAREST)
    coverage = covered.reshape(rows, side, columns, side).sum(axis=(0, 2))
    return TiledPlane(
        tiles=warped.reshape(rows, side, columns, side).transpose(0, 2, 1, 3),
        coverage=coverage,
        area=float(coverage.sum()),
        origin=(int(low[1]) // side, int(low[0]) // side),
    )


def _tile_bounds(
    shape: tuple[int, ...], hypothesis: NDArray[np.float64], side: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """The lowest corner and the size (x, y) of the whole tiles that hold the picture."""
    height, width = shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float)
    corners = corners @ np.linalg.inv(hypothesis).T
    corners = corners[:, :2] / corners[:, 2:]
    if not np.isfinite(corners).all():
        return None
    low = np.floor(corners.min(axis=0) / side) * side
    size = np.ceil(corners.max(axis=0) / side) * side - low
    if size.prod() > _MAX_AREA or size.min() < side:
        return None
    return low, size.astype(np.int64)


def _warp(
    plane: NDArray[np.float32], local: NDArray[np.float64], size: NDArray[np.int64], interpolation: int
) -> NDArray[np.float32]:
    extent = (int(size[0]), int(size[1]))
    if np.array_equal(local, np.eye(3)):  # an unmoved picture needs padding only
        padding = (0, extent[1] - plane.shape[0], 0, extent[0] - plane.shape[1])
        return np.asarray(cv2.copyMakeBorder(plane, *padding, cv2.BORDER_CONSTANT, value=0))
    flags = interpolation | cv2.WARP_INVERSE_MAP
    if np.allclose(local[2], [0, 0, 1]):
        return np.asarray(cv2.warpAffine(plane, local[:2], extent, flags=flags))
    return np.asarray(cv2.warpPerspective(plane, local, extent, flags=flags))


@lru_cache(maxsize=4)
def _offsets(side: int) -> NDArray[np.intp]:
    return np.stack(np.divmod(np.arange(side * side), side), axis=1)


def read(cutting: TiledPlane, tile: KeyedTile, *, fixed: bool = False) -> Reading:
    """Sum the tiles' dimensions under the best super-tile offset, or under offset (0, 0) where ``fixed``."""
    side = cutting.tiles.shape[2]
    dimensions = analyse(tile, cutting.tiles.reshape(-1, side, side))
    offsets = np.zeros((1, 2), np.intp) if fixed else _offsets(tile.parameters.super_tile)
    signs = _signs_under(offsets, cutting, tile)

    noise = np.sqrt(max(cutting.area / side**2, 1))
    values = signs @ dimensions / noise
    correlation = values[:, tile.pilots] * (tile.signs * tile.amplitude)[tile.pilots]
    scores = correlation.sum(axis=1) / np.sqrt((correlation**2).sum(axis=1) + 1e-9)
    best = int(scores.argmax())
    return Reading(
        values=np.where(tile.is_tone, dimensions.sum(axis=0) / noise, values[best]).astype(np.float64),
        score=float(scores[best]),
        offset=(int(offsets[best, 0]), int(offsets[best, 1])),
    )


def place(
    cutting: TiledPlane, tile: KeyedTile, codeword: NDArray[np.uint8], values: NDArray[np.float64]
) -> tuple[int, int]:
    """The super-tile offset (row, column) once the codeword is known.

    Where most tiles were wiped smooth, the few that remain may suit a wrong offset's signs, and the payload decodes
    all the same. With the data known, every dimension is a pilot, and the faint tiles have a say too.
    """
    side = cutting.tiles.shape[2]
    gain, variance = band_gains(values, tile)
    weights = (gain / variance)[tile.band] * tile.waveform(codeword) * ~tile.is_tone
    matched = analyse(tile, cutting.tiles.reshape(-1, side, side)) @ weights
    offsets = _offsets(tile.parameters.super_tile)
    best = int((_signs_under(offsets, cutting, tile) @ matched).argmax())
    return int(offsets[best, 0]), int(offsets[best, 1])


def _signs_under(offsets: NDArray[np.intp], cutting: TiledPlane, tile: KeyedTile) -> NDArray[np.float32]:
    """The super-tile's sign of every tile under each offset, offsets × tiles."""
    rows, columns = cutting.tiles.shape[:2]
    modulus = tile.parameters.super_tile
    row = (np.arange(rows) + cutting.origin[0])[None, :, None] + offsets[:, 0, None, None]
    column = (np.arange(columns) + cutting.origin[1])[None, None, :] + offsets[:, 1, None, None]
    return np.asarray(tile.super_tile[row % modulus, column % modulus].reshape(len(offsets), -1))


def band_gains(values: NDArray[np.float64], tile: KeyedTile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the channel left of the mark in each ring, from the pilots, and the variance of the noise there."""
    amplitude, band = tile.amplitude, tile.band
    pilot_band = band[tile.pilots]
    pilot_energy = np.bincount(pilot_band, amplitude[tile.pilots] ** 2, BANDS)
    matched = np.bincount(pilot_band, (values * tile.signs * amplitude)[tile.pilots], BANDS)
    gain = np.clip(gaussian_filter1d(matched / np.maximum(pilot_energy, 1e-9), 0.7, mode="nearest"), 0, None)
    count = np.bincount(band, minlength=BANDS)
    power = np.bincount(band, values**2, BANDS) / count
    mark_power = gain**2 * np.bincount(band, amplitude**2, BANDS) / count
    return gain, np.maximum(power - mark_power, 0.05 * power) + 1e-12


def code_llrs(values: NDArray[np.float64], tile: KeyedTile) -> NDArray[np.float64]:
    """The LLR of every coded bit: for y = ±g·a + noise of variance v it is 2·g·a·y / v, summed over its carriers."""
    gain, variance = band_gains(values, tile)
    llr = 2 * (gain / variance)[tile.band] * tile.amplitude * tile.signs * values
    return np.asarray(np.bincount(tile.coded_bit, llr[tile.data], tile.parameters.code_length), np.float64)
