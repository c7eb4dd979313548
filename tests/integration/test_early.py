"""Runs that are stopped on a preview, and those that are not: with the embedded generator and a real detector."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, Given, photograph

from countermark import Countermark
from countermark.errors import SettingsInvalid
from countermark.model import Category, DetectorRef, EventType, Finding, GenerationRequest, Outcome, Stage
from countermark.policy import Policy
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed
from countermark.settings import GeneratorSettings, Settings, load_settings
from countermark.yaml_file import parse_yaml

pytest.importorskip("torch", reason="the embedded generator needs the extra 'diffusers'")
from countermark.generators.embedded.pipeline import steps_of

Make = Callable[..., Countermark]
STEPS = 12
ALL = steps_of(STEPS)
HALF = math.ceil(ALL / 2)


class Reddish:
    """How red a picture is: as real as any other detector, and every sunset excites it."""

    detector = DetectorRef(id="test.reddish", version="1")
    categories = frozenset({Category.VIOLENCE})

    def __init__(self) -> None:
        self.sides: list[int] = []

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        self.sides.append(pixels.shape[0])
        red = pixels[..., 0].astype(float).mean() / max(1.0, pixels.mean() * 3)
        score = float(np.clip((red - 0.33) * 10, 0, 1))
        silent = [
            not_assessed(Stage.IMAGE, c, self.detector, "no") for c in IMAGE_CATEGORIES if c not in self.categories
        ]
        return (assessed(Stage.IMAGE, Category.VIOLENCE, self.detector, score, 6, reason=f"red {red:.2f}"), *silent)


def policy(band: str, more: str = "") -> Policy:
    text = f"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {{id: no-reds, version: "1"}}
categories:
  violence: {{image: {band}}}
{more}
"""
    return parse_yaml(text.encode(), "no-reds.yaml", Policy)


@pytest.fixture
def watching(settings: Settings) -> Settings:
    return settings.model_copy(update={"generator": GeneratorSettings(preview_at=0.5)})


def test_a_run_that_policy_blocks_is_stopped_and_recorded_as_a_refusal(build: Make, watching: Settings) -> None:
    detector = Reddish()
    # Whatever nobody looked at would block a finished picture; a preview is judged by what was found alone.
    rules = policy("{block: 0.3}", "  self_harm: {image: {block: 0.5}}")
    cm = build(settings=watching, image_safety=detector, policy=rules)
    steps: list[int] = []
    result = cm.generate(
        CLEAN_PROMPT, seed=7, steps=STEPS, actor="alice", on_step=lambda done, _all: steps.append(done)
    )
    assert steps == list(range(1, HALF + 1))
    assert detector.sides == [64], "the picture was never finished"
    assert (result.outcome, result.data, result.exit_code) == ("refused", None, 20)
    decision = result.decision
    assert (decision.category, decision.severity, decision.stage) == (Category.VIOLENCE, 6, Stage.IMAGE)
    assert decision.rule == "violence.image.block"
    assert decision.reasons[0] == f"The run was stopped on a preview after step {HALF} of {ALL}."
    assert cm.log.size == 1
    event = cm.log.event(result.index)
    assert (event.type, event.decision, event.rule) == (EventType.REFUSED, Outcome.BLOCK, decision.rule)
    assert event.reasons == decision.reasons
    assert event.actor is not None
    assert "preview_safety" in event.latency_us
    said = [
        check.reason for check in event.checks if check.category is Category.VIOLENCE and check.stage is Stage.IMAGE
    ]
    assert said[0].startswith(f"preview after step {HALF} of {ALL}: red 0.")
    assert cm.log.unfinished() == ()
    assert cm.log.reveal(result.index, "prompt", reason="a test") == CLEAN_PROMPT


@pytest.mark.parametrize("band", ["{block: 1.0}", "{review: 0.3}"])
def test_what_policy_would_not_block_runs_to_its_end(build: Make, watching: Settings, band: str) -> None:
    detector = Reddish()
    cm = build(settings=watching, image_safety=detector, policy=policy(band))
    result = cm.generate(CLEAN_PROMPT, seed=7, steps=STEPS)
    assert detector.sides == [64, 512]
    assert result.outcome == ("released" if "block" in band else "held")
    assert cm.log.event(result.index).params["preview"] == f"passed after step {HALF} of {ALL}"


def test_without_the_setting_nothing_is_looked_at_before_the_end(build: Make) -> None:
    detector = Reddish()
    result = build(image_safety=detector, policy=policy("{block: 0.3}")).generate(CLEAN_PROMPT, seed=7, steps=4)
    assert detector.sides == [512]
    assert result.outcome == "refused"


def test_a_preview_that_cannot_be_looked_at_opens_nothing(build: Make, watching: Settings) -> None:
    class BlindToSmall(Reddish):
        def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
            if pixels.shape[0] < 512:
                raise MemoryError("no room")
            return super().assess(pixels)

    detector = BlindToSmall()
    cm = build(settings=watching, image_safety=detector, policy=policy("{block: 0.3}"))
    result = cm.generate(CLEAN_PROMPT, seed=7, steps=STEPS)
    assert detector.sides == [512]
    assert result.outcome == "refused"
    assert "preview" not in cm.log.event(result.index).params


def test_one_picture_of_a_batch_stops_the_run(build: Make, watching: Settings) -> None:
    from countermark.compose.core import Core

    cm = build(settings=watching, image_safety=Reddish(), policy=policy("{block: 0.3}"))
    request = GenerationRequest(prompt=CLEAN_PROMPT, seed=7, steps=STEPS, count=2)
    results = cm.pipeline.generate(request, Core(lambda: cm.generator, request, None))
    assert [result.outcome for result in results] == ["refused"]
    assert cm.log.size == 1


def test_a_generator_that_shows_nothing_says_so(build: Make, watching: Settings) -> None:
    class Remote:
        """Stands for a service: it has no steps to show."""

        model = Given.model

        def generate(self, request: GenerationRequest, *, on_step: object = None) -> object:
            from countermark.generators import Generated

            return Generated((photograph("coffee"),))

    detector = Reddish()
    cm = build(settings=watching, image_safety=detector, policy=policy("{block: 1.0}"), generator=Remote())
    result = cm.generate(CLEAN_PROMPT)
    assert detector.sides == [512]
    assert any("shows nothing before it is done" in notice for notice in result.notices)


@pytest.mark.parametrize("share", ["1", "-0.1", "nan"])
def test_a_share_is_between_none_and_all_of_the_steps(share: str) -> None:
    with pytest.raises(SettingsInvalid, match="preview_at"):
        load_settings(environ={"COUNTERMARK_GENERATOR__PREVIEW_AT": share})
