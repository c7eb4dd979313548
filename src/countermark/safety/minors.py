"""Sexual content about minors: a conjunction rule with zero tolerance, never left to a learned score alone.

The rule fires where a word for a minor (or an age below 18) meets sexual content, and on some terms alone. Sexual
content is a word of the lists or, where a model has read the prompt, its score. "Girl" alone is no word for a minor.
English is in ``minors.yaml``, other languages in a folder ``minors`` beside it; prompts mix languages, so the words of
all languages count together, but for those that mean something else in another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from countermark.errors import PolicyInvalid
from countermark.model import Category, DetectorRef, Finding, Stage
from countermark.model.base import Frozen
from countermark.resources import data_path
from countermark.safety.interface import assessed
from countermark.safety.known_words import fold_accents
from countermark.safety.terms import MINORS_FILE, compile_pattern, digest_of, term_pattern
from countermark.yaml_file import read_yaml_file

MINORS_FOLDER: Final = "minors"
SEXUAL_SCORE: Final = 0.5
"""From here on the model's sexual score counts as sexual content beside a word for a minor."""

_ENGLISH_NUMBERS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen",
)  # fmt: skip
_ENGLISH_AGES: Final = (
    r"{number}(?:½|[\s\-]and[\s\-]a[\s\-]half)?"
    r"(?:[\s\-]*(?:years?|yrs?\.?)[\s\-]*(?:old|of[\s\-]age|young)|[\s\-]*y[.\s/]*o\b)",
    r"\b(?:aged|age(?:[\s\-]of|\sis)?|as\syoung\sas)[\s:\-]+{number}(?![\w%])(?!\s*(?:years?\sago|hours?|months?\sago))",
    r"\b(?:girl|boy|daughter|son|niece|nephew|sister|brother|student|pupil)\s*[,(]?\s*(?:of\s+)?{number}(?![\w%:.])",
    r"\b(?:girls|boys|daughters|sons|students|pupils)\s+of\s+{number}(?![\w%:.])",
    r"\b(?:s?he(?:\s(?:is|was)|['’]s)|turning|under|below|younger\sthan|not\syet)"
    r"\s+(?:(?:only|just|about|the\sage\sof)\s+)?(?:{number}|18|eighteen)(?=\s*(?:[.,;:!?)]|years?\b|$))",
    r"(?:{number}|\b\d{{1,2}})[\s\-]*months?[\s\-]*old",
    r"\b(?:[1-9]|1[01])(?:st|nd|rd|th)[\s\-]*grade(?:r|rs)?\b",
    r"\b(?:[1-9]|1[0-7])(?:st|nd|rd|th)[\s\-]*birthday\b(?!\sof\b)",
)
_NUMBER: Final = "{number}"
_DIGITS: Final = r"0?[1-9]|1[0-7]"


class MinorsSpec(Frozen):
    """The file ``minors.yaml``, and each file of the folder ``minors``.

    ``{number}`` in ``ages`` stands for one to seventeen, in digits and in the words of ``numbers``. Words of
    ``own_only`` are in one of the other lists as well, spelt so, and mean something else in another language: they
    count only beside a word of the same file, or beside a score where the prompt is in its language. A denial ("no
    children") does not help: generators are known to draw what a prompt names, whatever stands before it.
    """

    apiVersion: Literal["countermark.terms/v1"]  # noqa: N815 (the name in the file)
    category: Literal[Category.SEXUAL_MINORS]
    version: str
    language: str = "en"
    numbers: tuple[str, ...] = _ENGLISH_NUMBERS
    ages: tuple[str, ...] = _ENGLISH_AGES
    minors: tuple[str, ...] = Field(min_length=1)
    sexual: tuple[str, ...] = Field(min_length=1)
    always: tuple[str, ...] = ()
    own_only: tuple[str, ...] = ()
    except_: tuple[str, ...] = Field(default=(), alias="except")
    except_patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pair:
    """What must meet: words for minors and sexual words, of one language or (``""``) of all."""

    language: str
    minors: re.Pattern[str]
    sexual: re.Pattern[str]


class MinorsRule:
    """The compiled rule.

    Args:
        folder: where ``minors.yaml`` and the folder ``minors`` are; the shipped folder by default.

    Raises:
        PolicyInvalid: a file cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or data_path("policies/terms")
        self._files = [folder / MINORS_FILE, *sorted((folder / MINORS_FOLDER).glob("*.yaml"))]
        specs = [read_yaml_file(path, MinorsSpec) for path in self._files]
        self._version = max(spec.version for spec in specs)
        self.languages = frozenset(spec.language for spec in specs)
        """The languages that have lists, as ISO 639-1 codes."""
        ages = [_ages(spec, path) for spec, path in zip(specs, self._files, strict=True)]
        self._ages = _any(ages)
        everywhere = _any([*(_terms(spec.minors, but=spec.own_only) for spec in specs), *ages])
        sexual = _any([_terms(spec.sexual, but=spec.own_only) for spec in specs])
        self._pairs = [_Pair("", everywhere, sexual)]
        for spec, own_ages in zip(specs, ages, strict=True):
            if spec.own_only:
                own = _any([_terms(spec.minors), own_ages])
                self._pairs.append(_Pair(spec.language, own, _any([_terms(spec.sexual)])))
        self._always = _any([_terms(spec.always) for spec in specs])
        patterns = [
            compile_pattern(form, path).pattern
            for spec, path in zip(specs, self._files, strict=True)
            for pattern in spec.except_patterns
            for form in dict.fromkeys((pattern, fold_accents(pattern)))
        ]
        self._except = _any([*(_terms(spec.except_) for spec in specs), *patterns])

    @cached_property
    def detector(self) -> DetectorRef:
        """The rule, with the digest of its files."""
        return DetectorRef(id="countermark.minors-rule", version=self._version, digest=digest_of(self._files))

    def finding(
        self,
        *readings: str,
        sexual_score: float | None,
        may_clear: bool,
        language: str = "en",
        signals: tuple[str, ...] = (),
    ) -> Finding | None:
        """What the rule says of a prompt.

        Args:
            readings: the prompt in lower case, as written and as normalised; obfuscation may hide it from either.
            sexual_score: the probability of sexual content that other detectors gave, ``None`` where none did.
            may_clear: whether a model read the prompt, so that silence means something.
            language: that of the prompt, as an ISO 639-1 code. Beside a score alone, words that are another one's
                elsewhere ("kind") count in their own language only.
            signals: the obfuscation that was undone, for the finding.

        Returns:
            A finding with score 1 and severity 6 where the rule fires; with score 0 where it does not and it may
            clear; else ``None``, for then nobody knows.
        """
        if any(self._fires(reading, sexual_score, language) for reading in readings):
            return assessed(
                Stage.PROMPT,
                Category.SEXUAL_MINORS,
                self.detector,
                1.0,
                6,
                reason="the prompt joins sexual content with a minor",
                signals=signals,
            )
        if not may_clear:
            return None
        return assessed(
            Stage.PROMPT, Category.SEXUAL_MINORS, self.detector, 0.0, 0, reason="no sexual content about a minor found"
        )

    def names_an_age(self, text: str) -> bool:
        """Whether a lower-case text names an age below 18, in whatever context; that alone is nothing to refuse."""
        return self._ages.search(self._except.sub(" ", text)) is not None

    def _fires(self, text: str, sexual_score: float | None, language: str) -> bool:
        # Taking exceptions out silences the rule and never wakes it: most prompts do without the search for them.
        return self._meet(text, sexual_score, language) and self._meet(
            self._except.sub(" ", text), sexual_score, language
        )

    def _meet(self, text: str, sexual_score: float | None, language: str) -> bool:
        if self._always.search(text):
            return True
        by_score = sexual_score is not None and sexual_score >= SEXUAL_SCORE
        return any(
            pair.minors.search(text) is not None
            and ((by_score and pair.language in ("", language)) or pair.sexual.search(text) is not None)
            for pair in self._pairs
        )


def _ages(spec: MinorsSpec, path: Path) -> str:
    words = sorted({form for word in spec.numbers for form in (word, fold_accents(word))}, key=len, reverse=True)
    number = rf"(?<![\w.,/])(?:{_DIGITS}|{'|'.join(map(re.escape, words))})"
    try:
        for pattern in spec.ages:
            compile_pattern(pattern.format(number=number), path)
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyInvalid(f"{path}: ages: only {{number}} may stand in braces; write other braces twice.") from error
    forms = dict.fromkeys(form for pattern in spec.ages for form in (pattern, fold_accents(pattern)))
    after = [form.removeprefix(_NUMBER) for form in forms if form.startswith(_NUMBER)]
    # What follows a number is looked for where one is: most texts have none, and the number is looked for once.
    whole = [f"{_NUMBER}(?:{'|'.join(f'(?:{rest})' for rest in after)})"] if after else []
    whole += [form for form in forms if not form.startswith(_NUMBER)]
    return "|".join(f"(?:{pattern.format(number=number)})" for pattern in whole)


def _terms(terms: tuple[str, ...], *, but: tuple[str, ...] = ()) -> str:
    """The terms as written and without accents, as many write them and as the normaliser does; those of ``but`` not."""
    return term_pattern(form for form in dict.fromkeys([*terms, *map(fold_accents, terms)]) if form not in but)


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern) or r"(?!)")
