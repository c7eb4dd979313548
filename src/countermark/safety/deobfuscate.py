"""Undo obfuscation that is written in plain characters: spacing, dots, leet, stretched and unparted words.

Every step gets and gives lower-case text and adds the name of what it undid to ``signals``. Technical tokens of image
prompts (8k, 35mm, f/1.8, rtx3080, 1920s) are left alone throughout.
"""

from __future__ import annotations

import re
from typing import Final

from countermark.safety.known_words import fold_accents
from countermark.safety.lexicon import Lexicon

_LEET: Final[dict[str, str]] = {
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "l", "€": "e", "+": "t",
}  # fmt: skip
_LEET_TABLE: Final = str.maketrans(_LEET)
_LEET_TABLE_L: Final = str.maketrans(_LEET | {"1": "l", "!": "l", "|": "i"})
_LEET_CHARS: Final = frozenset(_LEET)
_RARE_IN_WORDS: Final = frozenset("@$|€")

_TECHNICAL: Final = re.compile(
    # 8k 35mm 16:9 1920s
    r"(?:\d+(?:[.,:/x×]\d+)*(?:k|d|mm|x|p|st|nd|rd|th|px|cm|m|f|g|b|fps|hd|bit|kg|ml|mp|am|pm|yo|yrs?)?'?s?"
    r"|\d+(?:-[a-z]+)+"  # 15-year-old
    r"|(?:f|v|iso|rtx|ue|u|mp|b|a|h|xt)/?\d+(?:\.\d+)?"  # f/1.8 iso400 rtx3080
    r"|[a-z]+-?\d+"  # unreal5 mark-2
    r"|\$\d[\d.,]*"  # $50
    r"|[^\W\d_]{3,}\d)"
)
_MEASURE: Final = re.compile(r"\d+(?:k|mm|d|p|x\d+|yo)|\d{2,}[.,]?\d*|\d+(?:-[a-z]+)+")
_ADDRESS: Final = re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+|(?:https?://|www\.).+")
_HEX_COLOUR: Final = re.compile(r"(?:[0-9a-f]{3,4}){1,2}")
_TOKEN_PARTS: Final = re.compile(r"([\"'(\[#]*)(.*?)([.,;:?)\]\"']*)", re.DOTALL)
_INNER_BREAK: Final = re.compile(r"[-'/]")
_BETWEEN_LETTERS: Final = re.compile(rf"(?<=[^\W\d_])[{re.escape(''.join(_LEET))}]+(?=[^\W\d_])")
_COMMA_INSIDE: Final = re.compile(r"(?<=\w)([,;])(?=\w)")

_SPACED: Final = re.compile(r"(?<!\S)(?:[^\W_]|['$@])(?:[ \t]{1,3}(?:[^\W_]|[.,;:!?'\"()\-$@])(?!\S)){2,}")
_SPACED_PUNCTUATION: Final = re.compile(r"([.,;:!?\"()\-]+)")
_SEPARATOR: Final = r"[._*\-~|/+·•∙‐‑–—]"
_DOTTED: Final = re.compile(rf"(?<![^\W_])_*[^\W_](?:{_SEPARATOR}{{1,3}}[^\W_]){{2,}}_*(?![^\W_])")
_SEPARATORS: Final = re.compile(_SEPARATOR)
_LISTED: Final = re.compile(r"(?<![\w@$])[^\W_](?:[:,;=\\()\[\]{}<>'❤♥\ufe0f]{1,2}[^\W_]){2,}(?![\w@$])")
_BROKEN: Final = re.compile(rf"(?<![^\W_])[^\W_]+(?:{_SEPARATOR}[^\W_]+){{1,3}}(?![^\W_])")
_LEAST_JOINED: Final = 3
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
_STRETCHED: Final = re.compile(r"([a-z])\1{2,}")
_WORD: Final = re.compile(r"[a-z]+")
_NAME_IN_LEET: Final = re.compile(r"(?=.*[0134579])(?=.{4})[0134579@$]?(?:[^\W\d_]+[0134579@$])*[^\W\d_]*")
_RUN: Final = re.compile(r"(?<![\w@#/.])[a-z]{13,}(?![\w@/.]\w)")
_ROMAN: Final = re.compile(r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_THREE_CONSONANTS: Final = re.compile(r"(?!.*([a-z])\1{3})(?!.*([aeiou])\2\2)[a-z]+")


def join_spaced_letters(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``n u d e  w o m a n`` → ``nude woman``: joins runs of single Latin characters, then finds the words in them.

    Three characters are joined only where they make a word; a run that is mostly digits is left alone.
    """

    def join(match: re.Match[str]) -> str:
        run = "".join(match.group().split())
        letters = sum(char.isalpha() for char in run)
        if not _is_latin(run) or letters < 3 or 2 * letters <= len(run) or fold_accents(run) in _ALPHABET:
            return match.group()
        if len(run) == 3 and run not in lexicon:
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


def join_dotted_letters(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``n.u.d.e`` or ``n-u-d-e`` → ``nude``, for at least three single letters; numbers and dates stay.

    Signs that also part the items of a list (``n,u,d,e``) are looked past only where a word comes of it, and a sign
    within a word (``n.ude``) only where it is one that filters look for.
    """

    def join(match: re.Match[str]) -> str:
        word = _SEPARATORS.sub("", match.group())
        letters = sum(char.isalpha() for char in word)
        if letters < 3 or not _is_latin(word):
            return match.group()
        if letters > 3:  # u.s.a. hides nothing
            signals.add("dotted")
        return word

    def join_to_a_word(match: re.Match[str]) -> str:
        word = "".join(char for char in match.group() if char.isalnum())
        if len(word) < _LEAST_JOINED or word in _ALPHABET or not lexicon.knows(word.translate(_LEET_TABLE)):
            return match.group()
        signals.add("dotted")
        return word

    def mend(match: re.Match[str]) -> str:
        parts = _SEPARATORS.split(match.group())
        word = "".join(parts)
        if word not in lexicon.sought or all(part in lexicon for part in parts):
            return match.group()
        signals.add("dotted")
        return word

    return _BROKEN.sub(mend, _LISTED.sub(join_to_a_word, _DOTTED.sub(join, text)))


def undo_leet(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``n4k3d w0m4n`` → ``naked woman``.

    A token is rewritten where that makes a word of what was none; a product, a year or an address makes none. Where a
    quarter of the tokens are such words, or half of them look like names (``4ngela M3rkel``), the text is taken to be
    written in leet, and its other tokens are rewritten too.
    """
    if not any(char in _LEET_CHARS for char in text):
        return text
    tokens = _COMMA_INSIDE.sub(r"\1 ", text).split()
    words = [_word_in_leet(token, lexicon) for token in tokens]
    found = sum(word is not None for word in words)
    named = found + sum(
        word is None and _may_be_a_name(token, lexicon) for token, word in zip(tokens, words, strict=True)
    )
    if not named:
        return text
    if (found >= 2 and 4 * found >= len(tokens)) or (named >= 2 and 2 * named >= len(tokens)):
        words = [word or _in_leet_throughout(token, lexicon) for token, word in zip(tokens, words, strict=True)]
    rewritten = [word or token for token, word in zip(tokens, words, strict=True)]
    if rewritten == tokens:
        return text
    signals.add("leet")
    return " ".join(rewritten)


def _word_in_leet(token: str, lexicon: Lexicon) -> str | None:
    """A token as the word that it disguises, or ``None`` where it disguises none for certain."""
    before, core, after = _parts(token)
    stem = core.rstrip("!+")  # "hello!" and "c++"
    if not (_is_mixed(stem) and _looks_replaced(stem, lexicon)) or _is_technical(before, stem, lexicon):
        return None
    word = _known_reading(core, stem, lexicon)
    return None if word is None else before + word + after


def _may_be_a_name(token: str, lexicon: Lexicon) -> bool:
    """Whether single digits stand for letters in a token that is no word: m3rkel, not a320neo or 1girl."""
    before, core, _ = _parts(token)
    stem = core.rstrip("!+")
    letters = "".join(char for char in stem if char.isalpha())
    return (
        _NAME_IN_LEET.fullmatch(stem) is not None
        and not lexicon.knows(letters)
        and not _is_technical(before, stem, lexicon)
    )


def _parts(token: str) -> tuple[str, str, str]:
    """The punctuation before a token, the token, and the punctuation behind it."""
    parts = _TOKEN_PARTS.fullmatch(token)
    return (parts[1], parts[2], parts[3]) if parts else ("", token, "")


def _is_mixed(stem: str) -> bool:
    """Whether letters and leet stand together in each part of a token: not in 3-in-1, nor in f/2.8."""
    parts = [part for part in _INNER_BREAK.split(stem) if any(char in _LEET_CHARS for char in part)]
    return bool(parts) and all(any(char.isalpha() for char in part) for part in parts)


def _looks_replaced(stem: str, lexicon: Lexicon) -> bool:
    """Whether leet stands for a letter: between letters, twice, as a sign, or in a word that filters look for.

    A digit before or behind a word counts it (1girl), and a name has an @ before it (@live).
    """
    return (
        _BETWEEN_LETTERS.search(stem) is not None
        or sum(char in _LEET_CHARS for char in stem) >= 2
        or (any(char in _RARE_IN_WORDS for char in stem) and not lexicon.knows(stem.removeprefix("@")))
        or any(stem.translate(table) in lexicon.sought for table in (_LEET_TABLE, _LEET_TABLE_L))
    )


def _is_technical(before: str, stem: str, lexicon: Lexicon) -> bool:
    """35mm and unreal5 are; porn0 would be, were it not the disguise of a word that filters look for."""
    if any(stem.translate(table) in lexicon.sought for table in (_LEET_TABLE, _LEET_TABLE_L)):
        return False
    is_colour = before.endswith("#") and _HEX_COLOUR.fullmatch(stem) is not None
    return is_colour or _TECHNICAL.fullmatch(stem) is not None or _ADDRESS.fullmatch(stem) is not None


def _known_reading(core: str, stem: str, lexicon: Lexicon) -> str | None:
    for table in (_LEET_TABLE, _LEET_TABLE_L):
        for source, bang in ((stem, core[len(stem) :]), (core, "")):
            if lexicon.knows(source.translate(table)):
                return source.translate(table) + bang
    return None


def _in_leet_throughout(token: str, lexicon: Lexicon) -> str | None:
    """A token of a text in leet, as a word or as its letters; ``None`` for numbers and measures."""
    before, core, after = _parts(token)
    stem = core.rstrip("!+")
    if not any(char in _LEET_CHARS for char in core) or _MEASURE.fullmatch(stem) or _ADDRESS.fullmatch(stem):
        return None
    word = _known_reading(core, stem, lexicon)
    return before + (word if word is not None else stem.translate(_LEET_TABLE) + core[len(stem) :]) + after


def collapse_repeats(text: str, lexicon: Lexicon) -> str:
    """``nuuuude`` → ``nude``: three or more equal letters become one where that makes a word, else two.

    Numerals (XXXIII) stay, and where no word comes of it three consonants do (CCCP, Schifffahrt).
    """
    if not _STRETCHED.search(text):
        return text

    def collapse(match: re.Match[str]) -> str:
        word = match.group()
        if not _STRETCHED.search(word) or word in lexicon or _ROMAN.fullmatch(word):
            return word
        doubled = _STRETCHED.sub(r"\1\1", word)
        single = _STRETCHED.sub(r"\1", word)
        if single in lexicon and doubled not in lexicon:
            return single
        return word if doubled not in lexicon and _THREE_CONSONANTS.fullmatch(word) else doubled

    return _WORD.sub(collapse, text)


def part_words(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """``anakedwomanonabed`` → ``a naked woman on a bed``: runs of frequent words, which no name or compound is."""

    def part(match: re.Match[str]) -> str:
        words = lexicon.split(match.group()) if match.group() not in lexicon else []
        if not words:
            return match.group()
        signals.add("run_together")
        return " ".join(words)

    return _RUN.sub(part, text)
