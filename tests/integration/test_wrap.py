"""``Countermark.wrap``: a diffusers pipeline that can only return checked, marked images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT

from countermark import Countermark
from countermark.errors import UsageError
from countermark.model import EventType, WatermarkState
from countermark.settings import Settings, WatermarkSettings

torch = pytest.importorskip("torch", reason="wrapping a pipeline needs the extra 'diffusers'")

from tests.unit.generators.tiny_pipelines import stable_diffusion  # noqa: E402 - needs torch


def test_released_images_are_marked_and_recorded_and_refused_ones_are_none(
    build: Callable[..., Countermark], tmp_path: Path
) -> None:
    # An untrained model draws loud noise, which drowns a mark of the usual strength.
    cm = build(settings=Settings(home=tmp_path / "home", watermark=WatermarkSettings(psnr=34)))
    wrapped = cm.wrap(stable_diffusion())
    out = wrapped(
        [CLEAN_PROMPT, UNSAFE_PROMPT],
        num_inference_steps=2,
        width=256,
        height=256,
        generator=[torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)],
    )
    assert out.images[1] is None
    assert out.images[0] is not None
    found = cm.parts.watermark.detect(np.asarray(out.images[0].convert("RGB")))
    assert found.state is WatermarkState.DETECTED
    assert found.record_id == out.countermark[0].record_id
    assert out.countermark[1].decision.category is not None
    assert [cm.log.event(i).type for i in range(cm.log.size)] == [EventType.RELEASED, EventType.REFUSED]
    assert cm.log.event(0).params["seed"] == "1"


def test_there_is_no_way_around_the_checks(cm: Countermark) -> None:
    wrapped = cm.wrap(stable_diffusion())
    for output_type in ("latent", "np", "pt"):
        with pytest.raises(UsageError):
            wrapped(CLEAN_PROMPT, output_type=output_type)
    assert cm.log.size == 0


def test_a_size_out_of_range_is_told_with_its_range(cm: Countermark) -> None:
    with pytest.raises(UsageError, match=r"height: .* greater than or equal to 128") as caught:
        cm.wrap(stable_diffusion())(CLEAN_PROMPT, width=256, height=64)
    assert CLEAN_PROMPT not in str(caught.value)
    assert cm.log.size == 0


def test_what_a_wrapped_pipeline_made_is_found_by_who_asked(
    build: Callable[..., Countermark], settings: Settings
) -> None:
    cm = build(settings=settings.model_copy(update={"tenant": "house"}))
    wrapped = cm.wrap(stable_diffusion(), actor="alice")
    wrapped(UNSAFE_PROMPT)
    wrapped(UNSAFE_PROMPT, actor="bob", tenant="lab")
    events = [cm.log.event(index) for index in range(cm.log.size)]
    assert [event.actor for event in events] == [cm.home.pseudonym("alice"), cm.home.pseudonym("bob")]
    assert [event.tenant for event in events] == ["house", "lab"]


def test_a_pipeline_can_be_given_as_the_generator(build: Callable[..., Countermark], tmp_path: Path) -> None:
    loud = Settings(home=tmp_path / "home", watermark=WatermarkSettings(psnr=34))
    cm = build(settings=loud, generator=stable_diffusion())
    seen: list[int] = []
    result = cm.generate(
        CLEAN_PROMPT, seed=3, steps=2, width=256, height=256, on_step=lambda done, _all: seen.append(done)
    )
    assert result.released
    assert seen == [1, 2]
    recorded = cm.log.event(result.index)
    assert recorded.model is not None
    assert recorded.model.digest
    assert recorded.params["seed"] == "3"
    with pytest.raises(UsageError):
        cm.generate(CLEAN_PROMPT, count=3)


def test_a_wrapped_pipeline_is_no_generator(build: Callable[..., Countermark], cm: Countermark) -> None:
    wrapped = cm.wrap(stable_diffusion())
    cm.close()
    again = build(generator=wrapped)
    with pytest.raises(UsageError, match="twice"):
        again.generate(CLEAN_PROMPT)
