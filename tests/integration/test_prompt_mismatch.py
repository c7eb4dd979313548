"""Pictures that are not what their prompt asked for: by a model that settings name, and without any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given, photograph

from countermark import Countermark
from countermark.cli.main import run
from countermark.compose import check
from countermark.model import Category, DetectorRef, Finding, FindingState, GenerationRequest, Outcome, Stage
from countermark.policy import Policy, load_policy
from countermark.safety import PromptEnsemble
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed
from countermark.safety.known import Known
from countermark.settings import Settings, load_settings
from countermark.yaml_file import parse_yaml

NAMED = b"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: matching, version: "1"}
categories:
  prompt_mismatch: {image: {severity: {review: 2}}}
"""


def matching() -> Policy:
    return parse_yaml(NAMED, "matching.yaml", Policy)


class Blind:
    """Finds every picture explicit."""

    detector = DetectorRef(id="test.blind", version="1")
    categories = frozenset({Category.SEXUAL, Category.GRAPHIC})

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        explicit = assessed(Stage.IMAGE, Category.SEXUAL, self.detector, 0.99, 6)
        calm = assessed(Stage.IMAGE, Category.GRAPHIC, self.detector, 0.0, 0)
        others = (c for c in IMAGE_CATEGORIES if c not in (Category.SEXUAL, Category.GRAPHIC))
        return (explicit, calm, *(not_assessed(Stage.IMAGE, c, self.detector, "no") for c in others))


class Comparing(Blind):
    """Notes the prompts with which it is asked to compare; the word "lighthouse" it never finds in a picture."""

    categories = frozenset({Category.PROMPT_MISMATCH})

    def __init__(self) -> None:
        self.asked: list[str] = []

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        self.asked.append(known.prompt)
        missed = "lighthouse" in known.prompt
        found = assessed(
            Stage.IMAGE, Category.PROMPT_MISMATCH, self.detector, 0.9 if missed else 0.0, 2 if missed else 0
        )
        rest = (c for c in IMAGE_CATEGORIES if c is not Category.PROMPT_MISMATCH)
        return (*(not_assessed(Stage.IMAGE, c, self.detector, "no") for c in rest), found)


def test_nothing_is_required_unless_the_policy_names_it(settings: Settings) -> None:
    findings, decision = check(load_policy(), image=photograph("coffee"))
    (finding,) = [f for f in findings if f.category is Category.PROMPT_MISMATCH]
    assert (finding.state, finding.reason) == (
        FindingState.NOT_ASSESSED,
        "no image model for this category is installed",
    )
    assert decision.outcome is Outcome.ALLOW
    _, strict = check(matching(), prompt=CLEAN_PROMPT, image=photograph("coffee"))
    assert (strict.outcome, strict.rule) == (Outcome.BLOCK, "on_not_assessed.image")


def test_a_mismatch_is_held_for_a_person(settings: Settings) -> None:
    judge = Comparing()
    with Countermark(settings, policy=matching(), image_safety=judge) as cm:
        (held,) = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("coffee", 256)))
        marked = cm.mark(photograph("coffee", 256), model="some/model", prompt="a cup of coffee")
        alone = cm.mark(photograph("cat", 256), model="some/model")
    assert (held.outcome, held.decision.category, held.decision.rule) == (
        "held",
        Category.PROMPT_MISMATCH,
        "prompt_mismatch.image.review",
    )
    assert (marked.outcome, alone.outcome) == ("released", "released")
    assert judge.asked == [CLEAN_PROMPT, "a cup of coffee", ""]


def test_a_harmless_prompt_s_explicit_picture_is_called_a_mismatch(settings: Settings) -> None:
    with Countermark(settings, image_safety=Blind()) as cm:
        (result,) = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("coffee", 256)))
        _, event = cm.log.list(limit=1)[0]
    assert (result.outcome, result.decision.rule) == ("refused", "sexual.image.block")
    assert "does not match its prompt" in result.decision.reasons[-1]
    assert event.reasons == result.decision.reasons


def test_check_takes_a_picture_with_its_prompt(prompt_safety: PromptEnsemble) -> None:
    judges = {"prompt_safety": prompt_safety, "image_safety": Blind()}
    findings, decision = check(load_policy(), prompt=CLEAN_PROMPT, image=photograph("coffee"), **judges)  # type: ignore[arg-type]
    assert {finding.stage for finding in findings} == {Stage.PROMPT, Stage.IMAGE}
    assert (decision.outcome, decision.stage) == (Outcome.BLOCK, Stage.IMAGE)
    assert "does not match its prompt" in decision.reasons[-1]
    with pytest.raises(TypeError, match="a prompt, an image or both"):
        check(load_policy())


def test_a_model_that_settings_name_is_asked(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'countermark[diffusers]'")
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'countermark[diffusers]'")
    from tests.contract.tiny_models import save_pair_model

    folder = tmp_path / "tiny-clip"
    save_pair_model(folder)
    Path("countermark.toml").write_text(
        f'[[safety.image.opinions]]\nkind = "prompt-agreement"\nmodel = "{folder}"\nreview = 0.01\n'
    )
    Path("matching.yaml").write_bytes(NAMED)
    Image.fromarray(photograph("coffee", 256)).save("coffee.png")
    findings, _ = check(matching(), prompt="a dog", image="coffee.png", settings=load_settings().settings)
    (finding,) = [f for f in findings if f.category is Category.PROMPT_MISMATCH]
    assert finding.detector.id == "prompt-agreement.tiny-clip"
    assert "everyday captions" in finding.reason
    capsys.readouterr()
    code = run(["check", "--image", "coffee.png", "--policy", "matching.yaml", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["decision"]["rule"]) == (20, "on_not_assessed.image")
    assert "no prompt is known" in told["decision"]["reasons"][0]
    code = run(["check", "--image", "coffee.png", "--prompt", "a dog", "--policy", "matching.yaml", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == {"allow": 0, "review": 21}[told["decision"]["outcome"]]
    run(["doctor", "--json"])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["image opinion 1 (prompt-agreement)"]["state"] == "ok"
