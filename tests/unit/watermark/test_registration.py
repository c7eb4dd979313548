"""A detection says where the examined picture lies on the marked original."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from countermark.watermark import Lattice, canonical_shape, registrations

RECORD_ID = 4_711


def on_original(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return moved[:, :2] / moved[:, 2:]


def errors(mark, examined: np.ndarray, original: np.ndarray, points, expected) -> list[float]:
    """The largest error, in pixels of the original, of every placement."""
    found = mark.detect(examined)
    assert found.record_id == RECORD_ID
    placements = registrations(found.transform, examined.shape[:2], original.shape[:2])
    return [float(np.abs(on_original(m, np.array(points)) - np.array(expected)).max()) for m in placements]


def test_an_unmoved_picture_lies_on_itself(mark, photographs):
    original = photographs["coffee"]
    marked = mark.embed(original, RECORD_ID)
    points = [(0, 0), (599, 399), (250, 100)]
    assert errors(mark, marked, original, points, points)[0] < 1e-6


@pytest.mark.parametrize("name", ["astronaut", "china", "coffee"])
def test_a_cropped_shrunk_and_compressed_picture_is_laid_back(mark, photographs, name):
    original = photographs[name]
    marked = mark.embed(original, RECORD_ID)
    height, width = (int(side * 0.6**0.5) for side in original.shape[:2])
    top, left, scale = 37, 81, 0.8
    crop = np.ascontiguousarray(marked[top : top + height, left : left + width])
    shrunk = cv2.resize(crop, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    examined = cv2.imdecode(cv2.imencode(".jpg", shrunk, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
    points = [(20, 30), (300, 200)]
    x, y = width / shrunk.shape[1], height / shrunk.shape[0]
    expected = [((u + 0.5) * x - 0.5 + left, (v + 0.5) * y - 0.5 + top) for u, v in points]
    assert min(errors(mark, examined, original, points, expected)) < 3


def test_where_most_of_a_smooth_picture_was_wiped_the_faint_tiles_still_place_it():
    sky = np.linspace(60, 230, 512)[:, None, None] * np.array([0.5, 0.7, 1.0])
    original = np.broadcast_to(sky, (512, 512, 3)).astype(np.uint8).copy()
    cv2.ellipse(original, (300, 280), (50, 90), 0, 0, 360, (200, 40, 30), -1, cv2.LINE_AA)
    misplaced = []
    for number in range(24):
        mark = Lattice(key=bytes([number]) * 32)
        crop = np.ascontiguousarray(mark.embed(original, RECORD_ID)[34:431, 92:489])
        shrunk = cv2.resize(crop, (298, 298), interpolation=cv2.INTER_AREA)
        examined = cv2.imdecode(cv2.imencode(".jpg", shrunk, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
        found = mark.detect(examined)
        if found.transform is None:
            continue  # a picture as smooth as this may lose the mark; it must not be misplaced
        placements = registrations(found.transform, (298, 298), (512, 512))
        at = [on_original(m, np.array([(149, 149)]))[0] for m in placements]
        if min(np.abs(point - (290.5, 232.5)).max() for point in at) > 8:
            misplaced.append(number)
    assert misplaced == []


@pytest.mark.parametrize(
    ("turn", "back"),
    [
        (lambda a: a[:, ::-1], lambda u, v, h, w: (w - 1 - u, v)),
        (lambda a: a[::-1], lambda u, v, h, w: (u, h - 1 - v)),
        (np.rot90, lambda u, v, h, w: (w - 1 - v, u)),
        (lambda a: np.rot90(a, 2), lambda u, v, h, w: (w - 1 - u, h - 1 - v)),
        (lambda a: np.rot90(a, 3), lambda u, v, h, w: (v, h - 1 - u)),
    ],
    ids=["mirrored", "upside down", "90°", "180°", "270°"],
)
def test_turned_and_flipped_pictures_are_laid_back(mark, photographs, turn, back):
    original = photographs["coffee"]
    examined = np.ascontiguousarray(turn(mark.embed(original, RECORD_ID)))
    points = [(10, 20), (300, 350)]
    expected = [back(u, v, *original.shape[:2]) for u, v in points]
    assert min(errors(mark, examined, original, points, expected)) < 1


def test_a_picture_longer_than_the_period_has_several_placements(mark, photographs):
    original = cv2.resize(photographs["china"], (1200, 400), interpolation=cv2.INTER_CUBIC)
    examined = np.ascontiguousarray(mark.embed(original, RECORD_ID)[:, 800:])
    points, expected = [(0, 0), (399, 399)], [(800, 0), (1199, 399)]
    found = errors(mark, examined, original, points, expected)
    assert len(found) > 1
    assert min(found) < 3


def test_the_original_warped_by_a_registration_is_the_examined_picture(mark, photographs):
    """What verification does with it: warp the stored original on to the examined picture and compare."""
    original = photographs["astronaut"]
    examined = cv2.resize(mark.embed(original, RECORD_ID)[60:, 100:], None, fx=0.7, fy=0.7)
    found = mark.detect(examined)
    (best, *_) = registrations(found.transform, examined.shape[:2], original.shape[:2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(original, best, (examined.shape[1], examined.shape[0]), flags=flags)
    inner = np.s_[10:-10, 10:-10]
    assert np.abs(warped[inner].astype(int) - examined[inner]).mean() < 6


@pytest.mark.parametrize(
    ("size", "shape"), [((1024, 1024), (512, 512)), ((400, 600), (418, 627)), ((256, 256), (256, 256))]
)
def test_the_canonical_plane_has_one_area(size, shape):
    assert canonical_shape(*size) == shape


@pytest.mark.parametrize("nearness", [0.98, 1.02])
def test_a_strip_that_reaches_to_the_horizon_has_a_bounded_number_of_placements(nearness: float) -> None:
    transform = (1, 0, 100, 0, 1, 100, -nearness / 7999, 0, 1)
    assert len(registrations(transform, (320, 8000), (512, 512))) < 1000
