"""Hashed n-grams with a logistic regression on top: an opinion that shares no error with the encoder's tokenizer.

Feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009), with CRC-32,
which the standard library computes identically everywhere. Two blocks of 2**16 features, each scaled to unit length:
character 3- to 5-grams inside words (a space marks each word's edge), and word 1- and 2-grams.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 2**16
FEATURES: Final = 2 * BLOCK
_WORD: Final = re.compile(r"\w\w+")
_REMEMBERED_WORDS: Final = 1 << 14  # words come back, and hashing their pieces is most of the work
_REMEMBERED_CHARS: Final = 32


def features(text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices (below ``FEATURES``) and values of the n-grams of a normalised text; both empty for an empty one."""
    columns: list[int] = []
    values: list[float] = []
    for offset, found in ((0, _character_columns(text)), (BLOCK, map(_column, _word_grams(text)))):
        counts = Counter(found)
        norm = sum(count * count for count in counts.values()) ** 0.5
        columns += [offset + column for column in counts]
        values += [count / norm for count in counts.values()]
    return np.array(columns, dtype=np.int64), np.array(values, dtype=np.float64)


def _column(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "replace")) % BLOCK


def _character_columns(text: str) -> Iterator[int]:
    for word in text.split():
        yield from _remembered(word) if len(word) <= _REMEMBERED_CHARS else _columns_of(word)


def _columns_of(word: str) -> tuple[int, ...]:
    padded = f" {word} "
    return tuple(
        _column(padded[start : start + size]) for size in (3, 4, 5) for start in range(max(1, len(padded) - size + 1))
    )


_remembered = lru_cache(maxsize=_REMEMBERED_WORDS)(_columns_of)


def _word_grams(text: str) -> Iterator[str]:
    words = _WORD.findall(text)
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"


class NgramModel:
    """A linear model over :func:`features`, giving a logit.

    Args:
        coefficients: ``FEATURES`` weights.
        intercept: the bias.
    """

    def __init__(self, coefficients: NDArray[np.float32], intercept: float) -> None:
        self._coefficients = coefficients
        self._intercept = intercept

    def logit(self, text: str) -> float:
        """The model's logit that a normalised text is unsafe."""
        columns, values = features(text)
        return float(self._coefficients[columns] @ values) + self._intercept if len(columns) else self._intercept

    @classmethod
    def read(cls, path: Path) -> NgramModel:
        """Reads what :meth:`write` wrote. Arrays only: ``allow_pickle`` is off, so the file cannot run code."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["coefficients"].astype(np.float32), float(stored["intercept"]))

    def write(self, path: Path) -> None:
        """Stores the coefficients in half precision, compressed."""
        np.savez_compressed(
            path, coefficients=self._coefficients.astype(np.float16), intercept=np.float64(self._intercept)
        )
