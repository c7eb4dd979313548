"""Pictures whose transparency shows what their colours do not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import photograph

from countermark import Countermark, imaging
from countermark.compose import check
from countermark.model import Category, DetectorRef, Finding, Outcome, Stage
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed
from countermark.safety.transparent import look_through
from countermark.settings import Settings


class Bright:
    """Finds whatever is brighter than half explicit."""

    detector = DetectorRef(id="test.bright", version="1")
    categories = frozenset({Category.SEXUAL, Category.GRAPHIC})

    def __init__(self) -> None:
        self.looks = 0

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        self.looks += 1
        seen = bool((pixels > 128).any())
        found = assessed(Stage.IMAGE, Category.SEXUAL, self.detector, 0.95 if seen else 0.01, 6 if seen else 0)
        calm = assessed(Stage.IMAGE, Category.GRAPHIC, self.detector, 0.0, 0)
        rest = (c for c in IMAGE_CATEGORIES if c not in self.categories)
        return (found, calm, *(not_assessed(Stage.IMAGE, c, self.detector, "no") for c in rest))


def png(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([colours, alpha])).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def hidden() -> bytes:
    """Black all over; on white, a photograph."""
    return png(np.zeros((256, 256, 3), np.uint8), 255 - photograph("coffee", 256)[..., 0])


def test_what_stands_in_the_alpha_plane_is_seen(hidden: bytes) -> None:
    judge = Bright()
    findings, decision = check(load_policy(), image=hidden, image_safety=judge)
    assert (decision.outcome, decision.category) == (Outcome.BLOCK, Category.SEXUAL)
    assert [f.reason for f in findings if f.category is Category.SEXUAL and f.severity] == ["on white"]
    assert judge.looks == 3
    black = png(np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64), np.uint8))
    assert check(load_policy(), image=black, image_safety=judge)[1].outcome is Outcome.BLOCK, "its colours count too"


def test_it_is_not_marked_either(settings: Settings, hidden: bytes) -> None:
    with Countermark(settings, image_safety=Bright()) as cm:
        result = cm.mark(hidden, model="some/model")
    assert (result.outcome, result.decision.rule) == ("refused", "sexual.image.block")


def test_an_opaque_picture_is_looked_at_once(tmp_path: Path) -> None:
    judge = Bright()
    opaque = png(np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8))
    assert check(load_policy(), image=opaque, image_safety=judge)[1].outcome is Outcome.ALLOW
    assert judge.looks == 1


def test_a_plain_cut_out_passes_with_one_finding_a_detector(image_safety: ImageEnsemble) -> None:
    alpha = np.zeros((256, 256), np.uint8)
    alpha[40:-40, 40:-40] = 255
    raster = imaging.decode(png(photograph("coffee", 256), alpha))
    findings = look_through(image_safety, raster)
    assert {finding.category for finding in findings} == set(IMAGE_CATEGORIES)
    assert all(finding.severity == 0 for finding in findings)
