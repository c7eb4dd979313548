"""Which language a prompt is in, and whether the shipped model, which reads English, can read it.

A model that cannot read a text gives it a low score, and a low score reads as "safe". So this module says when not to
believe one. Three kinds of evidence are put together: letters that no supported language has, frequent words of other
languages, and a small model of character n-grams. A short prompt of rare names gets the benefit of the doubt.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from countermark.safety.known_words import fold_accents, known_words
from countermark.safety.language_model import LanguageModel
from countermark.safety.lexicon import Lexicon, shipped_lexicon
from countermark.safety.weights import WeightFiles, read_word_groups

LANGUAGE_MODEL_FILE: Final = Path(__file__).parent / "multilingual_weights" / "languages.npz"
_WORDS_FILE: Final = Path(__file__).parent / "data" / "frequent_words.yaml"
ENGLISH: Final = "en"
UNTOLD: Final = "other"
"""A language that is not English and none of those that the language model knows, or that nobody can tell."""

UNREAD_LETTERS_ALLOWED: Final = 2
"""A single Chinese character (counted twice, for it is a word) on a sign is no reason to refuse; a phrase is."""

_WORD: Final = re.compile(r"[^\W\d_]+")

_CLAUSE_BREAK: Final = re.compile(r"[.,;:!?|()\"]+(?:\s|$)|(?:^|\s)[(\"]+|\s[-–—]+\s")
_LONGEST_CLAUSE: Final = 7  # words; what is longer is looked at in pieces that overlap
_PIECE: Final = 5
_STEP: Final = 2
_WORDS_OF_A_SENTENCE: Final = 5
_WORDS_OF_NO_TITLE: Final = 7

_NO_LANGUAGES: Final = ("weak", "not_telling", "english")


@dataclass(frozen=True, slots=True)
class _FrequentWords:
    """The words of ``data/frequent_words.yaml``: telling ones, ones of which several are needed, and English ones."""

    strong: frozenset[str]
    weak: frozenset[str]
    english: frozenset[str]


@lru_cache(maxsize=1)
def _frequent_words() -> _FrequentWords:
    groups = read_word_groups(_WORDS_FILE)
    words = {name: frozenset(groups.get(name, "").split()) for name in {*groups, *_NO_LANGUAGES}}
    foreign = frozenset[str]().union(*(group for name, group in words.items() if name not in _NO_LANGUAGES))
    return _FrequentWords(foreign - words["weak"] - words["not_telling"], words["weak"], words["english"])


@dataclass(frozen=True, slots=True)
class LanguageVerdict:
    """Whether the English model can read a text; ``reason`` says why not, ``language`` what it is instead.

    ``language`` is an ISO 639-1 code (``en`` wherever ``supported``) or ``other``.
    """

    supported: bool
    reason: str = ""
    language: str = ENGLISH


OF_THE_EXTRA: Final = {
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
}
_SUPPORTED: Final = LanguageVerdict(True)
_NOT_ENGLISH: Final = 0.8  # the language model's probability from which its word alone is enough
_PERHAPS_NOT_ENGLISH: Final = 0.5  # enough where frequent words or unknown words say so too
_TOLD: Final = 0.5  # a language is named from this share of the probability that is not English's


@lru_cache(maxsize=1)
def shipped_language_model() -> LanguageModel:
    """The language model that ships with the package, read once.

    Raises:
        WeightsMissing: it is not there.
        WeightsMismatch: it is not the released one.
    """
    return LanguageModel(WeightFiles(LANGUAGE_MODEL_FILE.parent).checked(LANGUAGE_MODEL_FILE.name))


def identify(text: str, lexicon: Lexicon | None = None, *, model: LanguageModel | None = None) -> LanguageVerdict:
    """Say which language a *normalised* text is in, and whether the shipped English model reads it.

    Args:
        text: normalised text in lower case; with its accents it is told better than without.
        lexicon: English word counts; the shipped ones by default.
        model: the language model; the shipped one by default.
    """
    lexicon = lexicon if lexicon is not None else shipped_lexicon()
    words = _WORD.findall(fold_accents(text))
    unread = _unread_letters(text)
    # One ideograph may be all that is asked for.
    if unread > UNREAD_LETTERS_ALLOWED or (unread and not any(word.isascii() for word in words)):
        return LanguageVerdict(False, "part of the prompt is in a script that no installed model reads", UNTOLD)
    if not words:
        return _SUPPORTED
    probabilities = (model or shipped_language_model()).probabilities(text)
    if not _is_foreign(words, lexicon, 1.0 - probabilities[ENGLISH]):
        return _SUPPORTED
    return _unread(probabilities)


def _unread(probabilities: dict[str, float]) -> LanguageVerdict:
    language = _likeliest_foreign(probabilities)
    reason = "the prompt seems to be in a language that the English model does not read"
    if language in OF_THE_EXTRA:
        reason = f"the prompt seems to be in {OF_THE_EXTRA[language]}, which only the extra 'multilingual' reads"
    return LanguageVerdict(False, reason, language)


def foreign_passages(text: str, lexicon: Lexicon | None = None) -> list[tuple[str, LanguageVerdict]]:
    """The parts of a *normalised* text that are in another language than English, and what each is in.

    A request may stand behind a cover in English that is longer. Neighbouring clauses are taken together, and long
    ones are looked at a few words at a time. A name, a dish or a title is no passage: it takes two telling words (as
    *seine Frau* has), or one in five, or seven words in all (figures: ``training/multilingual/passages.py``).

    Args:
        text: normalised text in lower case, with its accents.
        lexicon: English word counts; the shipped ones by default.
    """
    lexicon = lexicon if lexicon is not None else shipped_lexicon()
    pieces = list(dict.fromkeys(_pieces(text)))
    if len(pieces) < 2:
        return []
    passages: list[tuple[str, LanguageVerdict]] = []
    run: list[str] = []
    for piece in [*pieces, ""]:
        if piece and not identify(piece, lexicon).supported:
            run.append(piece)
        elif run:
            if _is_told(run, lexicon):
                passage = ", ".join(run)
                passages.append((passage, _unread(shipped_language_model().probabilities(passage))))
            run = []
    return passages


def _pieces(text: str) -> Iterator[str]:
    for clause in _CLAUSE_BREAK.split(text):
        words = clause.split()
        if len(words) <= _LONGEST_CLAUSE:
            yield " ".join(words)
        else:
            for start in range(0, len(words) - _PIECE + _STEP, _STEP):
                yield " ".join(words[start : start + _PIECE])


def _is_told(run: list[str], lexicon: Lexicon) -> bool:
    words = {word for piece in run for word in _WORD.findall(fold_accents(piece))}
    strong, sought = _frequent_words().strong, known_words(lexicon).sought
    told = sum(word in strong or (word in sought and word not in lexicon) for word in words)
    return told >= 2 or (told >= 1 and len(words) >= _WORDS_OF_A_SENTENCE) or len(words) >= _WORDS_OF_NO_TITLE


def _likeliest_foreign(probabilities: dict[str, float]) -> str:
    foreign = {language: value for language, value in probabilities.items() if language != ENGLISH}
    language = max(foreign, key=lambda name: foreign[name])
    return language if foreign[language] >= _TOLD * sum(foreign.values()) else UNTOLD


def _unread_letters(text: str) -> int:
    if text.isascii():
        return 0
    return sum(_letters_worth(char) for char in text if ord(char) > 0x24F)


def _letters_worth(char: str) -> int:
    category = unicodedata.category(char)
    if category not in ("Lo", "Ll", "Lu", "Lt"):
        return 0
    if "\u1e00" <= char <= "\u1eff":  # more Latin
        return 0
    return 2 if "\u2e80" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af" or char >= "\U00020000" else 1


def _is_foreign(words: list[str], lexicon: Lexicon, not_english: float) -> bool:
    """Whether words without accents are of another language; ``not_english`` is what the language model says."""
    distinct = set(words)  # "la la land" repeats itself
    unknown = sum(word not in lexicon for word in distinct)
    if not_english >= _NOT_ENGLISH and len(words) > 1 and 3 * unknown > len(distinct):
        return True
    if not_english >= _PERHAPS_NOT_ENGLISH and len(distinct) > 3 and 2 * unknown >= len(distinct):
        return True
    if _has_frequent_foreign_words(words) and not_english >= _PERHAPS_NOT_ENGLISH:
        return True
    no_english = not any(word in _frequent_words().english for word in words)
    return unknown >= 4 and no_english and unknown >= 0.6 * len(distinct)


def _has_frequent_foreign_words(words: list[str]) -> bool:
    frequent = _frequent_words()
    strong = sum(word in frequent.strong for word in words)
    weak = sum(word in frequent.weak for word in words)
    english = sum(word in frequent.english for word in words)
    foreign = strong + weak / 3
    if strong and foreign >= 1.3 and foreign > english:
        return True
    return bool(strong) and len(words) <= 4 and not english
