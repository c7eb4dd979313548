"""From a model's logits to probabilities and severities."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from countermark.model import Severity
from countermark.model.base import Frozen

MOST_WINDOWS: Final = 4
"""More windows than these lower a prompt no further: a window at the threshold of blocking stays above that of review,
however long the prompt (4 was chosen on the calibration prompts, ``training/prompt_safety``, "Long prompts")."""


class Platt(Frozen):
    """A logistic curve, probability = 1 / (1 + exp(-(slope · x + intercept))) (Platt, 1999)."""

    slope: float
    intercept: float

    def __call__(self, x: float) -> float:
        """The probability, in 0..1."""
        z = min(60.0, max(-60.0, self.slope * x + self.intercept))
        return 1.0 / (1.0 + math.exp(-z))


class Thresholds(Frozen):
    """Probabilities at which a severity of 2, 4 and 6 begins; suggestions for a policy's ``review`` and ``block``."""

    review: float = Field(gt=0, lt=1)
    middle: float = Field(gt=0, lt=1)
    block: float = Field(gt=0, lt=1)

    def severity(self, probability: float) -> Severity:
        """0 below ``review``, then 2, 4 and 6."""
        if probability < self.review:
            return 0
        if probability < self.middle:
            return 2
        return 4 if probability < self.block else 6


class Calibration(Frozen):
    """How the outputs of the prompt model are read; fitted on held-out prompts, ``prior`` of them unsafe.

    ``shares`` map each category head's lead over the others to the probability that a prompt, given that it is
    unsafe, is so in this category; the greatest of them names the prompt. ``unsafe`` holds one curve a category: it
    maps the logit of :meth:`summed` to the probability that a prompt so named is unsafe at all, for the same logit
    means less where harmless prompts often look alike (crime) than where they hardly do (hate).
    """

    format: Literal["countermark.calibration/2"] = "countermark.calibration/2"
    prior: float = Field(gt=0, lt=1)
    ngram_weight: float
    length_penalty: float = Field(default=0.0, ge=0)
    unsafe: dict[str, Platt]
    shares: dict[str, Platt]
    thresholds: Thresholds

    def summed(self, unsafe: float, ngram: float, windows: int) -> float:
        """The logit that ``unsafe`` reads: encoder + ``ngram_weight`` × n-grams - ``length_penalty`` × ln(windows).

        A long prompt scores as its worst window, and the more windows there are, the higher the worst of harmless ones;
        but from ``MOST_WINDOWS`` on their number counts no more, or padding would hide a request.
        """
        return unsafe + self.ngram_weight * ngram - self.length_penalty * math.log(min(windows, MOST_WINDOWS))

    def probabilities(self, unsafe_logit: float, heads: Mapping[str, float]) -> dict[str, float]:
        """Probability per category.

        The likeliest category carries the whole probability of being unsafe, so that doubt about the *name* of a
        violation never lowers the score of the prompt.
        """
        top = likeliest(self.shares, heads)
        overall = self.unsafe[top](unsafe_logit)
        return {
            name: overall * (1.0 if name == top else curve(lead(name, heads))) for name, curve in self.shares.items()
        }

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Reads the JSON file that training wrote."""
        return cls.model_validate(json.loads(path.read_bytes()))


def lead(name: str, heads: Mapping[str, float]) -> float:
    """How far a category's logit is above the greatest of the other categories'."""
    return heads[name] - max(value for other, value in heads.items() if other != name)


def likeliest(shares: Mapping[str, Platt], heads: Mapping[str, float]) -> str:
    """The category that a prompt would be named by, were it unsafe."""
    return max(shares, key=lambda name: shares[name](lead(name, heads)))
