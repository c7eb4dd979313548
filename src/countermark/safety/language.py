"""Whether a prompt is in a language that the shipped model reads: English, in Latin letters.

A model that cannot read a text gives it a low score, and a low score reads as "safe". So this module says when not to
believe one. It is no general language identifier: it looks for letters that the model's vocabulary lacks, and for
frequent words of other languages, and gives a short prompt of rare names the benefit of the doubt.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from countermark.safety.lexicon import Lexicon, shipped_lexicon

UNREAD_LETTERS_ALLOWED: Final = 2
"""A single Chinese character (counted twice, for it is a word) on a sign is no reason to refuse; a phrase is."""

_WORD: Final = re.compile(r"[^\W\d_]+")

_NO_LANGUAGES: Final = ("weak", "not_telling", "english")


@dataclass(frozen=True, slots=True)
class _FrequentWords:
    """The words of ``data/frequent_words.yaml``: telling ones, ones of which several are needed, and English ones."""

    strong: frozenset[str]
    weak: frozenset[str]
    english: frozenset[str]


@lru_cache(maxsize=1)
def _frequent_words() -> _FrequentWords:
    groups: dict[str, str] = YAML(typ="safe").load(Path(__file__).parent / "data" / "frequent_words.yaml")
    words = {name: frozenset(group.split()) for name, group in groups.items()}
    foreign = frozenset[str]().union(*(group for name, group in words.items() if name not in _NO_LANGUAGES))
    return _FrequentWords(foreign - words["weak"] - words["not_telling"], words["weak"], words["english"])


@dataclass(frozen=True, slots=True)
class LanguageVerdict:
    """Whether the model can read a text; ``reason`` says why not."""

    supported: bool
    reason: str = ""


_SUPPORTED: Final = LanguageVerdict(True)


def identify(text: str, lexicon: Lexicon | None = None) -> LanguageVerdict:
    """Say whether a *normalised* text is in a language that the shipped prompt model reads.

    Args:
        text: normalised text: lower case, without marks on Latin letters.
        lexicon: English word counts; the shipped ones by default.
    """
    lexicon = lexicon if lexicon is not None else shipped_lexicon()
    if _unread_letters(text) > UNREAD_LETTERS_ALLOWED:
        return LanguageVerdict(False, "part of the prompt is in a script that no installed model reads")
    words = _WORD.findall(text)
    if _is_foreign(words, lexicon):
        return LanguageVerdict(False, "the prompt seems to be in a language that no installed model reads")
    return _SUPPORTED


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


def _is_foreign(words: list[str], lexicon: Lexicon) -> bool:
    frequent = _frequent_words()
    strong = sum(word in frequent.strong for word in words)
    weak = sum(word in frequent.weak for word in words)
    english = sum(word in frequent.english for word in words)
    foreign = strong + weak / 3
    if strong and foreign >= 1.3 and foreign > english:
        return True
    if strong and len(words) <= 4 and not english:
        return True
    unknown = sum(word not in lexicon for word in words)
    return unknown >= 4 and not english and unknown >= 0.6 * len(words)
