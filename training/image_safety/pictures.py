"""Photographs to compare and to measure on: those that two scientific packages carry, and a folder of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

Pixels = NDArray[np.uint8]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_OF_SKIMAGE = (
    *("astronaut", "camera", "cell", "chelsea", "clock_motion", "coffee", "coins", "color", "grass", "gravel"),
    *("brick", "hubble_deep_field", "ihc", "microaneurysms", "moon", "motorcycle_left", "page", "retina"),
    *("rocket", "text"),
)


def photographs(folder: Path | None = None) -> Iterator[tuple[str, Pixels]]:
    """Names and RGB pixels."""
    packaged = Path(skimage.data.__file__).parent
    for name in _OF_SKIMAGE:
        yield name, _read(next(packaged.glob(f"{name}.*")))
    china, flower = load_sample_images().images
    yield from (("china", china), ("flower", flower))
    for path in sorted(folder.rglob("*") if folder else ()):
        if path.suffix.lower() in _SUFFIXES:
            yield path.stem, _read(path)


def views(pixels: Pixels) -> Iterator[tuple[str, Pixels]]:
    """The picture, its mirror image and nine parts of it: more to measure on, though not more pictures."""
    height, width = pixels.shape[:2]
    yield "whole", pixels
    yield "mirrored", np.ascontiguousarray(pixels[:, ::-1])
    tall, wide, square = int(height * 0.6), int(width * 0.6), int(min(height, width) * 0.4)
    places = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
    for down, across in places:
        yield "part", _cut(pixels, int(down * (height - tall)), int(across * (width - wide)), tall, wide)
    for down, across in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        yield "detail", _cut(pixels, int(down * (height - square)), int(across * (width - square)), square, square)


def _cut(pixels: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))
