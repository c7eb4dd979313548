"""What one detector says of one category."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from countermark.model.base import Frozen, Sha256Hex


class Category(StrEnum):
    """What content may be refused for."""

    SEXUAL = "sexual"
    SEXUAL_MINORS = "sexual_minors"
    VIOLENCE = "violence"
    GRAPHIC = "graphic"
    HATE = "hate"
    SELF_HARM = "self_harm"
    HARASSMENT = "harassment"
    ILLICIT = "illicit"
    EXTREMISM = "extremism"
    PUBLIC_FIGURE = "public_figure"
    NCII = "ncii"
    INTELLECTUAL_PROPERTY = "intellectual_property"
    TEXT_IN_IMAGE = "text_in_image"
    HASH_MATCH = "hash_match"
    PROMPT_MISMATCH = "prompt_mismatch"


class Stage(StrEnum):
    """Where in the pipeline something was looked at."""

    PROMPT = "prompt"
    IMAGE = "image"


class FindingState(StrEnum):
    """Whether a category was looked at at all. A missing model never reads as "safe"."""

    ASSESSED = "assessed"
    NOT_ASSESSED = "not_assessed"


Severity = Literal[0, 2, 4, 6]
"""The scale of Azure AI Content Safety: 0 safe, 2 low, 4 medium, 6 high."""


UNUSABLE: Final = "unusable"
"""Signal of a finding that is *not assessed* because what should have looked is there and cannot be used (damaged,
altered, unreadable). A policy that lets pass what nobody was set up to look for does not let this pass."""


class DetectorRef(Frozen):
    """Which detector spoke. ``digest`` is the SHA-256 of its weights or rule files, where it has any."""

    id: str
    version: str
    digest: Sha256Hex | None = None


MAX_REGIONS: Final = 64
Share = Annotated[float, Field(ge=0, le=1)]


class Region(Frozen):
    """Where in an image a detector saw something: a box in shares of its width and height, from the top left.

    ``label`` is the detector's own name for what it saw there, ``score`` its probability.
    """

    label: str = Field(min_length=1, max_length=60, pattern=r"^[\w .-]+$")
    left: Share
    top: Share
    right: Share
    bottom: Share
    score: Share

    @model_validator(mode="after")
    def _has_an_inside(self) -> Region:
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError("a region ends to the right of and below where it begins")
        return self


class Finding(Frozen):
    """One detector's word on one category.

    ``score`` is a calibrated probability in 0..1, present exactly when the state is ``assessed``;
    ``reason`` says why it was not, or what was found. It never quotes the prompt. ``regions`` are where in the image it
    was found, for a detector that knows.
    """

    stage: Stage
    category: Category
    state: FindingState
    score: float | None = Field(default=None, ge=0, le=1)
    severity: Severity = 0
    detector: DetectorRef
    reason: str = ""
    signals: tuple[str, ...] = ()
    regions: tuple[Region, ...] = Field(default=(), max_length=MAX_REGIONS)

    @model_validator(mode="after")
    def _score_iff_assessed(self) -> Finding:
        if (self.state is FindingState.ASSESSED) != (self.score is not None):
            raise ValueError("an assessed finding has a score; a finding that was not assessed has none")
        if self.state is FindingState.NOT_ASSESSED and not self.reason:
            raise ValueError("a finding that was not assessed says why")
        return self
