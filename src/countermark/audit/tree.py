"""The Merkle tree of RFC 6962 §2.1: hashes, an appendable edge, proofs and their verification.

Proofs are made over a *subtree oracle*: a function ``subtree(start, end)`` that gives the Merkle tree hash of
``entries[start:end]`` for any range that is a subtree of the tree. Hashes are SHA-256, 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from countermark.errors import ProofInvalid

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of the tree without entries (RFC 6962 §2.1)."""

SubtreeOracle = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """The largest power of two smaller than ``size`` (≥ 2): where RFC 6962 splits a tree of that size."""
    return 1 << ((size - 1).bit_length() - 1)


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power-of-two count of subtree roots."""
    return levels_over(hashes)[-1][0]


def paired(hashes: Iterable[bytes]) -> list[bytes]:
    """The nodes over neighbouring hashes; a last one without a neighbour has none yet."""
    sha256, pairs = hashlib.sha256, iter(hashes)
    # node_hash written out: its call would cost as much as half of the hashing
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]


def levels_over(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """All perfect subtrees over neighbouring hashes, level by level: the hashes, their pairs, and so on."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        levels.append(paired(levels[-1]))
    return levels


def edge_within(levels: Sequence[Sequence[bytes]], count: int) -> tuple[bytes, ...]:
    """The roots of the perfect subtrees of the first ``count`` hashes of :func:`levels_over`, largest first."""
    heights = (height for height in reversed(range(count.bit_length())) if count >> height & 1)
    return tuple(levels[height][(count >> height) - 1] for height in heights)


class CompactRange:
    """The right edge of a growing tree: one root for each set bit of its size, largest subtree first.

    Appending costs O(1) hashes amortised, the root O(log n); nothing else of the tree is kept.
    """

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if len(roots) != size.bit_count():
            raise ValueError(f"a tree of {size} entries has {size.bit_count()} perfect subtrees, not {len(roots)}")
        self.size = size
        self._roots = list(roots)

    @classmethod
    def load(cls, size: int, subtree: SubtreeOracle) -> CompactRange:
        """The edge of an existing tree."""
        return cls(size, [subtree(start, end) for start, end in perfect_subtrees(size)])

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first."""
        return tuple(self._roots)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size, roots = self.size, self._roots
        while size & 1:
            leaf = node_hash(roots.pop(), leaf)
            size >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The tree's root now."""
        return root_over(self._roots)


def root_over(roots: Sequence[bytes]) -> bytes:
    """The tree's root from the roots of its perfect subtrees, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def perfect_subtrees(size: int) -> list[tuple[int, int]]:
    """The ranges of the perfect subtrees that make up a tree of ``size`` entries, largest first."""
    ranges, start = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            ranges.append((start, start + (1 << bit)))
            start += 1 << bit
    return ranges


# --- making proofs ------------------------------------------------------------------------------------------


def inclusion_proof(index: int, size: int, subtree: SubtreeOracle) -> list[bytes]:
    """The audit path of one leaf, leaf to root (RFC 6962 §2.1.1).

    Raises:
        ValueError: ``index`` is not in a tree of ``size`` entries.
    """
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not in a tree of {size} entries")
    siblings, start, end = [], 0, size
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            siblings.append(subtree(middle, end))
            end = middle
        else:
            siblings.append(subtree(start, middle))
            start = middle
    return siblings[::-1]


def consistency_proof(old: int, new: int, subtree: SubtreeOracle) -> list[bytes]:
    """The proof that the tree of ``new`` entries begins with the tree of ``old`` entries (RFC 6962 §2.1.2).

    Raises:
        ValueError: ``old`` is larger than ``new``, or negative.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} entries cannot extend one of {old}")
    if old in (0, new):
        return []
    hashes, start, end, old_is_whole_subtree = [], 0, new, True
    while old != end:
        middle = start + split_point(end - start)
        if old <= middle:
            hashes.append(subtree(middle, end))
            end = middle
        else:
            hashes.append(subtree(start, middle))
            start, old_is_whole_subtree = middle, False
    if not old_is_whole_subtree:
        hashes.append(subtree(start, end))
    return hashes[::-1]


# --- verifying proofs ---------------------------------------------------------------------------------------


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162 §2.1.3.2).

    Raises:
        ProofInvalid: the index is outside the tree, or the path has the wrong length.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"The proof is for entry {index}, which a tree of {size} entries does not have.")
    position, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid(f"The inclusion proof of entry {index} is longer than a tree of {size} entries allows.")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofInvalid(f"The inclusion proof of entry {index} is shorter than a tree of {size} entries needs.")
    return root


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` is entry ``index`` of the tree of ``size`` entries with that ``root``.

    Raises:
        ProofInvalid: it is not.
    """
    if root_from_inclusion(index, size, leaf, proof) != root:
        raise ProofInvalid(f"Entry {index} is not what the tree of {size} entries holds there.")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that a tree of ``new`` entries extends a tree of ``old`` entries (RFC 9162 §2.1.4.2).

    Raises:
        ProofInvalid: it does not, or the proof is malformed.
    """
    inconsistent = ProofInvalid(f"The tree of {new} entries does not extend the tree of {old} entries.")
    if not 0 <= old <= new:
        raise inconsistent
    if old in (0, new):
        if proof or (old == 0 and old_root != EMPTY_ROOT) or (old == new and old_root != new_root):
            raise inconsistent
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise inconsistent
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    left = right = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise inconsistent
        if position & 1 or position == last:
            left, right = node_hash(sibling, left), node_hash(sibling, right)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            right = node_hash(right, sibling)
        position, last = position >> 1, last >> 1
    if last or left != old_root or right != new_root:
        raise inconsistent
