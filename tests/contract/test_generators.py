"""What every generator promises, whoever drives the model: our own adapter, and the one for any diffusers pipeline."""

from __future__ import annotations

import re

import numpy as np
import pytest

from countermark.errors import CountermarkError
from countermark.generators import DiffusersGenerator, EmbeddedGenerator, Generator
from countermark.generators.embedded.pipeline import ScenePipeline, steps_of
from countermark.generators.embedded.weights import SHIPPED
from countermark.model import GenerationRequest


def scene_pipeline() -> ScenePipeline:
    pipe = ScenePipeline.from_pretrained(SHIPPED)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module", params=["embedded", "diffusers"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return EmbeddedGenerator() if request.param == "embedded" else DiffusersGenerator(scene_pipeline())


def asked(**more: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": "a red boat at sunset", "seed": 11, "steps": 3, **more})


def test_images_are_rgb_bytes_as_many_as_asked_for(generator: Generator) -> None:
    images = generator.generate(asked(count=2)).images
    assert len(images) == 2
    for image in images:
        assert (image.shape, image.dtype) == ((512, 512, 3), np.uint8)
        assert image.flags["C_CONTIGUOUS"]


def test_the_same_request_gives_the_same_pixels(generator: Generator) -> None:
    first, second = generator.generate(asked()), generator.generate(asked())
    assert np.array_equal(first.images[0], second.images[0])
    assert first.parameters == second.parameters


def test_parameters_can_be_recorded_and_repeat_the_run(generator: Generator) -> None:
    made = generator.generate(asked(seed=None))
    assert all(isinstance(value, str | int) for value in made.parameters.values())
    again = generator.generate(asked(seed=int(made.parameters["seed"])))
    assert np.array_equal(made.images[0], again.images[0])


def test_parameters_and_notices_never_quote_the_prompt(generator: Generator) -> None:
    prompt = "a red boat at sunset for my aunt Wilhelmina"
    made = generator.generate(asked(prompt=prompt))
    assert prompt not in " ".join([*map(str, made.parameters.values()), *made.notices])


def test_the_model_is_named_with_a_stable_digest(generator: Generator) -> None:
    model = generator.model
    assert model == generator.model
    assert model.id
    assert model.pipeline == "ScenePipeline"
    assert re.fullmatch("[0-9a-f]{64}", model.digest or "")


def test_every_step_is_announced(generator: Generator) -> None:
    heard: list[tuple[int, int]] = []
    generator.generate(asked(), on_step=lambda done, total: heard.append((done, total)))
    assert heard == [(done, steps_of(3)) for done in range(1, steps_of(3) + 1)]


def test_what_the_listener_raises_stops_the_run_and_comes_out_unchanged(generator: Generator) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.generate(asked(), on_step=stop)


def test_what_the_model_cannot_do_is_a_typed_error(generator: Generator) -> None:
    with pytest.raises(CountermarkError) as caught:
        generator.generate(asked(width=1024, height=1024))
    assert caught.value.remedy
