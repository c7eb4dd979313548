"""What one detector says of one category."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

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
    TEXT_IN_IMAGE = "text_in_image"
    HASH_MATCH = "hash_match"


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


class DetectorRef(Frozen):
    """Which detector spoke. ``digest`` is the SHA-256 of its weights or rule files, where it has any."""

    id: str
    version: str
    digest: Sha256Hex | None = None


class Finding(Frozen):
    """One detector's word on one category.

    ``score`` is a calibrated probability in 0..1, present exactly when the state is ``assessed``;
    ``reason`` says why it was not, or what was found. It never quotes the prompt.
    """

    stage: Stage
    category: Category
    state: FindingState
    score: float | None = Field(default=None, ge=0, le=1)
    severity: Severity = 0
    detector: DetectorRef
    reason: str = ""
    signals: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _score_iff_assessed(self) -> Finding:
        if (self.state is FindingState.ASSESSED) != (self.score is not None):
            raise ValueError("an assessed finding has a score; a finding that was not assessed has none")
        if self.state is FindingState.NOT_ASSESSED and not self.reason:
            raise ValueError("a finding that was not assessed says why")
        return self
