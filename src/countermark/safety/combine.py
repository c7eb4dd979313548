"""Several classifiers as one: the shipped stage first, then whoever else is to be heard.

Nobody is outvoted. Every finding is kept, and policy takes the strictest: a second opinion can make a decision harder,
never milder, and one that fails blocks beside another that found nothing. Two kinds of the first stage's findings give
way, for they only say that somebody else is needed: "no detector for this category is installed", once somebody
answers for it, and "this language is not read", once somebody who reads it has, or says why it could not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Generic, Literal, Self, TypeVar

from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, FindingState, Stage
from countermark.safety.interface import (
    IMAGE_CATEGORIES,
    LANGUAGE_NOT_READ,
    PROMPT_CATEGORIES,
    ImageClassifier,
    PromptClassifier,
    not_assessed,
)
from countermark.safety.known import NOTHING, Known, look_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

When = Literal["always", "uncertain", "unread"]
ClassifierT = TypeVar("ClassifierT", PromptClassifier, ImageClassifier)

UNCERTAIN: Final = (0.1, 0.85)
"""Scores from the first (included) to the second (excluded) leave the first stage uncertain, unless told otherwise."""

_VERSION: Final = "1"


@dataclass(frozen=True)
class Another(Generic[ClassifierT]):
    """A classifier to be heard beside the first.

    Attributes:
        classifier: answers for the categories that it names, and for them alone.
        when: ``always``, or only where the first stage is ``uncertain``: one of its scores lies in the uncertain band,
            or it could not look (its language, its weights); ``unread``: only where it does not read the language.
        multilingual: whether it reads the languages that the first stage does not. Only then does its word on a
            category stand in for the first stage's "this language is not read". A classifier that does not read a text
            and says "safe" would open the gate: leave this off unless you know.
        remote: whether it sends what it judges to somebody else.
    """

    classifier: ClassifierT
    when: When = "always"
    multilingual: bool = False
    remote: bool = False


class _Combined(Generic[ClassifierT]):
    """Several classifiers of one stage.

    Args:
        first: always asked; answers for every category of the stage, "not assessed" where it has no detector.
        others: asked in their order.
        uncertain: the band of scores, lower edge included, in which those that wait for doubt are asked.
    """

    _name: ClassVar[str]

    def __init__(
        self,
        first: ClassifierT,
        others: Sequence[Another[ClassifierT]],
        *,
        uncertain: tuple[float, float] = UNCERTAIN,
    ) -> None:
        self._first: ClassifierT = first
        self._others: tuple[Another[ClassifierT], ...] = tuple(others)
        self._uncertain = uncertain

    @property
    def detector(self) -> DetectorRef:
        """All of them; the digest covers each one's name, version and digest (of weights, once they are loaded)."""
        parts = [self._first.detector, *(other.classifier.detector for other in self._others)]
        joined = "\0".join(f"{part.id} {part.version} {part.digest}" for part in parts)
        return DetectorRef(id=self._name, version=_VERSION, digest=hashlib.sha256(joined.encode()).hexdigest())

    def local(self) -> Self:
        """The same classifiers, their models loaded once, without those that send what they judge to somebody else."""
        return type(self)(self._first, [one for one in self._others if not one.remote], uncertain=self._uncertain)

    @property
    def categories(self) -> frozenset[Category]:
        """What any of them answers for."""
        return self._first.categories.union(*(other.classifier.categories for other in self._others))


class CombinedPromptClassifier(_Combined[PromptClassifier]):
    """A :class:`~countermark.safety.interface.PromptClassifier` made of several.

    None of the others is asked about an empty or oversized prompt.
    """

    _name = "countermark.prompt-opinions"

    def assess(self, text: str) -> tuple[Finding, ...]:
        """At least one finding for each category of the prompt stage; never quotes the prompt."""
        findings = self._first.assess(text)
        if not text.strip() or len(text) > MAX_PROMPT_CHARS:
            return findings
        panel = _Panel(Stage.PROMPT, findings, self._first.categories, self._uncertain)
        for other in self._others:
            panel.hear(other, lambda other=other: other.classifier.assess(text))  # type: ignore[misc]
        return panel.findings(PROMPT_CATEGORIES)


class CombinedImageClassifier(_Combined[ImageClassifier]):
    """An :class:`~countermark.safety.interface.ImageClassifier` made of several."""

    _name = "countermark.image-opinions"

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """At least one finding for each category of the image stage, from RGB uint8 H×W×3."""
        return self.assess_known(pixels, NOTHING)

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        """As :meth:`assess`; whoever can use what is known of the pixels is told it."""
        return self._heard(look_at(self._first, pixels, known), pixels, known)

    def assess_many(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[Finding, ...]]:
        """What :meth:`assess` says of each image, in their order; a first stage that takes batches is given one."""
        batch = getattr(self._first, "assess_many", None)
        first = batch(images) if batch is not None else [self._first.assess(pixels) for pixels in images]
        return [self._heard(found, pixels, NOTHING) for found, pixels in zip(first, images, strict=True)]

    async def assess_async(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """:meth:`assess` in a thread of its own, so that the event loop goes on."""
        return await asyncio.to_thread(self.assess, pixels)

    def _heard(self, first: tuple[Finding, ...], pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        panel = _Panel(Stage.IMAGE, first, self._first.categories, self._uncertain)
        for other in self._others:
            panel.hear(other, lambda other=other: look_at(other.classifier, pixels, known))  # type: ignore[misc]
        return panel.findings(IMAGE_CATEGORIES)


class _Panel:
    """One assessment: what the first stage said, and then each of the others."""

    def __init__(
        self, stage: Stage, first: tuple[Finding, ...], own: frozenset[Category], uncertain: tuple[float, float]
    ) -> None:
        self._stage = stage
        self._first = first
        self._own = own
        self._heard: list[Finding] = []
        self._read: set[Category] = set()
        self._unasked: dict[Category, DetectorRef] = {}
        low, high = uncertain
        self._in_doubt = any(
            finding.category in own if finding.score is None else low <= finding.score < high for finding in first
        )

    def hear(
        self, other: Another[PromptClassifier] | Another[ImageClassifier], ask: Callable[[], tuple[Finding, ...]]
    ) -> None:
        """Ask one of the others, if it is to be asked; whatever it does, its categories get a finding."""
        detector, categories = other.classifier.detector, other.classifier.categories
        if not self._wanted(other.when):
            self._unasked.update(dict.fromkeys(categories, detector))
            return
        why = "gave no finding for this category"
        findings: tuple[Finding, ...] = ()
        try:
            findings = ask()
        except Exception as error:  # a stranger's code may raise anything; whatever it is, nobody looked
            why = f"failed ({type(error).__name__})"
        missing = categories - {finding.category for finding in findings}
        self._heard += findings
        self._heard += [not_assessed(self._stage, category, detector, f"{detector.id} {why}") for category in missing]
        if other.multilingual:
            # Its own reason for not reading a text that it could read is the true one, and stops a release as well.
            self._read |= {finding.category for finding in findings if LANGUAGE_NOT_READ not in finding.signals}

    def _wanted(self, when: When) -> bool:
        if when == "unread":
            return any(LANGUAGE_NOT_READ in finding.signals for finding in self._first)
        return when == "always" or self._in_doubt

    def findings(self, order: tuple[Category, ...]) -> tuple[Finding, ...]:
        """All that was said, by category; those of the first stage come first."""
        answered = {finding.category for finding in self._heard}
        kept: list[Finding] = []
        for finding in self._first:
            if finding.state is FindingState.NOT_ASSESSED:
                nobody_installed = finding.category not in self._own
                if nobody_installed and finding.category in answered:
                    continue
                if LANGUAGE_NOT_READ in finding.signals and finding.category in self._read:
                    continue
                if nobody_installed and (detector := self._unasked.get(finding.category)):
                    reason = f"{detector.id} answers for this category and is only asked where others are uncertain"
                    kept.append(not_assessed(self._stage, finding.category, detector, reason))
                    continue
            kept.append(finding)
        return tuple(sorted([*kept, *self._heard], key=lambda finding: order.index(finding.category)))
