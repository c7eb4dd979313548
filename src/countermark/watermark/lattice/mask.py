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


def smooth(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian average."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def perceptual_mask(luma: NDArray[np.float32], parameters: Parameters) -> NDArray[np.float32]:
    """The relative strength of the mark at every pixel of a canonical luma plane (0..255)."""
    detail = luma - smooth(luma, _DETAIL_SIGMA)
    contrast = np.sqrt(smooth(detail * detail, _CONTRAST_SIGMA))
    texture = np.minimum(contrast, parameters.mask_cap) ** np.float32(parameters.mask_exponent)
    level = smooth(luma, _LUMINANCE_SIGMA)
    bright = np.clip((level - 127) / 127, 0, 1)
    dark = np.clip((60 - level) / 60, 0, 1)
    mask = (texture + np.float32(parameters.mask_floor)) * (1 + np.float32(0.6) * bright + np.float32(0.9) * dark)
    return np.asarray(mask, np.float32)
