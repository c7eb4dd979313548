"""From prompts to the numbers of the words that the embedded generator learnt."""

from __future__ import annotations

import re
from collections.abc import Sequence

PADDING = 0
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")


def split_words(text: str) -> list[str]:
    """The lowercase words of a text, in order; numbers count as words, punctuation does not."""
    return _WORD.findall(text.lower())


class Vocabulary:
    """A fixed list of words; the k-th has number k + 1, since 0 is padding. Words outside it are left out."""

    def __init__(self, words: Sequence[str]) -> None:
        self._numbers = {word: k for k, word in enumerate(words, start=1)}

    def __len__(self) -> int:
        return len(self._numbers) + 1

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def numbers(self, text: str, length: int) -> list[int]:
        """Numbers of the known words of a text, cut or padded to `length`."""
        found = [self._numbers[word] for word in split_words(text) if word in self._numbers][:length]
        return found + [PADDING] * (length - len(found))
