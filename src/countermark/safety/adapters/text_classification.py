"""Any text-classification model of transformers, by folder or hub id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, whole_model
from countermark.safety.adapters.opinion import Answer, PromptOpinion
from countermark.safety.adapters.options import TextClassificationOptions

_MOST_TOKENS: Final = 512
_OVERLAP: Final = 32
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    labels: Any
    window: int


class TextClassifier(LocalOpinion[TextClassificationOptions, _Loaded], PromptOpinion):
    """A sequence-classification model whose labels the settings map to our categories.

    A prompt longer than the model's input is read in overlapping windows, and the most unsafe one counts.
    """

    def __init__(self, options: TextClassificationOptions) -> None:
        super().__init__(options, "transformers", options.labels.values())

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from countermark.safety.adapters.labels import LabelMap

        tokenizer = AutoTokenizer.from_pretrained(folder, **from_files())
        model = whole_model(AutoModelForSequenceClassification, folder, device_of(self._options))
        positions = int(getattr(model.config, "max_position_embeddings", _MOST_TOKENS))
        return _Loaded(
            model,
            tokenizer,
            LabelMap(model.config, self._options.labels),
            min(_MOST_TOKENS, tokenizer.model_max_length, positions),
        )

    def _read(self, text: str) -> Answer:
        loaded = self._model.get()
        import torch  # only now: where it is missing, the model says so

        encoded = loaded.tokenizer(
            text,
            truncation=True,
            max_length=loaded.window,
            stride=min(_OVERLAP, loaded.window // 4),
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        encoded.pop("overflow_to_sample_mapping", None)
        windows = encoded["input_ids"].shape[0]
        with torch.inference_mode():
            logits = [
                loaded.model(**{n: t[i : i + _BATCH].to(loaded.model.device) for n, t in encoded.items()}).logits.cpu()
                for i in range(0, windows, _BATCH)
            ]
        answer: Answer = loaded.labels.answer(torch.cat(logits), self._scale)
        return answer
