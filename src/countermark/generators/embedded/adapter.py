"""The embedded generator behind the room's interface."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.utils import logging

from countermark.errors import GenerationFailed, UsageError
from countermark.generators.embedded.pipeline import DEFAULT_GUIDANCE, DEFAULT_STEPS, SIDE, ScenePipeline
from countermark.generators.embedded.weights import SHIPPED, verified_digest
from countermark.generators.interface import Generated, OnStep, Watch
from countermark.generators.steps import UNSEEN, StepRelay
from countermark.model import GenerationRequest, ModelRef

MODEL_ID: Final = "countermark/embedded-scenes"
MODEL_VERSION: Final = "1"
_LISTED_WORDS: Final = 8


class EmbeddedGenerator:
    """Draws 512×512 flat illustrations of landscapes on the CPU; offline, about a second for an image.

    The digests of all weight files are checked before any of them is loaded.

    Args:
        weights: folder of the weights; those that ship with the package by default.

    Raises:
        WeightsMissing: a file is not there.
        WeightsMismatch: a file is not the one that was released.
    """

    def __init__(self, weights: Path = SHIPPED) -> None:
        digest = verified_digest(weights)
        with _no_loading_bar():
            self._pipe: ScenePipeline = ScenePipeline.from_pretrained(
                weights, local_files_only=True, use_safetensors=True
            )
        self._pipe.set_progress_bar_config(disable=True)
        self._model = ModelRef(id=MODEL_ID, version=MODEL_VERSION, digest=digest, pipeline=type(self._pipe).__name__)

    @property
    def model(self) -> ModelRef:
        """The model, with the combined digest of its files."""
        return self._model

    def generate(
        self, request: GenerationRequest, *, on_step: OnStep | None = None, watch: Watch | None = None
    ) -> Generated:
        """Draw the images of a request.

        Image k has the seed `seed + k`. The same seed, count, steps and guidance give the same pixels on the same
        machine.

        Raises:
            UsageError: a size other than 512×512 is asked for.
            GenerationFailed: the model raised.
        """
        _check_size(request)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        steps = request.steps or DEFAULT_STEPS
        guidance = DEFAULT_GUIDANCE if request.guidance is None else request.guidance
        relay = StepRelay(on_step, steps, watch=watch)
        try:
            arrays = self._pipe(
                request.prompt,
                negative_prompt=request.negative_prompt,
                num_inference_steps=steps,
                guidance_scale=guidance,
                num_images_per_prompt=request.count,
                generator=[torch.Generator().manual_seed(seed + k) for k in range(request.count)],
                callback_on_step_end=relay,
                output_type="np",
            ).images
        except Exception as error:
            relay.reraise()
            raise GenerationFailed("The embedded generator could not draw an image.") from error
        parameters: dict[str, str | int] = {
            "seed": str(seed), "steps": steps, "guidance": f"{guidance:g}", "width": SIDE, "height": SIDE,
            "count": request.count, "scheduler": type(self._pipe.scheduler).__name__,
        }  # fmt: skip
        unseen = (UNSEEN,) if relay.unseen else ()
        return Generated(_as_uint8(arrays), parameters, (*self._notices(request), *unseen))

    def _notices(self, request: GenerationRequest) -> tuple[str, ...]:
        words = self._pipe.unknown_words(request.prompt)
        if not words:
            return ()
        listed = ", ".join(words[:_LISTED_WORDS]) + (", …" if len(words) > _LISTED_WORDS else "")
        return (f"The embedded generator does not know these words and left them out: {listed}.",)


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Loading ten megabytes needs no progress bar; what the program had set is put back."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_size(request: GenerationRequest) -> None:
    if (request.width or SIDE, request.height or SIDE) != (SIDE, SIDE):
        raise UsageError(
            f"The embedded generator draws {SIDE}×{SIDE} pixels only.",
            remedy="Leave out width and height, or choose another model.",
        )


def _as_uint8(arrays: Any) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], ...]:
    return tuple(np.ascontiguousarray((array * 255).round().astype(np.uint8)) for array in arrays)
