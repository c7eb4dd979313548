"""What every safety detector looks like to the rest of the house.

A detector answers for a fixed set of categories. Each of them comes back as a
:class:`~countermark.model.Finding`: *assessed* with a calibrated score, or *not assessed* with a reason. A category
that is silently missing would read as "safe" further down, so both protocols promise one finding for every category of
the detector's stage, whatever goes wrong inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from countermark.model import Category, DetectorRef, Finding, FindingState, Stage
from countermark.model.finding import Severity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROMPT_CATEGORIES: tuple[Category, ...] = (
    Category.SEXUAL,
    Category.SEXUAL_MINORS,
    Category.VIOLENCE,
    Category.GRAPHIC,
    Category.HATE,
    Category.SELF_HARM,
    Category.HARASSMENT,
    Category.ILLICIT,
    Category.EXTREMISM,
    Category.PUBLIC_FIGURE,
    Category.NCII,
)
"""What a prompt can be looked at for."""

IMAGE_CATEGORIES: tuple[Category, ...] = (*PROMPT_CATEGORIES, Category.TEXT_IN_IMAGE, Category.HASH_MATCH)
"""What pixels can be looked at for."""


@runtime_checkable
class PromptClassifier(Protocol):
    """Looks at the text of a request before anything is generated."""

    @property
    def detector(self) -> DetectorRef:
        """Which detector this is, with its version and the digest of its weights."""
        ...

    def assess(self, text: str) -> tuple[Finding, ...]:
        """One finding for each category of the prompt stage; never raises on a detector's own failure."""
        ...


@runtime_checkable
class ImageClassifier(Protocol):
    """Looks at generated pixels before anything is released."""

    @property
    def detector(self) -> DetectorRef:
        """Which detector this is, with its version and the digest of its weights."""
        ...

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """One finding for each category of the image stage, from RGB uint8 H×W×3; never raises on its own failure."""
        ...


def not_assessed(
    stage: Stage, category: Category, detector: DetectorRef, reason: str, signals: tuple[str, ...] = ()
) -> Finding:
    """A finding that says that nobody looked, and why."""
    return Finding(
        stage=stage,
        category=category,
        state=FindingState.NOT_ASSESSED,
        detector=detector,
        reason=reason,
        signals=signals,
    )


def assessed(
    stage: Stage,
    category: Category,
    detector: DetectorRef,
    score: float,
    severity: Severity,
    *,
    reason: str = "",
    signals: tuple[str, ...] = (),
) -> Finding:
    """A finding with a score in 0..1 (clipped) and a severity of 0, 2, 4 or 6."""
    return Finding(
        stage=stage,
        category=category,
        state=FindingState.ASSESSED,
        score=min(1.0, max(0.0, score)),
        severity=severity,
        detector=detector,
        reason=reason,
        signals=signals,
    )


def risk(findings: tuple[Finding, ...]) -> float:
    """The greatest calibrated probability of any assessed category, in 0..1; 0.0 where nothing was assessed.

    A number for dashboards and sorting. It says nothing about categories that were not assessed: decide on findings.
    """
    return max((f.score for f in findings if f.score is not None), default=0.0)
