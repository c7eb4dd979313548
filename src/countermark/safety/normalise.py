"""Undo textual obfuscation before a classifier reads a prompt, and say which obfuscation was found.

The order of the steps matters: invisible characters hide letters from every later step, and look-alikes must become
letters before words can be recognised::

    control and invisible characters, &#101;ntities → compatibility forms (NFKC) → stacked marks → visual look-alikes
    → lower case → (syntax:1.2) of generators → s p a c e d and d.o.t.t.e.d letters → under_scores → l33t
    → repeated letters → wordsruntogether → white space

Ordinary prompts pass unchanged but for case and white space, and so does ordinary text of other scripts, emoji and
flags included: a word of another script is read as Latin only where the rest of the text says that it is meant so.
There are two readings. ``text`` drops the accents of Latin letters, for the English model and the lists; ``accented``
keeps those that an orthography may use, for whatever reads other languages. The function is pure and idempotent in
both readings; ``NORMALISER_VERSION`` changes whenever its output may.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from countermark.safety import deobfuscate, generator_syntax
from countermark.safety.confusables import FAUX, FOREIGN, LATIN_VARIANTS, SYMBOL_LETTERS
from countermark.safety.known_words import known_words
from countermark.safety.lexicon import Lexicon, shipped_lexicon

NORMALISER_VERSION: Final = "5"

MAX_NORMALISED_CHARS: Final = 20_000
"""Longer texts are cut here and carry the signal ``TRUNCATED``, so that no input costs unbounded time."""

TRUNCATED: Final = "truncated"
"""Signal of a text of which a part was cut off: whoever reads the rest has not read the prompt."""

TOO_LONG_WRITTEN_OUT: Final = f"the prompt is longer than {MAX_NORMALISED_CHARS:,} characters when it is written out"
"""Why such a prompt is not assessed."""

MAX_EXPANSION: Final = 18
"""No character becomes more than this many: the longest compatibility form (U+FDFA) has as many."""

_MAX_PASSES: Final = 6
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS: Final = "\u200c\u200d"
_EMOJI_GLUE: Final = "\u200d\ufe0e\ufe0f"
_BIDI_OVERRIDE: Final = re.compile("[\u202d\u202e]")
_RIGHT_TO_LEFT: Final = re.compile("\u202e([^\u202c\u2066-\u2069\n]*)")
_WORDY: Final = 8  # letters in known words from which text is taken to be meant
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_ENTITY: Final = re.compile(r"&#(?:([0-9]{2,7})|x([0-9a-f]{2,6}));", re.IGNORECASE)
_FLAG_RUN: Final = re.compile("[\U0001f1e6-\U0001f1ff]+")
_INDICATOR_TO_LETTER: Final = 0x1F1E6 - ord("a")
_SARA_AM: Final = re.compile("([\u0e33\u0eb3])")  # vowels of Thai and Lao that NFKC would take apart
_ALNUM_RUN: Final = re.compile(r"[^\W_]+")
_TOKEN: Final = re.compile(r"\S+")
_WHITE_SPACE: Final = re.compile(r"\s+")
_QUOTES: Final = str.maketrans("‘’‚‛“”„‟´`", "''''\"\"\"\"''")
_SYMBOLS: Final = str.maketrans(SYMBOL_LETTERS)
_FOREIGN: Final = str.maketrans(FOREIGN)
_FAUX: Final = str.maketrans(FAUX)
_VARIANTS: Final = str.maketrans(LATIN_VARIANTS | {k.lower(): v.lower() for k, v in LATIN_VARIANTS.items()})
_FEW: Final = 2  # this many odd characters can come from copying and pasting; more are on purpose
_MARK_STACK: Final = 3  # Vietnamese needs two marks on a letter, no orthography in Latin letters needs three


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """Text as a classifier should read it, and the kinds of obfuscation that were undone on the way.

    ``text`` is without accents on Latin letters; ``accented`` is the same text with the ordinary ones kept.
    """

    text: str
    signals: frozenset[str]
    accented: str = ""


def normalise(text: str, lexicon: Lexicon | None = None) -> NormalisedText:
    """Undo obfuscation in ``text``.

    Args:
        text: any string; beyond ``MAX_NORMALISED_CHARS`` it is cut and marked ``truncated``.
        lexicon: English word counts; the shipped ones by default.

    Returns:
        Both readings, lower-case and without obfuscation, of at most ``MAX_EXPANSION`` × the length of ``text`` and
        ``MAX_NORMALISED_CHARS``, and signals out of ``control``, ``zero_width``, ``bidi``, ``compat_forms``,
        ``marks``, ``homoglyph``, ``entities``, ``spaced``, ``dotted``, ``leet``, ``run_together``, ``truncated``.
    """
    words = known_words(lexicon if lexicon is not None else shipped_lexicon())
    signals: set[str] = set()
    text = _cut(text, signals)
    accented = _to_fixed_point(text, words, signals, keep_accents=True)
    folded = accented if accented.isascii() else _to_fixed_point(text, words, signals, keep_accents=False)
    return NormalisedText(folded, frozenset(signals), accented)


def _to_fixed_point(text: str, lexicon: Lexicon, signals: set[str], *, keep_accents: bool) -> str:
    for _ in range(_MAX_PASSES):
        following = _cut(_one_pass(text, lexicon, signals, keep_accents), signals)
        if following == text:
            break
        text = following
    return text


def _cut(text: str, signals: set[str]) -> str:
    if len(text) <= MAX_NORMALISED_CHARS:
        return text
    signals.add(TRUNCATED)
    return text[:MAX_NORMALISED_CHARS].rstrip()


def _one_pass(text: str, lexicon: Lexicon, signals: set[str], keep_accents: bool) -> str:
    text = _drop_control(text, signals)
    if "&#" in text:
        text = _read_entities(text, signals)
    if not text.isascii():
        text = _drop_invisible(_turn_round(text, lexicon, signals), signals)
        text = _fold_compatibility_forms(text, lexicon, signals)
        text = _drop_latin_marks(text, signals, keep_accents)
        text = _fold_look_alikes(text, lexicon, signals)
    text = text.lower().translate(_QUOTES)
    text = generator_syntax.take_off(text, lexicon)
    text = deobfuscate.join_spaced_letters(text, lexicon, signals)
    text = deobfuscate.join_dotted_letters(text, lexicon, signals).replace("_", " ")
    text = deobfuscate.undo_leet(text, lexicon, signals)
    text = deobfuscate.collapse_repeats(text, lexicon)
    text = deobfuscate.part_words(text, lexicon, signals)
    return _WHITE_SPACE.sub(" ", text).strip()


def _read_entities(text: str, signals: set[str]) -> str:
    """``&#110;ude`` → ``nude``: letters that are written as the numbers of characters, as in HTML."""

    def letter(match: re.Match[str]) -> str:
        number = int(match[1]) if match[1] else int(match[2], 16)
        char = chr(number) if number <= sys.maxunicode else ""
        return char if char.isalpha() else match.group()

    while (read := _ENTITY.sub(letter, text)) != text:
        signals.add("entities")
        text = read
    return text


def _drop_control(text: str, signals: set[str]) -> str:
    clean = _CONTROL.sub("", text)
    if len(text) - len(clean) > _FEW:
        signals.add("control")
    # A lone surrogate is no character at all, and no tokenizer can encode it.
    return clean if clean.isascii() else clean.encode("utf-8", "replace").decode("utf-8")


def _turn_round(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    """Text that is written backwards and shown forwards by an override, as it is shown; other text as it is written."""
    if not _BIDI_OVERRIDE.search(text):
        return text
    signals.add("bidi")

    def as_meant(match: re.Match[str]) -> str:
        written, shown = match[1], match[1][::-1]
        known = _letters_in_words(shown, lexicon)
        return shown if known >= _WORDY and known > 2 * _letters_in_words(written, lexicon) else written

    return _RIGHT_TO_LEFT.sub(as_meant, text)


def _letters_in_words(text: str, lexicon: Lexicon) -> int:
    words = (match.group().lower() for match in _ALNUM_RUN.finditer(text))
    return sum(len(word) for word in words if len(word) > 2 and word in lexicon)


def _drop_invisible(text: str, signals: set[str]) -> str:
    def keep_spelling(match: re.Match[str]) -> str:
        # Persian and the Indic scripts spell words with joiners, and emoji are glued of several characters with
        # joiners and variation selectors; between Latin letters all of them only hide.
        char, before, after = (
            match.group(),
            text[match.start() - 1 : match.start()],
            text[match.end() : match.end() + 1],
        )
        if char in _EMOJI_GLUE and _is_pictorial(before) and (char != "\u200d" or _is_pictorial(after)):
            return char
        return char if char in _JOINERS and _shapes_by_joining(before) and _shapes_by_joining(after) else ""

    clean = _INVISIBLE.sub(keep_spelling, text)
    if len(text) - len(clean) > _FEW:
        signals.add("zero_width")
    return clean


def _shapes_by_joining(char: str) -> bool:
    return bool(char) and ("\u0600" <= char <= "\u08ff" or "\u0900" <= char <= "\u0dff" or "\u1780" <= char <= "\u17ff")


def _is_pictorial(char: str) -> bool:
    """A symbol, a skin tone, or the selector that makes a symbol colourful."""
    return char == "\ufe0f" or (bool(char) and unicodedata.category(char) in ("So", "Sk", "Sm") and char > "\u2000")


def _fold_compatibility_forms(text: str, lexicon: Lexicon, signals: set[str]) -> str:
    text, spelt = _fold_flags(text, lexicon)
    if spelt + sum(_is_styled_latin(char) for char in text) > _FEW:
        signals.add("compat_forms")
    parts = _SARA_AM.split(text.translate(_SYMBOLS))
    parts[::2] = (unicodedata.normalize("NFKC", part) for part in parts[::2])
    return "".join(parts)


def _fold_flags(text: str, lexicon: Lexicon) -> tuple[str, int]:
    """Regional indicators to letters unless they are flags; also how many letters they spelt.

    Pairs are flags, as 🇫🇷 and 🇩🇪 are, unless their letters make an English word together. A word may also be spelt
    with one indicator at a time.
    """
    spelt = 0

    def fold(match: re.Match[str]) -> str:
        nonlocal spelt
        run = match.group()
        letters = "".join(chr(ord(char) - _INDICATOR_TO_LETTER) for char in run)
        if len(run) % 2 == 0 and not (len(run) > 2 and letters in lexicon):
            return run
        spelt += len(run)
        return letters

    return _FLAG_RUN.sub(fold, text), spelt


def _is_styled_latin(char: str) -> bool:
    """Full-width, mathematical or enclosed Latin letters (full-width punctuation is ordinary Japanese)."""
    return (
        "\uff21" <= char <= "\uff3a"
        or "\uff41" <= char <= "\uff5a"
        or "\U0001d400" <= char <= "\U0001d7ff"
        or "\u249c" <= char <= "\u24e9"
        or "\U0001f110" <= char <= "\U0001f189"
    )


def _drop_latin_marks(text: str, signals: set[str], keep_accents: bool) -> str:
    """Removes combining marks from Latin letters and leaves them on every other script.

    With ``keep_accents`` a letter keeps what Unicode knows as one letter with its accents (ü, ệ), and nothing more.
    """
    kept: list[str] = []
    for base, marks in _letters_with_marks(unicodedata.normalize("NFD", text)):
        is_latin = base < "\u0250" or "\u1e00" <= base <= "\u1eff"
        if is_latin and len(marks) >= _MARK_STACK:
            signals.add("marks")
        ordinary = len(marks) < _MARK_STACK and (not marks or _is_one_letter(base + marks))
        kept.append(base + marks if not is_latin or (keep_accents and ordinary) else base)
    return unicodedata.normalize("NFC", "".join(kept))


def _letters_with_marks(text: str) -> Iterator[tuple[str, str]]:
    """Each character with the combining marks behind it; marks behind nothing come with an empty character."""
    base, start = "", 0
    for index, char in enumerate(text):
        if unicodedata.category(char) not in ("Mn", "Me"):
            yield base, text[start:index]
            base, start = char, index + 1
    yield base, text[start:]


def _is_one_letter(letter: str) -> bool:
    return len(unicodedata.normalize("NFC", letter)) == 1


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
    if not any(char in FOREIGN or char in FAUX for char in word):
        return word
    if deobfuscate.is_spelt_out(word):  # n-υ-d-e: its letters belong together
        return _fold_mixed(word, read_whole_words)
    return _ALNUM_RUN.sub(lambda run: _fold_mixed(run.group(), read_whole_words), word)


def _fold_mixed(run: str, read_whole_words: bool) -> str:
    """Reads a run that mixes scripts as Latin. The α of α-helix is a run of its own, and stays."""
    if any(char.isascii() and char.isalpha() for char in run):
        return run.translate(_FOREIGN).translate(_FAUX).translate(_VARIANTS)
    folded = run.translate(_FOREIGN).translate(_VARIANTS)
    return folded if read_whole_words and folded.isascii() else run


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
