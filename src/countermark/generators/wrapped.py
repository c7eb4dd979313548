"""A diffusers pipeline that can only return checked, marked images.

The wrapper keeps an honest program from releasing unmarked images by accident. It is no sandbox: code in the same
process can always take a model's parts (`wrapped.vae`, `wrapped.components`) and build another pipeline from them, and
what it plants in those parts (a LoRA, a textual inversion, a tokenizer) is checked in the finished image alone.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from pydantic import ValidationError

from countermark.errors import PromptInvalid, UsageError
from countermark.generators.diffusers import DiffusersGenerator
from countermark.generators.interface import Generated, Generator, OnStep, Watch
from countermark.generators.unchecked import refuse_unchecked, step_callbacks
from countermark.model import GenerationRequest, ModelRef

_SETTINGS: Final = {
    "height": "height",
    "width": "width",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
}
_PER_PROMPT: Final = ("latents", "image", "mask_image", "ip_adapter_image")
_READ_BY_FROM_PIPE: Final = "_optional_components"
"""`AnyPipeline.from_pipe(wrapped)` reads this of what it is given before it makes a pipeline of its parts, and nothing
else reads it of a wrapper. That wrapper would be gone."""


class ReleasedImage(Protocol):
    """One image's outcome, as the pipeline of checks and marks reports it."""

    @property
    def image(self) -> Image.Image | None:
        """The released, marked image; `None` if it was refused, held, or failed."""
        ...


class Run(Protocol):
    """Takes a request through checks, generation, marks and the record: the only way images come out.

    It calls `generator.generate(request, ...)` itself, and returns one result for each image of the request (a
    refused request: at least one result, which says why).
    """

    def __call__(self, request: GenerationRequest, generator: Generator, /) -> Sequence[ReleasedImage]:
        """Run one attempt."""
        ...


@dataclass(frozen=True)
class WrappedOutput:
    """What a wrapped pipeline returns.

    Attributes:
        images: released images in the order of the prompts; `None` stands for each that was not released.
        countermark: the result of each attempt, with outcome and reasons.
        nsfw_content_detected: always `None`; kept because callers of diffusers look for it.
    """

    images: list[Image.Image | None]
    countermark: list[ReleasedImage] = field(default_factory=list)
    nsfw_content_detected: None = None


class _PreparedCall:
    """The pipeline with the caller's own keywords, as a generator for one attempt."""

    def __init__(self, generator: DiffusersGenerator, extra: Mapping[str, Any]) -> None:
        self._generator = generator
        self._extra = extra

    @property
    def model(self) -> ModelRef:
        return self._generator.model

    def generate(
        self, request: GenerationRequest, *, on_step: OnStep | None = None, watch: Watch | None = None
    ) -> Generated:
        return self._generator.generate_with(self._extra, request, on_step=on_step, watch=watch)


class WrappedPipeline:
    """Looks like the diffusers pipeline it was given; its call returns only what was released.

    Attributes are passed on in both directions (`wrapped.scheduler = ...`, `wrapped.to("cuda")`), and what would
    return the pipeline itself returns the wrapper; another pipeline, such as one of the two of a combined one or that
    of `wrapped.from_pipe(...)`, comes wrapped too. `copy.copy` and `copy.deepcopy` copy the pipeline and wrap the copy.

    Args:
        pipe: a diffusers text-to-image pipeline.
        run: takes one attempt through checks, marks and the record.
        actor: who asks, unless a call says otherwise.
        tenant: whose the images are, unless a call says otherwise; left to `run` where neither does.

    Raises:
        UsageError: the pipeline is wrapped already.
    """

    def __init__(self, pipe: Any, run: Run, *, actor: str = "", tenant: str | None = None) -> None:
        if isinstance(pipe, WrappedPipeline):
            raise UsageError(
                "This pipeline is wrapped already: its images would be checked, marked and recorded twice.",
                remedy="Wrap the pipeline of diffusers itself, once.",
            )
        own = self.__dict__  # not setattr, which would pass the values on to the pipeline
        own["_WrappedPipeline__pipe"] = pipe
        own["_WrappedPipeline__run"] = run
        own["_WrappedPipeline__generator"] = DiffusersGenerator(pipe)
        own["_WrappedPipeline__asking"] = {"actor": actor} | ({} if tenant is None else {"tenant": tenant})

    def __getattr__(self, name: str) -> Any:
        if name == _READ_BY_FROM_PIPE:
            raise UsageError(
                "A wrapped pipeline cannot be made into another: that one would return images unchecked and unmarked.",
                remedy="Make the other pipeline from the one that was wrapped, and wrap it too.",
            )
        return self.__covered(getattr(self.__pipe, name))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__pipe, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__pipe, name)

    def __copy__(self) -> WrappedPipeline:
        return self.__around(copy.copy(self.__pipe))

    def __deepcopy__(self, memo: dict[int, Any]) -> WrappedPipeline:
        return self.__around(copy.deepcopy(self.__pipe, memo))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise UsageError(
            "A wrapped pipeline cannot be pickled: it belongs to the Countermark of this process.",
            remedy="In the other process open a Countermark, and wrap the pipeline there.",
        )

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self.__pipe)} - {_READ_BY_FROM_PIPE})

    def __repr__(self) -> str:
        return f"WrappedPipeline({type(self.__pipe).__name__})"

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        num_images_per_prompt: int = 1,
        negative_prompt: str | Sequence[str] | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        actor: str | None = None,
        tenant: str | None = None,
        **settings: Any,
    ) -> WrappedOutput | tuple[list[Image.Image | None]]:
        """Generate, check, mark and record; the keywords are those of the pipeline, and two of the record.

        `actor` is who asks (recorded as a keyed pseudonym), `tenant` whose the images are.
        Each prompt of a list is an attempt of its own: one refusal does not stop the others. A refused image is
        `None` in `images`, and `countermark` says why. A step callback receives the wrapper instead of the pipeline;
        it may look at the latents, which are not images yet, and change them, but not what stands for the prompt.

        Raises:
            PromptInvalid: no prompt, or one that is too long.
            UsageError: an output type other than "pil", text and embeddings that cannot be checked, a step callback
                that changed some or would see pixels, or a value out of range.
        """
        prompts = _as_list(prompt)
        _refuse_output(output_type, settings, len(prompts))
        refuse_unchecked(self.__pipe, settings)
        negatives = _spread(negative_prompt or "", len(prompts), "negative_prompt")
        sources = _noise_sources(generator, len(prompts), num_images_per_prompt)
        values = {_SETTINGS[key]: settings.pop(key) for key in tuple(settings) if key in _SETTINGS}
        settings |= step_callbacks(settings, self.__covered)
        asking = {"actor": actor, "tenant": tenant}
        values |= self.__asking | {name: value for name, value in asking.items() if value is not None}
        results: list[ReleasedImage] = []
        images: list[Image.Image | None] = []
        for text, negative, source in zip(prompts, negatives, sources, strict=True):
            extra = dict(settings) if source is None else {**settings, "generator": source}
            fields = {**values, "prompt": text, "negative_prompt": negative, "count": num_images_per_prompt}
            attempt = self.__run(_request(fields, source), _PreparedCall(self.__generator, extra))
            results.extend(attempt)
            released = [result.image for result in attempt]
            images.extend((released + [None] * num_images_per_prompt)[:num_images_per_prompt])
        return WrappedOutput(images, results) if return_dict else (images,)

    def __covered(self, value: Any) -> Any:
        """Keep the bare pipeline from slipping out through an attribute or a method's return value."""
        if value is self.__pipe:
            return self
        if isinstance(value, DiffusionPipeline | type(self.__pipe)):
            return self.__around(value)
        if type(value) in (list, tuple):
            covered = type(value)(map(self.__covered, value))
            return value if all(map(operator.is_, value, covered)) else covered
        if not any(getattr(value, "__self__", None) is owner for owner in (self.__pipe, type(self.__pipe))):
            return value

        def method(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            if _holds_images(result):
                raise UsageError(
                    f"A wrapped pipeline does not return the images of {value.__name__}: nothing has checked them.",
                    remedy="Call the wrapped pipeline itself.",
                )
            return self.__covered(result)

        method.__name__, method.__doc__ = value.__name__, value.__doc__
        return method

    def __around(self, pipe: Any) -> WrappedPipeline:
        """Another pipeline, wrapped like this one."""
        return WrappedPipeline(pipe, self.__run, **self.__asking)


def _holds_images(result: Any) -> bool:
    """Whether a method made images: some pipelines have more ways to do so than their call (`text_to_image`)."""
    if isinstance(result, list | tuple):
        return any(map(_holds_images, result))
    return isinstance(result, Image.Image) or (
        isinstance(result, BaseOutput) and getattr(result, "images", None) is not None
    )


def _as_list(prompt: str | Sequence[str] | None) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else list(prompt or ())
    if not prompts or not all(isinstance(text, str) for text in prompts):
        raise PromptInvalid("A wrapped pipeline needs a prompt, or a list of prompts, as text.")
    return prompts


def _refuse_output(output_type: str, settings: Mapping[str, Any], prompts: int) -> None:
    """Refuse results that cannot be checked, and what cannot be dealt out to several prompts."""
    if output_type != "pil":
        raise UsageError(
            f"A wrapped pipeline cannot return output_type={output_type!r}: only finished images can be checked.",
            remedy='Leave output_type at "pil" and convert the released images.',
        )
    for name, value in settings.items():
        if value is not None and name in _PER_PROMPT and prompts > 1:
            raise UsageError(
                f"A wrapped pipeline takes {name} with one prompt at a time.", remedy="Call it once for each prompt."
            )


def _spread(value: str | Sequence[str], count: int, name: str) -> list[str]:
    values = [value] * count if isinstance(value, str) else list(value)
    if len(values) != count:
        raise UsageError(f"There are {len(values)} values of {name} for {count} prompts.", remedy="Give one for each.")
    return values


def _noise_sources(
    generator: torch.Generator | Sequence[torch.Generator] | None, prompts: int, each: int
) -> list[torch.Generator | list[torch.Generator] | None]:
    """Which noise source goes with which prompt."""
    if generator is None or isinstance(generator, torch.Generator):
        return [generator] * prompts
    sources = list(generator)
    if len(sources) != prompts * each:
        raise UsageError(
            f"There are {len(sources)} noise generators for {prompts * each} images.", remedy="Give one for each image."
        )
    return [sources[k] if each == 1 else sources[k * each : (k + 1) * each] for k in range(prompts)]


def _request(values: dict[str, Any], source: torch.Generator | list[torch.Generator] | None) -> GenerationRequest:
    """The request of one attempt. A seed is recorded only if it alone decides the noise."""
    if isinstance(source, torch.Generator) and _is_fresh(source):
        values["seed"] = source.initial_seed() % 2**63
    try:
        return GenerationRequest(**values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        # Not chained: the validation error quotes the values, and one of them may be the prompt.
        raise UsageError(f"The pipeline's call has values out of range: {faults}.") from None


def _is_fresh(source: torch.Generator) -> bool:
    """Whether nothing was drawn from a noise source since it was seeded."""
    untouched = torch.Generator(source.device).manual_seed(source.initial_seed())
    return torch.equal(source.get_state(), untouched.get_state())
