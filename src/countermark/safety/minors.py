"""Sexual content about minors: a conjunction rule with zero tolerance, never left to a learned score alone.

The rule fires where a word for a minor (or an age below 18) meets sexual content, and on some terms alone. Sexual
content is a word of the lists or, where a model has read the prompt, its score. "Girl" alone is no word for a minor.
A painting or a statue is no exception: museum nudes beside children, and the Christ child, are refused as well.
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
from countermark.safety.terms import (
    MINORS_FILE,
    alternatives,
    compile_pattern,
    digest_of,
    spellings,
    term_pattern,
    with_tags_apart,
)
from countermark.yaml_file import read_yaml_file

MINORS_FOLDER: Final = "minors"
SEXUAL_SCORE: Final = 0.5
"""From here on the model's sexual score counts as sexual content beside a word for a minor."""

_ENGLISH_NUMBERS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen",
)  # fmt: skip
_ENGLISH_AGES: Final = (
    r"{number}(?:[\s\-]and[\s\-]a[\s\-]half)?"
    r"(?:[\s\-]*(?:years?|yrs?\.?|winters|summers)[\s\-]*(?:old|of[\s\-]age|young)|[\s\-]*y[.\s/]*o\b)",
    r"{number}[\s\-]*yrs?\b\.?(?!\s*(?:ago|later|of\b|in\b|since|old|experience|warranty|guarantee|plan|lease|together))",
    r"\b(?:aged|ages?(?:[\s\-]of|\sis)?|as\syoung\sas)(?:\s(?:between|from|only|just|about))?[\s:=\-]+{number}½?(?![\w%])"
    r"(?!\s*(?:years?\sago|hours?|months?\sago))",
    r"\b(?:girl|boy|lass|lad|daughter|son|niece|nephew|sister|brother|student|pupil)"
    r"\s*+(?:[,(]\s*+)?(?:of\s++)?{number}(?![\w%:.])",
    r"\b(?:girls|boys|lasses|lads|daughters|sons|students|pupils)\s+of\s+{number}(?![\w%:.])",
    r"(?:^|[,;(])\s*(?:(?:nude|naked|nsfw|topless|sexy)\s+)?{number}\s*,\s*(?:girl|boy)\b",
    r"{number}\s?(?:to|or|[–\-])\s?\d{{1,2}}\s+(?:years|yrs)(?=\s*(?:[.,;:!?)]|$))",
    r"\bnot\s(?:even\s|quite\s|yet\s)?(?:18|eighteen)(?=\s*(?:[.,;:!?)]|years?\b|yrs?\b|$))",
    r"\blook(?:s|ing)\s(?:like\s)?(?:only\s|just\s|about\s)?{number}(?=\s*(?:[.,;:!?)]|$))",
    r"\b(?:s?he(?:\s(?:is|was)|['’]s)|turning|under|below|younger\sthan|not\syet)"
    r"\s+(?:(?:only|just|about|the\sage\sof)\s+)?(?:{number}|18|eighteen)"
    r"(?=\s*(?:[.,;:!?)]|(?:years?|yrs?|nude|naked|topless|sexy|girls?|boys?|teens?|females?|models?)\b|$))",
    r"(?<![\w&.])(?:<\s?|u-?|sub-?)1[0-8](?![\w%.])(?!\s*(?:[cmk]?m|[kmg]b|kg|px|h|min)\b)",
    r"(?:{number}|\b\d{{1,2}})[\s\-]*months?[\s\-]*old",
    r"\bdozen\s+years?\s+old\b",
    r"\b(?:[1-9]|1[0-2])(?:st|nd|rd|th)[\s\-]*grade(?:r|rs)?\b",
    r"\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth)[\s\-]*grade(?:r|rs)?\b"
    r"(?!\s+(?:beef|burns?|cotton|lace|leather|lingerie|materials?|meat|quality|satin|silk|steel)\b)",
    r"\b(?:grade|year)[\s\-]+{number}[\s\-]+(?:students?|pupils?|girls?|boys?|class|kids?|schooler)\b",
    r"\b(?:[1-9]|1[0-7])(?:st|nd|rd|th)[\s\-]*birthday\b(?!\sof\b)",
    # Whoever was born in 2009 is of age in 2027; a later list may move the year.
    r"\bborn\s(?:in\s)?20(?:09|[1-9]\d)\b",
    # A tag of its own: "twelve, nude". Smaller numbers count things.
    r"(?:^|[,;(])\s*(?:(?:nude|naked|nsfw|topless|sexy|only|just)\s+)?"
    r"(?:eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
    r"(?:\s+(?:nude|naked|nsfw|topless|sexy))?\s*(?=[.,;)]|$)",
)
_NUMBER: Final = "{number}"
_PHRASE_ENDS: Final = "{end}"
_DIGITS: Final = r"0?[1-9]|1[0-7]"
_HALF_OR_RANGE: Final = r"(?:½|[.,]\d(?!\d))?(?:\s?(?:[/–—\-]|to|or|bis|oder|ou|o|à|a|tot|of)\s?\d{1,2})?"
_WORD: Final = re.compile(r"[^\W_]+")
_WORDS_BEFORE: Final = re.compile(r"(?:[^\W_]+[\s\-]+){1,3}\Z")
_WORDS_AFTER: Final = re.compile(r"(?:[\s\-]+[^\W_]+){1,3}")
_FAR_ENOUGH: Final = 80  # characters, for three words

Span = tuple[int, int]


class MinorsSpec(Frozen):
    """The file ``minors.yaml``, and each file of the folder ``minors``.

    ``{number}`` in ``ages`` and in patterns of exceptions stands for one to seventeen, in digits and in the words of
    ``numbers``. Words of ``own_only`` are in one of the other lists as well, spelt so, and mean something else in
    another language: they count only beside a word of the same file, or beside a score where the prompt is in its
    language. A denial ("no children") does not help: generators are known to draw what a prompt names, whatever
    stands before it.

    An exception takes out what it covers and nothing else. Those of ``except`` and ``except_patterns`` hold anywhere;
    those of ``except_things`` and ``except_thing_patterns`` say what a thing is like or how old it is ("naked branch",
    "12 year old whisky"), and do not hold where, without a stop or one of the ``little_words`` between, a minor, one of
    ``youths`` or sexual content stands before them, or one of these or of ``people`` behind ("naked branch girl").
    All match whole words. In patterns, ``{end}`` is where the noun phrase ends: before a stop, one of the
    ``little_words``, or nothing; and the name of a list of ``words`` in braces is any of them.
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
    always_patterns: tuple[str, ...] = ()
    own_only: tuple[str, ...] = ()
    youths: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    little_words: tuple[str, ...] = ()
    words: dict[str, tuple[str, ...]] = Field(default={})
    except_: tuple[str, ...] = Field(default=(), alias="except")
    except_patterns: tuple[str, ...] = ()
    except_things: tuple[str, ...] = ()
    except_thing_patterns: tuple[str, ...] = ()


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
        files = list(zip(specs, self._files, strict=True))
        ages = [_ages(spec, path) for spec, path in files]
        self._ages = _any(ages)
        everywhere = _any([*(_terms(spec.minors, but=spec.own_only) for spec in specs), *ages])
        sexual = _any([_terms(spec.sexual, but=spec.own_only) for spec in specs])
        self._pairs = [_Pair("", everywhere, sexual)]
        for spec, own_ages in zip(specs, ages, strict=True):
            if spec.own_only:
                own = _any([_terms(spec.minors), own_ages])
                self._pairs.append(_Pair(spec.language, own, _any([_terms(spec.sexual)])))
        always = [_patterns(spec.always_patterns, spec, path, "") for spec, path in files]
        self._always = _any([*(_terms(spec.always) for spec in specs), *always])
        self._little_words = frozenset(form for spec in specs for word in spec.little_words for form in spellings(word))
        end = _phrase_end(self._little_words)
        self._exception_parts = [
            part
            for spec, path in files
            for part in (_terms(spec.except_), _patterns(spec.except_patterns, spec, path, end))
        ]
        self._thing_parts = [
            part
            for spec, path in files
            for part in (_terms(spec.except_things), _patterns(spec.except_thing_patterns, spec, path, end))
        ]
        self._somebody = [_terms((*spec.minors, *spec.sexual, *spec.youths)) for spec in specs]
        self._people = [*(_terms(spec.people) for spec in specs), *ages]

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
        if any(self._fires(reading, sexual_score, language) for reading in with_tags_apart(readings)):
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

    # Exceptions are many patterns that few prompts ask for: they are compiled when the first one does.

    @cached_property
    def _except(self) -> re.Pattern[str]:
        return _any(self._exception_parts)

    @cached_property
    def _things(self) -> re.Pattern[str]:
        return _any(self._thing_parts)

    @cached_property
    def _before_a_thing(self) -> re.Pattern[str]:
        return _any(self._somebody)

    @cached_property
    def _behind_a_thing(self) -> re.Pattern[str]:
        return _any([*self._somebody, *self._people])

    def names_an_age(self, text: str) -> bool:
        """Whether a lower-case text names an age below 18, in whatever context; that alone is nothing to refuse."""
        return any(
            self._ages.search(_blanked(form, self._exceptions(form))) is not None for form in with_tags_apart([text])
        )

    def _fires(self, text: str, sexual_score: float | None, language: str) -> bool:
        # Taking exceptions out silences the rule and never wakes it: most prompts do without the search for them.
        always = [match.span() for match in self._always.finditer(text)]
        if not always and not self._meet(text, sexual_score, language):
            return False
        exceptions = self._exceptions(text)
        if any(not any(start <= first and last <= end for start, end in exceptions) for first, last in always):
            return True
        return self._meet(_blanked(text, exceptions), sexual_score, language)

    def _exceptions(self, text: str) -> list[Span]:
        """Where an exception holds."""
        things = (match.span() for match in self._things.finditer(text))
        return [
            *(match.span() for match in self._except.finditer(text)),
            *(span for span in things if not self._is_of_a_person(text, span)),
        ]

    def _is_of_a_person(self, text: str, thing: Span) -> bool:
        """Whether somebody stands in the noun phrase of a thing, so that what was said of it may be said of them."""
        start, end = thing
        before = _WORDS_BEFORE.search(text[max(0, start - _FAR_ENOUGH) : start])
        if before is not None:
            phrase = before.group().rstrip(" -\t\n")
            if any(match.end() == len(phrase) for match in self._before_a_thing.finditer(phrase)):
                return True
        after = _WORDS_AFTER.match(text, end, end + _FAR_ENOUGH)
        if after is None:
            return False
        little = next((word for word in _WORD.finditer(after.group()) if word.group() in self._little_words), None)
        phrase = after.group()[: little.start()] if little else after.group()
        return self._behind_a_thing.search(phrase) is not None

    def _meet(self, text: str, sexual_score: float | None, language: str) -> bool:
        by_score = sexual_score is not None and sexual_score >= SEXUAL_SCORE
        return any(
            ((by_score and pair.language in ("", language)) or pair.sexual.search(text) is not None)
            and pair.minors.search(text) is not None  # last, for ages are many patterns
            for pair in self._pairs
        )


def _blanked(text: str, spans: Iterable[Span]) -> str:
    for start, end in spans:
        text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def _number(spec: MinorsSpec) -> str:
    words = sorted({form for word in spec.numbers for form in spellings(word)}, key=len, reverse=True)
    # What stands before a slash is the number that a range begins with.
    return rf"(?<![\w.,/])(?:\d{{1,2}}\s?/\s?)?(?:{_DIGITS}|{'|'.join(map(re.escape, words))})"


def _ages(spec: MinorsSpec, path: Path) -> str:
    number = _number(spec)
    try:
        for pattern in spec.ages:
            compile_pattern(pattern.format(number=number), path)
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyInvalid(f"{path}: ages: only {{number}} may stand in braces; write other braces twice.") from error
    forms = dict.fromkeys(form for pattern in spec.ages for form in spellings(pattern))
    after = [form.removeprefix(_NUMBER) for form in forms if form.startswith(_NUMBER)]
    # What follows a number is looked for where one is: most texts have none, and the number is looked for once.
    whole = [f"{_NUMBER}{_in_braces(_HALF_OR_RANGE)}(?:{'|'.join(f'(?:{rest})' for rest in after)})"] if after else []
    whole += [form for form in forms if not form.startswith(_NUMBER)]
    return "|".join(f"(?:{pattern.format(number=number)})" for pattern in whole)


def _in_braces(pattern: str) -> str:
    return pattern.replace("{", "{{").replace("}", "}}")


def _patterns(patterns: tuple[str, ...], spec: MinorsSpec, path: Path, end: str) -> str:
    """Patterns of a file as whole words, in every spelling: half a word is never an exception ("nu-da 12 anni")."""
    stands_for = {_NUMBER: _number(spec), _PHRASE_ENDS: end}
    stands_for |= {f"{{{name}}}": alternatives(_in_every_spelling(words)) for name, words in spec.words.items()}
    whole: list[str] = []
    for form in dict.fromkeys(form for pattern in patterns for form in spellings(pattern)):
        pattern = form
        for name, meaning in stands_for.items():
            pattern = pattern.replace(name, meaning)
        whole.append(compile_pattern(rf"(?<!\w)(?:{pattern})(?!\w)", path).pattern)
    return "|".join(whole)


def _phrase_end(little_words: Iterable[str]) -> str:
    words = "|".join(sorted(map(re.escape, little_words), key=len, reverse=True))
    return r"(?=\s*(?:$|[^\w\s\-'’/(])" + (rf"|\s+(?:{words})(?!\w))" if words else ")")


def _terms(terms: tuple[str, ...], *, but: tuple[str, ...] = ()) -> str:
    """The terms in every spelling that people use and the normaliser leaves; those of ``but`` not."""
    return term_pattern(form for form in _in_every_spelling(terms) if form not in but)


def _in_every_spelling(terms: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for term in terms for form in spellings(term)))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern) or r"(?!)")
