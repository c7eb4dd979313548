"""What the pixels hold: colour and tone, filters, noise."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from countermark.bench.attacks.attack import Effect, Pixels, clipped, generator, to_image, to_pixels


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Effect:
    return lambda pixels: to_pixels(kind(to_image(pixels)).enhance(factor))


def brightness(factor: float) -> Effect:
    """Every value times ``factor``."""
    return _enhanced(ImageEnhance.Brightness, factor)


def contrast(factor: float) -> Effect:
    """Distances from the mean grey times ``factor``."""
    return _enhanced(ImageEnhance.Contrast, factor)


def saturation(factor: float) -> Effect:
    """Distances from each pixel's grey times ``factor``; 0 is a greyscale picture."""
    return _enhanced(ImageEnhance.Color, factor)


def sharpened(factor: float) -> Effect:
    """Pillow's sharpness; 1 changes nothing."""
    return _enhanced(ImageEnhance.Sharpness, factor)


def hue(steps: int) -> Effect:
    """Hue turned by ``steps`` of 2 degrees."""

    def effect(pixels: Pixels) -> Pixels:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + steps) % 180
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)

    return effect


def gamma(exponent: float) -> Effect:
    """Values of 0 to 1 raised to ``exponent``."""
    table = clipped(255 * (np.arange(256) / 255) ** exponent)
    return lambda pixels: table[pixels]


def inverted(pixels: Pixels) -> Pixels:
    """The negative."""
    return 255 - pixels


def thresholded(pixels: Pixels) -> Pixels:
    """Black below half of the luma, white above."""
    return np.repeat(np.where(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) > 127, 255, 0)[..., np.newaxis], 3, 2).astype(
        np.uint8
    )


def blurred(sigma: float) -> Effect:
    """Gaussian blur of a standard deviation of ``sigma`` pixels."""
    return lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def median(size: int) -> Effect:
    """Median of ``size`` × ``size`` pixels."""
    return lambda pixels: np.asarray(cv2.medianBlur(pixels, size), np.uint8)


def denoised(pixels: Pixels) -> Pixels:
    """Non-local means of strength 5."""
    return np.asarray(cv2.fastNlMeansDenoisingColored(pixels, None, 5, 5, 5, 13), np.uint8)


def bilateral(pixels: Pixels) -> Pixels:
    """Bilateral filter of 7 pixels across, 30 grey levels and 5 pixels wide."""
    return np.asarray(cv2.bilateralFilter(pixels, 7, 30, 5), np.uint8)


def noise(deviation: float) -> Effect:
    """Gaussian noise of a standard deviation in grey levels, independent in each channel."""

    def effect(pixels: Pixels) -> Pixels:
        return clipped(pixels + generator(f"noise {deviation}").normal(0, deviation, pixels.shape))

    return effect


def salt_and_pepper(share: float) -> Effect:
    """A share of all pixels turned black or white."""

    def effect(pixels: Pixels) -> Pixels:
        draw = generator("salt and pepper").random(pixels.shape[:2])
        attacked = pixels.copy()
        attacked[draw < share / 2] = 0
        attacked[draw > 1 - share / 2] = 255
        return attacked

    return effect


def vignette(darkening: float) -> Effect:
    """Corners darkened by the share ``darkening``, with the square of the distance from the centre."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        return clipped(pixels * (1 - darkening * (x**2 + y**2) / 2)[..., np.newaxis])

    return effect


def photo_filter(pixels: Pixels) -> Pixels:
    """What photo apps call a warm filter: lifted blacks, warm lights, more colour, a slight vignette."""
    warm = saturation(1.25)(pixels) * np.array([0.95, 0.9, 0.8]) + np.array([20, 16, 22])
    return vignette(0.25)(clipped(warm))
