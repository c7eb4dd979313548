"""The polar code: 88 bits spread over 512, decoded as a list.

Arıkan, "Channel polarization", IEEE Trans. Information Theory 55(7), 2009; list decoding with an outer check by Tal
and Vardy, "List decoding of polar codes", IEEE Trans. Information Theory 61(5), 2015, in the form that works on
log-likelihood ratios (Balatsoukas-Stimming, Bastani Parizi and Burg, "LLR-based successive cancellation list decoding
of polar codes", IEEE Trans. Signal Processing 63(19), 2015). The positions of the information bits come from the
β-expansion with β = 2**(1/4) (He et al., "Beta-expansion: a theoretical framework for fast and recursive construction
of polar codes", IEEE GLOBECOM 2017), which needs no assumption about the channel.

The codeword of u is u·F^⊗n over GF(2), F = [[1, 0], [1, 1]], in natural order. Log-likelihood ratios (LLRs) are
ln P(bit = 0) / P(bit = 1): positive means 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LLR = 60.0
"""LLRs are clipped to this, so that one wild coefficient cannot outvote the rest."""


@lru_cache(maxsize=16)
def information_positions(length: int, count: int) -> NDArray[np.intp]:
    """The ``count`` most reliable of ``length`` positions, the least reliable first, by polarization weight Σ b_j β^j.

    Bits that a decoder knows in advance belong at the front of a word, where they cost least.
    """
    index = np.arange(length)
    weight = np.zeros(length)
    for j in range(length.bit_length() - 1):
        weight += ((index >> j) & 1) * 2.0 ** (j / 4)
    return np.argsort(weight, kind="stable")[-count:]


def encode(bits: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """The codeword of ``length`` bits that carries ``bits`` on its most reliable positions."""
    word = np.zeros(length, np.uint8)
    word[information_positions(length, len(bits))] = bits
    half = 1
    while half < length:
        pairs = word.reshape(-1, 2, half)
        pairs[:, 0] ^= pairs[:, 1]  # in place: ``pairs`` is a view
        half *= 2
    return word


def decode(
    llrs: NDArray[np.floating], count: int, list_size: int, known: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """The information words of the surviving paths, likeliest first.

    Args:
        llrs: one LLR for each code bit.
        count: number of information bits.
        list_size: paths that are kept.
        known: the leading bits of the word, where they are known; only the others are decided.

    Returns:
        At most ``list_size`` words, shape (paths, count).
    """
    leading = np.zeros(0, np.uint8) if known is None else known
    positions = information_positions(len(llrs), count)
    # The code is linear: without the share of the known bits, the rest is a word whose known bits are zero.
    share = encode(np.concatenate([leading, np.zeros(count - len(leading), np.uint8)]), len(llrs))
    decoder = _ListDecoder(len(llrs), positions[len(leading) :], list_size)
    decoder.run(np.clip(np.asarray(llrs, np.float64), -MAX_LLR, MAX_LLR) * (1.0 - 2.0 * share))
    words = decoder.words()
    return np.concatenate([np.tile(leading, (len(words), 1)), words], axis=1)


class _ListDecoder:
    """One run of successive-cancellation list decoding.

    The code's tree is walked depth first; all paths advance together, as rows of arrays. Subtrees without
    information bits, and those whose only information bit is the last (repetition codes), are decided at once.
    At this rate that is most of the tree.
    """

    def __init__(self, length: int, information: NDArray[np.intp], list_size: int) -> None:
        self._list_size = list_size
        self._information = information
        self._is_information = np.zeros(length, bool)
        self._is_information[self._information] = True
        self._before = np.concatenate([[0], np.cumsum(self._is_information)])
        self._penalty = np.zeros(1)
        self._decided = np.zeros((1, length), np.uint8)

    def run(self, llrs: NDArray[np.float64]) -> None:
        self._descend(llrs[None], 0)

    def words(self) -> NDArray[np.uint8]:
        order = np.argsort(self._penalty, kind="stable")
        return self._decided[order][:, self._information]

    def _descend(self, llrs: NDArray[np.float64], start: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Decide the subtree at ``start``: code bits of every surviving path, and the path each one grew from."""
        width = llrs.shape[1]
        last = start + width - 1
        information = self._before[last + 1] - self._before[start]
        if information == 0:
            self._penalty = self._penalty + _penalty_of_zeros(llrs)
            return np.zeros(llrs.shape, np.uint8), np.arange(len(llrs))
        if information == 1 and self._is_information[last]:
            bits, parents = self._fork(_penalty_of_zeros(llrs), _penalty_of_zeros(-llrs), last)
            return np.repeat(bits[:, None], width, axis=1), parents

        half = width // 2
        first, second = llrs[:, :half], llrs[:, half:]
        # Check node: the sum of two bits is as sure as the less sure of them (min-sum).
        left, ancestors = self._descend(np.sign(first * second) * np.minimum(np.abs(first), np.abs(second)), start)
        first, second = first[ancestors], second[ancestors]
        # Variable node: with the sum known, both halves speak of the same bit.
        right, parents = self._descend(np.where(left == 1, second - first, second + first), start + half)
        return np.concatenate([left[parents] ^ right, right], axis=1), ancestors[parents]

    def _fork(
        self, cost_of_zero: NDArray[np.float64], cost_of_one: NDArray[np.float64], position: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Split every path on the bit at ``position`` and keep the likeliest."""
        paths = len(cost_of_zero)
        penalty = np.concatenate([self._penalty + cost_of_zero, self._penalty + cost_of_one])
        kept = np.argsort(penalty, kind="stable")[: self._list_size]
        parents = kept % paths
        bits = (kept >= paths).astype(np.uint8)
        self._penalty = penalty[kept]
        self._decided = self._decided[parents]
        self._decided[:, position] = bits
        return bits, parents


def _penalty_of_zeros(llrs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each path pays if all these bits are zero: the LLRs that say otherwise."""
    return np.asarray(np.maximum(-llrs, 0).sum(axis=1))
