"""English word frequencies: which strings are words, and where the words are in a string without spaces."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from countermark.safety.weights import WeightFiles

WEIGHTS_DIR: Final = Path(__file__).parent / "weights"
LEXICON_FILE: Final = "unigrams.tsv"
LONGEST_WORD: Final = 22
_EDGE_PUNCTUATION: Final = ".,;:!?'\"()[]"
_INNER_BREAK: Final = re.compile(r"[-'/]")
# A run longer than this is cut before segmentation, which bounds its time; nobody spells out a longer prompt by hand.
_SEGMENT_CHUNK: Final = 400
# What is taken for words that were run together; of twelve hundred long words of seven languages none is.
_SHORTEST_RUN: Final = 13
_FEWEST_WORDS: Final = 3
_MEAN_LETTERS: Final = 3
_FREQUENT: Final = 20


class Lexicon:
    """Word counts with the two questions that the normaliser asks.

    Args:
        counts: lower-case word → number of times it was seen (at least 1).
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._log_total = math.log(sum(counts.values()))
        self._cost = {word: self._log_total - math.log(count) for word, count in counts.items()}
        self._frequent = self._log_total - math.log(_FREQUENT)
        self.sought: frozenset[str] = frozenset()

    def extended(self, words: Iterable[str], count: int) -> Lexicon:
        """This lexicon with further words, ``sought`` ones, each as frequent as a word seen ``count`` times.

        Words that were known already keep their frequency.
        """
        larger = copy.copy(self)
        larger.sought = frozenset(words)
        larger._cost = dict.fromkeys(larger.sought, self._log_total - math.log(count)) | self._cost
        return larger

    def __contains__(self, word: str) -> bool:
        return word in self._cost

    def __len__(self) -> int:
        return len(self._cost)

    def knows(self, token: str) -> bool:
        """Whether a token is made of known words only, edge punctuation and inner hyphens aside."""
        parts = [part for part in _INNER_BREAK.split(token.strip(_EDGE_PUNCTUATION)) if part]
        return bool(parts) and all(part in self._cost for part in parts)

    def split(self, run: str) -> list[str]:
        """The words of a run that is nothing but frequent words (``amanwithagun``); none for a name or a compound."""
        if len(run) < _SHORTEST_RUN:
            return []
        words = self.segment(run)
        told = len(words) >= _FEWEST_WORDS and len(run) >= _MEAN_LETTERS * len(words)
        return words if told and all(self._cost.get(word, math.inf) <= self._frequent for word in words) else []

    def segment(self, run: str) -> list[str]:
        """The most probable split of ``run`` into words (Viterbi over unigram costs).

        Unknown pieces cost three nats a letter more than a word seen once, so that a name stays one piece.
        """
        words: list[str] = []
        for start in range(0, len(run), _SEGMENT_CHUNK):
            words += self._segment_chunk(run[start : start + _SEGMENT_CHUNK])
        return words

    def _segment_chunk(self, run: str) -> list[str]:
        best_cost = [0.0] + [math.inf] * len(run)
        best_start = [0] * (len(run) + 1)
        for end in range(1, len(run) + 1):
            for start in range(max(0, end - LONGEST_WORD), end):
                piece = run[start:end]
                cost = best_cost[start] + self._cost.get(piece, self._log_total + 3.0 * len(piece) - 1.0)
                if cost < best_cost[end]:
                    best_cost[end], best_start[end] = cost, start
        words: list[str] = []
        end = len(run)
        while end:
            words.append(run[best_start[end] : end])
            end = best_start[end]
        return words[::-1]


def read_counts(path: Path) -> dict[str, int]:
    """Word counts from a file of ``word<TAB>count`` lines."""
    pairs = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {word: int(count) for word, count in pairs}


def write_counts(path: Path, counts: Mapping[str, int]) -> None:
    """Writes ``counts`` in the format of :func:`read_counts`, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    path.write_text("".join(f"{word}\t{count}\n" for word, count in ordered), encoding="utf-8")


@lru_cache(maxsize=1)
def shipped_lexicon() -> Lexicon:
    """The lexicon that ships with the package, read once.

    Raises:
        WeightsMissing: it is not there.
        WeightsMismatch: it is not the released one.
    """
    return Lexicon(read_counts(WeightFiles(WEIGHTS_DIR).checked(LEXICON_FILE)))
