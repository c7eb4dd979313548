"""Generators of strangers: what they return, how they fail, and what they do to arrays they gave away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, held_pixels, photograph

from countermark import Countermark
from countermark.errors import EventInvalid, GenerationFailed, KeyUnavailable, NotFound, UsageError, WeightsMissing
from countermark.generators import Generated
from countermark.imaging import decode
from countermark.model import DetectorRef, Event, EventType, GenerationRequest, ModelRef, Stage
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.safety.interface import IMAGE_CATEGORIES, assessed

Build = Callable[..., Countermark]


class Stranger:
    """A generator that does as it is told."""

    model = ModelRef(id="test/stranger")

    def __init__(self, made: Callable[[GenerationRequest], Any]) -> None:
        self.made = made

    def generate(self, request: GenerationRequest, *, on_step: object = None) -> Any:
        return self.made(request)


def gives(picture: Any, **more: Any) -> Stranger:
    return Stranger(lambda _: Generated(images=(picture,), **more))


def newest(cm: Countermark) -> Event:
    return cm.log.event(cm.log.size - 1)


PHOTO = photograph("coffee", 256)


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        ((PHOTO / 255).astype(np.float32), "float32"),
        (PHOTO.astype(np.int64), "int64"),
        (PHOTO[..., 0], r"\(256, 256\)"),
        (np.dstack([PHOTO, PHOTO[..., 0]]), r"\(256, 256, 4\)"),
        (PHOTO[None], r"\(1, 256, 256, 3\)"),
        (PHOTO[:0], r"\(0, 256, 3\)"),
        (Image.fromarray(PHOTO), "Image"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_picture_is_a_failure_of_the_generator_and_no_refusal(build: Build, picture: Any, told: str) -> None:
    cm = build(generator=gives(picture))
    with pytest.raises(GenerationFailed, match=told) as failed:
        cm.generate(CLEAN_PROMPT)
    assert "uint8" in failed.value.remedy
    assert (newest(cm).type, newest(cm).error) == (EventType.FAILED, "generation_failed")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Generated(images=(PHOTO, PHOTO)), "2 images where the request counts 1"),
        (Generated(images=()), "0 images"),
        ([PHOTO], "list where a Generated"),
        (None, "NoneType where a Generated"),
    ],
)
def test_no_more_and_no_less_than_was_asked_for(build: Build, made: Any, told: str) -> None:
    cm = build(generator=Stranger(lambda _: made))
    with pytest.raises(GenerationFailed, match=told):
        cm.generate(CLEAN_PROMPT)
    assert [cm.log.event(index).type for index in range(cm.log.size)] == [EventType.FAILED]


class Meddler(ImageEnsemble):
    """While it looks, somebody paints over the array that the picture came in, as a reused buffer would be."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        super().__init__()
        self.array = array

    def assess(self, pixels: NDArray[np.uint8]) -> Any:
        findings = super().assess(pixels)
        self.array[:] = 0
        return findings


def _is_the_photo(data: bytes | None) -> bool:
    assert data is not None
    return float(np.abs(decode(data).pixels.astype(int) - PHOTO).mean()) < 10


@pytest.mark.parametrize("of", ["generate", "mark"])
def test_what_was_checked_is_what_is_released(build: Build, of: str) -> None:
    array = PHOTO.copy()
    cm = build(generator=gives(array), image_safety=Meddler(array))
    result = cm.generate(CLEAN_PROMPT) if of == "generate" else cm.mark(array, model="some/model")
    assert not array.any()
    assert _is_the_photo(result.data)


def test_what_was_held_is_what_was_seen(build: Build) -> None:
    from tests.integration.test_invariants import _hold_everything

    array = PHOTO.copy()
    holding = load_policy().model_copy(update={"categories": _hold_everything()})
    cm = build(generator=gives(array), image_safety=Meddler(array), policy=holding)
    assert cm.generate(CLEAN_PROMPT).outcome == "held"
    assert np.array_equal(held_pixels(cm, newest_index(cm)), PHOTO)


def newest_index(cm: Countermark) -> int:
    return cm.log.size - 1


def test_no_parameter_tells_the_prompt(build: Build) -> None:
    said = {
        "prompt": "anything",
        "revised_prompt": "another",
        "caption": f"in the style of: {CLEAN_PROMPT.upper()}!",
        "sampler": "Euler",
    }
    cm = build(generator=gives(PHOTO, parameters=said))
    result = cm.generate(CLEAN_PROMPT)
    assert newest(cm).params == {"sampler": "Euler"}
    assert len([notice for notice in result.notices if "not on record" in notice]) == 3


@pytest.mark.parametrize(
    "parameters",
    [{"x": "y" * 70_000}, {"x": "\ud800"}, {"größe": "1"}, {"x": "\0"}, {str(n): "y" * 400 for n in range(300)}],
)
def test_a_parameter_that_no_event_can_hold_costs_no_picture(build: Build, parameters: dict[str, str]) -> None:
    cm = build(generator=gives(PHOTO, parameters={"seed": 3, **parameters}))
    result = cm.generate(CLEAN_PROMPT)
    assert result.released
    assert newest(cm).params["seed"] == "3"
    assert any("is not on record" in notice for notice in result.notices)


def test_a_model_that_cannot_be_loaded_is_a_failure_on_the_record(build: Build, settings: Any) -> None:
    class Weightless(Stranger):
        @property
        def model(self) -> ModelRef:  # type: ignore[override]
            raise WeightsMissing("The weights are not there.")

    cm = build(generator=Weightless(lambda _: None))
    with pytest.raises(WeightsMissing):
        cm.generate(CLEAN_PROMPT, actor="alice")
    assert (newest(cm).type, newest(cm).error) == (EventType.FAILED, "weights_missing")
    assert newest(cm).actor is not None
    assert cm.log.reveal(newest_index(cm), "prompt", reason="a test") == CLEAN_PROMPT
    cm.close()
    absent = settings.model_copy(update={"generator": settings.generator.model_copy(update={"model": "/no/such"})})
    cm = build(settings=absent)
    with pytest.raises(NotFound):
        cm.generate(CLEAN_PROMPT)
    assert (newest(cm).type, newest(cm).error) == (EventType.FAILED, "not_found")


def test_a_key_that_goes_missing_on_the_way_keeps_nothing_off_the_record(build: Build) -> None:
    cm = build(generator=Stranger(lambda _: keys.rename(keys.with_name("away")) and Generated(images=(PHOTO,))))
    keys = cm.home.folder / "keys"
    assert cm.generate(CLEAN_PROMPT, actor="alice").released
    assert newest(cm).actor == cm.log.event(0).actor is not None
    with pytest.raises(KeyUnavailable):
        cm.generate(CLEAN_PROMPT, actor="alice")
    assert cm.log.size == 1, "an attempt of somebody who cannot be named is not opened"
    keys.with_name("away").rename(keys)
    cm.close()
    assert build().log.size == 1


class Talkative:
    """An image classifier that says more than an event can hold."""

    detector = DetectorRef(id="test.talkative", version="1")
    categories = frozenset(IMAGE_CATEGORIES)

    def assess(self, pixels: object) -> Any:
        said = "so much " * 1000
        return tuple(assessed(Stage.IMAGE, one, self.detector, 0.0, 0, reason=said) for one in IMAGE_CATEGORIES)


def test_an_outcome_too_long_for_an_event_is_recorded_as_the_failure_it_is(build: Build) -> None:
    cm = build(image_safety=Talkative())
    with pytest.raises(EventInvalid):
        cm.mark(PHOTO, model="some/model")
    assert (newest(cm).type, newest(cm).error) == (EventType.FAILED, "event_invalid")
    assert "could not be recorded" in newest(cm).reasons[0]
    cm.close()
    assert build().log.size == 1, "nothing was left over, to be called interrupted"


def test_what_cannot_be_asked_is_no_classifier(settings: Any) -> None:
    for given in ({"prompt_safety": PromptEnsemble}, {"image_safety": "strict"}):
        with pytest.raises(UsageError, match="not an instance of"):
            Countermark(settings, **given)


def test_a_check_and_a_release_agree_on_a_detector_that_raises(build: Build) -> None:
    class Raises(ImageEnsemble):
        def assess(self, pixels: object) -> Any:
            raise MemoryError("no room")

    cm = build(image_safety=Raises())
    findings, decision = cm.check(image=PHOTO)
    assert not findings
    marked = cm.mark(PHOTO, model="some/model").decision
    assert (decision.outcome, decision.rule) == (marked.outcome, marked.rule) == ("block", "on_error.image")


def test_an_empty_tenant_is_that_of_the_settings(build: Build) -> None:
    cm = build(generator=gives(PHOTO))
    for tenant in ("", None):
        cm.generate(CLEAN_PROMPT, tenant=tenant)
        assert newest(cm).tenant == "default"
