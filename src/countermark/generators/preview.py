"""Small previews of what a run is becoming, cheap enough to be looked at while it runs.

After a step, latents are still mostly noise. Two successive ones say where they are heading: the solvers below move on
straight lines (or arcs) towards the picture that the model predicts, so the end of the line is that prediction. It is
averaged down to 32 cells a side before it is decoded: classifiers look at 224 pixels, and decoding a 256th of a large
picture's latents costs next to nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

LATENT_SIDE: Final = 32
_STRAIGHT: Final = ("FlowMatchEulerDiscreteScheduler", "EulerDiscreteScheduler")
"""Latents are picture + sigma × noise, or a mixture of both by sigma: a step goes along their difference."""
_ARCS: Final = ("DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
"""Latents are a × picture + s × noise with a² + s² = 1, both given by the timestep (Song et al., DDIM, 2021)."""


class NoPreview(Exception):
    """This pipeline's latents cannot be shown; never leaves the room."""


class PreviewMaker:
    """Follows one run of a pipeline, and shows what it would become if it ended now."""

    def __init__(self) -> None:
        self._before: Tensor | None = None

    def follow(self, latents: Tensor) -> None:
        """Take note of the latents after the step before the one that is to be shown."""
        self._before = latents.detach().clone()

    def images(self, pipe: Any, step: int, latents: Tensor) -> list[NDArray[np.uint8]]:
        """RGB uint8 H×W×3, one for each picture of the run, after ``step``.

        Raises:
            NoPreview: the solver or the layout of the latents is not known here.
        """
        if self._before is None or self._before.shape != latents.shape:
            raise NoPreview("there is no step before to compare with")
        with torch.inference_mode():
            pictures = decode(pipe, predicted(pipe.scheduler, step, self._before, latents)).float().clamp(-1, 1)
        if not torch.isfinite(pictures).all():
            raise NoPreview("the preview is no picture")
        levels = ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [np.ascontiguousarray(picture) for picture in levels]


def predicted(scheduler: Any, step: int, before: Tensor, after: Tensor) -> Tensor:
    """The picture's latents that the model predicted in ``step``, from the latents before and after it.

    Raises:
        NoPreview: the solver is not one of those known here, or it went back into noise.
    """
    kind = type(scheduler).__name__
    if kind in _STRAIGHT:
        start, end = (float(sigma) for sigma in scheduler.sigmas[step : step + 2])
        if end >= start:
            raise NoPreview("this step led back into noise")
        return torch.add(after, after - before, alpha=-end / (end - start))
    if kind in _ARCS and step + 1 < len(scheduler.timesteps):
        alphas = [float(scheduler.alphas_cumprod[int(t)]) for t in scheduler.timesteps[step : step + 2]]
        (a0, s0), (a1, s1) = ((alpha**0.5, (1 - alpha) ** 0.5) for alpha in alphas)
        if a0 != a1:
            return torch.div(s1 * before - s0 * after, s1 * a0 - s0 * a1)
    raise NoPreview(f"{kind} is not known to move on a straight line")


def decode(pipe: Any, latents: Tensor) -> Tensor:
    """Small pictures of latents, B×3×H×W, in -1..1.

    Raises:
        NoPreview: the pipeline has no decoder for latents of this shape.
    """
    if callable(own := getattr(type(pipe), "preview", None)):
        pictures: Tensor = own(pipe, latents)
        return pictures
    vae: Any = getattr(pipe, "vae", None)
    settings: Any = getattr(vae, "config", None)
    if latents.ndim != 4 or getattr(settings, "latent_channels", None) != latents.shape[1]:
        raise NoPreview("the latents are not laid out as pictures")
    if getattr(settings, "latents_mean", None) is not None:
        raise NoPreview("the latents are normalised in a way that is not known here")
    longest = max(latents.shape[-2:])
    if longest > LATENT_SIDE:
        size = [max(1, side * LATENT_SIDE // longest) for side in latents.shape[-2:]]
        latents = functional.interpolate(latents.float(), size=size, mode="area")
    scaled = latents / settings.scaling_factor + (getattr(settings, "shift_factor", None) or 0.0)
    decoded: Tensor = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
    return decoded
