"""Any image-classification model of transformers, by folder or hub id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, pil_backend, whole_model
from countermark.safety.adapters.opinion import Answer, ImageOpinion
from countermark.safety.adapters.options import ImageClassificationOptions
from countermark.safety.adapters.pictures import squares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    processor: Any
    labels: Any


class ImageClassifier(LocalOpinion[ImageClassificationOptions, _Loaded], ImageOpinion):
    """An image-classification model whose labels the settings map to our categories.

    An image that is not square is looked at in overlapping squares, and the most unsafe one counts.
    """

    def __init__(self, options: ImageClassificationOptions) -> None:
        super().__init__(options, "transformers", options.labels.values())

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        from countermark.safety.adapters.labels import LabelMap

        processor = AutoImageProcessor.from_pretrained(folder, **from_files(), **pil_backend())
        model = whole_model(AutoModelForImageClassification, folder, device_of(self._options))
        loaded = _Loaded(model, processor, LabelMap(model.config, self._options.labels, self._options.exclusive))
        self._ask(loaded, [Image.new("RGB", (64, 64))])  # whether processor, model and labels fit together
        return loaded

    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        return self._ask(self._model.get(), squares(pixels))

    def _ask(self, loaded: _Loaded, images: list[Image.Image]) -> Answer:
        import torch  # only now: where it is missing, the model says so

        # Weights may be kept in half precision, and most models do not bring pixels to it themselves.
        inputs = loaded.processor(images=images, return_tensors="pt").to(loaded.model.device, loaded.model.dtype)
        with torch.inference_mode():
            logits = loaded.model(**inputs).logits
        answer: Answer = loaded.labels.answer(logits.cpu(), self._scale)
        return answer
