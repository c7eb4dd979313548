"""Writing the mark.

The waveform is laid over the canonical plane, shaped by the perceptual mask, brought to the image's size, and added
to all three colours, so that it is a change of luma that survives greyscale. Before that, the embedder reads its own
mark and shifts energy from coded bits that the picture already supports to those that it opposes (informed embedding:
Miller, Doërr and Cox, "Applying informed coding and embedding to design a robust high-capacity watermark", IEEE
Trans. Image Processing 13(6), 2004). Last, one factor brings the whole to the target PSNR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from countermark.errors import WatermarkFailed
from countermark.watermark.lattice import canonical
from countermark.watermark.lattice.canonical import geometric_side
from countermark.watermark.lattice.mask import perceptual_mask, similarity_to_sum
from countermark.watermark.lattice.read import cut, read, translation
from countermark.watermark.lattice.tile import BANDS, lay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.tile import KeyedTile

PSNR_TOLERANCE = 0.1
"""Decibels by which the result may miss its target."""

_PEAK = 255.0
_SCALING_ROUNDS = 8
_STRIP_ROWS = 64


def embed(
    pixels: NDArray[np.uint8],
    tile: KeyedTile,
    codeword: NDArray[np.uint8],
    placement: tuple[int, int],
    psnr: float,
) -> NDArray[np.uint8]:
    """A copy of the picture with the codeword in it, at ``psnr`` decibels over the three colours.

    Args:
        pixels: RGB, uint8, H×W×3.
        tile: the key's waveform.
        codeword: the coded bits.
        placement: where in the pattern (row, column) the first canonical pixel lies.
        psnr: the strength.

    Raises:
        WatermarkFailed: the picture leaves no room for so strong a change.
    """
    height, width = pixels.shape[:2]
    luma = canonical.luma_plane(pixels, canonical.native_side(height, width, tile.parameters))
    error = _PEAK**2 / 10 ** (psnr / 10)
    waveform = tile.waveform(codeword)
    mask, pattern = _choose_mask(pixels, luma, lay(tile.pattern(waveform), placement, *luma.shape), tile, error)
    if geometric_side(height, width) < geometric_side(*luma.shape):
        # A picture smaller than its plane cannot hold the finest detail: measure what comes back.
        pattern = _resize(_resize(pattern, height, width), *luma.shape)
    waveform = waveform * _rebalance(luma, pattern, tile, waveform, placement)
    pattern = _shape(lay(tile.pattern(waveform), placement, *luma.shape), mask, error)
    return _add(pixels, _resize(pattern, height, width), error)


def _choose_mask(
    pixels: NDArray[np.uint8], luma: NDArray[np.float32], pattern: NDArray[np.float32], tile: KeyedTile, error: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The most robust mask under which the picture keeps its structure, and the pattern under it."""
    for shape in tile.parameters.masks:
        mask = perceptual_mask(luma, tile.parameters, shape)
        shaped = _shape(pattern, mask, error)
        if similarity_to_sum(pixels, _resize(shaped, *pixels.shape[:2])) >= tile.parameters.similarity_min:
            break
    return mask, shaped


def _resize(pattern: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(pattern, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _shape(pattern: NDArray[np.float32], mask: NDArray[np.float32], error: float) -> NDArray[np.float32]:
    """A pattern under the mask, with the mean squared ``error``."""
    shaped = pattern * mask
    return shaped * np.float32(np.sqrt(error / np.mean(shaped * shaped)))


def _rebalance(
    luma: NDArray[np.float32],
    pattern: NDArray[np.float32],
    tile: KeyedTile,
    waveform: NDArray[np.float64],
    placement: tuple[int, int],
) -> NDArray[np.float64]:
    """A gain for each dimension that gives more energy to what the picture opposes.

    For every coded bit, the picture's own contribution to its decision statistic is compared with the mark's, both
    measured as the detector will.
    """
    host, marked = (_read_placed(plane, tile, placement) for plane in (luma, np.clip(luma + pattern, 0, _PEAK)))
    mark = marked - host
    sign = np.sign(waveform)
    weight = sign * _matched_weights(host, mark * sign, tile)
    host_statistic, mark_statistic = weight * host, weight * mark

    bits, parameters = tile.coded_bit, tile.parameters
    host_bits = np.bincount(bits, host_statistic[tile.data], parameters.code_length)
    mark_bits = np.bincount(bits, mark_statistic[tile.data], parameters.code_length)
    support = np.clip(host_bits / np.maximum(mark_bits, 0.1 * mark_bits.mean() + 1e-9), -3, 3)
    gains = np.ones(tile.size)
    gains[tile.data] = np.clip(1 - parameters.rebalancing * support, *parameters.rebalancing_range)[bits]
    pilot_support = host_statistic[tile.pilots].sum() / max(mark_statistic[tile.pilots].sum(), 1e-9)
    gains[tile.pilots] = np.clip(1 - 0.5 * pilot_support, 0.7, 1.4)
    return gains


def _read_placed(luma: NDArray[np.float32], tile: KeyedTile, placement: tuple[int, int]) -> NDArray[np.float64]:
    """What a detector reads from an unmoved canonical plane."""
    cutting = cut(canonical.channel(luma), translation(-placement[1], -placement[0]), tile.parameters.tile)
    if cutting is None:
        raise WatermarkFailed("The image is too long and narrow to carry the mark.")
    return read(cutting, tile).values


def _matched_weights(host: NDArray[np.float64], matched: NDArray[np.float64], tile: KeyedTile) -> NDArray[np.float64]:
    """Gain times amplitude over noise, ring by ring: how a matched filter weighs each dimension."""
    band, amplitude = tile.band, tile.amplitude
    energy = np.bincount(band, amplitude**2, BANDS)
    gain = np.maximum(np.bincount(band, matched * amplitude, BANDS) / energy, 0)
    noise = np.maximum(np.bincount(band, host**2, BANDS) / np.bincount(band, minlength=BANDS), 1e-9)
    return np.asarray((gain / noise)[band] * amplitude)


def _add(pixels: NDArray[np.uint8], pattern: NDArray[np.float32], error: float) -> NDArray[np.uint8]:
    """Add a pattern to all colours, scaled so that the mean squared error after rounding and clipping is right."""
    marked = np.empty_like(pixels)
    factor, reached = 1.0, 0.0
    for _ in range(_SCALING_ROUNDS):
        reached = max(_add_scaled(pixels, pattern, factor, marked), 1e-9)
        correction = float(np.sqrt(error / reached))
        if abs(correction - 1) < 0.003:
            break
        factor *= min(correction, 1.6)
    missed = abs(10 * np.log10(reached / error))
    if missed > PSNR_TOLERANCE:
        raise WatermarkFailed(f"The image has too little room for the mark: its strength is off by {missed:.1f} dB.")
    return marked


def _add_scaled(
    pixels: NDArray[np.uint8], pattern: NDArray[np.float32], factor: float, marked: NDArray[np.uint8]
) -> float:
    """Write ``pixels + factor · pattern`` to ``marked``; the mean squared error that this made.

    Pixels are integers, so rounding the pattern is rounding the sum: whole steps are added, saturating, in one pass,
    strip by strip so that intermediate results stay in the processor's cache.
    """
    squared = 0.0
    for top in range(0, len(pixels), _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        steps = np.rint(pattern[strip] * np.float32(factor)).astype(np.int16)
        marked[strip] = cv2.add(pixels[strip], cv2.merge((steps, steps, steps)), dtype=cv2.CV_8U)
        squared += cv2.norm(marked[strip], pixels[strip], cv2.NORM_L2SQR)
    return squared / pixels.size
