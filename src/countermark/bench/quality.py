"""How much a mark is seen: PSNR, SSIM, and a picture of the difference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from countermark.errors import AssetInvalid

SSIM_MISSING = 'not measured (pip install "countermark[dev]", for scikit-image)'
_GUTTER = 8  # pixels of white between the panels


def psnr(original: NDArray[np.uint8], marked: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in decibels over all three channels; infinite for equal pictures."""
    error = float(np.mean((original.astype(np.float64) - marked) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(original: NDArray[np.uint8], marked: NDArray[np.uint8]) -> float | None:
    """Structural similarity (Wang et al. 2004), 7×7 windows, mean over the channels; ``None`` without scikit-image."""
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        return None
    return float(structural_similarity(original, marked, channel_axis=2))


def difference_picture(original: NDArray[np.uint8], marked: NDArray[np.uint8], gain: float = 10) -> NDArray[np.uint8]:
    """One picture of three panels: the original, the marked, and their difference times ``gain`` about mid-grey.

    Args:
        original: RGB, uint8, H×W×3.
        marked: the same shape.
        gain: what one grey level of difference is shown as.

    Returns:
        RGB, uint8, H×(3·W + 16)×3.

    Raises:
        AssetInvalid: the shapes differ.
    """
    if original.shape != marked.shape:
        raise AssetInvalid(f"Pictures of {original.shape} and {marked.shape} have no difference.")
    difference = 128 + gain * (marked.astype(np.float64) - original)
    gutter = np.full((original.shape[0], _GUTTER, 3), 255, np.uint8)
    shown = np.clip(np.rint(difference), 0, 255).astype(np.uint8)
    return np.hstack([original, gutter, marked, gutter, shown])
