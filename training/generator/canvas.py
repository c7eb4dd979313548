"""A small drawing surface: antialiased flat shapes in coordinates that run from 0 to 1, whatever the size in pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[float, float, float]

_SUBPIXEL_BITS = 6
_OVERSAMPLING = {64: 4, 512: 2}


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two RGB colours (0-255); `share` 0 gives the first, 1 the second."""
    r, g, b = (a + (c - a) * share for a, c in zip(first, second, strict=True))
    return r, g, b


def multiply(colour: Colour, light: Colour) -> Colour:
    """Scale each channel of a colour by a light (1 = unchanged)."""
    r, g, b = (min(255.0, c * factor) for c, factor in zip(colour, light, strict=True))
    return r, g, b


class Canvas:
    """RGB drawing surface; x runs right and y runs down, both from 0 to 1."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = size * _OVERSAMPLING.get(size, 2)
        self._pixels = np.zeros((self.scale, self.scale, 3), np.uint8)

    def gradient(self, stops: Sequence[tuple[float, Colour]], bottom: float = 1.0) -> None:
        """Fill the rows from the top down to `bottom` with a vertical gradient through (position, colour) stops."""
        rows = max(1, round(bottom * self.scale))
        y = np.linspace(0.0, 1.0, rows)
        positions = [position for position, _ in stops]
        channels = [np.interp(y, positions, [colour[k] for _, colour in stops]) for k in range(3)]
        self._pixels[:rows] = np.stack(channels, -1)[:, None].round().astype(np.uint8)

    def band(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Fill the rows between two heights with a two-colour vertical gradient."""
        first, last = round(top * self.scale), round(bottom * self.scale)
        t = np.linspace(0.0, 1.0, max(1, last - first))[:, None]
        rows = np.asarray(upper) * (1 - t) + np.asarray(lower) * t
        self._pixels[first:last] = rows[:, None].round().astype(np.uint8)

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        """Fill a polygon given as N×2 points."""
        scaled = np.asarray(points, np.float64) * self.scale * (1 << _SUBPIXEL_BITS)
        fill = tuple(float(c) for c in colour)
        cv2.fillPoly(self._pixels, [scaled.round().astype(np.int32)], fill, cv2.LINE_AA, _SUBPIXEL_BITS)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an axis-parallel rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse round (x, y)."""
        angle = np.linspace(0, 2 * np.pi, 49)[:-1]
        self.polygon(np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], -1), colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, colour)

    def veil(self, x: float, y: float, radius: float, colour: Colour, opacity: float) -> None:
        """Lay a translucent disc over what is there (the halo of a sun or moon)."""
        before = self._pixels.copy()
        self.disc(x, y, radius, colour)
        cv2.addWeighted(self._pixels, opacity, before, 1 - opacity, 0, self._pixels)

    def land(self, crest: Iterable[float], colour: Colour, floor: float = 1.0) -> None:
        """Fill everything between a crest line (heights at equal steps from left to right) and `floor`."""
        heights = np.asarray(list(crest))
        x = np.linspace(-0.01, 1.01, len(heights))
        line = np.stack([x, heights], -1)
        self.polygon(np.concatenate([line, [(1.01, floor + 0.01), (-0.01, floor + 0.01)]]), colour)

    def finish(self, treat: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None) -> NDArray[np.uint8]:
        """Return the picture, size×size×3, reduced from the oversampled surface after an optional treatment."""
        pixels = self._pixels if treat is None else treat(self._pixels)
        reduced = cv2.resize(pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(reduced, dtype=np.uint8)
