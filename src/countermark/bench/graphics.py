"""Flat graphics drawn by code: pages, code, interfaces, logos, charts. Hardly any texture to hide a mark in."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
_TEXT = (
    "each picture is signed before it leaves and its record joins a tree that only grows so whoever holds a copy may "
    "ask where it came from and what was asked of the model that drew it"
)
_WORDS = _TEXT.split()
_WHITE, _INK, _GREY = (255, 255, 255), (24, 24, 28), (200, 204, 210)


def graphics() -> dict[str, NDArray[np.uint8]]:
    """The whole set by name; RGB, uint8, H×W×3; the same pixels in every run with the same Pillow."""
    painters: dict[str, Callable[[np.random.Generator], Image.Image]] = {
        "page": lambda random: _page(random, (768, 1024), _WHITE, (0, 0, 0), size=16),
        "two columns": lambda random: _page(random, (900, 640), (250, 247, 238), (35, 32, 30), size=21, columns=2),
        "code on dark": lambda random: _page(random, (1024, 640), (28, 30, 36), (190, 222, 196), size=15),
        "interface, light": lambda random: _interface(random, (244, 246, 250), _WHITE, _INK),
        "interface, dark": lambda random: _interface(random, (22, 24, 30), (42, 46, 56), (222, 224, 230)),
        "logo": lambda random: _logo(random, 512, discs=3),
        "busy logo": lambda random: _logo(random, 640, discs=8),
        "bar chart": _chart,
        "gradient": lambda random: _gradient(640),
        "discs on light": lambda random: _discs(random, 640, 236),
        "discs on dark": lambda random: _discs(random, 640, 38),
    }
    return {
        name: np.array(paint(np.random.default_rng(seed)).convert("RGB"))
        for seed, (name, paint) in enumerate(painters.items())
    }


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _page(
    random: np.random.Generator, shape: tuple[int, int], paper: Colour, ink: Colour, *, size: int, columns: int = 1
) -> Image.Image:
    image = Image.new("RGB", shape, paper)
    pen, font = ImageDraw.Draw(image), _font(size)
    width = shape[0] // columns
    for column in range(columns):
        for y in range(2 * size, shape[1] - 2 * size, round(1.5 * size)):
            x: float = column * width + size
            while random.random() > 0.02 and x < (column + 1) * width - 5 * size:  # most lines run to the margin
                word = str(random.choice(_WORDS))
                pen.text((x, y), word, fill=ink, font=font)
                x += pen.textlength(word + " ", font=font)
    return image


def _interface(random: np.random.Generator, back: Colour, card: Colour, ink: Colour) -> Image.Image:
    width, height = 1024, 720
    image = Image.new("RGB", (width, height), back)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width, 54), fill=(30, 104, 190))
    pen.rectangle((0, 54, 190, height), fill=card)
    for row in range(9):
        pen.text((18, 80 + 44 * row), str(random.choice(_WORDS)).title(), fill=ink, font=_font(18))
    for place in range(9):
        x, y = 210 + place % 3 * 268, 76 + place // 3 * 212
        pen.rounded_rectangle((x, y, x + 250, y + 194), 12, fill=card, outline=_GREY)
        pen.text((x + 14, y + 12), " ".join(random.choice(_WORDS, 3)), fill=ink, font=_font(16))
        pen.rectangle((x + 14, y + 50, x + int(random.integers(60, 220)), y + 64), fill=_colour(random))
    return image


def _logo(random: np.random.Generator, side: int, *, discs: int) -> Image.Image:
    image = Image.new("RGB", (side, side), _WHITE)
    pen = ImageDraw.Draw(image)
    for _ in range(discs):
        x, y = (int(value) for value in random.integers(side // 6, side * 5 // 6, 2))
        radius = int(random.integers(side // 10, side // 4))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(random))
    pen.text((side // 8, side // 2), "struck", fill=_INK, font=_font(side // 5))
    return image


def _chart(random: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (800, 600), _WHITE)
    pen = ImageDraw.Draw(image)
    for line in range(6):
        pen.line((50, 60 + 96 * line, 780, 60 + 96 * line), fill=_GREY)
        pen.text((10, 50 + 96 * line), str(100 - 20 * line), fill=_INK, font=_font(14))
    for bar in range(12):
        x, value = 64 + 59 * bar, int(random.integers(60, 470))
        pen.rectangle((x, 540 - value, x + 34, 540), fill=(50, 110 + 10 * bar, 200 - 9 * bar))
    return image


def _gradient(side: int) -> Image.Image:
    y, x = np.mgrid[:side, :side] / side
    planes = np.stack([255 * x, 255 * y, 128 + 100 * np.sin(6 * x * y)], axis=-1)
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))


def _discs(random: np.random.Generator, side: int, back: int) -> Image.Image:
    picture = np.full((side, side, 3), back, np.uint8)
    for _ in range(25):
        centre = tuple(int(value) for value in random.integers(0, side, 2))
        cv2.circle(picture, centre, int(random.integers(15, 110)), _colour(random), -1, cv2.LINE_AA)
    return Image.fromarray(picture)


def _colour(random: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in random.integers(20, 235, 3))
    return red, green, blue
