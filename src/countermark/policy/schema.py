"""The shape of a policy file (``countermark.policy/v1``)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from countermark.model import Category, Outcome, PolicyRef, Severity, Stage


def _number(value: Any) -> Any:
    """``block: true`` would be a threshold of 1 otherwise, which hardly anything reaches."""
    if isinstance(value, (bool, str)):
        raise ValueError("a threshold is a number")
    return value


Score = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]
SeverityThreshold = Annotated[Severity, BeforeValidator(_number)]


_OF_IMAGES: Final = (Category.TEXT_IN_IMAGE, Category.HASH_MATCH, Category.PROMPT_MISMATCH)


def _text(value: Any) -> Any:
    """YAML reads 2026.10 as the number 2026.1, and 2026-10-01 as a date."""
    if not isinstance(value, str):
        raise ValueError("a version is text: put it in quotes")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Redacting(_Strict):
    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``redact`` where it is unset: policies that are older than it keep their digests."""
        fields: dict[str, Any] = plain(self)
        if fields.get("redact", self) is None:
            del fields["redact"]
        return fields


class SeverityBand(_Redacting):
    """Outcomes by severity (0, 2, 4, 6), for detectors that judge by agreement rather than by one score."""

    redact: SeverityThreshold | None = None
    review: SeverityThreshold | None = None
    block: SeverityThreshold | None = None


class Band(_Redacting):
    """Outcomes of one category at one stage.

    A score at or above ``block`` blocks, at or above ``review`` holds the image for a person, at or above ``redact``
    has what was found blurred: where a detector says where it is, and a second look finds nothing more, the image may
    go, otherwise it is held. Likewise for severities. ``on_not_assessed`` says what happens when any detector of this
    category could not look; where what should have looked is damaged (a hash list, say), no milder than ``on_error``.
    """

    redact: Score | None = None
    review: Score | None = None
    block: Score | None = None
    severity: SeverityBand = SeverityBand()
    on_not_assessed: Outcome | None = None

    @model_validator(mode="after")
    def _ascending(self) -> Band:
        for band in (self, self.severity):
            named = {"redact": band.redact, "review": band.review, "block": band.block}
            given = [(name, threshold) for name, threshold in named.items() if threshold is not None]
            for (milder, lower), (stricter, upper) in pairwise(given):
                if lower > upper:
                    raise ValueError(f"the milder outcome '{milder}' has a higher threshold than '{stricter}'")
        return self

    @model_validator(mode="after")
    def _stops_something(self) -> Band:
        thresholds = (one for band in (self, self.severity) for one in (band.redact, band.review, band.block))
        if all(threshold is None for threshold in thresholds):
            raise ValueError(
                "nothing that is found would be stopped: set 'redact', 'review' or 'block', or leave it out"
            )
        return self

    @property
    def redacts(self) -> bool:
        """Whether any score or severity asks for redaction."""
        return self.redact is not None or self.severity.redact is not None


class Stages(_Strict):
    """The bands of one category. A stage that is left out is not looked at for this category."""

    prompt: Band | None = None
    image: Band | None = None

    @model_validator(mode="after")
    def _has_a_stage(self) -> Stages:
        if self.prompt is None and self.image is None:
            raise ValueError("nothing would be stopped: name 'prompt', 'image' or both, or leave the category out")
        return self

    @model_validator(mode="after")
    def _only_images_are_redacted(self) -> Stages:
        if self.prompt is not None and self.prompt.redacts:
            raise ValueError("a prompt cannot be redacted: 'redact' belongs to the image")
        return self

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
    version: Annotated[str, BeforeValidator(_text)] = Field(
        min_length=1,
        max_length=50,
        pattern=r"^[^\x00-\x1f\x7f]+$",  # it stands in every record
    )
    owner: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=2000)


class Policy(_Strict):
    """A policy: bands for each category and stage, and defaults for what could not be looked at."""

    apiVersion: Literal["countermark.policy/v1"]  # noqa: N815 - the name in the file
    kind: Literal["Policy"]
    metadata: Metadata
    defaults: Defaults = Defaults()
    categories: dict[Category, Stages] = Field(min_length=1)

    @field_validator("categories")
    @classmethod
    def _prompts_may_hold_it(cls, categories: dict[Category, Stages]) -> dict[Category, Stages]:
        """Nobody looks for these in a prompt: the band would stop every one, or with its consent to silence none."""
        for category in _OF_IMAGES:
            if category in categories and categories[category].prompt is not None:
                raise ValueError(f"'{category}' can be found in images alone: it has no 'prompt'")
        return categories

    def on_silence(self, band: Band) -> Outcome:
        """The outcome where a category of this band was not assessed: its own, or the policy's default."""
        return band.on_not_assessed or self.defaults.on_not_assessed

    def on_unusable(self, band: Band) -> Outcome:
        """The outcome where what should have looked is damaged: an error, so never milder than ``on_error``.

        Whoever lets silence pass says that nobody has to look, not that what was set up to look may be broken.
        """
        return max(self.on_silence(band), self.defaults.on_error, key=lambda outcome: outcome.rank)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the meaning (canonical JSON), so that comments do not change it."""
        payload = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(payload).hexdigest()

    @property
    def ref(self) -> PolicyRef:
        """How records name this policy."""
        return PolicyRef(id=self.metadata.id, version=self.metadata.version, digest=self.digest)
