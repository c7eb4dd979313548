"""Where the pixels lie: size, crop, rotation, perspective, lens."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from countermark.bench.attacks.attack import Effect, Pixels, generator, to_image, to_pixels

_SHORTEST = 16  # pixels: no attack leaves less


def scaled(x: float, y: float | None = None) -> Effect:
    """Resized by the factors ``x`` and ``y`` (by default the same) with Lanczos' filter."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        size = max(_SHORTEST, round(width * x)), max(_SHORTEST, round(height * (x if y is None else y)))
        return to_pixels(to_image(pixels).resize(size, Image.Resampling.LANCZOS))

    return effect


def longest_side(limit: int) -> Effect:
    """Shrunk so that no side is longer than ``limit`` pixels."""

    def effect(pixels: Pixels) -> Pixels:
        factor = limit / max(pixels.shape[:2])
        return scaled(factor)(pixels) if factor < 1 else pixels

    return effect


def cropped(area: float, *, centred: bool = False) -> Effect:
    """The share ``area`` of the picture, with its own aspect; off centre, to the lower left, unless ``centred``."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        rows, columns = int(height * math.sqrt(area)), int(width * math.sqrt(area))
        down, right = (0.5, 0.5) if centred else (0.83, 0.31)
        top, left = int((height - rows) * down), int((width - columns) * right)
        return pixels[top : top + rows, left : left + columns].copy()

    return effect


def cropped_and_resized(area: float) -> Effect:
    """Cropped off centre, then enlarged to the former size (the "resized crop" of WAVES)."""

    def effect(pixels: Pixels) -> Pixels:
        size = pixels.shape[1], pixels.shape[0]
        return to_pixels(to_image(cropped(area)(pixels)).resize(size, Image.Resampling.LANCZOS))

    return effect


def letterboxed(pixels: Pixels) -> Pixels:
    """Pasted on a light page that is 1.4 times as high and 1.3 times as wide."""
    height, width = pixels.shape[:2]
    page = np.full((int(height * 1.4), int(width * 1.3), 3), 245, np.uint8)
    top, left = int(height * 0.2), int(width * 0.1)
    page[top : top + height, left : left + width] = pixels
    return page


def on_a_page(factor: float) -> Effect:
    """In the middle of a light page that is ``factor`` times as high and as wide, as in the shot of a whole screen."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        page = np.full((int(height * factor), int(width * factor), 3), 245, np.uint8)
        top, left = (page.shape[0] - height) // 2, (page.shape[1] - width) // 2
        page[top : top + height, left : left + width] = pixels
        return page

    return effect


def rotated(degrees: float) -> Effect:
    """Turned counter-clockwise in its own frame, bicubic; the corners go black."""
    return lambda pixels: to_pixels(to_image(pixels).rotate(degrees, Image.Resampling.BICUBIC))


def rotated_without_corners(degrees: float) -> Effect:
    """Turned, then cut to the largest upright rectangle without black corners."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        columns, rows = (side - 2 for side in _inner_rectangle(width, height, math.radians(abs(degrees))))
        top, left = (height - rows) // 2, (width - columns) // 2
        return rotated(degrees)(pixels)[top : top + rows, left : left + columns].copy()

    return effect


def _inner_rectangle(width: int, height: int, angle: float) -> tuple[int, int]:
    """Width and height of the largest upright rectangle inside a rectangle turned by ``angle`` (0 to 45 degrees)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if min(width, height) <= 2 * sine * cosine * max(width, height):  # two of its corners lie on the long sides
        half = min(width, height) / 2
        inner = (half / sine, half / cosine)
        return (int(inner[0]), int(inner[1])) if width >= height else (int(inner[1]), int(inner[0]))
    spread = cosine**2 - sine**2
    return int((width * cosine - height * sine) / spread), int((height * cosine - width * sine) / spread)


def quarter_turns(count: int) -> Effect:
    """Turned counter-clockwise by ``count`` times 90 degrees, without loss."""
    return lambda pixels: np.rot90(pixels, count).copy()


def mirrored(pixels: Pixels) -> Pixels:
    """Left and right exchanged."""
    return pixels[:, ::-1].copy()


def perspective(amount: float) -> Effect:
    """Seen from the side: corners pulled in, unequally, by up to ``amount`` of the sides."""
    pull = np.array([[1, 1], [-0.3, 0.6], [-1, -0.5], [0.5, 0]]) * amount

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
        moved = corners + pull * [width, height]
        matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
        return np.asarray(cv2.warpPerspective(pixels, matrix, (width, height)), np.uint8)

    return effect


def seen_from(yaw: float, pitch: float, roll: float) -> Effect:
    """A screen as a camera sees it that stands aside by so many degrees, twice the picture's longer side away.

    The picture keeps its longer side in pixels and fills 85 % of the frame's sides; around it the room is dark.
    """
    cosines, sines = np.cos(np.deg2rad([yaw, pitch, roll])), np.sin(np.deg2rad([yaw, pitch, roll]))
    turned = np.array([[cosines[0], 0, sines[0]], [0, 1, 0], [-sines[0], 0, cosines[0]]])
    tilted = np.array([[1, 0, 0], [0, cosines[1], -sines[1]], [0, sines[1], cosines[1]]])
    rolled = np.array([[cosines[2], -sines[2], 0], [sines[2], cosines[2], 0], [0, 0, 1]])

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        away = 2 * max(height, width)
        places = np.column_stack([corners - [width / 2, height / 2], np.zeros(4)]) @ (rolled @ tilted @ turned).T
        seen = places[:, :2] * (away / (places[:, 2:] + away))
        low, high = seen.min(axis=0), seen.max(axis=0)
        scale = max(height, width) / float(np.max(high - low))
        frame = np.ceil((high - low) * scale / 0.85)
        matrix = cv2.getPerspectiveTransform(
            corners, ((seen - (low + high) / 2) * scale + frame / 2).astype(np.float32)
        )
        size = int(frame[0]), int(frame[1])
        return np.asarray(cv2.warpPerspective(pixels, matrix, size, borderValue=(70, 70, 70)), np.uint8)

    return effect


def sheared(slope: float) -> Effect:
    """Every row pushed right by ``slope`` pixels more than the one above; the frame grows with it."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        matrix = np.array([[1, slope, 0], [0, 1, 0]])
        size = width + math.ceil(slope * height), height
        return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC), np.uint8)

    return effect


def bent(share: float) -> Effect:
    """Every part shifted at random by a deviation of ``share`` of the side, smoothly enough that nobody sees it.

    Petitcolas, Anderson and Kuhn, "Attacks on copyright marking systems", Information Hiding 1998, section 3.2.
    """

    def effect(pixels: Pixels) -> Pixels:
        random = generator("bent")
        height, width = pixels.shape[:2]
        side = math.sqrt(height * width)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        rows, columns = (math.ceil(length / side * 64) for length in (height, width))

        def shift() -> NDArray[np.float32]:
            coarse = cv2.GaussianBlur(random.normal(size=(rows, columns)).astype(np.float32), (0, 0), 5)
            wide = coarse * np.float32(share * side / coarse.std())
            return np.asarray(cv2.resize(wide, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)

        map_x, map_y = x + shift(), y + shift()
        return np.asarray(cv2.remap(pixels, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), np.uint8)

    return effect


def barrel(amount: float) -> Effect:
    """A lens that bends straight lines outwards: corners move inwards by the share ``amount`` of their distance."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        y, x = np.mgrid[:height, :width].astype(np.float32)
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        radius = ((x - centre_x) ** 2 + (y - centre_y) ** 2) / (centre_x**2 + centre_y**2)
        factor = 1 + amount * radius
        map_x, map_y = centre_x + (x - centre_x) * factor, centre_y + (y - centre_y) * factor
        return np.asarray(cv2.remap(pixels, map_x, map_y, cv2.INTER_CUBIC), np.uint8)

    return effect
