"""Second opinions through settings: in ``check``, in the whole layer, and in what ``doctor`` says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import CLEAN_PROMPT, Given, photograph
from tests.contract.moderation_services import KEY, like_azure, like_openai, serving

from countermark import Countermark
from countermark.cli.main import run
from countermark.compose import check
from countermark.model import Category, Finding, FindingState, GenerationRequest, Outcome
from countermark.policy import Policy, load_policy
from countermark.policy.schema import Band, Stages
from countermark.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODERATION_KEY", KEY)


def configured(text: str) -> Settings:
    Path("countermark.toml").write_text(text)
    return load_settings().settings


def openai(stage: str, url: str, *more: str) -> str:
    lines = [
        f"[[safety.{stage}.opinions]]",
        'kind = "openai"',
        f'url = "{url}/v1"',
        'key = "env://TEST_MODERATION_KEY"',
    ]
    return "\n".join([*lines, *more, ""])


def by(detector: str, findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.detector.id.startswith(detector)]


def test_check_hears_the_opinions_that_settings_name() -> None:
    with serving(like_openai({"hate": 0.97}, flagged=("hate",))) as (url, asked):
        settings = configured(openai("prompt", url))
        findings, decision = check(load_policy(), prompt=CLEAN_PROMPT, settings=settings)
    assert len(by("openai.", findings)) == 8
    assert (decision.outcome, decision.category, decision.rule) == (Outcome.BLOCK, Category.HATE, "hate.prompt.block")
    assert "openai.omni-moderation-latest" in decision.reasons[0]
    assert asked.bodies[0]["input"] == CLEAN_PROMPT


def test_an_opinion_that_waits_for_doubt_is_not_sent_what_is_clear() -> None:
    with serving(like_openai()) as (url, asked):
        settings = configured(openai("prompt", url, 'when = "uncertain"'))
        _, decision = check(load_policy(), prompt=CLEAN_PROMPT, settings=settings)
        assert (decision.outcome, asked.paths) == (Outcome.ALLOW, [])
        settings = configured(
            "[safety.prompt]\nuncertain = [0.0, 0.85]\n" + openai("prompt", url, 'when = "uncertain"')
        )
        _, decision = check(load_policy(), prompt=CLEAN_PROMPT, settings=settings)
        assert (decision.outcome, len(asked.paths)) == (Outcome.ALLOW, 1)


def violence_named_in_images() -> Policy:
    shipped = load_policy()
    bands = Stages(prompt=shipped.categories[Category.VIOLENCE].prompt, image=Band(severity={"review": 4, "block": 6}))
    return shipped.model_copy(update={"categories": {**shipped.categories, Category.VIOLENCE: bands}})


def test_the_layer_refuses_what_a_second_opinion_refuses_and_records_who_said_so(settings: Settings) -> None:
    with serving(like_azure(Violence=6)) as (url, _):
        text = f'[[safety.image.opinions]]\nkind = "azure"\nkey = "env://TEST_MODERATION_KEY"\nurl = "{url}"\n'
        chosen = configured(text).model_copy(update={"home": settings.home})
        with Countermark(chosen, policy=violence_named_in_images()) as cm:
            (result,) = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("coffee", 256)))
            _, event = cm.log.list(limit=1)[0]
            _, again = cm.check(image=photograph("coffee", 256))
    assert (result.outcome, result.decision.category) == ("refused", Category.VIOLENCE)
    assert again.outcome is Outcome.BLOCK
    assert "azure.content-safety-image" in event.model_dump_json()


def test_a_service_that_fails_stops_the_release() -> None:
    with serving(lambda *_request: (429, b"{}")) as (url, _):
        settings = configured(openai("prompt", url))
        findings, decision = check(load_policy(), prompt=CLEAN_PROMPT, settings=settings)
    assert decision.outcome is Outcome.BLOCK
    assert decision.unseen
    assert "status 429" in " ".join(decision.reasons)
    assert {finding.state for finding in by("openai.", findings)} == {FindingState.NOT_ASSESSED}


def test_doctor_says_which_opinions_there_are_and_whether_they_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(like_openai()) as (url, asked):
        model = '[[safety.image.opinions]]\nkind = "shieldgemma-2"\nmodel = "/nowhere/shieldgemma"\n'
        configured(openai("prompt", url) + model)
        checks = doctor(capsys)
        assert checks["prompt opinion 1 (openai)"]["state"] == "ok"
        assert "127.0.0.1" in checks["prompt opinion 1 (openai)"]["detail"]
        assert checks["image opinion 1 (shieldgemma-2)"]["state"] == "failed"
        assert "/nowhere/shieldgemma" in checks["image opinion 1 (shieldgemma-2)"]["detail"]
        monkeypatch.delenv("TEST_MODERATION_KEY")
        assert "TEST_MODERATION_KEY" in doctor(capsys)["prompt opinion 1 (openai)"]["detail"]
    assert asked.paths == []


def doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    run(["doctor", "--json"])
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
