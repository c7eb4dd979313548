"""One attack, and the helpers that all factories share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""RGB, uint8, H×W×3, C-contiguous."""

Effect = Callable[[Pixels], Pixels]

CONTROL = "unaltered"
"""The group of the picture to which nothing happens: measured with every suite, and in no mean over attacks."""

LIMITS = "limits"
"""The group that shows where the mark ends, chosen for that: in no mean over attacks either."""

MIN_MARKED_SIDE = 128
"""The shortest side that our embedder accepts."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Something that happens to a marked picture.

    Attributes:
        name: unique; the noise of an attack is seeded with it.
        group: the kind of attack.
        effect: what happens after marking.
        core: whether it belongs to the suite whose mean is compared over time.
        input_side: where set, the picture is shrunk *before* it is marked; see :meth:`prepare`.
    """

    name: str
    group: str
    effect: Effect
    core: bool = True
    input_side: int | None = None

    def __call__(self, pixels: Pixels) -> Pixels:
        """The attacked picture."""
        return np.ascontiguousarray(self.effect(pixels))

    def prepare(self, pixels: Pixels) -> Pixels:
        """The picture as it is marked: shrunk to a geometric-mean side of ``input_side`` pixels where that is set.

        Where an elongated picture's shorter side would then fall below 128 pixels, which our embedder refuses, it is
        shrunk only until the shorter side has 128. Sides are rounded up, so that 256 never falls below the area of
        256×256 that the invisible-watermark package demands. No picture is enlarged.
        """
        if self.input_side is None:
            return pixels
        height, width = pixels.shape[:2]
        scale = max(self.input_side / math.sqrt(height * width), MIN_MARKED_SIDE / min(height, width))
        if scale >= 1:
            return pixels
        size = math.ceil(round(width * scale, 6)), math.ceil(round(height * scale, 6))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def generator(name: str) -> np.random.Generator:
    """Random numbers that are the same in every run, seeded with an attack's name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def to_image(pixels: Pixels) -> Image.Image:
    """For Pillow."""
    return Image.fromarray(pixels)


def to_pixels(image: Image.Image) -> Pixels:
    """From Pillow; always RGB, and writable."""
    return np.array(image.convert("RGB"))


def clipped(values: NDArray[np.floating]) -> Pixels:
    """Rounded and bounded to uint8."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def chain(*effects: Effect) -> Effect:
    """One effect after the other."""

    def effect(pixels: Pixels) -> Pixels:
        for step in effects:
            pixels = step(pixels)
        return pixels

    return effect
