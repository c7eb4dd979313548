"""The shape of a policy file (``countermark.policy/v1``)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from countermark.model import Category, Outcome, PolicyRef, Severity, Stage

Score = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeverityBand(_Strict):
    """Outcomes by severity (0, 2, 4, 6), for detectors that judge by agreement rather than by one score."""

    review: Severity | None = None
    block: Severity | None = None


class Band(_Strict):
    """Outcomes of one category at one stage.

    A score at or above ``block`` blocks, at or above ``review`` holds the image for a person; likewise for severities.
    ``on_not_assessed`` says what happens when any detector of this category could not look.
    """

    review: Score | None = None
    block: Score | None = None
    severity: SeverityBand = SeverityBand()
    on_not_assessed: Outcome | None = None

    @model_validator(mode="after")
    def _ascending(self) -> Band:
        for review, block in ((self.review, self.block), (self.severity.review, self.severity.block)):
            if review is not None and block is not None and review > block:
                raise ValueError("the milder outcome 'review' has a higher threshold than 'block'")
        return self


class Stages(_Strict):
    """The bands of one category. A stage that is left out is not looked at for this category."""

    prompt: Band | None = None
    image: Band | None = None

    def of(self, stage: Stage) -> Band | None:
        """The band of one stage."""
        return self.prompt if stage is Stage.PROMPT else self.image


class Defaults(_Strict):
    """What happens when something goes wrong. Leaving these out stops the release."""

    on_error: Outcome = Outcome.BLOCK
    on_not_assessed: Outcome = Outcome.BLOCK

    @model_validator(mode="after")
    def _errors_close(self) -> Defaults:
        if self.on_error.rank < Outcome.REVIEW.rank:
            raise ValueError("on_error must be 'review' or 'block': a failure never opens the gate")
        return self


class Metadata(_Strict):
    """Who answers for the policy."""

    id: str = Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(min_length=1, max_length=50)
    owner: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=2000)


class Policy(_Strict):
    """A policy: bands for each category and stage, and defaults for what could not be looked at."""

    apiVersion: Literal["countermark.policy/v1"]  # noqa: N815 - the name in the file
    kind: Literal["Policy"]
    metadata: Metadata
    defaults: Defaults = Defaults()
    categories: dict[Category, Stages] = Field(min_length=1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the meaning (canonical JSON), so that comments do not change it."""
        payload = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(payload).hexdigest()

    @property
    def ref(self) -> PolicyRef:
        """How records name this policy."""
        return PolicyRef(id=self.metadata.id, version=self.metadata.version, digest=self.digest)
