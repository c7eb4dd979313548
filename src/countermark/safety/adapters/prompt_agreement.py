"""Whether a picture shows what its prompt asks for, by any CLIP or SigLIP model of transformers.

Such a model gives pictures and texts places in one space, where what belongs together lies near (Radford and others,
2021; Zhai and others, 2023). How near is near differs from model to model and from prompt to prompt, so nothing is
measured against a threshold of nearness: the prompt is ranked among captions of everyday pictures. The score is the
share of them that fit the picture at least as well as its prompt does, which for an unrelated prompt may be anything
and for the right one is next to none.

A mismatch says that the picture wants a look, not that it is harmful: its severity is 2 at most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from countermark.errors import EnvironmentLacking
from countermark.model import Category
from countermark.safety.adapters.captions import EVERYDAY
from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, pil_backend, whole_model
from countermark.safety.adapters.opinion import REVIEW, Answer, CouldNotLook, ImageOpinion, Said, check_pixels
from countermark.safety.adapters.options import PromptAgreementOptions
from countermark.safety.adapters.pictures import squares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from countermark.model import Finding
    from countermark.safety.known import Known

_JOINED: Final = re.compile(r",(?=\S)")
"""Prompts of tags are often written without a space; what is longer than a window and no word would be cut off."""
_MARKS: Final = 2
"""Tokens that begin and end a text."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    processor: Any
    window: int
    """Tokens of one text, those that begin and end it included."""
    captions: Any
    """Unit vectors, one row for each of :data:`EVERYDAY`."""


class PromptAgreement(LocalOpinion[PromptAgreementOptions, _Loaded], ImageOpinion):
    """A :class:`~countermark.safety.known.KnowingImageClassifier` that answers for ``prompt_mismatch`` alone.

    Without a prompt there is nothing to compare, and in a language that the model does not read nothing to rely on:
    both are *not assessed*.
    """

    def __init__(self, options: PromptAgreementOptions) -> None:
        super().__init__(options, "prompt-agreement", (Category.PROMPT_MISMATCH,))

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        """One finding on RGB uint8 pixels, H×W×3, and the prompt that they were generated from; never raises."""

        def look() -> Answer:
            check_pixels(pixels)
            return self._compare(pixels, known.prompt)

        return self._findings(look)

    def _see(self, pixels: NDArray[np.uint8]) -> NoReturn:
        raise CouldNotLook("has nothing to compare the image with: no prompt is known")

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        model = whole_model(AutoModel, folder, device_of(self._options))
        if not all(hasattr(model, name) for name in ("get_text_features", "get_image_features")):
            raise EnvironmentLacking(
                f"The model {self._options.model} does not compare texts with images.",
                remedy="Name a CLIP or SigLIP model with both its halves.",
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, **from_files())
        processor = AutoImageProcessor.from_pretrained(folder, **from_files(), **pil_backend())
        window = int(model.config.text_config.max_position_embeddings)
        return _Loaded(model, tokenizer, processor, window, _read(model, tokenizer, window, EVERYDAY))

    def _compare(self, pixels: NDArray[np.uint8], prompt: str) -> Answer:
        if not prompt.strip():
            self._see(pixels)
        if not self._options.multilingual:
            _check_language(prompt)
        loaded = self._model.get()
        parts = list(windows(prompt, loaded.tokenizer, loaded.window))
        asked = _read(loaded.model, loaded.tokenizer, loaded.window, parts)
        seen = _look(loaded, pixels)
        # A picture's squares and a prompt's parts each show a part of the whole: their mean is what is compared.
        own = float((asked @ seen.T).mean())
        others = (loaded.captions @ seen.T).mean(-1)
        if not (math.isfinite(own) and bool(others.isfinite().all())):
            raise CouldNotLook("gave no number")
        count = int((others >= own).sum())
        ours = self._scale(count / len(EVERYDAY))
        reason = f"{count} of {len(EVERYDAY)} everyday captions fit the picture as well as its prompt does"
        return {Category.PROMPT_MISMATCH: Said(ours, 2 if ours >= REVIEW else 0, reason)}


def windows(prompt: str, tokenizer: Any, window: int) -> Iterator[str]:
    """The prompt in parts that each fit into the model's input, broken between words.

    Args:
        prompt: as it was given.
        tokenizer: of transformers.
        window: tokens of one input, with those that begin and end it.
    """
    part: list[str] = []
    used = 0
    for word in _JOINED.sub(", ", prompt).split():
        tokens = len(tokenizer.encode(word, add_special_tokens=False))
        if part and used + tokens > window - _MARKS:
            yield " ".join(part)
            part, used = [], 0
        part.append(word)
        used += tokens
    yield " ".join(part)


def _check_language(prompt: str) -> None:
    from countermark.safety.language import identify
    from countermark.safety.normalise import normalise

    if not identify(normalise(prompt).accented).supported:
        raise CouldNotLook("reads English, and the prompt seems to be in another language")


def _read(model: Any, tokenizer: Any, window: int, texts: Sequence[str]) -> Any:
    """Unit vectors of texts, one a row. Padded to the full window, as SigLIP is trained; CLIP does not mind."""
    import torch

    given = tokenizer(list(texts), padding="max_length", truncation=True, max_length=window, return_tensors="pt")
    wanted = {name: given[name].to(model.device) for name in ("input_ids", "attention_mask") if name in given}
    with torch.inference_mode():
        return _unit(model.get_text_features(**wanted))


def _look(loaded: _Loaded, pixels: NDArray[np.uint8]) -> Any:
    """Unit vectors of the squares that together show an image, one a row."""
    import torch

    given = loaded.processor(images=squares(pixels), return_tensors="pt").to(loaded.model.device)
    with torch.inference_mode():
        return _unit(loaded.model.get_image_features(**given))


def _unit(features: Any) -> Any:
    import torch

    vectors = getattr(features, "pooler_output", features)  # transformers before 5 gives the vectors themselves
    return torch.nn.functional.normalize(vectors.float().cpu(), dim=-1)
