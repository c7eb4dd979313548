"""Sexual content about minors: a conjunction rule with zero tolerance, never left to a learned score alone.

The rule fires where a word for a minor (or an age below 18) meets sexual content, and on some terms alone. Sexual
content is a word of the list or, where a model has read the prompt, its score. "Girl" alone is no word for a minor.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from countermark.errors import PolicyInvalid
from countermark.model import Category, DetectorRef, Finding, Stage
from countermark.model.base import Frozen
from countermark.resources import data_path
from countermark.safety.interface import assessed
from countermark.safety.terms import MINORS_FILE, digest_of, read_yaml, term_pattern

SEXUAL_SCORE: Final = 0.5
"""From here on the model's sexual score counts as sexual content beside a word for a minor."""

_NUMBER_WORDS: Final = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
)
_UNDER_18: Final = rf"(?<![\w.,/])(?:0?[1-9]|1[0-7]|{_NUMBER_WORDS})"
_YEARS: Final = r"[\s\-]*(?:years?|yrs?|yr)[\s\-]*(?:old|of[\s\-]age)|[\s\-]*y[.\s/]*o\b"
_AGE: Final = re.compile(
    rf"{_UNDER_18}(?:{_YEARS})"
    rf"|\b(?:aged|age(?:[\s\-]of)?)[\s:\-]+{_UNDER_18}(?![\w%])(?!\s*(?:years?\sago|hours?|months?\sago))"
    rf"|\b(?:girl|boy|daughter|son|niece|nephew|sister|brother|student|pupil)\s*[,(]?\s*(?:of\s+)?{_UNDER_18}(?![\w%:.])"
    r"|\b\d{1,2}[\s\-]*months?[\s\-]*old"
)


class MinorsSpec(Frozen):
    """The file ``minors.yaml``."""

    apiVersion: Literal["countermark.terms/v1"]  # noqa: N815 (the name in the file)
    category: Literal[Category.SEXUAL_MINORS]
    version: str
    minors: tuple[str, ...] = Field(min_length=1)
    sexual: tuple[str, ...] = Field(min_length=1)
    always: tuple[str, ...] = ()
    except_: tuple[str, ...] = Field(default=(), alias="except")


class MinorsRule:
    """The compiled rule.

    Args:
        folder: where ``minors.yaml`` is; the shipped folder by default.

    Raises:
        PolicyInvalid: the file cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or data_path("policies/terms")) / MINORS_FILE
        try:
            spec = MinorsSpec.model_validate(read_yaml(self._path))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PolicyInvalid(f"{self._path}: {where}: {first['msg']}.") from error
        self._version = spec.version
        self._minors = re.compile(term_pattern(spec.minors))
        self._sexual = re.compile(term_pattern(spec.sexual))
        self._always = re.compile(term_pattern(spec.always) or r"(?!)")
        self._except = re.compile(term_pattern(spec.except_) or r"(?!)")

    @cached_property
    def detector(self) -> DetectorRef:
        """The rule, with the digest of its file."""
        return DetectorRef(id="countermark.minors-rule", version=self._version, digest=digest_of([self._path]))

    def finding(self, *readings: str, sexual_score: float | None, may_clear: bool) -> Finding | None:
        """What the rule says of a prompt.

        Args:
            readings: the prompt in lower case, as written and as normalised; obfuscation may hide it from either.
            sexual_score: the probability of sexual content that other detectors gave, ``None`` where none did.
            may_clear: whether a model read the prompt, so that silence means something.

        Returns:
            A finding with score 1 and severity 6 where the rule fires; with score 0 where it does not and it may
            clear; else ``None``, for then nobody knows.
        """
        if any(self._fires(reading, sexual_score) for reading in readings):
            return assessed(
                Stage.PROMPT,
                Category.SEXUAL_MINORS,
                self.detector,
                1.0,
                6,
                reason="the prompt joins sexual content with a minor",
            )
        if not may_clear:
            return None
        return assessed(
            Stage.PROMPT, Category.SEXUAL_MINORS, self.detector, 0.0, 0, reason="no sexual content about a minor found"
        )

    def _fires(self, text: str, sexual_score: float | None) -> bool:
        text = self._except.sub(" ", text)
        if self._always.search(text):
            return True
        if not (self._minors.search(text) or _AGE.search(text)):
            return False
        by_score = sexual_score is not None and sexual_score >= SEXUAL_SCORE
        return by_score or self._sexual.search(text) is not None
