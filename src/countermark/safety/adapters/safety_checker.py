"""diffusers' ``StableDiffusionSafetyChecker``, asked for its scores and never for its black image.

The checker compares an image's CLIP embedding with those of 17 concepts, all of them sexual, and of three for special
care, which depict minors and make it stricter. In a pipeline it blackens what it flags, which destroys the evidence and
names no reason; here its margins become a finding, and policy decides.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from countermark.model import Category
from countermark.safety.adapters.local import LocalOpinion, device_of, whole_model
from countermark.safety.adapters.opinion import Answer, CouldNotLook, ImageOpinion
from countermark.safety.adapters.options import SafetyCheckerOptions
from countermark.safety.adapters.pictures import squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEEPNESS: Final = 40.0
"""Of the logistic curve from margins to scores: the checker's own threshold becomes 0.5, and 0.04 above it 0.83."""

_CARE: Final = 0.01  # what special care adds to every margin after it, in diffusers
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)


class SafetyChecker(LocalOpinion[SafetyCheckerOptions, Any], ImageOpinion):
    """The margins of the checker's concepts over its own thresholds, as a score for sexual content.

    Signals: ``concept_<n>`` for each concept above its threshold, ``special_care`` where one of the three fired.
    """

    def __init__(self, options: SafetyCheckerOptions) -> None:
        super().__init__(options, "diffusers", (Category.SEXUAL,), subfolder="safety_checker")

    def _open(self, folder: Path) -> Any:
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        return whole_model(StableDiffusionSafetyChecker, folder, device_of(self._options))

    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        checker = self._model.get()
        views = [margins(checker, view) for view in squares(pixels)]
        if not all(math.isfinite(value) for care, concepts in views for value in (*care, *concepts)):
            raise CouldNotLook("gave no number")
        care, concepts = max(views, key=lambda view: max(view[1]))
        worst = max(concepts)
        signals = tuple(f"concept_{i}" for i, margin in enumerate(concepts) if margin > 0)
        if any(margin > 0 for margin in care):
            signals = ("special_care", *signals)
        score = 1.0 / (1.0 + math.exp(-STEEPNESS * worst))
        return {Category.SEXUAL: self._scale.say(score, f"margin {worst:+.3f}", signals=signals)}


def margins(checker: Any, image: Image.Image) -> tuple[list[float], list[float]]:
    """How far an image is above the thresholds for special care and of the concepts, as diffusers computes it.

    Args:
        checker: a ``StableDiffusionSafetyChecker``.
        image: RGB and square.
    """
    import torch

    side = int(checker.config.vision_config.image_size)
    resized = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    normalised = (resized - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
    parameter = checker.visual_projection.weight
    tensor = torch.from_numpy(normalised.transpose(2, 0, 1)[None].copy()).to(parameter.device, parameter.dtype)
    with torch.inference_mode():
        embedded = checker.visual_projection(checker.vision_model(tensor)[1])
        special = _cosines(embedded, checker.special_care_embeds) - checker.special_care_embeds_weights.float().cpu()
        concepts = _cosines(embedded, checker.concept_embeds) - checker.concept_embeds_weights.float().cpu()
    added, care = 0.0, []
    for margin in special.tolist():
        care.append(round(margin + added, 3))
        if care[-1] > 0:
            added = _CARE
    return care, [round(margin + added, 3) for margin in concepts.tolist()]


def _cosines(embedded: Any, concepts: Any) -> Any:
    import torch

    return torch.nn.functional.cosine_similarity(embedded, concepts, dim=-1).float().cpu()
