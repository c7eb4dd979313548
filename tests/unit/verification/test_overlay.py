"""A file laid over the kept original: what edits leave, and what they do not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark.bench.attacks import ATTACKS
from countermark.verification.compare import ALTERED, DIFFERENT
from countermark.verification.registration import MIN_TILES, register

HARMLESS = (
    "JPEG 10", "WebP 20", "scale 0.25", "aspect 0.8 x 1", "crop 90% centre", "rotate 5", "rotate 90", "flip",
    "perspective 3%", "brightness 0.6", "contrast 0.5", "greyscale", "gamma 1.6", "blur 3", "median 7", "sharpen 3",
    "noise 25", "salt and pepper 2%", "palette 256", "GIF 64 colours", "photo filter", "vignette", "repost",
)  # fmt: skip
PUT_OVER = ("text banner", "erase 25%", "sticker", "erased patches")


@pytest.mark.parametrize("attack", HARMLESS)
def test_what_sharing_and_filters_do_alters_nothing(attack: str) -> None:
    for name in ("coffee", "chelsea"):
        picture = photograph(name)
        overlay = register(ATTACKS[attack].effect(picture), picture)
        assert overlay.shown >= MIN_TILES
        assert max(overlay.altered, overlay.lost) < ALTERED, (name, overlay.altered, overlay.lost)


@pytest.mark.parametrize("attack", PUT_OVER)
def test_what_is_put_over_a_part_alters_that_part(attack: str) -> None:
    picture = photograph("coffee")
    overlay = register(ATTACKS[attack].effect(picture), picture)
    assert ALTERED < overlay.altered < DIFFERENT
    assert overlay.lost < DIFFERENT


@pytest.mark.parametrize("side", [48, 64, 96, 150])
def test_a_thumbnail_is_the_picture_and_that_of_another_is_not(side: int) -> None:
    names = ("coffee", "chelsea", "astronaut")
    small = [np.asarray(cv2.resize(photograph(name), (side, side), interpolation=cv2.INTER_AREA)) for name in names]
    for number, name in enumerate(names):
        overlay = register(ATTACKS["JPEG 75"].effect(small[number]), photograph(name))
        assert overlay.shown >= MIN_TILES
        assert max(overlay.altered, overlay.lost) < ALTERED, (name, overlay.altered, overlay.lost)
        assert register(small[number - 1], photograph(name)).lost > DIFFERENT


@pytest.mark.parametrize("name", ["astronaut", "rocket", "chelsea"])
def test_another_picture_shows_nothing_of_it(name: str) -> None:
    overlay = register(photograph(name), photograph("coffee"))
    assert overlay.lost > 0.7


def test_a_blank_file_shows_nothing_of_the_original_and_a_blank_original_nothing_at_all() -> None:
    blank = np.full((300, 400, 3), 128, np.uint8)
    picture = photograph("coffee")
    assert register(blank, picture).lost == 1
    assert register(picture, blank).altered > DIFFERENT
    both = register(blank, blank)
    assert (both.shown, both.altered) == (0, 0)


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (16, 2000), (2000, 16), (64, 300)])
def test_any_shape_is_compared(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    overlay = register(pixels, photograph("coffee"))
    assert 0 <= overlay.altered <= 1
    assert 0 <= overlay.covered <= 1
    assert 0 <= register(photograph("coffee"), pixels).lost <= 1


@pytest.mark.parametrize(
    ("y", "x", "where"),
    [
        (0, 0, "upper left"), (0, 190, "top"), (0, 380, "upper right"), (190, 0, "left"), (190, 190, "middle"),
        (190, 380, "right"), (380, 0, "lower left"), (380, 190, "bottom"), (380, 380, "lower right"),
    ],
)  # fmt: skip
def test_where_is_said_as_one_looks_at_the_file(y: int, x: int, where: str) -> None:
    picture = photograph("coffee")
    edited: NDArray[np.uint8] = picture.copy()
    edited[y : y + 130, x : x + 130] = photograph("chelsea", 130)
    assert register(edited, picture).where == where
    turned = np.ascontiguousarray(np.rot90(edited, 2))
    assert register(turned, np.asarray(cv2.resize(picture, (700, 700)))).altered > ALTERED
