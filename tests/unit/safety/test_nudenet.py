"""NudeNet, where its licence was accepted: it runs on photographs and finds nothing in them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import photograph

from countermark.compose import default_image_safety
from countermark.errors import MissingExtra, WeightsMismatch
from countermark.model import Category, FindingState, Region
from countermark.safety.image_ensemble import windows
from countermark.safety.interface import IMAGE_CATEGORIES
from countermark.safety.nudenet import PARTS, REVIEW, SEXUAL_PARTS, NudeNet, _placed, _read
from countermark.settings import ImageSafetySettings, SafetySettings, Settings

installed = importlib.util.find_spec("nudenet") is not None
needs_nudenet = pytest.mark.skipif(not installed, reason="opt-in: nudenet (AGPL-3.0) is not installed")


@needs_nudenet
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_benign_photographs_score_below_the_threshold(name: str) -> None:
    (finding,) = NudeNet().assess(photograph(name))
    assert finding.state is FindingState.ASSESSED
    assert finding.category is Category.SEXUAL
    assert finding.score is not None
    assert finding.score < REVIEW
    assert finding.severity == 0


@needs_nudenet
def test_parts_are_found_where_they_are() -> None:
    """The one part of a benign photograph: an astronaut's face, in the upper left half, whatever the aspect."""
    upright = photograph("astronaut")
    wide = np.ascontiguousarray(np.concatenate([upright, np.zeros_like(upright)], axis=1))
    for picture, scale in ((upright, 1.0), (wide, 0.5)):
        face = NudeNet(verify=True).parts(picture)[0]
        assert face.label.startswith("FACE_")
        assert 0.3 * scale < face.left < face.right < 0.6 * scale
        assert 0.1 < face.top < face.bottom < 0.4


@needs_nudenet
@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_hides_nothing(turned: bool) -> None:
    """Squeezed into the model's square as a whole, a face in a strip of 4 : 1 is as good as not there."""
    face = photograph("astronaut")
    strip = np.concatenate([np.zeros_like(face)] * 2 + [face, np.zeros_like(face)], axis=0 if turned else 1)
    alone, found = NudeNet().parts(face)[0], NudeNet().parts(strip)[0]
    assert found.score > 0.9 * alone.score
    if turned:
        assert found.top == pytest.approx((2 + alone.top) / 4, abs=0.02)
        assert found.left == pytest.approx(alone.left, abs=0.05)
    else:
        assert found.left == pytest.approx((2 + alone.left) / 4, abs=0.02)
        assert found.bottom == pytest.approx(alone.bottom, abs=0.05)


def test_a_part_of_a_window_is_placed_in_the_whole() -> None:
    for height, width in ((100, 400), (400, 100)):
        shown = np.zeros((height, width), bool)
        for rows, columns in windows(height, width)[1:]:
            all_of_it = Region(label="x", left=0, top=0, right=1, bottom=1, score=0.5)
            box = _placed(all_of_it, rows, columns, height, width)
            assert (box.left * width, box.right * width) == pytest.approx((columns.start, columns.stop))
            assert (box.top * height, box.bottom * height) == pytest.approx((rows.start, rows.stop))
            shown[rows, columns] = True
        assert shown.all()


def test_without_the_package_nothing_was_assessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)  # how Python itself says that a package is not to be found
    (finding,) = NudeNet().assess(photograph("coffee"))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "missing_extra" in finding.reason
    with pytest.raises(MissingExtra, match="AGPL"):
        NudeNet(verify=True)


def test_who_asks_for_it_in_the_settings_must_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    wanted = Settings(home=tmp_path, safety=SafetySettings(image=ImageSafetySettings(nudenet=True)))
    with pytest.raises(MissingExtra):
        default_image_safety(wanted)


@needs_nudenet
def test_it_speaks_beside_the_shipped_models(tmp_path: Path) -> None:
    wanted = Settings(home=tmp_path, safety=SafetySettings(image=ImageSafetySettings(nudenet=True)))
    found = default_image_safety(wanted).assess(photograph("coffee"))
    assert "nudenet.320n" in {finding.detector.id for finding in found if finding.category is Category.SEXUAL}
    assert {finding.category for finding in found} == set(IMAGE_CATEGORIES)


def test_another_model_file_is_not_run(tmp_path: Path) -> None:
    altered = tmp_path / "320n.onnx"
    altered.write_bytes(b"not the model")
    with pytest.raises(WeightsMismatch):
        NudeNet(altered, verify=True)
    (finding,) = NudeNet(altered).assess(photograph("coffee"))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "weights_mismatch" in finding.reason


@pytest.mark.parametrize("shape", [(8, 8, 3), (32, 320, 3)])
def test_what_cannot_be_recognised_is_not_assessed(shape: tuple[int, int, int]) -> None:
    (finding,) = NudeNet().assess(np.zeros(shape, np.uint8))
    assert finding.state is FindingState.NOT_ASSESSED


def candidates(*found: tuple[str, float, tuple[float, float, float, float]]) -> np.ndarray:
    """The model's output for boxes (left, top, right, bottom) in its 320 pixels a side, among empty candidates."""
    output = np.zeros((4 + len(PARTS), 50), np.float32)
    for column, (part, score, (left, top, right, bottom)) in enumerate(found):
        output[:4, column] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        output[4 + PARTS.index(part), column] = score
    return output


def test_boxes_are_shares_of_the_picture_and_stay_inside_it() -> None:
    output = candidates(
        ("BUTTOCKS_EXPOSED", 0.9, (80, 40, 160, 80)),
        ("FACE_MALE", 0.5, (-20, -20, 32, 16)),
        ("BUTTOCKS_EXPOSED", 0.3, (200, 170, 240, 200)),  # in the black border below a picture of half the height
    )
    first, second = _read(output, 500, 1000)
    assert (first.label, first.left, first.top, first.right, first.bottom) == ("BUTTOCKS_EXPOSED", 0.25, 0.25, 0.5, 0.5)
    assert (second.left, second.top, round(second.right, 6), round(second.bottom, 6)) == (0, 0, 0.1, 0.1)


def test_one_part_is_told_once_and_overlapping_parts_each() -> None:
    output = candidates(
        ("FEMALE_BREAST_EXPOSED", 0.9, (80, 40, 160, 80)),
        ("FEMALE_BREAST_EXPOSED", 0.8, (82, 42, 162, 82)),
        ("ARMPITS_EXPOSED", 0.7, (80, 40, 160, 80)),
        ("FEMALE_BREAST_EXPOSED", 0.2, (200, 200, 240, 240)),
    )
    assert [region.label for region in _read(output, 320, 320)] == ["FEMALE_BREAST_EXPOSED", "ARMPITS_EXPOSED"]
    with pytest.raises(ValueError, match="no numbers"):
        _read(output * np.nan, 320, 320)


def test_the_parts_that_count_are_among_those_of_the_model() -> None:
    assert set(PARTS) >= SEXUAL_PARTS
    assert len(set(PARTS)) == 18
