"""What every safety detector looks like to the rest of the house.

A detector answers for a fixed set of categories. Each of them comes back as a
:class:`~countermark.model.Finding`: *assessed* with a calibrated score, or *not assessed* with a reason. A category
that is silently missing would read as "safe" further down, so a detector promises a finding for every category that it
says it answers for, whatever goes wrong inside. The shipped ensembles, and :mod:`countermark.safety.combine`, answer
for every category of their stage; a partial detector, such as a second opinion, for its own alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from countermark.model import Category, DetectorRef, Finding, FindingState, Region, Stage
from countermark.model.finding import Severity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from countermark.errors import CountermarkError

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
    Category.INTELLECTUAL_PROPERTY,
)
"""What a prompt can be looked at for."""

IMAGE_CATEGORIES: tuple[Category, ...] = (
    *PROMPT_CATEGORIES,
    Category.TEXT_IN_IMAGE,
    Category.HASH_MATCH,
    Category.PROMPT_MISMATCH,
)
"""What pixels can be looked at for."""

LANGUAGE_NOT_READ: Final = "language_not_read"
"""Signal of a finding that is *not assessed* only because the detector does not read the prompt's language: one that
does may answer in its stead (see :class:`~countermark.safety.combine.Another`)."""


@runtime_checkable
class PromptClassifier(Protocol):
    """Looks at the text of a request before anything is generated."""

    @property
    def detector(self) -> DetectorRef:
        """Which detector this is, with its version and the digest of its weights."""
        ...

    @property
    def categories(self) -> frozenset[Category]:
        """The categories that it answers for when it works."""
        ...

    def assess(self, text: str) -> tuple[Finding, ...]:
        """At least one finding for each of its categories; never raises on its own failure, never quotes the text."""
        ...


@runtime_checkable
class ImageClassifier(Protocol):
    """Looks at generated pixels before anything is released."""

    @property
    def detector(self) -> DetectorRef:
        """Which detector this is, with its version and the digest of its weights."""
        ...

    @property
    def categories(self) -> frozenset[Category]:
        """The categories that it answers for when it works."""
        ...

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """At least one finding for each of its categories, from RGB uint8 H×W×3; never raises on its own failure."""
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
    regions: tuple[Region, ...] = (),
) -> Finding:
    """A finding with a score in 0..1 (clipped) and a severity of 0, 2, 4 or 6.

    Raises:
        ValueError: the score is NaN, which says nothing: least of all that nothing was found.
    """
    return Finding(
        stage=stage,
        category=category,
        state=FindingState.ASSESSED,
        score=min(max(score, 0.0), 1.0),  # in this order NaN stays NaN, and is refused
        severity=severity,
        detector=detector,
        reason=reason,
        signals=signals,
        regions=regions,
    )


def why_unusable(what: str, error: CountermarkError) -> str:
    """The reason of what was not assessed because something could not be used: what is wrong, and how to mend it."""
    return f"{what} cannot be used ({error.code}): {error.message} {error.remedy.removesuffix('.')}"


def risk(findings: tuple[Finding, ...]) -> float:
    """The greatest calibrated probability of any assessed category, in 0..1; 0.0 where nothing was assessed.

    A number for dashboards and sorting. It says nothing about categories that were not assessed: decide on findings.
    """
    return max((f.score for f in findings if f.score is not None), default=0.0)
