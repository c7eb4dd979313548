"""Undo obfuscation that is written in plain characters: spacing, dots, leet, and stretched words.

Every step gets and gives lower-case text and adds the name of what it undid to ``signals``. Technical tokens of image
prompts (8k, 35mm, f/1.8, rtx3080, 1920s) are left alone throughout.
"""

from __future__ import annotations

import re
from typing import Final

from countermark.safety.lexicon import Lexicon

_LEET: Final[dict[str, str]] = {
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "l", "€": "e", "+": "t",
}  # fmt: skip
_LEET_TABLE: Final = str.maketrans(_LEET)
_LEET_TABLE_L: Final = str.maketrans(_LEET | {"1": "l", "!": "l"})
_LEET_CHARS: Final = frozenset(_LEET)
_RARE_IN_WORDS: Final = frozenset("@$|€")

_TECHNICAL: Final = re.compile(
    # 8k 35mm 16:9 1920s
    r"(?:\d+(?:[.,:/x×]\d+)*(?:k|d|mm|x|p|st|nd|rd|th|px|cm|m|f|g|b|fps|hd|bit|kg|ml|mp|am|pm|yo|yrs?)?'?s?"
    r"|\d+(?:-[a-z]+)+"  # 15-year-old
    r"|(?:f|v|iso|rtx|ue|u|mp|b|a|h|xt)/?\d+(?:\.\d+)?"  # f/1.8 iso400 rtx3080
    r"|[a-z]+-?\d+"  # unreal5 mark-2
    r"|\$\d[\d.,]*"  # $50
    r"|\w{3,}\d)"
)
_MEASURE: Final = re.compile(r"\d+(?:k|mm|d|p|x\d+|yo)|\d{2,}[.,]?\d*|\d+(?:-[a-z]+)+")
_TOKEN_PARTS: Final = re.compile(r"([\"'(\[]*)(.*?)([.,;:?)\]\"']*)", re.DOTALL)
_COMMA_INSIDE: Final = re.compile(r"(?<=\w)([,;])(?=\w)")

_SPACED: Final = re.compile(r"(?<!\S)(?:[^\W_]|['$@])(?:[ \t]{1,3}(?:[^\W_]|[.,;:!?'\"()\-$@])(?!\S)){2,}")
_SPACED_PUNCTUATION: Final = re.compile(r"([.,;:!?\"()\-]+)")
_SEPARATOR: Final = r"[._*\-~|/+·•∙‐‑–—]"
_DOTTED: Final = re.compile(rf"(?<![^\W_])_*[^\W_](?:{_SEPARATOR}{{1,3}}[^\W_]){{2,}}_*(?![^\W_])")
_SEPARATORS: Final = re.compile(_SEPARATOR)
_STRETCHED: Final = re.compile(r"([a-z])\1{2,}")
_WORD: Final = re.compile(r"[a-z]+")
_SPELT_WITH_THREE: Final = frozenset({"xxx", "www"})


def join_spaced_letters(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``n u d e  w o m a n`` → ``nude woman``: joins runs of single Latin characters, then finds the words in them.

    Three characters are joined only where they make a word; a run that is mostly digits is left alone.
    """

    def join(match: re.Match[str]) -> str:
        run = "".join(match.group().split())
        letters = sum(char.isalpha() for char in run)
        if not _is_latin(run) or letters < 3 or 2 * letters <= len(run) or (len(run) == 3 and run not in lexicon):
            return match.group()
        words: list[str] = []
        for part in _SPACED_PUNCTUATION.split(run):
            if part and (part[0].isalnum() or part[0] in "'$@"):
                words += lexicon.segment(part.translate(_LEET_TABLE) if any(char.isalpha() for char in part) else part)
            elif part:
                words.append(part)
        joined = " ".join(words)
        if joined == " ".join(match.group().split()):
            return match.group()
        signals.add("spaced")
        return f" {joined} "

    return _SPACED.sub(join, text)


def _is_latin(text: str) -> bool:
    return all(char < "\u0250" for char in text)


def is_spelt_out(word: str) -> bool:
    """Whether a word is written letter by letter, as in n.u.d.e."""
    return _DOTTED.fullmatch(word) is not None


def join_dotted_letters(text: str, signals: set[str]) -> str:
    """``n.u.d.e`` or ``n-u-d-e`` → ``nude``, for at least three single letters; numbers and dates stay."""

    def join(match: re.Match[str]) -> str:
        word = _SEPARATORS.sub("", match.group())
        letters = sum(char.isalpha() for char in word)
        if letters < 3 or not _is_latin(word):
            return match.group()
        if letters > 3:  # u.s.a. hides nothing
            signals.add("dotted")
        return word

    return _DOTTED.sub(join, text)


def undo_leet(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``n4k3d w0m4n`` → ``naked woman``.

    A token is rewritten when the result is a word. Where a quarter of the tokens mix letters with leet characters the
    text is taken to be written in leet, and its other tokens are rewritten too.
    """
    if not any(char in _LEET_CHARS for char in text):
        return text
    tokens = _COMMA_INSIDE.sub(r"\1 ", text).split()
    mixed = sum(_mixes_letters_and_leet(token, lexicon) for token in tokens)
    if not mixed:
        return text
    throughout = mixed >= 2 and 4 * mixed >= len(tokens)
    rewritten = [_undo_leet_token(token, lexicon, throughout) for token in tokens]
    if rewritten == tokens:
        return text
    signals.add("leet")
    return " ".join(rewritten)


def _mixes_letters_and_leet(token: str, lexicon: Lexicon) -> bool:
    core = token.strip(".,;:?()[]\"'!").removesuffix("++")  # c++ is no disguise, however often it is said
    return (
        any(char.isalpha() for char in core)
        and any(char in _LEET_CHARS for char in core)
        and not _is_technical(core, lexicon)
    )


def _is_technical(token: str, lexicon: Lexicon) -> bool:
    """35mm and unreal5 are; porn0 would be, were it not the disguise of a word that filters look for."""
    hidden = any(token.translate(table) in lexicon.sought for table in (_LEET_TABLE, _LEET_TABLE_L))
    return _TECHNICAL.fullmatch(token) is not None and not hidden


def _undo_leet_token(token: str, lexicon: Lexicon, throughout: bool) -> str:
    parts = _TOKEN_PARTS.fullmatch(token)
    if parts is None:
        return token
    before, core, after = parts.groups()
    if not any(char in _LEET_CHARS for char in core):
        return token
    stem = core.rstrip("!+")  # "hello!" and "c++"
    if not _may_be_leet(stem, lexicon, throughout):
        return token
    readings = [
        (source.translate(table), bang)
        for table in (_LEET_TABLE, _LEET_TABLE_L)
        for source, bang in ((stem, core[len(stem) :]), (core, ""))
    ]
    for reading, bang in readings:
        if lexicon.knows(reading):
            return before + reading + bang + after
    leet_count = sum(char in _LEET_CHARS for char in stem)
    if throughout or leet_count >= 2 or any(char in _RARE_IN_WORDS for char in stem):
        reading, bang = readings[0]
        return before + reading + bang + after
    return token


def _may_be_leet(stem: str, lexicon: Lexicon, throughout: bool) -> bool:
    if throughout:
        return not _MEASURE.fullmatch(stem)
    has_letter = any(char.isalpha() for char in stem)
    has_leet = any(char in _LEET_CHARS for char in stem)
    return has_letter and has_leet and not _is_technical(stem, lexicon)


def collapse_repeats(text: str, lexicon: Lexicon) -> str:
    """``nuuuude`` → ``nude``: three or more equal letters become one where that makes a word, else two."""
    if not _STRETCHED.search(text):
        return text

    def collapse(match: re.Match[str]) -> str:
        word = match.group()
        if not _STRETCHED.search(word) or word in lexicon or word in _SPELT_WITH_THREE:
            return word
        doubled = _STRETCHED.sub(r"\1\1", word)
        single = _STRETCHED.sub(r"\1", word)
        return single if single in lexicon and doubled not in lexicon else doubled

    return _WORD.sub(collapse, text)
