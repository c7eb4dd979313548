"""Which of a few languages a text is in: logistic regression on hashed character n-grams and words.

Small (two hundred kilobytes) and for short texts; what it does not know it calls ``other``, and words that it has no
evidence about leave it undecided, so callers read the probability and not only the winner.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEATURES: Final = 1 << 14
NGRAMS: Final = (1, 2, 3, 4)
LONGEST_TEXT: Final = 2000
_REMEMBERED_WORDS: Final = 1 << 14  # words come back, and hashing their pieces is most of the work
_REMEMBERED_CHARS: Final = 32
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def features(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and values of a lower-case text, of unit length; none for a text without letters."""
    hashed = list(_columns(text[:LONGEST_TEXT]))
    if not hashed:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    columns, counts = np.unique(np.array(hashed, np.int64), return_counts=True)
    values = np.sqrt(counts.astype(np.float32))
    return columns, values / np.linalg.norm(values)


def _columns(text: str) -> Iterator[int]:
    words = _WORD.findall(text)
    for word in words:
        yield from _remembered(word) if len(word) <= _REMEMBERED_CHARS else _columns_of(word)
    yield from (_column(f"{one}+{two}") for one, two in pairwise(words))


def _column(piece: str) -> int:
    return zlib.crc32(piece.encode()) % FEATURES


def _columns_of(word: str) -> tuple[int, ...]:
    padded = f" {word} "
    pieces = (padded[i : i + size] for size in NGRAMS for i in range(len(padded) - size + 1))
    return (_column(f"={word}"), *map(_column, pieces))


_remembered = lru_cache(maxsize=_REMEMBERED_WORDS)(_columns_of)


class LanguageModel:
    """The loaded model.

    Args:
        path: an ``.npz`` with ``weights`` (int8, languages × features), ``scales`` and ``biases`` (per language) and
            ``languages`` (ISO 639-1 codes, and ``other``).
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as stored:
            self.languages: tuple[str, ...] = tuple(stored["languages"].tolist())
            self._weights: NDArray[np.float32] = stored["weights"].astype(np.float32) * stored["scales"][:, None]
            self._biases: NDArray[np.float32] = stored["biases"]

    def probabilities(self, text: str) -> dict[str, float]:
        """A probability per language, of a lower-case text, with or without accents."""
        columns, values = features(text)
        logits = self._weights[:, columns] @ values + self._biases
        exponents = np.exp(logits - logits.max())
        return dict(zip(self.languages, (exponents / exponents.sum()).tolist(), strict=True))
