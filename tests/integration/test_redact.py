"""Redaction from the finding to the released file: with a real detector, of striped patches."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, Given, held_pixels, photograph

from countermark import Countermark, Result
from countermark.cli.show import result_lines
from countermark.credentials import read
from countermark.errors import PolicyInvalid
from countermark.imaging import Raster, decode
from countermark.model import Category, DetectorRef, EventType, Finding, GenerationRequest, Outcome, Region, Stage
from countermark.pipeline.redact import obscure
from countermark.policy import Policy, load_policy
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed
from countermark.yaml_file import parse_yaml

GREEN, MAGENTA = (20, 230, 30), (230, 20, 220)


class PatchDetector:
    """Finds patches of green and magenta stripes by their connected regions: small, but as real as any other."""

    detector = DetectorRef(id="test.green-patches", version="1")
    categories = frozenset({Category.SEXUAL})

    def __init__(self, *, tells_where: bool = True) -> None:
        self.tells_where = tells_where
        self.looks = 0

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        self.looks += 1
        colours = [np.abs(pixels.astype(np.int16) - colour).max(axis=2) < 30 for colour in (GREEN, MAGENTA)]
        near = np.any(colours, axis=0).astype(np.uint8)
        height, width = near.shape
        _, _, boxes, _ = cv2.connectedComponentsWithStats(near)
        regions = tuple(
            Region(
                label="PATCH", left=x / width, top=y / height, right=(x + w) / width, bottom=(y + h) / height, score=0.9
            )
            for x, y, w, h, area in boxes[1:].tolist()
            if area >= 100
        )
        score = 0.9 if regions else 0.01
        reason = f"{len(regions)} patches"
        where = regions if self.tells_where else ()
        finding = assessed(
            Stage.IMAGE, Category.SEXUAL, self.detector, score, 4 if regions else 0, reason=reason, regions=where
        )
        silent = [
            not_assessed(Stage.IMAGE, c, self.detector, "no") for c in IMAGE_CATEGORIES if c is not Category.SEXUAL
        ]
        return (finding, *silent)


def policy(image: str = "{redact: 0.5, block: 0.95}") -> Policy:
    text = f"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {{id: redacting, version: "1"}}
categories:
  sexual: {{image: {image}}}
"""
    return parse_yaml(text.encode(), "redacting.yaml", Policy)


def with_patches(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    picture = photograph("coffee").copy()
    for top, left, height, width in boxes:
        picture[top : top + height, left : left + width : 2] = GREEN
        picture[top : top + height, left + 1 : left + width : 2] = MAGENTA
    return picture


Make = Callable[..., Countermark]


def run(build: Make, picture: NDArray[np.uint8], detector: object, rules: Policy) -> tuple[Countermark, Result]:
    cm = build(image_safety=detector, policy=rules)
    return cm, cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(picture))[0]


def test_what_was_found_is_blurred_and_the_picture_released(build: Make) -> None:
    picture = with_patches((100, 100, 80, 60), (300, 350, 40, 90))
    detector = PatchDetector()
    cm, result = run(build, picture, detector, policy())
    assert (result.outcome, result.decision.outcome) == ("released", Outcome.REDACT)
    assert result.decision.rule == "sexual.image.redact"
    assert detector.looks == 2
    assert result.data is not None
    final = decode(result.data).pixels
    assert PatchDetector().assess(final)[0].score == 0.01
    away = final.astype(np.int16) - picture
    away[80:200, 80:180] = away[280:360, 320:460] = 0
    assert np.abs(away).max() < 40, "what is not in a region was only watermarked"
    event = cm.log.event(result.index)
    assert (event.type, event.decision, event.rule) == (EventType.RELEASED, Outcome.REDACT, "sexual.image.redact")
    assert event.params["redaction"].startswith("2 regions blurred, ")
    assert event.params["redacted_regions"].startswith("PATCH 0.195,0.195,0.312,0.352; PATCH 0.684,")
    assert any(reason.startswith("Redacted: 2 regions") for reason in event.reasons)
    said = [check.reason for check in event.checks if check.category is Category.SEXUAL and check.stage is Stage.IMAGE]
    assert said == ["2 patches", "after redaction: 0 patches"]
    assert "redacted under rule sexual.image.redact" in result_lines(result, "out.png")[0]


def test_the_manifest_and_a_strangers_report_say_that_it_was_redacted(build: Make) -> None:
    cm, result = run(build, with_patches((100, 100, 80, 60)), PatchDetector(), policy())
    assert result.data is not None
    manifest = read(result.data, "image/png", anchors=cm.parts.credentials.anchors)
    assert manifest.state == "trusted"
    assert b"c2pa.filtered" in result.data
    report = cm.verify(result.data)
    assert report.verdict == "verified"
    assert report.generation is not None
    assert report.generation["redacted"].startswith("1 region blurred")


def test_a_picture_without_anything_to_redact_says_nothing_of_it(build: Make, photo: NDArray[np.uint8]) -> None:
    cm, result = run(build, photo, PatchDetector(), policy())
    assert result.decision.outcome is Outcome.ALLOW
    assert result.data is not None
    assert b"c2pa.filtered" not in result.data
    assert "redaction" not in cm.log.event(result.index).params
    report = cm.verify(result.data)
    assert report.generation is not None
    assert "redacted" not in report.generation


def test_where_no_regions_are_known_the_picture_is_held(build: Make) -> None:
    picture = with_patches((100, 100, 80, 60))
    cm, result = run(build, picture, PatchDetector(tells_where=False), policy())
    assert (result.outcome, result.decision.outcome, result.data) == ("held", Outcome.REVIEW, None)
    assert "no detector says where" in result.decision.reasons[0]
    assert result.decision.category is Category.SEXUAL
    event = cm.log.event(result.index)
    assert (event.type, event.decision) == (EventType.HELD, Outcome.REVIEW)
    assert np.array_equal(held_pixels(cm, result.index), picture)


class Stubborn(PatchDetector):
    """Sees one patch at a time, so that another remains after redaction."""

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        first, *others = super().assess(pixels)
        return (first.model_copy(update={"regions": first.regions[:1]}), *others)


def test_what_is_still_there_after_redaction_is_held_as_it_was_made(build: Make) -> None:
    picture = with_patches((100, 100, 80, 60), (300, 350, 40, 90))
    cm, result = run(build, picture, Stubborn(), policy())
    assert (result.outcome, result.decision.outcome) == ("held", Outcome.REVIEW)
    assert "is not enough" in result.decision.reasons[0]
    event = cm.log.event(result.index)
    assert event.output is None
    assert event.params["redaction"].startswith("1 region blurred")
    assert np.array_equal(held_pixels(cm, result.index), picture)


class DiesOnTheSecondLook(PatchDetector):
    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        if self.looks:
            raise MemoryError("no room")
        return super().assess(pixels)


def test_a_second_look_that_fails_closes(build: Make) -> None:
    _, result = run(build, with_patches((100, 100, 80, 60)), DiesOnTheSecondLook(), policy())
    assert (result.outcome, result.decision.rule) == ("refused", "on_error.image")


def test_what_policy_blocks_is_not_redacted(build: Make) -> None:
    detector = PatchDetector()
    _, result = run(build, with_patches((100, 100, 80, 60)), detector, policy("{redact: 0.2, block: 0.8}"))
    assert (result.outcome, detector.looks) == ("refused", 1)


def test_only_what_policy_wants_redacted_is_blurred(build: Make) -> None:
    class AlsoSigns(PatchDetector):
        """Reads a sign somewhere, which this policy does not mind."""

        def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
            first, *others = super().assess(pixels)
            sign = Region(label="TEXT", left=0.8, top=0.8, right=0.95, bottom=0.9, score=0.9)
            text = assessed(Stage.IMAGE, Category.TEXT_IN_IMAGE, self.detector, 0.9, 2, regions=(sign,))
            return (first, text, *[f for f in others if f.category is not Category.TEXT_IN_IMAGE])

    cm, result = run(build, with_patches((100, 100, 80, 60)), AlsoSigns(), policy())
    assert result.released
    assert "TEXT" not in cm.log.event(result.index).params["redacted_regions"]


def test_a_marked_picture_is_redacted_likewise(build: Make) -> None:
    cm = build(image_safety=PatchDetector(), policy=policy("{severity: {redact: 4, block: 6}}"))
    result = cm.mark(with_patches((100, 100, 80, 60)), model="elsewhere/model")
    assert (result.outcome, result.decision.outcome) == ("released", Outcome.REDACT)


def test_redaction_where_nobody_looked_is_a_review(build: Make, photo: NDArray[np.uint8]) -> None:
    class Blind(PatchDetector):
        def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
            return tuple(not_assessed(Stage.IMAGE, c, self.detector, "no") for c in IMAGE_CATEGORIES)

    cm, result = run(build, photo, Blind(), policy("{redact: 0.5, on_not_assessed: redact}"))
    assert (result.outcome, result.decision.outcome) == ("held", Outcome.REVIEW)
    assert cm.log.event(result.index).decision is Outcome.REVIEW


# --- the policy ---


@pytest.mark.parametrize(
    "band", ["{redact: 0.9, review: 0.5}", "{redact: 0.9, block: 0.5}", "{severity: {redact: 6, block: 4}}"]
)
def test_a_milder_outcome_has_the_lower_threshold(band: str) -> None:
    with pytest.raises(PolicyInvalid, match="'redact' has a higher threshold"):
        policy(band)


def test_a_prompt_is_never_redacted() -> None:
    text = b"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: redacting, version: "1"}
categories:
  sexual: {prompt: {redact: 0.5}}
"""
    with pytest.raises(PolicyInvalid, match="a prompt cannot be redacted"):
        parse_yaml(text, "redacting.yaml", Policy)


def test_policies_that_do_not_redact_keep_the_digests_they_had() -> None:
    dumped = load_policy().model_dump(mode="json")
    bands = [band for stages in dumped["categories"].values() for band in stages.values() if band]
    assert bands
    assert all(set(band) == {"review", "block", "severity", "on_not_assessed"} for band in bands)
    assert all(set(band["severity"]) == {"review", "block"} for band in bands)
    assert policy().digest != policy("{block: 0.95}").digest


# --- the pixels ---


@given(
    st.tuples(*[st.floats(0, 1)] * 4),
    st.integers(1, 90),
    st.integers(1, 90),
)
def test_only_few_colours_of_a_region_are_left(
    sides: tuple[float, float, float, float], height: int, width: int
) -> None:
    left, right = sorted(sides[:2])
    top, bottom = sorted(sides[2:])
    if not (left < right and top < bottom):
        return
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    region = Region(label="X", left=left, top=top, right=right, bottom=bottom, score=1)
    done = obscure(Raster(noise, sha256="0" * 64), [region])
    assert done.raster.pixels.shape == noise.shape
    assert done.raster.sha256 == ""
    changed = np.any(done.raster.pixels != noise, axis=2)
    rows, columns = np.nonzero(changed)
    if len(rows):
        assert rows.min() >= np.floor((top - 0.2 * (bottom - top)) * height) - 1
        assert columns.max() <= np.ceil((right + 0.2 * (right - left)) * width)
    assert 0 <= done.share <= 1


def test_fine_detail_of_a_region_is_gone() -> None:
    picture = photograph("astronaut")
    region = Region(label="X", left=0.25, top=0.1, right=0.6, bottom=0.5, score=1)
    done = obscure(Raster(picture, alpha=picture[..., 0].copy()), [region]).raster
    assert done.alpha is not None
    inside, outside = np.s_[52:255, 128:307], np.s_[300:]
    for now, before in ((done.pixels, picture), (done.alpha, picture[..., 0])):
        assert cv2.Laplacian(now[inside], cv2.CV_64F).std() < 0.1 * cv2.Laplacian(before[inside], cv2.CV_64F).std()
        assert np.array_equal(now[outside], before[outside])
