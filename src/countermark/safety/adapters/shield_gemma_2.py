"""ShieldGemma 2 (Google, 2025): asked, policy by policy, whether an image violates it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from countermark.model import Category
from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, whole_model
from countermark.safety.adapters.opinion import Answer, CouldNotLook, ImageOpinion
from countermark.safety.adapters.options import ShieldGemma2Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POLICIES: Final[dict[str, tuple[Category, ...]]] = {
    "dangerous": (Category.ILLICIT,),
    "sexual": (Category.SEXUAL,),
    "violence": (Category.VIOLENCE, Category.GRAPHIC),
}
"""The model's own policies; their wording comes with transformers or with the model. "Violence/gore" is one of them."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    processor: Any


class ShieldGemma2(LocalOpinion[ShieldGemma2Options, _Loaded], ImageOpinion):
    """What ShieldGemma 2 says of an image: the probability of "Yes" against "No", for each of its three policies."""

    def __init__(self, options: ShieldGemma2Options) -> None:
        super().__init__(options, "shieldgemma-2", (c for meant in POLICIES.values() for c in meant))

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoProcessor, ShieldGemma2ForImageClassification

        model = whole_model(ShieldGemma2ForImageClassification, folder, device_of(self._options), dtype="auto")
        return _Loaded(model, AutoProcessor.from_pretrained(folder, **from_files()))

    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        loaded = self._model.get()
        import torch  # only now: where it is missing, the model says so

        inputs = loaded.processor(images=[Image.fromarray(pixels)], policies=list(POLICIES), return_tensors="pt")
        inputs = inputs.to(loaded.model.device)
        with torch.inference_mode():
            probabilities = loaded.model(**inputs).probabilities.float().cpu()
        if tuple(probabilities.shape) != (len(POLICIES), 2):
            raise CouldNotLook("did not answer for each of its policies")
        answer = {}
        for (policy, meant), row in zip(POLICIES.items(), probabilities, strict=True):
            yes = float(row[0])
            answer.update(dict.fromkeys(meant, self._scale.say(yes, f"{policy}: Yes {yes:.3f}")))
        return answer
