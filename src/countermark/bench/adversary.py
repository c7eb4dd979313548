"""What somebody can do who knows the lattice's construction, but not the key.

Everything here uses public knowledge only: the canonical plane, how a detector whitens it, the perceptual mask, the
annulus, the slope of the amplitudes, and the sides of tile and period. Pictures are RGB, uint8, H×W×3, and of one
size wherever several are averaged; an *estimate* is a canonical plane, float32, of any scale, that is meant to look
like the mark before the mask shapes it.

Averaging many marked pictures is the collusion attack of Cox et al. (1997); copying a residual is the copy attack of
Kutter, Voloshynovskiy and Herrigel, "Watermark copy attack", SPIE 3971, 2000.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import fft

from countermark.watermark.lattice import canonical
from countermark.watermark.lattice.mask import perceptual_mask
from countermark.watermark.lattice.parameters import V1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]

_MARGIN = 0.2
"""Cycles a tile kept beyond the annulus."""


def channel_of(pixels: NDArray[np.uint8]) -> Plane:
    """What a detector sees of a picture: its whitened canonical plane."""
    return canonical.channel(canonical.luma_plane(pixels, V1.canonical_side))


def average(pictures: Iterable[NDArray[np.uint8]]) -> Plane:
    """The mean channel of several pictures, nothing moved: what all their marks share at the same place stays."""
    planes = [channel_of(pixels) for pixels in pictures]
    return np.asarray(sum(planes[1:], start=planes[0]) / np.float32(len(planes)))


def aligned_average(pictures: Iterable[NDArray[np.uint8]], rounds: int = 3) -> Plane:
    """The mean channel after each picture was shifted, cyclically, to where it agrees best with the others.

    For an attacker who suspects that every mark begins elsewhere in its period: begin with the first, add each at its
    best shift, then align all again with their mean. What repeats in every tile says nothing of the shift and is left
    out. The estimate lies like the first picture's mark; :func:`aligned` moves it to a victim's.
    """
    planes = [shape_spectrum(channel_of(pixels), slope=0.0) for pixels in pictures]
    planes = [plane - fold(plane, V1.tile) for plane in planes]
    total = planes[0].copy()
    for plane in planes[1:]:
        total += aligned(plane, total)
    for _ in range(rounds):
        total = np.sum([aligned(plane, total) for plane in planes], axis=0)
    return np.asarray(total / len(planes), np.float32)


def aligned(plane: Plane, reference: Plane) -> Plane:
    """A plane, shifted cyclically to where it correlates best with another of its shape."""
    correlation = fft.irfft2(fft.rfft2(reference) * fft.rfft2(plane).conj(), plane.shape)
    shift = np.unravel_index(int(correlation.argmax()), correlation.shape)
    return np.asarray(np.roll(plane, shift, axis=(0, 1)), np.float32)


def fold(plane: Plane, period: int) -> Plane:
    """The mean over all periods of a plane, laid over it again: what repeats stays."""
    height, width = plane.shape
    rows, columns = -(-height // period), -(-width // period)
    padded = np.zeros((rows * period, columns * period), np.float32)
    padded[:height, :width] = plane
    count = np.zeros_like(padded)
    count[:height, :width] = 1
    axes = (0, 2)
    mean = padded.reshape(rows, period, columns, period).sum(axes)
    mean /= np.maximum(count.reshape(rows, period, columns, period).sum(axes), 1)
    return np.ascontiguousarray(np.tile(mean, (rows, columns))[:height, :width])


def unsigned(plane: Plane) -> Plane:
    """The strongest tile that repeats under *unknown* signs, with what repeats under none, laid over the plane again.

    Whole tiles as rows of a matrix: one waveform under one sign a tile is a matrix of rank one, and the first singular
    vectors are those signs and that waveform, for anybody, from a single picture. Where the tiles begin is found by
    trying.
    """
    visible = shape_spectrum(plane, slope=0.0)
    coarse = max(_phases(8), key=lambda phase: _rank_one(visible, phase)[0])
    fine = [((coarse[0] + row) % V1.tile, (coarse[1] + column) % V1.tile) for row, column in _phases(2, -6, 7)]
    best = max(fine, key=lambda phase: _rank_one(visible, phase)[0])
    signs = _rank_one(visible, best)[1]
    # What repeats as it is, and what repeats under the signs, are told apart by least squares.
    factors = np.column_stack([np.ones_like(signs), signs])
    moved = np.roll(plane, (-best[0], -best[1]), axis=(0, 1))
    solved = factors @ np.linalg.lstsq(factors, _tiles(moved), rcond=None)[0]
    return np.asarray(np.roll(_untiled(solved, plane), best, axis=(0, 1)), np.float32)


def _phases(step: int, start: int = 0, stop: int = V1.tile) -> list[tuple[int, int]]:
    return [(row, column) for row in range(start, stop, step) for column in range(start, stop, step)]


def _rank_one(plane: Plane, phase: tuple[int, int]) -> tuple[float, NDArray[np.float64]]:
    """How far the first singular value stands out for a grid of tiles with this origin, and the signs it gives."""
    tiles = _tiles(np.roll(plane, (-phase[0], -phase[1]), axis=(0, 1)))
    tiles -= tiles.mean(axis=0)
    values, vectors = np.linalg.eigh(tiles @ tiles.T)
    return float(values[-1] / values.sum()), np.where(vectors[:, -1] < 0, -1.0, 1.0)


def _tiles(plane: Plane) -> NDArray[np.float64]:
    side = V1.tile
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    whole = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return whole.transpose(0, 2, 1, 3).reshape(rows * columns, -1).astype(float)


def _untiled(tiles: NDArray[np.float64], like: Plane) -> Plane:
    side = V1.tile
    rows, columns = like.shape[0] // side, like.shape[1] // side
    plane = np.zeros_like(like)
    whole = tiles.reshape(rows, columns, side, side).transpose(0, 2, 1, 3)
    plane[: rows * side, : columns * side] = whole.reshape(rows * side, -1)
    return plane


def peaks(plane: Plane, count: int = 400) -> Plane:
    """The strongest single frequencies of a plane: whatever is a pure tone."""
    spectrum = fft.rfft2(shape_spectrum(plane, slope=0.0))
    power = np.abs(spectrum).ravel()
    spectrum[np.abs(spectrum) < np.partition(power, -count)[-count]] = 0
    return np.asarray(fft.irfft2(spectrum, plane.shape), np.float32)


def shape_spectrum(plane: Plane, slope: float = V1.amplitude_slope) -> Plane:
    """The annulus alone, with the mark's slope of amplitudes in place of the whitened one."""
    height, width = plane.shape
    radius = V1.tile * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    inside = (radius >= V1.radius_min - _MARGIN) & (radius <= V1.radius_max + _MARGIN)
    gain = np.where(inside, np.maximum(radius, 1) ** -slope, 0).astype(np.float32)
    return np.asarray(fft.irfft2(fft.rfft2(plane) * gain, (height, width)), np.float32)


def add(pixels: NDArray[np.uint8], estimate: Plane, rmse: float) -> NDArray[np.uint8]:
    """Add an estimate, shaped like a mark, at a root mean squared error; a negative one subtracts it.

    The lattice's own mark at 40 dB has an error of 2.55.
    """
    height, width = pixels.shape[:2]
    mask = perceptual_mask(canonical.luma_plane(pixels, V1.canonical_side), V1)
    shaped = shape_spectrum(estimate) * mask
    pattern = cv2.resize(shaped, (width, height), interpolation=cv2.INTER_CUBIC)
    pattern = pattern * np.float32(rmse / max(float(np.sqrt(np.mean(pattern**2))), 1e-9))
    return add_difference(pixels, pattern[..., None])


def add_difference(pixels: NDArray[np.uint8], difference: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Add a difference (H×W×1 or H×W×3), rounded and clipped."""
    return np.clip(np.rint(pixels + difference), 0, 255).astype(np.uint8)


def denoising_residual(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What an edge-keeping denoiser takes away: most of a mark, and little of the picture."""
    return np.asarray(pixels.astype(np.float32) - cv2.bilateralFilter(pixels, 9, 25, 4))


def turned(pixels: NDArray[np.uint8], degrees: float = 5.0) -> NDArray[np.uint8]:
    """The picture turned about its centre, in a frame of the same size."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def bent(pixels: NDArray[np.uint8], target: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """``pixels`` with a share of their low frequencies, of which PDQ is made, taken from ``target``: no key is needed.

    At 1 the two have nearly one fingerprint, and look no more alike than a blur does.
    """
    theirs, ours = (
        cv2.dct(cv2.resize(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32), (64, 64), interpolation=3))
        for one in (target, pixels)
    )
    change = np.zeros((64, 64), np.float32)
    change[:17, :17] = share * (theirs - ours)[:17, :17]
    change[0, 0] = 0
    return add_difference(
        pixels, cv2.resize(cv2.idct(change), pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    )
