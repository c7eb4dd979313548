"""OpenAI's moderation endpoint, for prompts and for images.

Request and answer as in OpenAI's API reference, "Create moderation" (``POST /v1/moderations``), November 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from countermark.keys import resolve_token
from countermark.model import Category, DetectorRef
from countermark.safety.adapters.http import JsonService
from countermark.safety.adapters.opinion import (
    REVIEW,
    Answer,
    CouldNotLook,
    ImageOpinion,
    PromptOpinion,
    Said,
    Scale,
)
from countermark.safety.adapters.pictures import as_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from countermark.safety.adapters.options import OpenAIOptions

LABELS: Final[dict[Category, tuple[str, ...]]] = {
    Category.SEXUAL: ("sexual",),
    Category.SEXUAL_MINORS: ("sexual/minors",),
    Category.VIOLENCE: ("violence",),
    Category.GRAPHIC: ("violence/graphic",),
    Category.HATE: ("hate", "hate/threatening"),
    Category.SELF_HARM: ("self-harm", "self-harm/intent", "self-harm/instructions"),
    Category.HARASSMENT: ("harassment", "harassment/threatening"),
    Category.ILLICIT: ("illicit", "illicit/violent"),
}
"""The service's labels of each category; the highest score counts."""

SEEN: Final = (Category.SEXUAL, Category.VIOLENCE, Category.GRAPHIC, Category.SELF_HARM)
"""The categories whose labels the service applies to images; the others it judges by text alone."""


class _Moderation:
    """The exchange, the same for both stages."""

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._service = JsonService(options.url, timeout=options.timeout)
        self._scale = Scale(options.review, options.block)
        self.detector = DetectorRef(id=f"openai.{options.model}", version="v1")

    def load(self) -> None:
        resolve_token(self._options.key)

    def ask(self, given: object, kind: str, categories: tuple[Category, ...]) -> Answer:
        headers = {"Authorization": f"Bearer {resolve_token(self._options.key)}"}
        answer = self._service.post("/moderations", {"model": self._options.model, "input": given}, headers)
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
            raise CouldNotLook("did not answer with one result")
        said = {category: self._said(results[0], LABELS[category], kind) for category in categories}
        known = [label for category in categories for label in LABELS[category]]
        if results[0].get("flagged", False) is False or _flagged(results[0], known):
            return said
        why = CouldNotLook("flagged it, and under none of the labels that are read")
        return {c: one if isinstance(one, Said) and one.severity else why for c, one in said.items()}

    def _said(self, result: dict[str, Any], labels: tuple[str, ...], kind: str) -> Said | CouldNotLook:
        scores = _table(result, "category_scores")
        numbers = [scores.get(label) for label in labels]
        if not all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1 for n in numbers):
            return CouldNotLook("gave no score for this category")
        if "category_applied_input_types" in result:
            looked = _table(result, "category_applied_input_types")
            if not any(kind in (looked.get(label) or ()) for label in labels):
                return CouldNotLook(f"did not apply this category to the {kind}")
        elif kind == "image":
            return CouldNotLook("does not say that it looked at the image")
        flagged = _flagged(result, labels)
        top = max(number for number in numbers if number is not None)
        reason = f"flagged {', '.join(flagged)} ({top:.3f})" if flagged else f"{top:.3f}"
        return self._scale.say(top, reason, at_least=REVIEW if flagged else 0.0)


class OpenAIPromptModeration(PromptOpinion):
    """What OpenAI's moderation says of a prompt, which is sent there as it is written.

    A label that the service itself flags counts as at least 0.5, whatever its score. Where it flags the prompt as a
    whole and no label that is read, whatever else was found harmless is *not assessed*.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self._moderation = _Moderation(options)
        super().__init__(self._moderation.detector, LABELS)

    def load(self) -> None:
        """Read the key; nothing is sent."""
        self._moderation.load()

    def _read(self, text: str) -> Answer:
        return self._moderation.ask(text, "text", tuple(LABELS))


class OpenAIImageModeration(ImageOpinion):
    """What OpenAI's moderation says of an image, which is sent there as a JPEG of at most 1,024 pixels a side."""

    def __init__(self, options: OpenAIOptions) -> None:
        self._moderation = _Moderation(options)
        super().__init__(self._moderation.detector, SEEN)

    def load(self) -> None:
        """Read the key; nothing is sent."""
        self._moderation.load()

    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        image = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{as_jpeg(pixels)}"}}
        return self._moderation.ask([image], "image", SEEN)


def _flagged(result: dict[str, Any], labels: Iterable[str]) -> list[str]:
    flags = _table(result, "categories")
    return [label for label in labels if flags.get(label) is True]


def _table(result: dict[str, Any], name: str) -> dict[str, Any]:
    table = result.get(name)
    if not isinstance(table, dict):
        raise CouldNotLook(f"gave no {name}")
    return table
