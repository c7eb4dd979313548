"""Words that the normaliser should recognise under a disguise, English ones and those of other languages."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from countermark.safety.lexicon import Lexicon

_FILE: Final = Path(__file__).parent / "data" / "known_words.yaml"
_COUNT: Final = 8  # as frequent as a rare English word, so that an English reading wins where there is one
_SHORTEST: Final = 4


@lru_cache(maxsize=4)
def known_words(lexicon: Lexicon) -> Lexicon:
    """``lexicon`` with the shipped words, with and without their accents, as those that are sought."""
    groups: dict[str, str] = YAML(typ="safe").load(_FILE)
    words = {word for group in groups.values() for word in group.split() if len(word) >= _SHORTEST}
    return lexicon.extended(words | {fold_accents(word) for word in words}, _COUNT)


def fold_accents(text: str) -> str:
    """``text`` without combining marks: ``mädchen`` → ``madchen``."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))
