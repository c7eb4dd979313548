"""Names and ages in a prompt: public figures, brands, characters, ages below 18. Off unless a deployer asks for them.

Each kind is a list in ``policies/terms/entities/``, to be edited or added to. Names match whole, in any case, with or
without accents, as written or run together (``@emmawatson``); a first name alone is nobody. A list may hold patterns
too, regular expressions that are looked for in the lower-case prompt. A list is all that this detector knows:
"assessed" with score 0 means that nothing of the list is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from countermark.errors import CountermarkError, PolicyInvalid, SettingsInvalid
from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, Severity, Stage
from countermark.model.base import Frozen
from countermark.resources import data_path
from countermark.safety.interface import PROMPT_CATEGORIES, assessed, not_assessed
from countermark.safety.known_words import fold_accents
from countermark.safety.minors import MinorsRule
from countermark.safety.normalise import TOO_LONG_WRITTEN_OUT, TRUNCATED, normalise
from countermark.safety.terms import compile_pattern, digest_of, with_tags_apart
from countermark.yaml_file import read_yaml_file

DETECTOR_ID: Final = "countermark.entities"
ENTITIES_FOLDER: Final = "entities"
MINOR_AGE: Final = "minor_age"
_WORD_OR_BREAK: Final = re.compile(r"[^\W_]+|[,;:!?()]")
_SHORTEST_RUN: Final = 7  # of a name written without spaces; shorter ones are in other words

Words = tuple[str, ...]


class EntityList(Frozen):
    """One file. ``kind`` names it in settings and in signals; ``minor_age`` takes its patterns from the minors rule."""

    apiVersion: Literal["countermark.entities/v1"]  # noqa: N815 (the name in the file)
    kind: str = Field(pattern=r"^[a-z][a-z0-9_]{1,30}$")
    category: Category
    version: str
    score: float = Field(ge=0, le=1)
    severity: Severity
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    except_: tuple[str, ...] = Field(default=(), alias="except")


@dataclass(frozen=True)
class _Names:
    """Names as tuples of folded words, and run together."""

    whole: frozenset[Words]
    run_together: frozenset[str]
    exceptions: frozenset[Words]
    longest: int
    patterns: tuple[re.Pattern[str], ...]

    def are_in(self, words: Words) -> bool:
        """Whether any name is among the words of a prompt, exceptions and middle initials aside."""
        words = self._without_exceptions(words)
        if any(word in self.run_together for word in words):
            return True
        without_initials = tuple(word for word in words if len(word) != 1)
        return any(
            piece in self.whole for stream in {words, without_initials} for _, piece in _pieces(stream, self.longest)
        )

    def _without_exceptions(self, words: Words) -> Words:
        gone: set[int] = set()
        for start, piece in _pieces(words, self.longest):
            if piece in self.exceptions:
                gone.update(range(start, start + len(piece)))
        return tuple("" if index in gone else word for index, word in enumerate(words))


def _pieces(words: Words, longest: int) -> Iterator[tuple[int, Words]]:
    for start in range(len(words)):
        for length in range(1, min(longest, len(words) - start) + 1):
            yield start, words[start : start + length]


def _folded_words(text: str) -> Words:
    """Lower-case words without accents; punctuation that no name runs across is an empty word."""
    found = _WORD_OR_BREAK.findall(fold_accents(text.casefold()))
    return tuple(word if word.isalnum() else "" for word in found)


def _compile(spec: EntityList, path: Path) -> _Names:
    whole = frozenset(_folded_words(name) for name in spec.names)
    exceptions = frozenset(_folded_words(phrase) for phrase in spec.except_)
    if not all(map(any, whole | exceptions)):
        raise PolicyInvalid(f"{path}: a name or an exception holds no letters.")
    # J. K. Rowling is found as "Rowling" by nobody, and as "JK Rowling" by everybody.
    initials = frozenset(_join_initials(name) for name in whole)
    run_together = frozenset("".join(name) for name in whole if len(name) > 1 and len("".join(name)) >= _SHORTEST_RUN)
    longest = max((len(name) for name in (*whole, *exceptions)), default=1)
    patterns = tuple(compile_pattern(pattern, path) for pattern in spec.patterns)
    return _Names(whole | initials, run_together, exceptions, longest, patterns)


def _join_initials(name: Words) -> Words:
    count = next((index for index, word in enumerate(name) if len(word) > 1), 0)
    return ("".join(name[:count]), *name[count:]) if count > 1 else name


class EntityPrompts:
    """A partial :class:`~countermark.safety.interface.PromptClassifier` for the kinds of entities that are asked for.

    Args:
        kinds: which lists to read, by their ``kind``: ``public_figure``, ``brand``, ``character``, ``minor_age``, or a
            deployer's own.
        terms: the folder of term lists, with the folder ``entities`` in it; the shipped one by default.

    Raises:
        PolicyInvalid: a file cannot be used.
        SettingsInvalid: a kind has no list, or none is asked for.
    """

    def __init__(self, kinds: Iterable[str] = ("public_figure",), *, terms: Path | None = None) -> None:
        wanted = frozenset(kinds)
        folder = terms or data_path("policies/terms")
        found = [(path, _read(path)) for path in sorted((folder / ENTITIES_FOLDER).glob("*.yaml"))]
        unknown = wanted - {spec.kind for _, spec in found}
        if unknown or not wanted:
            known = ", ".join(sorted({spec.kind for _, spec in found})) or "none"
            what = f"no list of entities is of the kind {', '.join(sorted(unknown))}" if unknown else "no kind is named"
            raise SettingsInvalid(f"Entities in prompts: {what}; there are: {known}.")
        chosen = [(path, spec) for path, spec in found if spec.kind in wanted]
        self._files = [path for path, _ in chosen]
        self._lists = [(spec, _compile(spec, path)) for path, spec in chosen]
        self._minors = MinorsRule(terms) if MINOR_AGE in wanted else None

    @cached_property
    def detector(self) -> DetectorRef:
        """Named after the newest version among the lists; the digest covers their bytes."""
        version = max(spec.version for spec, _ in self._lists)
        return DetectorRef(id=DETECTOR_ID, version=version, digest=digest_of(self._files))

    @property
    def categories(self) -> frozenset[Category]:
        """The categories of the lists that are read."""
        return frozenset(spec.category for spec, _ in self._lists)

    def assess(self, text: str) -> tuple[Finding, ...]:
        """A finding for each list with a hit, and one for each category without; never quotes the prompt."""
        if not text.strip() or len(text) > MAX_PROMPT_CHARS:
            return self._nothing("the prompt is empty or too long")
        try:
            normalised = normalise(text)
        except CountermarkError as error:
            return self._nothing(f"{error.code}: {error.message}")
        readings = tuple(dict.fromkeys((text.lower(), normalised.text)))
        signals = tuple(sorted(normalised.signals))
        hits = [self._finding(spec, signals) for spec, names in self._lists if self._hit(spec, names, readings)]
        without = self.categories - {finding.category for finding in hits}
        if TRUNCATED in normalised.signals:
            return (*hits, *(one for one in self._nothing(TOO_LONG_WRITTEN_OUT) if one.category in without))
        clear = [
            assessed(Stage.PROMPT, category, self.detector, 0.0, 0, reason="nothing on the lists is named")
            for category in PROMPT_CATEGORIES
            if category in without
        ]
        return (*hits, *clear)

    def _hit(self, spec: EntityList, names: _Names, readings: tuple[str, ...]) -> bool:
        if spec.kind == MINOR_AGE and self._minors is not None:
            return any(self._minors.names_an_age(reading) for reading in readings)
        return any(
            names.are_in(_folded_words(reading)) or any(pattern.search(reading) for pattern in names.patterns)
            for reading in with_tags_apart(readings)
        )

    def _finding(self, spec: EntityList, signals: tuple[str, ...]) -> Finding:
        what = spec.kind.replace("_", " ")
        listed = "" if spec.kind == MINOR_AGE else " that is on the list"
        return assessed(
            Stage.PROMPT,
            spec.category,
            self.detector,
            spec.score,
            spec.severity,
            reason=f"the prompt names a {what}{listed}",
            signals=(f"entity_{spec.kind}", *signals),
        )

    def _nothing(self, reason: str) -> tuple[Finding, ...]:
        return tuple(
            not_assessed(Stage.PROMPT, category, self.detector, reason)
            for category in PROMPT_CATEGORIES
            if category in self.categories
        )


def _read(path: Path) -> EntityList:
    spec = read_yaml_file(path, EntityList)
    if spec.category not in PROMPT_CATEGORIES:
        raise PolicyInvalid(f"{path}: category: {spec.category} is not one of the prompt stage.")
    return spec


def entity_prompts(kinds: Iterable[str], terms: Path | None = None) -> EntityPrompts:
    """The classifier for the kinds that settings name, to be joined as ``Another(entity_prompts(kinds), "always")``."""
    return EntityPrompts(kinds, terms=terms)
