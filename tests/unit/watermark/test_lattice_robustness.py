"""The whole payload is recovered exactly after what happens to pictures on their way."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from countermark.bench.attacks import ATTACKS as BENCH
from countermark.watermark import Lattice

RECORD_ID = 0xC0FFEE_123456
PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee")

Attack = Callable[[np.ndarray], np.ndarray]


def encoded(form: str, quality: int) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form, quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return attack


def resized(scale: float) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))

    return attack


def cropped(area: float) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        height, width = (int(side * area**0.5) for side in pixels.shape[:2])
        top, left = int((pixels.shape[0] - height) * 0.83), int((pixels.shape[1] - width) * 0.31)
        return np.ascontiguousarray(pixels[top : top + height, left : left + width])

    return attack


def rotated(degrees: float) -> Attack:
    return lambda pixels: np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, expand=True))


def turned_and_cut(degrees: float) -> Attack:
    """Turned, and cut to the middle so that no corner stays black."""

    def attack(pixels: np.ndarray) -> np.ndarray:
        turned = Image.fromarray(rotated(degrees)(pixels))
        columns, rows = (int(0.7 * side) for side in pixels.shape[1::-1])
        left, top = (turned.width - columns) // 2, (turned.height - rows) // 2
        return np.asarray(turned.crop((left, top, left + columns, top + rows)))

    return attack


def enhanced(kind: type, factor: float) -> Attack:
    return lambda pixels: np.asarray(kind(Image.fromarray(pixels)).enhance(factor))


def squeezed(pixels: np.ndarray) -> np.ndarray:
    """16:9 forced into a square."""
    return np.asarray(Image.fromarray(pixels).resize((round(pixels.shape[1] * 9 / 16), pixels.shape[0])))


def on_a_page(pixels: np.ndarray) -> np.ndarray:
    """A ninth of a screen."""
    height, width = pixels.shape[:2]
    page = np.full((3 * height, 3 * width, 3), 245, np.uint8)
    page[height : 2 * height, width : 2 * width] = pixels
    return page


def perspective(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array([[0.04, 0.03], [-0.01, 0.02], [-0.03, -0.02], [0.02, 0]]) * [width, height]
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return cv2.warpPerspective(pixels, matrix, (width, height))


def chain(*attacks: Attack) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        for step in attacks:
            pixels = step(pixels)
        return pixels

    return attack


ATTACKS: dict[str, Attack] = {
    "none": lambda pixels: pixels,
    "jpeg 95": encoded("JPEG", 95),
    "jpeg 75": encoded("JPEG", 75),
    "jpeg 50": encoded("JPEG", 50),
    "webp 50": encoded("WEBP", 50),
    "half size": resized(0.5),
    "one and a half": resized(1.5),
    "crop to 60 %": cropped(0.6),
    "crop to 50 %": cropped(0.5),
    "squeezed": squeezed,
    "a small part of a page": on_a_page,
    "rotated 5°": rotated(5),
    "rotated 90°": rotated(90),
    "rotated 180°": rotated(180),
    "flipped": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "darker": enhanced(ImageEnhance.Brightness, 0.6),
    "more contrast": enhanced(ImageEnhance.Contrast, 1.7),
    "greyscale": enhanced(ImageEnhance.Color, 0.0),
    "negative": lambda pixels: 255 - pixels,
    "negative of a crop": lambda pixels: encoded("JPEG", 60)(255 - cropped(0.6)(pixels)),
    "blurred": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 1.0),
    "median": lambda pixels: cv2.medianBlur(pixels, 3),
    "web": chain(cropped(0.6), resized(0.8), encoded("JPEG", 50)),
}


NEGATIVES = [attack for name, attack in ATTACKS.items() if name.startswith("negative")]


@pytest.fixture(scope="module")
def marked(mark, photographs):
    return {name: mark.embed(photographs[name], RECORD_ID) for name in PHOTOGRAPHS}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_the_payload_survives(mark, marked, attack):
    detections = {name: mark.detect(attack(pixels)) for name, pixels in marked.items()}
    assert {name: found.record_id for name, found in detections.items()} == dict.fromkeys(marked, RECORD_ID)
    assert all(found.state == "detected" for found in detections.values())
    assert all(found.negative == (attack in NEGATIVES) for found in detections.values())
    assert all(0 < found.false_positive_probability < 1e-6 for found in detections.values())


def test_a_crop_to_a_seventh_mostly_reads(mark, marked):
    found = [mark.detect(cropped(0.15)(pixels)).record_id for pixels in marked.values()]
    assert found.count(RECORD_ID) >= 3
    assert set(found) <= {RECORD_ID, None}


def test_a_perspective_is_undone(mark, marked):
    assert mark.detect(perspective(marked["coffee"])).record_id == RECORD_ID


@pytest.mark.parametrize(("aside", "least"), [("photo from 15 deg aside", 3), ("shear 0.2", 2)])
def test_pictures_seen_from_the_side_are_read(mark, marked, aside, least):
    found = [mark.detect(BENCH[aside](pixels)).record_id for pixels in marked.values()]
    assert found.count(RECORD_ID) >= least  # of four; without a search of their own one or two, and none
    assert set(found) <= {RECORD_ID, None}


def test_a_small_picture_keeps_its_mark(mark, photographs):
    small = cv2.resize(photographs["astronaut"], (128, 128), interpolation=cv2.INTER_AREA)
    assert mark.detect(mark.embed(small, RECORD_ID)).record_id == RECORD_ID


def test_a_thumbnail_keeps_the_mark_of_its_original(mark, marked):
    thumbnail = resized(0.3)(marked["china"])
    assert min(thumbnail.shape[:2]) < 130
    assert mark.detect(thumbnail).record_id == RECORD_ID


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_carries_the_mark_through_jpeg(mark, level):
    flat = np.full((256, 384, 3), level, np.uint8)
    assert mark.detect(encoded("JPEG", 75)(mark.embed(flat, RECORD_ID))).record_id == RECORD_ID


def smooth_picture() -> np.ndarray:
    """A sky over a hill with a few blurred shapes: little to hide a mark in, and small when compressed."""
    y, x = np.mgrid[0:512, 0:512] / 512
    sky = np.stack([60 + 90 * y, 80 + 90 * y, 150 + 60 * y], -1)
    hill = np.stack([np.full_like(x, 40), 60 + 30 * x, 90 - 20 * y], -1)
    picture = np.ascontiguousarray(np.where((y > 0.62 + 0.04 * np.sin(6 * x))[..., None], hill, sky).astype(np.uint8))
    generator = np.random.default_rng(0)
    for _ in range(6):
        centre, axes = generator.integers(60, 460, 2).tolist(), generator.integers(15, 70, 2).tolist()
        colour = generator.integers(40, 230, 3).tolist()
        cv2.ellipse(picture, centre, axes, float(generator.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 1.2)


@pytest.mark.parametrize("geometry", [cropped(0.6), turned_and_cut(9), turned_and_cut(-31)])
def test_smooth_crops_are_read_though_their_tones_drown(geometry):
    attack = chain(geometry, resized(0.65), encoded("JPEG", 45))
    marks = [Lattice(bytes([number]) * 32) for number in range(12)]
    read = [mark.detect(attack(mark.embed(smooth_picture(), RECORD_ID))).record_id == RECORD_ID for mark in marks]
    assert sum(read) >= 10  # of 12; by tones alone 3 and 5 of the turned ones
