"""From a channel plane and a geometric hypothesis to log-likelihood ratios.

A hypothesis is a 3×3 map from *pattern coordinates* (a plane over which the pattern repeats) to the channel plane. The
plane is warped back over whole tiles; each tile's dimensions are read, weighted with its signs, and summed. The pilots
tell how much of the mark each ring of the annulus has kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from countermark.watermark.lattice.tile import BANDS, KeyedTile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_AREA = 2400**2
"""Larger warped planes only come of absurd hypotheses."""


@dataclass(frozen=True)
class TiledPlane:
    """A channel plane brought to pattern coordinates and cut into whole tiles.

    Attributes:
        tiles: rows × columns × side × side; zero outside the picture.
        origin: (row, column) of the first tile, in tiles.
    """

    tiles: NDArray[np.float32]
    origin: tuple[int, int]

    def folded(self, super_tile: int) -> NDArray[np.float32]:
        """The sum of all periods of ``super_tile`` × ``super_tile`` tiles, as one square of pixels."""
        rows, columns, side, _ = self.tiles.shape
        top, left = self.origin[0] % super_tile, self.origin[1] % super_tile
        down, across = -(-(top + rows) // super_tile), -(-(left + columns) // super_tile)
        period = super_tile * side
        padded = np.zeros((down * period, across * period), np.float32)
        window = padded[top * side : (top + rows) * side, left * side : (left + columns) * side]
        window[:] = self.tiles.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
        return np.asarray(padded.reshape(down, period, across, period).sum(axis=(0, 2)))


@dataclass(frozen=True)
class Reading:
    """The dimensions of one key under one hypothesis.

    Attributes:
        values: one value for each dimension.
        score: normalised correlation of the pilots, in deviations.
    """

    values: NDArray[np.float64]
    score: float


def translation(x: float, y: float) -> NDArray[np.float64]:
    """The 3×3 map that adds (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def cut(plane: NDArray[np.float32], hypothesis: NDArray[np.float64], side: int) -> TiledPlane | None:
    """Warp a plane to pattern coordinates, over every tile that it touches; None where the hypothesis is absurd."""
    bounds = _tile_bounds(plane.shape, hypothesis, side)
    if bounds is None:
        return None
    low, size = bounds
    rows, columns = int(size[1]) // side, int(size[0]) // side
    local = hypothesis @ translation(*low)
    warped = _warp(plane, local, size)
    return TiledPlane(
        tiles=warped.reshape(rows, side, columns, side).transpose(0, 2, 1, 3),
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


def _warp(plane: NDArray[np.float32], local: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray[np.float32]:
    extent = (int(size[0]), int(size[1]))
    if np.array_equal(local, np.eye(3)):  # an unmoved picture needs padding only
        padding = (0, extent[1] - plane.shape[0], 0, extent[0] - plane.shape[1])
        return np.asarray(cv2.copyMakeBorder(plane, *padding, cv2.BORDER_CONSTANT, value=0))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if not local[2, :2].any():
        return np.asarray(cv2.warpAffine(plane, local[:2], extent, flags=flags))
    return np.asarray(cv2.warpPerspective(plane, local, extent, flags=flags))


def read(cutting: TiledPlane, tile: KeyedTile) -> Reading:
    """Sum the tiles' dimensions under their signs."""
    dimensions = _dimensions(cutting, tile)
    values = np.einsum("rcd,rcd->d", _signs_of(cutting, tile), dimensions)
    correlation = (values * tile.amplitude)[tile.pilots]
    score = correlation.sum() / np.sqrt((correlation**2).sum() + 1e-9)
    return Reading(values.astype(np.float64), float(score))


def place(
    cutting: TiledPlane, tile: KeyedTile, codeword: NDArray[np.uint8], values: NDArray[np.float64]
) -> tuple[int, int]:
    """By how many tiles (rows, columns) the pattern has to be moved, once the codeword is known.

    Where most tiles were wiped smooth, the few that remain may suit a wrong placement's signs, and the payload
    decodes all the same. With the data known, every dimension is a pilot, and the faint tiles have a say too.
    """
    modulus = tile.parameters.super_tile
    gain, variance = band_gains(values, tile)
    weighted = _dimensions(cutting, tile) * ((gain / variance)[tile.band] * tile.waveform(codeword)).astype(np.float32)
    moves = [(row, column) for row in range(modulus) for column in range(modulus)]
    return max(moves, key=lambda move: float(np.vdot(_signs_of(cutting, tile, move), weighted)))


def _dimensions(cutting: TiledPlane, tile: KeyedTile) -> NDArray[np.float32]:
    """The dimensions of every tile, rows × columns × size."""
    rows, columns, side, _ = cutting.tiles.shape
    return tile.analyse(cutting.tiles.reshape(-1, side, side)).reshape(rows, columns, -1)


def _signs_of(cutting: TiledPlane, tile: KeyedTile, move: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """The signs of every tile, rows × columns × size, the pattern moved by some tiles."""
    rows, columns = cutting.tiles.shape[:2]
    modulus = tile.parameters.super_tile
    row = (np.arange(rows) + cutting.origin[0] + move[0]) % modulus
    column = (np.arange(columns) + cutting.origin[1] + move[1]) % modulus
    return tile.signs[row[:, None], column[None]]


def band_gains(values: NDArray[np.float64], tile: KeyedTile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the channel left of the mark in each ring, from the pilots, and the variance of the noise there."""
    amplitude, band = tile.amplitude, tile.band
    pilot_band = band[tile.pilots]
    pilot_energy = np.bincount(pilot_band, amplitude[tile.pilots] ** 2, BANDS)
    matched = np.bincount(pilot_band, (values * amplitude)[tile.pilots], BANDS)
    gain = np.clip(gaussian_filter1d(matched / np.maximum(pilot_energy, 1e-9), 0.7, mode="nearest"), 0, None)
    count = np.bincount(band, minlength=BANDS)
    power = np.bincount(band, values**2, BANDS) / count
    mark_power = gain**2 * np.bincount(band, amplitude**2, BANDS) / count
    return gain, np.maximum(power - mark_power, 0.05 * power) + 1e-12


def code_llrs(values: NDArray[np.float64], tile: KeyedTile) -> NDArray[np.float64]:
    """The LLR of every coded bit: for y = ±g·a + noise of variance v it is 2·g·a·y / v, summed over its carriers."""
    gain, variance = band_gains(values, tile)
    llr = 2 * (gain / variance)[tile.band] * tile.amplitude * values
    return np.asarray(np.bincount(tile.coded_bit, llr[tile.data], tile.parameters.code_length), np.float64)
