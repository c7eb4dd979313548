"""How strong the mark may be at each place.

Errors hide where the picture is busy (contrast masking) and in very dark or bright regions (luminance masking); both
are old findings of vision research that Watson, "DCT quantization matrices visually optimized for individual images",
SPIE 1913, 1993, made into a rule for the errors of image coding. Here the rule is a simple one on the
canonical plane: local deviation to a power below one, with a floor for flat regions and a cap for edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

_DETAIL_SIGMA = 2.0
_CONTRAST_SIGMA = 3.0
_LUMINANCE_SIGMA = 4.0

_WINDOW = 7
_C1 = np.float32((0.01 * 255) ** 2)
_C2 = np.float32((0.03 * 255) ** 2)
_SIMILARITY_AREA = 2**19
_BAND_ROWS = 32


def smooth(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian average."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def perceptual_mask(
    luma: NDArray[np.float32], parameters: Parameters, shape: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """The relative strength of the mark at every pixel of a canonical luma plane (0..255).

    Args:
        luma: the plane.
        parameters: the constants.
        shape: exponent and floor; by default those of the most robust mask.
    """
    exponent, floor = parameters.masks[0] if shape is None else shape
    detail = luma - smooth(luma, _DETAIL_SIGMA)
    contrast = np.sqrt(smooth(detail * detail, _CONTRAST_SIGMA))
    texture = np.minimum(contrast, parameters.mask_cap) ** np.float32(exponent)
    level = smooth(luma, _LUMINANCE_SIGMA)
    bright = np.clip((level - 127) / 127, 0, 1)
    dark = np.clip((60 - level) / 60, 0, 1)
    mask = (texture + np.float32(floor)) * (1 + np.float32(0.6) * bright + np.float32(0.9) * dark)
    return np.asarray(mask, np.float32)


def similarity_to_sum(pixels: NDArray[np.uint8], pattern: NDArray[np.float32]) -> float:
    """The SSIM (0 to 1, mean of the colours) between a picture and its sum with a pattern of its height and width.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Trans. Image Processing 13(4), 2004, with windows of 7×7 pixels. Of large pictures, bands of rows are compared.
    """
    bands = max(1, -(-pixels.shape[0] * pixels.shape[1] // _SIMILARITY_AREA))
    rows = [slice(top, top + _BAND_ROWS) for top in range(0, len(pixels), bands * _BAND_ROWS)]
    return float(np.mean([_similarity(pixels[band].astype(np.float32), pattern[band]) for band in rows]))


def _similarity(first: NDArray[np.float32], pattern: NDArray[np.float32]) -> float:
    second = np.clip(first + pattern[..., None], 0, 255)
    mean_1, mean_2 = _mean(first), _mean(second)
    square_1, square_2, product = mean_1 * mean_1, mean_2 * mean_2, mean_1 * mean_2
    covariance = _mean(first * second) - product
    variances = _mean(first * first) - square_1 + _mean(second * second) - square_2
    index = (2 * product + _C1) * (2 * covariance + _C2) / ((square_1 + square_2 + _C1) * (variances + _C2))
    return float(index.mean())


def _mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(plane, (_WINDOW, _WINDOW)), np.float32)
