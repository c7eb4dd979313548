"""Exact look-up of near fingerprints by their parts: multi-index hashing.

Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing", IEEE TPAMI 36(6), 2014.
A hash of 256 bits is cut into 16 words of 16 bits. Two hashes at most 31 bits apart cannot differ by two or more bits
in every word (that would be 32), so at least one word differs by one bit at most: looking up each word and its 16
one-bit neighbours in a table of that word, 16 × 17 small buckets in all, meets every hash within reach. What is met is
then compared in full, so the answer is that of comparing with everything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from countermark.fingerprint.hamming import Found, Packed, joined, scan, weigh

WORDS = 16
WORD_BITS = 16
_BUCKETS = 1 << WORD_BITS

REACH = 2 * WORDS - 1
"""The greatest distance that looking one bit around each word covers."""

_NEIGHBOURS = np.array([0, *(1 << bit for bit in range(WORD_BITS))], np.uint16)

_WORTHWHILE = 8
"""Meeting a candidate costs about as much as scanning this many fingerprints: where look-alikes crowd the same
buckets (a log full of one picture), scanning is the cheaper way to the same answer."""


class MultiIndex:
    """Tables of the words of ``packed``, never changed after construction. 64 bytes for each fingerprint, and 4 MiB.

    For each word, the positions of the fingerprints in the order of that word, and where each value's bucket starts.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        count = len(packed)
        words = packed.view(np.uint16)
        self._order = np.empty(WORDS * count, np.uint32)
        self._starts = np.empty((WORDS, _BUCKETS + 1), np.int64)
        for word in range(WORDS):
            values = np.ascontiguousarray(words[:, word])
            begin = word * count
            self._order[begin : begin + count] = np.argsort(values, kind="stable")
            self._starts[word, 0] = begin
            np.cumsum(np.bincount(values, minlength=_BUCKETS), out=self._starts[word, 1:])
            self._starts[word, 1:] += begin

    def search(self, forms: Packed, within: int) -> Found:
        """Every fingerprint within a distance of a form; ``within`` is at most :data:`REACH`."""
        starts, lengths, form_of_probe = self._probes(forms, within)
        total = int(lengths.sum())
        if total * _WORTHWHILE > len(self._packed) * len(forms):
            return scan(self._packed, forms, within)
        # The ranges start … start + length, one after another.
        ends = np.cumsum(lengths)
        candidates = self._order[np.repeat(starts - (ends - lengths), lengths) + np.arange(total)]
        differences = self._packed.take(candidates, axis=0)
        differences ^= forms.take(np.repeat(form_of_probe, lengths), axis=0)
        distances = weigh(differences)
        hits = np.flatnonzero(distances <= within)
        return _nearest_of_each(candidates[hits].astype(np.int64), distances[hits])

    def _probes(self, forms: Packed, within: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Start and length of every bucket to look into, and whose form it is.

        A hash that differs by more than ``radius`` bits in each of the first ``wide`` words, and by ``radius`` or more
        in each of the others, is more than ``within`` bits away in all: only what is nearer somewhere can be a hit.
        """
        radius, remainder = divmod(within, WORDS)
        wide = remainder + 1
        tables = [(slice(wide), radius), (slice(wide, WORDS), radius - 1)]
        starts, lengths, form_of_probe = [], [], []
        for words, around in tables:
            if around < 0:
                continue
            neighbours = _NEIGHBOURS if around else _NEIGHBOURS[:1]
            values = forms.view(np.uint16)[:, words, None] ^ neighbours
            table = np.arange(WORDS)[words, None]
            start = self._starts[table, values]
            lengths.append((self._starts[table, values.astype(np.int64) + 1] - start).ravel())
            starts.append(start.ravel())
            form_of_probe.append(np.repeat(np.arange(len(forms)), values[0].size))
        return np.concatenate(starts), np.concatenate(lengths), np.concatenate(form_of_probe)


def _nearest_of_each(positions: NDArray[np.int64], distances: NDArray[np.uint16]) -> Found:
    """One finding for each position: several words and several forms meet the same one."""
    if not len(positions):
        return joined([])
    order = np.lexsort((distances, positions))
    positions, distances = positions[order], distances[order]
    first = np.flatnonzero(np.diff(positions, prepend=-1))
    return positions[first], distances[first]
