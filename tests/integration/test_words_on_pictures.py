from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.conftest import photograph
from tests.contract.moderation_services import KEY, like_openai, serving

from countermark import Countermark
from countermark.compose import check, default_image_safety
from countermark.errors import MissingExtra
from countermark.model import Category, Outcome
from countermark.policy import Policy, load_policy
from countermark.safety import text_reader
from countermark.settings import Settings

POLICY = """
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: text, version: "1", owner: tests, description: Words in images.}
defaults: {on_error: block, on_not_assessed: block}
categories:
  text_in_image:
    image: {severity: {review: 2, block: 4}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_policy(tmp_path / "policy.yaml")


def reading(home: Path) -> Settings:
    return Settings.model_validate({"home": home, "safety": {"image": {"text": True}}})


def slogan(text: str) -> np.ndarray:
    image = Image.new("RGB", (640, 480), (40, 90, 60))
    ImageDraw.Draw(image).text((40, 200), text, font=ImageFont.load_default(40), fill=(250, 250, 250))
    return np.array(image)


def test_a_slogan_in_an_image_is_blocked_and_the_refusal_says_why(tmp_path: Path, policy: Policy) -> None:
    _, decision = check(policy, image=slogan("porn stars live sex"), settings=reading(tmp_path))
    assert decision.outcome is Outcome.BLOCK
    assert decision.category is Category.TEXT_IN_IMAGE
    assert decision.rule == "text_in_image.image.block"


def test_harmless_words_pass_and_without_the_reader_nothing_does(tmp_path: Path, policy: Policy) -> None:
    image = slogan("fresh bread and coffee")
    assert check(policy, image=image, settings=reading(tmp_path))[1].outcome is Outcome.ALLOW
    _, unread = check(policy, image=image, settings=Settings(home=tmp_path))
    assert unread.outcome is Outcome.BLOCK
    assert unread.rule == "on_not_assessed.image"


def test_words_on_a_picture_are_sent_to_no_service(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_MODERATION_KEY", KEY)
    with serving(like_openai()) as (url, asked):
        opinion = {"kind": "openai", "url": f"{url}/v1", "key": "env://TEST_MODERATION_KEY"}
        safety = {"prompt": {"opinions": [opinion]}, "image": {"text": True}}
        settings = Settings.model_validate({"home": tmp_path, "safety": safety})
        _, decision = check(policy, image=slogan("fresh bread and coffee"), settings=settings)
        assert (decision.outcome, asked.paths) == (Outcome.ALLOW, [])
        check(load_policy(), prompt="fresh bread and coffee", settings=settings)
        assert len(asked.paths) == 1, "a prompt is, for that is what was asked for"


def test_a_model_that_judges_prompts_and_words_is_loaded_once(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a guard of eight billion weights, no machine has room for two."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'countermark[opinions]'")
    from tests.contract.tiny_models import save_text_classifier

    from countermark.safety.adapters.local import LocalModel

    monkeypatch.setenv("TEST_MODERATION_KEY", KEY)
    save_text_classifier(tmp_path / "model", ["fine", "toxic"])
    loads, load = [], LocalModel._load
    monkeypatch.setattr(LocalModel, "_load", lambda model: loads.append(model) or load(model))
    local = {"kind": "text-classification", "model": str(tmp_path / "model"), "labels": {"toxic": "harassment"}}
    words = slogan("fresh bread and coffee")
    with serving(like_openai()) as (url, asked):
        service = {"kind": "openai", "url": f"{url}/v1", "key": "env://TEST_MODERATION_KEY"}
        safety = {"prompt": {"opinions": [service, local]}, "image": {"text": True}}
        settings = Settings.model_validate({"home": tmp_path / "home", "safety": safety})
        check(policy, prompt="a cat", image=words, settings=settings)
        assert (len(loads), asked.paths) == (1, ["/v1/moderations"])
        with Countermark(settings, policy=policy) as cm:
            cm.check(prompt="a cat")
            cm.check(image=words)
        assert (len(loads), len(asked.paths)) == (2, 2), "once for each that was built, and words are sent nowhere"


def test_words_of_a_sticker_are_redacted(tmp_path: Path) -> None:
    """They stand in its alpha plane: unless that is blurred, too, the second look would read them again."""
    words = Image.fromarray(slogan("porn stars live sex")).convert("L").point(lambda level: 255 if level > 200 else 0)
    photo = Image.fromarray(photograph("coffee")).resize(words.size)
    photo.putalpha(words)
    redacting = POLICY.replace("{review: 2, block: 4}", "{redact: 2}")
    (tmp_path / "redacting.yaml").write_text(redacting)
    with Countermark(reading(tmp_path / "home"), policy=load_policy(tmp_path / "redacting.yaml")) as cm:
        result = cm.mark(photo, model="vendor/model-3")
    assert (result.outcome, result.decision.outcome) == ("released", Outcome.REDACT)


def test_asking_for_it_without_the_extra_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "PACKAGE", "countermark_no_such_package")
    with pytest.raises(MissingExtra, match="ocr"):
        default_image_safety(reading(tmp_path))
