"""What all second opinions share: a scale of scores, and the promise that whatever goes wrong reads "not assessed"."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

from countermark.errors import CountermarkError
from countermark.model import Category, DetectorRef, Finding, Severity, Stage
from countermark.safety.interface import assessed, not_assessed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REVIEW: Final = 0.5
MIDDLE: Final = 0.7
BLOCK: Final = 0.85
"""Scores at which a severity of 2, 4 and 6 begins: about where the shipped prompt model and policy put them."""

LONGEST_RATIO: Final = 8.0
"""Longer strips of pixels are not assessed: squeezed into a model's input they would show nothing."""


class CouldNotLook(Exception):
    """Why a detector has no answer. The reason becomes a finding's, so it never quotes what was looked at."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer on one category: a score in 0..1 on our scale, a severity, and what it rests on."""

    score: float
    severity: Severity
    reason: str = ""
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a model's own score, 0..1, to ours: piecewise linear through (``review``, 0.5) and (``block``, 0.85)."""

    review: float = REVIEW
    block: float = BLOCK

    def __call__(self, score: float) -> float:
        """Our score, in 0..1."""
        points = ((0.0, 0.0), (self.review, REVIEW), (self.block, BLOCK), (1.0, 1.0))
        for (x0, y0), (x1, y1) in pairwise(points):
            if score <= x1:
                return y0 + (y1 - y0) * max(0.0, score - x0) / (x1 - x0)
        return 1.0

    def say(self, score: float, reason: str = "", *, at_least: float = 0.0, signals: tuple[str, ...] = ()) -> Said:
        """An answer from a model's own score.

        Raises:
            CouldNotLook: the score is no number.
        """
        if not math.isfinite(score):
            raise CouldNotLook("gave no number")
        ours = max(at_least, self(score))
        return Said(ours, severity_of(ours), reason, signals)


def severity_of(score: float) -> Severity:
    """The severity of a score on our scale: 0 below 0.5, then 2, from 0.7 on 4, from 0.85 on 6."""
    if score < REVIEW:
        return 0
    if score < MIDDLE:
        return 2
    return 4 if score < BLOCK else 6


Answer = Mapping[Category, Said | CouldNotLook]


class Opinion(ABC):
    """A second opinion on one stage.

    Args:
        detector: who this is; :attr:`detector` may come to know more once a model is loaded.
        categories: what it answers for.
    """

    _stage: ClassVar[Stage]

    def __init__(self, detector: DetectorRef, categories: Iterable[Category]) -> None:
        self._detector = detector
        self._categories = frozenset(categories)

    @property
    def detector(self) -> DetectorRef:
        """Which detector this is; the digest of a local model is known once it is loaded."""
        return self._detector

    @property
    def categories(self) -> frozenset[Category]:
        """What it answers for when it works."""
        return self._categories

    @abstractmethod
    def load(self) -> None:
        """Make ready whatever can be made ready without looking at anything; nothing is sent anywhere.

        Raises:
            CountermarkError: a package, model file or key is missing or unfit.
        """

    def _findings(self, look: Callable[[], Answer]) -> tuple[Finding, ...]:
        """One finding for each category, whatever ``look`` does."""
        why: str
        answer: Answer = {}
        try:
            answer = look()
            why = "gave no answer for this category"
        except CouldNotLook as error:
            why = str(error)
        except CountermarkError as error:
            why = f"cannot be used ({error.code})"
        except Exception as error:  # engines and services may raise anything; whatever it is, nobody looked
            why = f"failed ({type(error).__name__})"
        return tuple(
            self._finding(category, answer.get(category, CouldNotLook(why)))
            for category in Category
            if category in self._categories
        )

    def _finding(self, category: Category, said: Said | CouldNotLook) -> Finding:
        if isinstance(said, CouldNotLook):
            return not_assessed(self._stage, category, self.detector, f"{self.detector.id} {said}")
        return assessed(
            self._stage,
            category,
            self.detector,
            said.score,
            said.severity,
            reason=said.reason,
            signals=said.signals,
        )


class PromptOpinion(Opinion):
    """A second opinion on prompts."""

    _stage = Stage.PROMPT

    @abstractmethod
    def _read(self, text: str) -> Answer:
        """What it says of a prompt; may raise anything."""

    def assess(self, text: str) -> tuple[Finding, ...]:
        """One finding for each of its categories; never raises, never quotes the prompt."""
        return self._findings(lambda: self._read(text))


class ImageOpinion(Opinion):
    """A second opinion on pixels."""

    _stage = Stage.IMAGE

    @abstractmethod
    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        """What it says of RGB uint8 pixels, H×W×3, neither tiny nor a strip; may raise anything."""

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """One finding for each of its categories, from RGB uint8 H×W×3; never raises."""

        def look() -> Answer:
            check_pixels(pixels)
            return self._see(pixels)

        return self._findings(look)


def check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Refuse what nobody could recognise anything in.

    Raises:
        CouldNotLook: not RGB uint8, H×W×3; a side below 32 pixels; or longer than 8 : 1.
    """
    if pixels.dtype != "uint8" or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise CouldNotLook("needs RGB pixels of 8 bits")
    shorter, longer = sorted(pixels.shape[:2])
    if shorter < 32:
        raise CouldNotLook(f"cannot recognise anything in an image with a side of {shorter} pixels")
    if longer > LONGEST_RATIO * shorter:
        raise CouldNotLook("cannot recognise anything in an image so elongated")
