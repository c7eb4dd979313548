"""What is drawn over a picture, taken out of it, or put beside it; and fewer colours."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import ImageDraw, ImageFont

from countermark.bench.attacks.attack import Effect, Pixels, generator, to_image, to_pixels
from countermark.bench.attacks.tones import blurred

_WHITE, _BLACK, _RED = (255, 255, 255), (0, 0, 0), (220, 40, 40)


def palette(colours: int) -> Effect:
    """The ``colours`` best colours (median cut), without dithering."""
    return lambda pixels: to_pixels(to_image(pixels).quantize(colours))


def posterised(levels: int) -> Effect:
    """``levels`` values in each channel."""
    step = 256 // levels
    return lambda pixels: (pixels // step * step + step // 2).astype(np.uint8)


def banner(pixels: Pixels) -> Pixels:
    """A black banner with text over the lowest fifth, and a line of text at the top."""
    height, width = pixels.shape[:2]
    image = to_image(pixels)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=max(8, height // 9))
    pen.rectangle((0, int(height * 0.8), width, height), fill=_BLACK)
    pen.text((width * 0.05, height * 0.82), "JUST IN: a headline", fill=_WHITE, font=font)
    pen.text((width * 0.1, height * 0.1), "a caption", fill=_WHITE, font=font, stroke_width=2, stroke_fill=_BLACK)
    return to_pixels(image)


def logo(pixels: Pixels) -> Pixels:
    """A nearly opaque red square, a sixth of the height, in the lower right corner."""
    side = pixels.shape[0] // 6
    attacked = pixels.copy()
    corner = attacked[-side - 8 : -8, -side - 8 : -8]
    corner[:] = (corner * 0.2 + np.array(_RED) * 0.8).astype(np.uint8)
    return attacked


def erased(area: float) -> Effect:
    """A grey rectangle over the share ``area`` of the picture, near its centre."""

    def effect(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        share = math.sqrt(area)
        attacked = pixels.copy()
        top, left = int(height * 0.3), int(width * 0.25)
        attacked[top : int(height * 0.3 + height * share), left : int(width * 0.25 + width * share)] = 127
        return attacked

    return effect


def erased_patches(count: int, share: float) -> Effect:
    """``count`` rectangles of random grey, each over the share ``share`` of the area, at random places."""

    def effect(pixels: Pixels) -> Pixels:
        random = generator("erased patches")
        height, width = pixels.shape[:2]
        attacked = pixels.copy()
        for _ in range(count):
            aspect = random.uniform(0.5, 2)
            rows = min(height, int(height * math.sqrt(share * aspect)))
            columns = min(width, int(width * math.sqrt(share / aspect)))
            top, left = int(random.integers(0, height - rows + 1)), int(random.integers(0, width - columns + 1))
            attacked[top : top + rows, left : left + columns] = random.integers(0, 256)
        return attacked

    return effect


def sticker(pixels: Pixels) -> Pixels:
    """A yellow face, two fifths of the shorter side across, right of the centre."""
    height, width = pixels.shape[:2]
    image = to_image(pixels)
    pen, radius = ImageDraw.Draw(image), min(height, width) * 0.2
    x, y = width * 0.62, height * 0.42
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 204, 60), outline=(190, 130, 0), width=3)
    for side in (-1, 1):
        eye = x + side * radius * 0.38, y - radius * 0.25
        pen.ellipse(
            (eye[0] - radius * 0.1, eye[1] - radius * 0.16, eye[0] + radius * 0.1, eye[1] + radius * 0.16), "black"
        )
    mouth = (x - radius * 0.55, y - radius * 0.4, x + radius * 0.55, y + radius * 0.6)
    pen.chord(mouth, 10, 170, fill=(130, 50, 20))
    return to_pixels(image)


def bordered_with_caption(pixels: Pixels) -> Pixels:
    """A white border of a twentieth, and a strip with a caption below, as of an instant photograph."""
    height, width = pixels.shape[:2]
    border, strip = min(height, width) // 20, height // 6
    page = np.full((height + 2 * border + strip, width + 2 * border, 3), 255, np.uint8)
    page[border : border + height, border : border + width] = pixels
    image = to_image(page)
    font = ImageFont.load_default(size=max(8, strip // 2))
    ImageDraw.Draw(image).text(
        (2 * border, height + border + strip * 0.2), "summer, at last", fill=(60, 60, 60), font=font
    )
    return to_pixels(image)


def collage(pixels: Pixels) -> Pixels:
    """Left half of a sheet whose right half is another picture of the same size, with a white gap between."""
    height, width = pixels.shape[:2]
    gap = np.full((height, max(2, width // 50), 3), 255, np.uint8)
    return np.hstack([pixels, gap, _another_picture(height, width)])


def collage_of_four(pixels: Pixels) -> Pixels:
    """The upper left quarter of a sheet of four pictures of the same size."""
    other = _another_picture(*pixels.shape[:2])
    return np.vstack([np.hstack([pixels, other]), np.hstack([other[:, ::-1], other[::-1]])])


def _another_picture(height: int, width: int) -> Pixels:
    """Discs before a sky, with some grain: no photograph, but neither flat nor marked."""
    random = generator("another picture")
    sky = np.linspace([70, 110, 190], [235, 200, 160], height)[:, np.newaxis]
    picture = np.clip(sky + random.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)
    for _ in range(40):
        centre = int(random.integers(0, width)), int(random.integers(height // 3, height))
        colour = tuple(int(value) for value in random.integers(20, 235, 3))
        cv2.circle(picture, centre, int(random.integers(4, max(5, height // 8))), colour, -1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def locally_blurred(pixels: Pixels) -> Pixels:
    """A disc of half the shorter side blurred beyond recognition, as faces are."""
    height, width = pixels.shape[:2]
    y, x = np.ogrid[:height, :width]
    inside = (x - width * 0.45) ** 2 + (y - height * 0.4) ** 2 < (min(height, width) / 4) ** 2
    return np.where(inside[..., np.newaxis], blurred(8)(pixels), pixels)
