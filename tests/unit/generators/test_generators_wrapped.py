from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from countermark.errors import PromptInvalid, UsageError
from countermark.generators import Generator, WrappedPipeline
from countermark.model import GenerationRequest

SMALL = {"num_inference_steps": 2, "height": 128, "width": 128}
STAMP = (255, 0, 255)


@dataclass
class Result:
    outcome: str
    image: Image.Image | None
    request: GenerationRequest
    reasons: tuple[str, ...] = ()


class House:
    """Stands for the pipeline of checks and marks: refuses houses, stamps the corner of everything else."""

    def __init__(self) -> None:
        self.parameters: list[dict[str, str | int]] = []

    def __call__(self, request: GenerationRequest, generator: Generator, /) -> Sequence[Result]:
        if "house" in request.prompt:
            return [Result("block", None, request, ("no houses",))]
        made = generator.generate(request)
        self.parameters.append(made.parameters)
        results = []
        for pixels in made.images:
            marked = pixels.copy()
            marked[0, 0] = STAMP
            results.append(Result("allow", Image.fromarray(marked), request))
        return results


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def wrapped(stable_diffusion: Any, house: House) -> WrappedPipeline:
    return WrappedPipeline(stable_diffusion, house)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_only_marked_images_come_out(wrapped: WrappedPipeline) -> None:
    output = wrapped("a red boat", generator=seeded(), **SMALL)
    assert [image.getpixel((0, 0)) for image in output.images] == [STAMP]
    assert output.nsfw_content_detected is None


def test_apart_from_the_mark_it_is_the_pipelines_own_image(stable_diffusion: Any, house: House) -> None:
    bare = stable_diffusion("a red boat", generator=seeded(), guidance_scale=5.0, **SMALL).images[0]
    wrapped = WrappedPipeline(stable_diffusion, house)
    released = wrapped("a red boat", generator=seeded(), guidance_scale=5.0, **SMALL).images[0]
    differs = np.any(np.asarray(bare) != np.asarray(released), axis=-1)
    assert np.argwhere(differs).tolist() == [[0, 0]]


def test_who_asks_is_said_when_wrapping_or_with_each_call(stable_diffusion: Any, house: House) -> None:
    wrapped = WrappedPipeline(stable_diffusion, house, actor="alice", tenant="studio")
    asked = [wrapped("a red boat", **SMALL), wrapped("a red boat", actor="bob", tenant="lab", **SMALL)]
    requests = [output.countermark[0].request for output in asked]
    assert [(request.actor, request.tenant) for request in requests] == [("alice", "studio"), ("bob", "lab")]
    (plain,) = WrappedPipeline(stable_diffusion, house)("a red boat", **SMALL).countermark
    assert "tenant" not in plain.request.model_fields_set, "left to the run"
    with pytest.raises(UsageError, match="actor"):
        wrapped("a red boat", actor="a" * 301)


def test_each_prompt_of_a_list_is_an_attempt_of_its_own(wrapped: WrappedPipeline) -> None:
    output = wrapped(["a red boat", "a blue house", "a boat"], num_images_per_prompt=2, **SMALL)
    assert [image is None for image in output.images] == [False, False, True, True, False, False]
    assert [result.outcome for result in output.countermark] == ["allow"] * 2 + ["block"] + ["allow"] * 2
    assert output.countermark[2].reasons == ("no houses",)


def test_the_tuple_form_is_honoured(wrapped: WrappedPipeline) -> None:
    output = wrapped("a blue house", return_dict=False, **SMALL)
    assert output == ([None],)


def test_the_request_says_what_was_asked_for(wrapped: WrappedPipeline) -> None:
    output = wrapped("a boat", negative_prompt="blurry", guidance_scale=4.5, generator=seeded(9), **SMALL)
    request = output.countermark[0].request
    assert (request.prompt, request.negative_prompt, request.guidance) == ("a boat", "blurry", 4.5)
    assert (request.width, request.height, request.steps, request.seed) == (128, 128, 2, 9)


def test_a_used_noise_source_is_not_recorded_as_a_seed(wrapped: WrappedPipeline, house: House) -> None:
    source = seeded()
    torch.randn(1, generator=source)
    output = wrapped("a boat", generator=source, **SMALL)
    assert output.countermark[0].request.seed is None
    assert "seed" not in house.parameters[0]


def test_a_list_of_noise_sources_goes_to_its_prompts(wrapped: WrappedPipeline) -> None:
    both = wrapped(["a boat", "a red boat"], generator=[seeded(1), seeded(2)], **SMALL).images
    alone = wrapped("a red boat", generator=[seeded(2)], **SMALL).images
    assert np.array_equal(np.asarray(both[1]), np.asarray(alone[0]))
    with pytest.raises(UsageError, match="noise generators"):
        wrapped(["a boat", "a red boat"], generator=[seeded(1)], **SMALL)


@pytest.mark.parametrize("output_type", ["latent", "np", "pt"])
def test_other_output_types_are_refused(wrapped: WrappedPipeline, output_type: str) -> None:
    with pytest.raises(UsageError, match="output_type"):
        wrapped("a boat", output_type=output_type, **SMALL)


@pytest.mark.parametrize(
    "name", ["prompt_2", "prompt_3", "negative_prompt_2", "prompt_embeds", "negative_prompt_embeds",
             "pooled_prompt_embeds", "ip_adapter_image_embeds"],
)  # fmt: skip
def test_text_that_would_go_unchecked_is_refused(wrapped: WrappedPipeline, name: str) -> None:
    with pytest.raises(UsageError, match=name):
        wrapped("a boat", **{name: torch.zeros(1)}, **SMALL)


@pytest.mark.parametrize("prompt", [None, [], [3]])
def test_a_call_without_a_prompt_is_refused(wrapped: WrappedPipeline, prompt: Any) -> None:
    with pytest.raises(PromptInvalid):
        wrapped(prompt, **SMALL)


def test_values_out_of_range_are_named_without_the_prompt(wrapped: WrappedPipeline) -> None:
    with pytest.raises(UsageError, match="steps") as caught:
        wrapped("a secret boat", num_inference_steps=0)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_latents_go_with_one_prompt_only(wrapped: WrappedPipeline, house: House) -> None:
    latents = torch.randn(1, 4, 64, 64, generator=seeded())
    assert wrapped("a boat", latents=latents, **SMALL).images[0] is not None
    assert house.parameters[0]["noise"] == "given by the caller"
    with pytest.raises(UsageError, match="latents"):
        wrapped(["a boat", "a red boat"], latents=latents, **SMALL)


def test_a_step_callback_gets_the_wrapper_and_can_stop(wrapped: WrappedPipeline) -> None:
    seen: list[tuple[Any, int]] = []

    def look(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((pipe, step))
        pipe._interrupt = True
        return tensors

    wrapped("a boat", callback_on_step_end=look, **SMALL)
    assert seen == [(wrapped, 0)]


def test_attributes_are_passed_on_both_ways(wrapped: WrappedPipeline, stable_diffusion: Any) -> None:
    assert wrapped.scheduler is stable_diffusion.scheduler
    assert set(wrapped.components) == set(stable_diffusion.components)
    wrapped.scheduler = other = type(stable_diffusion.scheduler)()
    assert stable_diffusion.scheduler is other
    assert "enable_attention_slicing" in dir(wrapped)
    with pytest.raises(AttributeError):
        _ = wrapped.no_such_attribute


def test_the_bare_pipeline_does_not_slip_out(wrapped: WrappedPipeline, stable_diffusion: Any) -> None:
    assert wrapped.to(torch.float32) is wrapped
    assert not hasattr(wrapped, "pipe")
    assert getattr(wrapped.to, "__self__", None) is not stable_diffusion
    public = [name for name in dir(wrapped) if not name.startswith("_")]
    assert all(getattr(wrapped, name, None) is not stable_diffusion for name in public)


def test_it_works_with_two_text_encoders_and_without_a_negative_prompt(
    stable_diffusion_xl: Any, flux: Any, house: House
) -> None:
    for pipe in (stable_diffusion_xl, flux):
        output = WrappedPipeline(pipe, house)("a red boat", generator=seeded(), **SMALL)
        assert output.images[0].getpixel((0, 0)) == STAMP


def test_copies_are_wrapped(wrapped: WrappedPipeline, stable_diffusion: Any) -> None:
    for copied in (copy.copy(wrapped), copy.deepcopy(wrapped)):
        assert isinstance(copied, WrappedPipeline)
        assert copied.scheduler.config == stable_diffusion.scheduler.config
        assert copied("a red boat", **SMALL).images[0].getpixel((0, 0)) == STAMP
    assert copy.copy(wrapped).unet is stable_diffusion.unet
    assert copy.deepcopy(wrapped).unet is not stable_diffusion.unet


def test_a_copy_asks_in_the_same_name(stable_diffusion: Any, house: House) -> None:
    copied = copy.copy(WrappedPipeline(stable_diffusion, house, actor="alice", tenant="studio"))
    (asked,) = copied("a red boat", **SMALL).countermark
    assert (asked.request.actor, asked.request.tenant) == ("alice", "studio")


def test_it_does_not_leave_its_process(wrapped: WrappedPipeline) -> None:
    with pytest.raises(UsageError, match="pickled"):
        pickle.dumps(wrapped)


def test_no_other_pipeline_is_made_of_it(wrapped: WrappedPipeline, stable_diffusion: Any) -> None:
    for maker in (diffusers.StableDiffusionImg2ImgPipeline, diffusers.StableDiffusionPipeline, wrapped):
        with pytest.raises(UsageError, match="made into another"):
            maker.from_pipe(wrapped)
    with pytest.raises(ValueError, match="WrappedPipeline"):
        diffusers.AutoPipelineForImage2Image.from_pipe(wrapped)
    assert isinstance(wrapped.from_pipe(stable_diffusion), WrappedPipeline)


class Combined(diffusers.DiffusionPipeline):  # type: ignore[misc]
    """Two pipelines in one, as Kandinsky's and Stable Cascade's, with further ways to make an image."""

    def __init__(self, unet: Any, inner: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet)
        self.decoder_pipe = inner
        self.numbers = [1, 2]

    def __call__(self, prompt: str, output_type: str = "pil", return_dict: bool = True) -> Any:
        return self.text_to_image(prompt)

    def text_to_image(self, prompt: str) -> Any:
        return diffusers.ImagePipelineOutput(images=[Image.new("RGB", (128, 128))])

    def drawn(self, prompt: str) -> Any:
        return [Image.new("RGB", (128, 128))], None

    def itself_and_more(self) -> Any:
        return self, [self], (self.decoder_pipe, 1)


def test_pipelines_within_and_in_lists_are_wrapped(stable_diffusion: Any, house: House) -> None:
    wrapped = WrappedPipeline(Combined(stable_diffusion.unet, stable_diffusion), house)
    assert wrapped.decoder_pipe("a red boat", **SMALL).images[0].getpixel((0, 0)) == STAMP
    itself, (again,), (inner, one) = wrapped.itself_and_more()
    assert itself is again is wrapped
    assert isinstance(inner, WrappedPipeline)
    assert one == 1
    wrapped.numbers.append(3)
    assert wrapped.numbers == [1, 2, 3]


@pytest.mark.parametrize("name", ["text_to_image", "drawn"])
def test_other_ways_to_an_image_are_refused(stable_diffusion: Any, house: House, name: str) -> None:
    wrapped = WrappedPipeline(Combined(stable_diffusion.unet, stable_diffusion), house)
    with pytest.raises(UsageError, match=name):
        getattr(wrapped, name)("a red boat")
    assert wrapped("a red boat").images[0].getpixel((0, 0)) == STAMP


def test_a_wrapped_pipeline_is_not_wrapped_again(wrapped: WrappedPipeline, house: House) -> None:
    with pytest.raises(UsageError, match="wrapped already"):
        WrappedPipeline(wrapped, house)


def test_attributes_can_be_deleted(wrapped: WrappedPipeline, stable_diffusion: Any) -> None:
    wrapped.mine = 1
    assert stable_diffusion.mine == 1
    del wrapped.mine
    assert not hasattr(stable_diffusion, "mine")
