"""Any diffusers pipeline behind the room's interface: one given as an object, a local folder, or a hub id."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from PIL import Image

from countermark.errors import CountermarkError, GenerationFailed, UsageError
from countermark.generators.interface import Generated, OnStep, Watch
from countermark.generators.loading import load_pipeline
from countermark.generators.steps import UNSEEN, StepRelay
from countermark.generators.turns import WhileAnyone, turn_of
from countermark.generators.weights import ModuleDigest
from countermark.model import GenerationRequest, ModelRef
from countermark.observe import without_chain

_MODEL_TYPE: Final = "c2pa.types.model.pytorch"
_CHECKER_OFF: Final = "The model's own safety checker was not loaded: countermark's checks decide what may be released."
_WATERMARK_OFF: Final = "The pipeline's own constant watermark was switched off: countermark writes its own."


class DiffusersGenerator:
    """A text-to-image pipeline of diffusers. Threads may share it: it makes the images of one request after another's.

    Args:
        source: a pipeline object, the folder of one, or a hub id such as "owner/model".
        model_id: what to call the model in records; by default what the source is called.
        version: the model's version in records, for example a commit of the hub.
        allow_download: whether files may be fetched from the hub. Otherwise only what is on this machine is used.
        load_options: more keywords for `from_pretrained` (`torch_dtype`, `variant`, `device_map`, ...).

    Raises:
        NotFound: the folder, or the model in the local cache, does not exist.
        EnvironmentLacking: the hub cannot be reached.
        GenerationFailed: the files are there but cannot be loaded as a pipeline.
    """

    def __init__(
        self,
        source: Any,
        *,
        model_id: str | None = None,
        version: str = "",
        allow_download: bool = False,
        load_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._standing_notices: list[str] = []
        self._digests = ModuleDigest()
        if isinstance(source, str | Path):
            loaded = load_pipeline(source, allow_download=allow_download, options=load_options or {})
            self._pipe, name = loaded.pipeline, loaded.name
            self._file_digest: str | None = loaded.digest
            if loaded.checker_left_out:
                self._standing_notices.append(_CHECKER_OFF)
        else:
            self._pipe, name, self._file_digest = source, _name_of(source), None
        if getattr(self._pipe, "watermark", None) is not None:
            # StableDiffusionXL writes 48 constant bits whenever invisible-watermark is installed.
            self._pipe.watermark = None
            self._standing_notices.append(_WATERMARK_OFF)
        self._takes = frozenset(inspect.signature(type(self._pipe).__call__).parameters)
        self._name, self._version = model_id or name, version
        self._turn = turn_of(self._pipe)

    @property
    def model(self) -> ModelRef:
        """The model; its digest is that of the files loaded, or of the weights in memory for a pipeline object."""
        digest = self._file_digest or self._digests.of(getattr(self._pipe, "components", {}))
        return ModelRef(
            id=self._name[:200],
            version=self._version,
            digest=digest,
            pipeline=type(self._pipe).__name__,
            type=_MODEL_TYPE,
        )

    def generate(
        self, request: GenerationRequest, *, on_step: OnStep | None = None, watch: Watch | None = None
    ) -> Generated:
        """Make the images of one request; image k has the seed `seed + k`.

        Raises:
            UsageError: the request has a size or negative prompt that the pipeline does not take.
            GenerationFailed: the pipeline raised, returned no images, or blanked them with a checker of its own.
        """
        return self.generate_with({}, request, on_step=on_step, watch=watch)

    def generate_with(
        self,
        extra: Mapping[str, Any],
        request: GenerationRequest,
        *,
        on_step: OnStep | None = None,
        watch: Watch | None = None,
    ) -> Generated:
        """Like :meth:`generate`, with more keywords for the pipeline's call; they win over the request's.

        A step callback among them is called after ours.
        """
        with self._turn:
            return self._made(extra, request, on_step, watch)

    def _made(
        self, extra: Mapping[str, Any], request: GenerationRequest, on_step: OnStep | None, watch: Watch | None
    ) -> Generated:
        seed = secrets.randbits(62) if request.seed is None else request.seed
        arguments, notices = self._arguments(request)
        relay = StepRelay(on_step, request.steps, watch=watch, then=extra.get("callback_on_step_end"))
        if "callback_on_step_end" in self._takes and not (on_step is None and watch is None):
            extra = {**extra, "callback_on_step_end": relay}
        elif watch is not None:
            relay.unseen = True
        own_noise = "generator" in extra or "latents" in extra
        calls = (
            [(request.count, 0)] if "num_images_per_prompt" in self._takes else [(1, k) for k in range(request.count)]
        )
        images: list[NDArray[np.uint8]] = []
        for count, first in calls:
            if "num_images_per_prompt" in self._takes:
                arguments["num_images_per_prompt"] = count
            if not own_noise and "generator" in self._takes:
                arguments["generator"] = [_noise_source(seed + first + k) for k in range(count)]
            images += self._call({**arguments, **extra}, relay)
        if len(images) != request.count:
            raise GenerationFailed(f"The pipeline returned {len(images)} images where {request.count} were asked for.")
        parameters = self._parameters(request, None if own_noise and request.seed is None else seed, images[0])
        if own_noise:
            parameters["noise"] = "given by the caller"
        if relay.unseen:
            notices.append(UNSEEN)
        return Generated(tuple(images), parameters, (*self._standing_notices, *notices))

    def _arguments(self, request: GenerationRequest) -> tuple[dict[str, Any], list[str]]:
        """Keywords for the call from a request, with a notice for each that only tunes and is not taken."""
        notices: list[str] = []
        arguments: dict[str, Any] = {"prompt": request.prompt}
        if "prompt" not in self._takes:
            raise UsageError("This pipeline does not take a prompt.", remedy="Choose a text-to-image pipeline.")
        for name, value in (("width", request.width), ("height", request.height)):
            if value is not None:
                self._require(name, "sets the size itself")
                arguments[name] = value
        if request.negative_prompt:
            self._require("negative_prompt", "takes no negative prompt")
            arguments["negative_prompt"] = request.negative_prompt
        tuning: dict[str, float | None] = {"num_inference_steps": request.steps, "guidance_scale": request.guidance}
        for name, setting in tuning.items():
            if setting is not None and name in self._takes:
                arguments[name] = setting
            elif setting is not None:
                notices.append(f"The pipeline does not take {name}: its own setting was used.")
        if (limit := self._prompt_limit(request.prompt)) is not None:
            notices.append(
                f"The prompt is longer than the {limit} tokens that this model reads; the rest had no effect."
            )
        return arguments, notices

    def _require(self, name: str, instead: str) -> None:
        if name not in self._takes:
            raise UsageError(
                f"The pipeline {type(self._pipe).__name__} {instead}.",
                remedy=f"Leave out {name}, or choose another model.",
            )

    def _prompt_limit(self, prompt: str) -> int | None:
        """How many tokens the model reads, if the prompt has more and no longer-reading encoder stands beside."""
        limits = []
        for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            tokenizer = getattr(self._pipe, name, None)
            if callable(tokenizer) and hasattr(tokenizer, "model_max_length"):
                length = len(tokenizer(prompt, truncation=False, verbose=False)["input_ids"])
                limits.append((length > tokenizer.model_max_length, int(tokenizer.model_max_length)))
        return max(limit for _, limit in limits) if limits and all(over for over, _ in limits) else None

    def _call(self, arguments: dict[str, Any], relay: StepRelay) -> list[NDArray[np.uint8]]:
        try:
            with _silent_diffusers:
                output = self._pipe(**{**arguments, "output_type": "pil", "return_dict": True})
        except CountermarkError:  # of a step callback that was refused
            raise
        except Exception as error:
            relay.reraise()
            failed = GenerationFailed(f"The pipeline {type(self._pipe).__name__} raised {type(error).__name__}.")
            raise without_chain(failed, error) from None  # what it raised may quote the prompt
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            raise GenerationFailed(
                "The pipeline's own safety checker replaced an image by a black one.",
                remedy="Set pipe.safety_checker = None: countermark's checks decide what may be released.",
            )
        return [_as_array(image) for image in getattr(output, "images", None) or ()]

    def _parameters(
        self, request: GenerationRequest, seed: int | None, image: NDArray[np.uint8]
    ) -> dict[str, str | int]:
        parameters: dict[str, str | int] = {
            "width": image.shape[1], "height": image.shape[0], "count": request.count,
            "scheduler": type(getattr(self._pipe, "scheduler", None)).__name__,
        }  # fmt: skip
        if seed is not None and "generator" in self._takes:
            parameters["seed"] = str(seed)
        if request.steps is not None and "num_inference_steps" in self._takes:
            parameters["steps"] = request.steps
        if request.guidance is not None and "guidance_scale" in self._takes:
            parameters["guidance"] = f"{request.guidance:g}"
        return parameters


def _name_of(pipe: Any) -> str:
    """What a pipeline object calls itself: the hub id it came from, else its class. Never a path of this machine."""
    name = str(getattr(getattr(pipe, "config", None), "_name_or_path", "") or "")
    is_hub_id = name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()
    return name if is_hub_id else type(pipe).__name__


def _noise_source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**63)


def _as_array(image: Any) -> NDArray[np.uint8]:
    if not isinstance(image, Image.Image):
        raise GenerationFailed(f"The pipeline returned {type(image).__name__} where images were expected.")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _silence() -> int:
    before: int = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    return before


_silent_diffusers: Final = WhileAnyone(_silence, diffusers_logging.set_verbosity)
"""Keeps diffusers' warnings down during a call: one of them writes the prompt's cut-off end into the log."""
