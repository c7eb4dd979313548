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
from numpy.typing import NDArray
from PIL import Image

from countermark.errors import GenerationFailed, UsageError
from countermark.generators.embedded.pipeline import DEFAULT_GUIDANCE, DEFAULT_STEPS, SIDES, ScenePipeline, steps_of
from countermark.generators.embedded.weights import SHIPPED, verified_digest
from countermark.generators.interface import Generated, OnStep, Watch
from countermark.generators.steps import UNSEEN, StepRelay
from countermark.generators.turns import turn_of
from countermark.model import GenerationRequest, ModelRef
from countermark.observe import without_chain

MODEL_ID: Final = "countermark/embedded-scenes"
MODEL_VERSION: Final = "4"


class EmbeddedGenerator:
    """Draws scenes of 512×512 or 768×768 pixels on the CPU; offline, about a second for an image.

    The digests of all weight files are checked before any of them is loaded. Threads may share it: it draws the images
    of one request after another's.

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
        self._turn = turn_of(self._pipe)
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
        machine. What the prompt asks for and the model cannot draw is said in the notices.

        Raises:
            UsageError: a size other than 512×512 or 768×768 is asked for.
            GenerationFailed: the model raised.
        """
        return self._made(request, {}, on_step, watch)

    def edit(
        self,
        request: GenerationRequest,
        image: NDArray[np.uint8],
        *,
        strength: float = 0.7,
        on_step: OnStep | None = None,
    ) -> Generated:
        """Draw the images of a request over a given one.

        Args:
            request: as for :meth:`generate`; `steps` is the number for strength 1, so fewer are made.
            image: RGB uint8 H×W×3 of any size and shape; the model sees it reduced to 64×64.
            strength: how much of it is drowned in noise, above 0 and at most 1 (nothing of it is left).
            on_step: hears of every step.

        Raises:
            UsageError: the size or the strength is none that this model takes.
            GenerationFailed: the model raised.
        """
        if not 0 < strength <= 1:
            raise UsageError(f"The strength of an edit is {strength:g}.", remedy="Give a number above 0 and at most 1.")
        extra = {"image": Image.fromarray(image), "strength": strength}
        return self._made(request, extra, on_step, None)

    def _made(
        self, request: GenerationRequest, extra: dict[str, Any], on_step: OnStep | None, watch: Watch | None
    ) -> Generated:
        side = _side(request)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        steps = request.steps or DEFAULT_STEPS
        guidance = DEFAULT_GUIDANCE if request.guidance is None else request.guidance
        relay = StepRelay(on_step, steps_of(steps, extra.get("strength", 1.0)), watch=watch)
        try:
            with self._turn, _one_thread():
                arrays = self._pipe(
                    request.prompt,
                    height=side,
                    width=side,
                    negative_prompt=request.negative_prompt,
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    num_images_per_prompt=request.count,
                    generator=[torch.Generator().manual_seed(seed + k) for k in range(request.count)],
                    callback_on_step_end=relay,
                    output_type="np",
                    **extra,
                ).images
        except Exception as error:
            relay.reraise()
            failed = GenerationFailed("The embedded generator could not draw an image.")
            raise without_chain(failed, error) from None  # what it raised may quote the prompt
        parameters: dict[str, str | int] = {
            "seed": str(seed), "steps": steps, "guidance": f"{guidance:g}", "width": side, "height": side,
            "count": request.count, "scheduler": type(self._pipe.scheduler).__name__,
        }  # fmt: skip
        if "strength" in extra:
            parameters["strength"] = f"{extra['strength']:g}"
        unseen = (UNSEEN,) if relay.unseen else ()
        return Generated(_as_uint8(arrays), parameters, (*self._pipe.read(request.prompt).notices, *unseen))


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


@contextmanager
def _one_thread() -> Iterator[None]:
    """A second thread gains a fifth of a second, and turns one into a minute where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _side(request: GenerationRequest) -> int:
    width, height = request.width or request.height or SIDES[0], request.height or request.width or SIDES[0]
    if width != height or width not in SIDES:
        raise UsageError(
            f"The embedded generator draws {' or '.join(f'{side}×{side}' for side in SIDES)} pixels only.",
            remedy="Leave out width and height, or choose another model.",
        )
    return width


def _as_uint8(arrays: Any) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], ...]:
    return tuple(np.ascontiguousarray((array * 255).round().astype(np.uint8)) for array in arrays)
