"""Undo textual obfuscation before a classifier reads a prompt, and say which obfuscation was found.

The order of the steps matters: invisible characters hide letters from every later step, and look-alikes must become
letters before words can be recognised::

    control and invisible characters → compatibility forms (NFKC) → stacked marks → visual look-alikes
    → lower case → s p a c e d and d.o.t.t.e.d letters → l33t → repeated letters → white space

Ordinary prompts pass unchanged but for case and white space, and so does ordinary text of other scripts: only Latin
letters lose their marks, and a word of another script is read as Latin only where the rest of the text says that it is
meant so. The function is pure and idempotent; ``NORMALISER_VERSION`` changes whenever its output may.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from countermark.safety import deobfuscate
from countermark.safety.confusables import FOREIGN, LATIN_VARIANTS, SYMBOL_LETTERS
from countermark.safety.lexicon import Lexicon, shipped_lexicon

NORMALISER_VERSION: Final = "1"

MAX_NORMALISED_CHARS: Final = 20_000
"""Longer texts are cut here and carry the signal ``truncated``, so that no input costs unbounded time."""

_MAX_PASSES: Final = 6
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS: Final = "\u200c\u200d"
_BIDI_OVERRIDE: Final = re.compile("[\u202d\u202e]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_TOKEN: Final = re.compile(r"\S+")
_WHITE_SPACE: Final = re.compile(r"\s+")
_QUOTES: Final = str.maketrans("‘’‚‛“”„‟´`", "''''\"\"\"\"''")
_SYMBOLS: Final = str.maketrans(SYMBOL_LETTERS)
_FOREIGN: Final = str.maketrans(FOREIGN)
_VARIANTS: Final = str.maketrans(LATIN_VARIANTS | {k.lower(): v.lower() for k, v in LATIN_VARIANTS.items()})
_FEW: Final = 2  # this many odd characters can come from copying and pasting; more are on purpose
_MARK_STACK: Final = 3  # Vietnamese needs two marks on a letter, no orthography in Latin letters needs three


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """Text as a classifier should read it, and the kinds of obfuscation that were undone on the way."""

    text: str
    signals: frozenset[str]


def normalise(text: str, lexicon: Lexicon | None = None) -> NormalisedText:
    """Undo obfuscation in ``text``.

    Args:
        text: any string; beyond ``MAX_NORMALISED_CHARS`` it is cut and marked ``truncated``.
        lexicon: English word counts; the shipped ones by default.

    Returns:
        Lower-case text without obfuscation, and signals out of ``control``, ``zero_width``, ``bidi``, ``compat_forms``,
        ``marks``, ``homoglyph``, ``spaced``, ``dotted``, ``leet``, ``truncated``.
    """
    lexicon = lexicon if lexicon is not None else shipped_lexicon()
    signals: set[str] = set()
    current = _cut(text, signals)
    for _ in range(_MAX_PASSES):
        following = _cut(_one_pass(current, lexicon, signals), signals)
        if following == current:
            break
        current = following
    return NormalisedText(current, frozenset(signals))


def _cut(text: str, signals: set[str]) -> str:
    if len(text) <= MAX_NORMALISED_CHARS:
        return text
    signals.add("truncated")
    return text[:MAX_NORMALISED_CHARS].rstrip()


def _one_pass(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    text = _drop_control(text, signals)
    if not text.isascii():
        text = _drop_invisible(text, signals)
        text = _fold_compatibility_forms(text, signals)
        text = _drop_latin_marks(text, signals)
        text = _fold_look_alikes(text, lexicon, signals)
    text = text.lower().translate(_QUOTES)
    text = deobfuscate.join_spaced_letters(text, lexicon, signals)
    text = deobfuscate.join_dotted_letters(text, signals)
    text = deobfuscate.undo_leet(text, lexicon, signals)
    text = deobfuscate.collapse_repeats(text, lexicon)
    return _WHITE_SPACE.sub(" ", text).strip()


def _drop_control(text: str, signals: set[str]) -> str:
    clean = _CONTROL.sub("", text)
    if len(text) - len(clean) > _FEW:
        signals.add("control")
    # A lone surrogate is no character at all, and no tokenizer can encode it.
    return clean if clean.isascii() else clean.encode("utf-8", "replace").decode("utf-8")


def _drop_invisible(text: str, signals: set[str]) -> str:
    if _BIDI_OVERRIDE.search(text):
        signals.add("bidi")

    def keep_joiner(match: re.Match[str]) -> str:
        # Persian and the Indic scripts spell words with joiners; between Latin letters they only hide.
        char, before, after = (
            match.group(),
            text[match.start() - 1 : match.start()],
            text[match.end() : match.end() + 1],
        )
        return char if char in _JOINERS and _shapes_by_joining(before) and _shapes_by_joining(after) else ""

    clean = _INVISIBLE.sub(keep_joiner, text)
    if len(text) - len(clean) > _FEW:
        signals.add("zero_width")
    return clean


def _shapes_by_joining(char: str) -> bool:
    return bool(char) and ("\u0600" <= char <= "\u08ff" or "\u0900" <= char <= "\u0dff" or "\u1780" <= char <= "\u17ff")


def _fold_compatibility_forms(text: str, signals: set[str]) -> str:
    if sum(_is_styled_latin(char) for char in text) > _FEW:
        signals.add("compat_forms")
    return unicodedata.normalize("NFKC", text.translate(_SYMBOLS))


def _is_styled_latin(char: str) -> bool:
    """Full-width, mathematical, enclosed or emoji Latin letters (full-width punctuation is ordinary Japanese)."""
    return (
        "\uff21" <= char <= "\uff3a"
        or "\uff41" <= char <= "\uff5a"
        or "\U0001d400" <= char <= "\U0001d7ff"
        or "\u249c" <= char <= "\u24e9"
        or "\U0001f110" <= char <= "\U0001f189"
        or "\U0001f1e6" <= char <= "\U0001f1ff"
    )


def _drop_latin_marks(text: str, signals: set[str]) -> str:
    """Removes combining marks from Latin letters (and from nothing at all), leaves them on every other script."""
    kept: list[str] = []
    on_latin, stack = True, 0
    for char in unicodedata.normalize("NFD", text):
        if unicodedata.category(char) in ("Mn", "Me"):
            stack += 1
            if on_latin and stack >= _MARK_STACK:
                signals.add("marks")
            if not on_latin:
                kept.append(char)
        else:
            on_latin, stack = char < "\u0250" or "\u1e00" <= char <= "\u1eff", 0
            kept.append(char)
    return unicodedata.normalize("NFKC", "".join(kept))


def _fold_look_alikes(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    words = _TOKEN.findall(text)
    read_whole_words = _foreign_words_are_disguises(words, lexicon)

    def fold(match: re.Match[str]) -> str:
        word = match.group()
        if word.isascii():
            return word
        word = _fold_latin_variants(word, lexicon)
        folded = _fold_foreign_letters(word, read_whole_words)
        if folded != word:
            signals.add("homoglyph")
        return folded

    return _TOKEN.sub(fold, text)


def _fold_latin_variants(word: str, lexicon: Lexicon) -> str:
    """``pørn`` → ``porn`` where that makes a word. No signal: these are ordinary letters of Polish and Danish."""
    folded = word.translate(_VARIANTS)
    return folded if folded.isascii() and lexicon.knows(folded.lower()) else word


def _fold_foreign_letters(word: str, read_whole_words: bool) -> str:
    if not any(char in FOREIGN for char in word):
        return word
    folded = word.translate(_FOREIGN).translate(_VARIANTS)
    has_latin = any(char.isascii() and char.isalpha() for char in word)
    return folded if has_latin or (read_whole_words and folded.isascii()) else word


def _foreign_words_are_disguises(words: list[str], lexicon: Lexicon) -> bool:
    """Whether words written wholly in another script are Latin words in disguise.

    They are when *all* of them can be drawn with Latin look-alikes (real Russian or Greek needs letters that cannot),
    and most of them then read as English words, beside Latin words or at least three different ones.
    """
    foreign = [word for word in words if not word.isascii() and not any(c.isascii() and c.isalpha() for c in word)]
    foreign = [word for word in foreign if any(char.isalpha() for char in word)]
    folded = {word.translate(_FOREIGN).lower() for word in foreign}
    if not folded or not all(word.isascii() for word in folded):
        return False
    known = sum(lexicon.knows(word) for word in folded)
    in_company = any(char.isalpha() for word in words if word.isascii() for char in word)
    return 2 * known > len(folded) and (in_company or known >= 3)
