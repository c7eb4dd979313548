"""Words that the normaliser should recognise under a disguise, English ones and those of other languages."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

from countermark.safety.lexicon import Lexicon
from countermark.safety.weights import read_word_groups

_FILE: Final = Path(__file__).parent / "data" / "known_words.yaml"
_COUNT: Final = 8  # as frequent as a rare English word, so that an English reading wins where there is one
_SHORTEST: Final = 4


@lru_cache(maxsize=4)
def known_words(lexicon: Lexicon) -> Lexicon:
    """``lexicon`` with the shipped words, with and without their accents, as those that are sought.

    Raises:
        WeightsMissing: the file of them is not there.
        WeightsMismatch: it holds something else.
    """
    words = {word for group in read_word_groups(_FILE).values() for word in group.split() if len(word) >= _SHORTEST}
    return lexicon.extended(words | {fold_accents(word) for word in words}, _COUNT)


def fold_accents(text: str) -> str:
    """``text`` without combining marks: ``mädchen`` → ``madchen``."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))
