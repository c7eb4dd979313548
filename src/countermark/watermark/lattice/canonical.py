"""The canonical plane, where the mark lives, and the channel that a detector sees.

A picture of any size is brought to a plane whose geometric-mean side is fixed, so that the mark has one scale and a
shrunk copy needs no search. On it, the picture is noise: it is suppressed by a high-pass filter, divided by its local
deviation (so that edges do not outvote quiet regions), clipped, and whitened over the radius of its spectrum, which
is the matched filter's first half for a mark in coloured noise.

Coordinates are pixel *indices* (x to the right, y down, the centre of the first pixel is (0, 0)), as in OpenCV.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from countermark.watermark.lattice.mask import smooth
from countermark.watermark.lattice.parameters import V1, Parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HIGH_PASS_SIGMA = 2.2
_VARIANCE_SIGMA = 3.5
_VARIANCE_FLOOR = 0.4
_VARIANCE_EXPONENT = 0.65
_CLIP = 2.0

_RINGS = 91
"""Rings of the radial spectrum, 1/128 cycle a pixel each; the last takes the corners."""
_LAST_RING = 64
"""Beyond half a cycle a pixel there is nothing of the mark."""


def geometric_side(height: int, width: int) -> float:
    """The geometric mean of the sides."""
    return float(np.sqrt(height * width))


def native_side(height: int, width: int, parameters: Parameters = V1) -> int:
    """The geometric-mean side of the canonical plane that a picture of this size is marked on."""
    small = geometric_side(height, width) <= parameters.small_image_side
    return parameters.canonical_side // 2 if small else parameters.canonical_side


def plane_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of the plane with this geometric-mean side."""
    scale = geometric_side(height, width) / side
    return max(8, round(height / scale)), max(8, round(width / scale))


def canonical_shape(height: int, width: int) -> tuple[int, int]:
    """Height and width of the canonical plane of a marked image of ``height`` × ``width`` pixels."""
    return plane_shape(height, width, native_side(height, width))


def pixels_to_plane(height: int, width: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The 3×3 map from pixel indices of the image to those of its plane (resizing aligns the outer edges)."""
    x, y = shape[1] / width, shape[0] / height
    return np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])


def luma_plane(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The luma (0..255) of a picture on the plane with this geometric-mean side."""
    height, width = plane_shape(pixels.shape[0], pixels.shape[1], side)
    shrinks = geometric_side(pixels.shape[0], pixels.shape[1]) > side
    if geometric_side(pixels.shape[0], pixels.shape[1]) > 2.2 * side:
        # The large reduction in 8 bits first: the rest then costs the same for every large picture.
        pixels = cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma, (width, height), interpolation=interpolation), np.float32)


def channel(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """The whitened residual of a canonical luma plane, of unit deviation: all that a detector looks at."""
    return whiten(residual(luma))


def residual(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """High-pass, divided by a power of the local variance, and clipped."""
    detail = luma - smooth(luma, _HIGH_PASS_SIGMA)
    variance = smooth(detail * detail, _VARIANCE_SIGMA) + np.float32(_VARIANCE_FLOOR)
    return np.asarray(np.clip(detail * cv2.pow(variance, -_VARIANCE_EXPONENT), -_CLIP, _CLIP), np.float32)


@lru_cache(maxsize=16)
def _rings(height: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The ring of every coefficient of a real transform, and how many each ring holds."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.minimum((radius * 128).astype(np.int32), _RINGS - 1)
    return ring, np.maximum(np.bincount(ring.ravel(), minlength=_RINGS), 1)


def whiten(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flatten the spectrum over its radius, with a floor so that empty rings are not blown up."""
    height, width = plane.shape
    padded = (fft.next_fast_len(height, True), fft.next_fast_len(width, True))
    spectrum = fft.rfft2(plane, padded)
    ring, counts = _rings(*padded)
    power = spectrum.real**2 + spectrum.imag**2
    level = np.bincount(ring.ravel(), power.ravel(), _RINGS) / counts
    level = gaussian_filter1d(level, 1.5)
    gain = 1 / np.sqrt(level + 0.05 * np.median(level[4:50]) + 1e-9)
    gain[_LAST_RING:] = 0
    gain[:3] *= 0.3
    spectrum *= gain.astype(np.float32)[ring]
    white = fft.irfft2(spectrum, padded)[:height, :width]
    return np.ascontiguousarray(white / (white.std() + np.float32(1e-9)), np.float32)
