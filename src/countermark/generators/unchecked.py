"""What a caller may hand to a wrapped pipeline: nothing that could say something which no check has read.

Judged by what a value holds, not by what its keyword is called, for pipelines keep finding new ones (`prompt_2`,
`gligen_phrases`, `system_prompt`, `editing_prompt`, `text_model_output`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from countermark.errors import UsageError

_PICTURES: Final = frozenset(
    {
        "latents", "prior_latents", "decoder_latents", "super_res_latents", "image_latents", "masked_image_latents",
        "image", "images", "input_images", "original_image", "control_image", "example_image", "reference_image",
        "image_reference", "ip_adapter_image", "negative_ip_adapter_image", "masked_image", "mask_image", "mask",
        "control_mask", "user_mask", "ip_adapter_masks", "depth_map", "depth_mask", "hint", "denoised",
    }
)  # fmt: skip
"""Keywords whose tensors are pictures, noise or masks: what is made of them is looked at when it is finished. Any other
tensor may be the embedding of a text, or its tokens."""
_SCHEDULES: Final = frozenset({"timesteps", "sigmas", "guidance_schedule"})
_STEP_CALLBACKS: Final = frozenset({"callback_on_step_end", "prior_callback_on_step_end"})
_LISTENERS: Final = _STEP_CALLBACKS | {"callback", "prior_callback"}
_CALLBACK_INPUTS: Final = frozenset({f"{name}_tensor_inputs" for name in _STEP_CALLBACKS})
_SAYS_NOTHING: Final = (
    bool, int, float, complex, np.number, np.bool_, Image.Image, torch.Generator, torch.dtype, torch.device, type(None),
)  # fmt: skip
_DECODER: Final = re.compile("vae|movq|vqgan|autoencoder")
_DEPTH: Final = 8
_WHOLE_TEXT: Final = "Give the whole text as prompt and negative_prompt."


def refuse_unchecked(pipe: Any, settings: Mapping[str, Any]) -> None:
    """Refuse keywords that could say what no check has read, or show an image before it is checked.

    Raises:
        UsageError: which keyword, and what it holds.
    """
    for name, value in settings.items():
        if value is not None and name in _LISTENERS:
            _refuse_showing_pixels(pipe, name)
        elif name not in _CALLBACK_INPUTS and (holds := _unread(name, value)):
            raise UsageError(
                f"A wrapped pipeline does not take {name}: it holds {holds}, and what that says could not be checked.",
                remedy=_WHOLE_TEXT,
            )


def _refuse_showing_pixels(pipe: Any, name: str) -> None:
    if not any(_DECODER.search(part) for part in getattr(pipe, "components", {})):
        raise UsageError(
            f"A wrapped pipeline that works on pixels does not take {name}: a step may show the image unchecked.",
            remedy="Leave it out. Pipelines with a part that decodes latents (vae, movq, vqgan, autoencoder) take it.",
        )


def _unread(name: str, value: Any, depth: int = 0) -> str:
    """What there is in a value that could say something; empty if there is nothing."""
    if isinstance(value, str | bytes | bytearray):
        return "text"
    if isinstance(value, _SAYS_NOTHING):
        return ""
    if isinstance(value, torch.Tensor | np.ndarray):
        return "" if value.ndim == 0 or name in _PICTURES | _SCHEDULES else "a tensor that may stand for a text"
    if depth == _DEPTH:
        return "too much"
    if isinstance(value, Mapping):
        # Options of an attention processor are named; the keys of any other mapping may be words.
        named = name.endswith("_kwargs") and all(isinstance(key, str) for key in value)
        keys = "" if named else _unread("", list(value), depth + 1)
        inner = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple | set | frozenset | range):
        keys, inner = "", [(name, item) for item in value]
    else:
        return f"an object of the kind {type(value).__name__}"
    return keys or next(filter(None, (_unread(key, item, depth + 1) for key, item in inner)), "")


def step_callbacks(settings: Mapping[str, Any], show: Callable[[Any], Any]) -> dict[str, Any]:
    """The step callbacks among a call's keywords, each so that it can change nothing but latents and pictures.

    Args:
        settings: the keywords of the call.
        show: what a callback is given for the pipeline.
    """
    changed: dict[str, Any] = {}
    for name in _STEP_CALLBACKS & settings.keys():
        listener = settings[name]
        if not callable(listener):
            continue
        changed[name] = _held_to_latents(listener, show)
        if hasattr(
            listener, "tensor_inputs"
        ):  # diffusers' own: pipelines read this from the object, which is hidden now
            changed[f"{name}_tensor_inputs"] = listener.tensor_inputs
    return changed


def _held_to_latents(listener: Callable[..., Any], show: Callable[[Any], Any]) -> Callable[..., Any]:
    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        handed = {name: value for name, value in tensors.items() if name not in _PICTURES}
        before = {name: _copy(value) for name, value in handed.items()}
        given = listener(show(pipe), step, timestep, tensors)
        back = [(name, value) for name, value in given.items()] if isinstance(given, Mapping) else []
        for name, value in [*handed.items(), *back]:
            if name not in _PICTURES and value is not None and not _is_part(value, before.get(name)):
                raise UsageError(
                    f"A step callback of a wrapped pipeline changed {name}: what it says now could not be checked.",
                    remedy="Change latents alone; give back the rest as it was handed over, whole or some of its rows.",
                )
        return given

    return callback


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


def _is_part(value: Any, whole: Any) -> bool:
    """Whether a value is what was handed over, or some successive rows of it (those without the negative prompt)."""
    if isinstance(value, torch.Tensor) and isinstance(whole, torch.Tensor) and value.ndim and whole.ndim:
        rows = len(value)
        return any(_same(value, whole[first : first + rows]) for first in range(len(whole) - rows + 1))
    return _same(value, whole)


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and (value.dtype, value.device) == (other.dtype, other.device)
        return alike and torch.equal(value, other)
    if isinstance(value, list | tuple):
        return isinstance(other, list | tuple) and len(value) == len(other) and all(map(_same, value, other))
    return value is other
