"""Any text-classification model of transformers, by folder or hub id."""

from __future__ import annotations

from collections.abc import Mapping
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
        labels = LabelMap(model.config, self._options.labels, self._options.exclusive)
        loaded = _Loaded(model, tokenizer, labels, min(tokenizer.model_max_length, _positions(model)))
        self._ask(loaded, "a")  # whether tokenizer, model and labels fit together
        return loaded

    def _read(self, text: str) -> Answer:
        return self._ask(self._model.get(), text)

    def _ask(self, loaded: _Loaded, text: str) -> Answer:
        import torch  # only now: where it is missing, the model says so

        encoded = _windows(loaded, text)
        windows = encoded["input_ids"].shape[0]
        with torch.inference_mode():
            logits = [
                loaded.model(**{n: t[i : i + _BATCH].to(loaded.model.device) for n, t in encoded.items()}).logits.cpu()
                for i in range(0, windows, _BATCH)
            ]
        answer: Answer = loaded.labels.answer(torch.cat(logits), self._scale)
        return answer


def _positions(model: Any) -> int:
    """How many tokens its input has room for, at most :data:`_MOST_TOKENS`."""
    positions = int(getattr(model.config, "max_position_embeddings", _MOST_TOKENS))
    # RoBERTa and its kin number positions from behind that of padding on, which stands among them.
    unused = getattr(
        getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None), "padding_idx", None
    )
    return min(_MOST_TOKENS, positions - (0 if unused is None else int(unused) + 1))


def _windows(loaded: _Loaded, text: str) -> Mapping[str, Any]:
    """The model's inputs, a row for each of the windows that together hold the whole text."""
    tokenizer, overlap = loaded.tokenizer, min(_OVERLAP, loaded.window // 4)
    if tokenizer.is_fast:
        encoded = tokenizer(
            text,
            truncation=True,
            max_length=loaded.window,
            stride=overlap,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        encoded.pop("overflow_to_sample_mapping", None)
    else:  # those written in Python return one window and drop the rest without a word
        tokens = tokenizer.encode(text, add_special_tokens=False)
        room = loaded.window - tokenizer.num_special_tokens_to_add()
        starts = range(0, max(1, len(tokens) - overlap), max(1, room - overlap))
        rows = [tokenizer.prepare_for_model(tokens[start : start + room]) for start in starts]
        encoded = tokenizer.pad(rows, return_tensors="pt")
    windows: Mapping[str, Any] = encoded
    return windows
