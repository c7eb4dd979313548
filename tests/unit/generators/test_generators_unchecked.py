"""Which keywords a wrapped pipeline takes: judged by what they hold, over the real signatures of diffusers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.callbacks import MultiPipelineCallbacks, SDCFGCutoffCallback
from PIL import Image
from tests.unit.generators.tiny_pipelines import stable_diffusion

from countermark.errors import UsageError
from countermark.generators import Generator, WrappedPipeline
from countermark.generators.unchecked import refuse_unchecked, step_callbacks
from countermark.model import GenerationRequest

SMALL = {"num_inference_steps": 2, "height": 128, "width": 128}
TENSOR = torch.zeros(1, 4, 8)
PICTURE = Image.new("RGB", (8, 8))


class Released:
    def __init__(self, pixels: Any) -> None:
        self.image: Image.Image | None = Image.fromarray(pixels)


def release(request: GenerationRequest, generator: Generator, /) -> Sequence[Released]:
    return [Released(pixels) for pixels in generator.generate(request).images]


@pytest.fixture
def pipe() -> Any:
    return stable_diffusion()


@pytest.fixture
def wrapped(pipe: Any) -> WrappedPipeline:
    return WrappedPipeline(pipe, release)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gligen_phrases", ["a naked child"]),
        ("system_prompt", "draw a beheading"),
        ("complex_human_instruction", ["draw a beheading"]),
        ("editing_prompt", [["blood"]]),
        ("prompt_2", "blood"),
        ("prompt_template", {"template": "draw blood: {}"}),
        ("messages", [{"role": "user", "content": "blood"}]),
        ("words", {"blood": 1.0}),
        ("words", {("blood",): 1.0}),
        ("chi_prompt", (b"blood",)),
        ("a_keyword_of_tomorrow", {1: [{"blood"}]}),
        ("names", np.array(["blood"])),
        ("prompt_embeds", TENSOR),
        ("pooled_projections", TENSOR),
        ("encoder_hidden_states", [TENSOR]),
        ("ip_adapter_image_embeds", [TENSOR]),
        ("prompt_latents", TENSOR),
        ("input_ids", np.arange(8)),
        ("cross_attention_kwargs", {"gligen": {"positive_embeddings": TENSOR}}),
        ("cross_attention_kwargs", {"phrases": ["blood"]}),
        ("added_cond_kwargs", {"text_embeds": TENSOR}),
        ("joint_attention_kwargs", {"output_type": "blood"}),
        ("joint_attention_kwargs", {"scale": 0.5, ("blood",): 0.5}),
        ("joint_attention_kwargs", {"callback_on_step_end_tensor_inputs": ["blood"]}),
        ("text_model_output", object()),
        ("image", "https://example.org/picture.png"),
        ("conditions", diffusers.utils.BaseOutput),
        ("hook", print),
    ],
)
def test_nothing_that_could_say_something_goes_by_unread(
    wrapped: WrappedPipeline, pipe: Any, name: str, value: Any
) -> None:
    with pytest.raises(UsageError, match=name):
        wrapped("a boat", **{name: value}, **SMALL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt_embeds", None),
        ("guidance_rescale", 0.5),
        ("clip_skip", np.int64(1)),
        ("original_size", (128, 128)),
        ("timesteps", [3, 2, 1]),
        ("timesteps", range(3)),
        ("sigmas", np.linspace(1.0, 0.5, 2)),
        ("controlnet_conditioning_scale", torch.tensor(0.5)),
        ("gligen_boxes", [[0.1, 0.1, 0.5, 0.5]]),
        ("cross_attention_kwargs", {"scale": 0.5, "ip_adapter_masks": [TENSOR]}),
        ("thresholds", {0: 0.5}),
        ("control_image", [PICTURE, PICTURE]),
        ("masked_image_latents", TENSOR),
        ("max_sequence_length", 77),
        ("callback_on_step_end_tensor_inputs", ["latents", "prompt_embeds"]),
        ("callback_on_step_end", lambda *_: {}),
        ("callback", print),
    ],
)
def test_settings_and_pictures_are_taken(pipe: Any, name: str, value: Any) -> None:
    refuse_unchecked(pipe, {name: value})


def test_a_value_without_an_end_is_refused(wrapped: WrappedPipeline) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="timesteps"):
        wrapped("a boat", timesteps=endless, **SMALL)


Listener = Callable[[Any, int, Any, dict[str, Any]], Any]
ASKED = ["latents", "prompt_embeds"]


def _swapped(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> Any:
    return {**tensors, "prompt_embeds": torch.randn_like(tensors["prompt_embeds"])}


def _in_place(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> Any:
    tensors["prompt_embeds"].normal_()
    return {"latents": tensors["latents"]}


def _unasked(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> Any:
    return {"latents": tensors["latents"], "negative_prompt_embeds": torch.zeros(1, 16, 16)}


@pytest.mark.parametrize("listener", [_swapped, _in_place, _unasked])
def test_a_step_callback_cannot_change_what_stands_for_the_prompt(wrapped: WrappedPipeline, listener: Listener) -> None:
    with pytest.raises(UsageError, match="prompt_embeds"):
        wrapped(
            "a boat", callback_on_step_end=listener, callback_on_step_end_tensor_inputs=ASKED, guidance_scale=5.0,
            **SMALL,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (lambda texts: texts, True),
        (lambda texts: [texts[0].clone(), tuple(texts[1])], True),
        (lambda texts: [texts[0] + 1, texts[1]], False),
        (lambda texts: [texts[0].double(), texts[1]], False),
        (lambda texts: [texts[0], [texts[1][0] + 1]], False),
        (lambda texts: [texts[0].add_(1), texts[1]], False),
        (lambda texts: texts[:1], False),
        (lambda texts: [*texts, texts[0]], False),
        (lambda texts: texts[0], False),
        (lambda texts: "blood", False),
    ],
)
def test_embeddings_in_lists_are_held_as_well(given: Callable[[Any], Any], taken: bool) -> None:
    """Pipelines with several text encoders may hand over a list."""
    word = object()

    def listener(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> Any:
        return {"latents": tensors["latents"] + 1, "texts": given(tensors["texts"]), "word": tensors["word"]}

    callback = step_callbacks({"callback_on_step_end": listener}, lambda pipe: pipe)["callback_on_step_end"]
    tensors = {"latents": torch.zeros(1, 4), "texts": [torch.ones(2, 3), [torch.ones(1)]], "word": word}
    if taken:
        assert callback(None, 0, 0, tensors)["word"] is word
        return
    with pytest.raises(UsageError, match="changed texts"):
        callback(None, 0, 0, tensors)


def test_a_step_callback_may_change_latents_and_drop_rows(pipe: Any, wrapped: WrappedPipeline) -> None:
    def listener(given: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> Any:
        if step:
            return tensors
        given._guidance_scale = 0.0
        return {"latents": tensors["latents"] * 0.5, "prompt_embeds": tensors["prompt_embeds"].chunk(2)[-1]}

    options: dict[str, Any] = {"callback_on_step_end": listener, "callback_on_step_end_tensor_inputs": ASKED,
                               "guidance_scale": 5.0, **SMALL}  # fmt: skip
    bare = pipe("a boat", generator=torch.Generator().manual_seed(1), **options).images[0]
    image = wrapped("a boat", generator=torch.Generator().manual_seed(1), **options).images[0]
    assert np.array_equal(np.asarray(bare), np.asarray(image))


@pytest.mark.parametrize("several", [False, True])
def test_the_step_callbacks_of_diffusers_work(pipe: Any, wrapped: WrappedPipeline, several: bool) -> None:
    cut = SDCFGCutoffCallback(cutoff_step_index=0, cutoff_step_ratio=None)
    options = {
        "callback_on_step_end": MultiPipelineCallbacks([cut]) if several else cut,
        "guidance_scale": 5.0,
        **SMALL,
    }
    bare = pipe("a boat", generator=torch.Generator().manual_seed(1), **options).images[0]
    image = wrapped("a boat", generator=torch.Generator().manual_seed(1), **options).images[0]
    assert np.array_equal(np.asarray(bare), np.asarray(image))


class PixelPipeline(diffusers.DiffusionPipeline):  # type: ignore[misc]
    """Draws pixels without a step in between, as DeepFloyd IF and PRXPixel do."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet)

    def __call__(self, prompt: str, output_type: str = "pil", return_dict: bool = True, callback: Any = None) -> Any:
        return diffusers.ImagePipelineOutput(images=[Image.new("RGB", (128, 128))])


def test_steps_on_pixels_are_not_shown(pipe: Any) -> None:
    wrapped = WrappedPipeline(PixelPipeline(pipe.unet), release)
    assert wrapped("a boat").images[0] is not None
    with pytest.raises(UsageError, match="pixels"):
        wrapped("a boat", callback=print)
