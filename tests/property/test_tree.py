"""RFC 6962 proofs: every size up to 70 against a direct transcription of the definition, and every bit flip refused."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.audit.tiles import HashedTree, TileBuilder, subtree_oracle
from countermark.audit.tree import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from countermark.errors import ProofInvalid

LARGEST = 70
LEAVES = [leaf_hash(b"%d" % i) for i in range(LARGEST)]
# The eight inputs and roots that certificate-transparency tests with (merkle tree reference vectors).
CT_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, by its recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(definition(leaves[:k]), definition(leaves[k:]))


def subtree(start: int, end: int) -> bytes:
    return definition(LEAVES[start:end])


ROOTS = [subtree(0, size) for size in range(LARGEST + 1)]
sizes = st.integers(1, LARGEST)


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def test_the_reference_vectors_of_certificate_transparency() -> None:
    edge = CompactRange()
    assert edge.root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for data, root in zip(CT_INPUTS, CT_ROOTS, strict=True):
        edge.append(leaf_hash(data))
        assert edge.root().hex() == root


def test_the_edge_and_the_tiles_give_every_root_up_to_70() -> None:
    edge = CompactRange()
    for size in range(LARGEST + 1):
        assert edge.root() == ROOTS[size]
        assert HashedTree(b"".join(LEAVES[:size])).root(size) == ROOTS[size]
        assert CompactRange.load(size, subtree).root() == ROOTS[size]
        if size < LARGEST:
            edge.append(LEAVES[size])


def test_every_inclusion_proof_up_to_70_verifies_and_only_at_its_place() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, subtree)
            verify_inclusion(index, size, LEAVES[index], proof, ROOTS[size])
            if size > 1:
                with pytest.raises(ProofInvalid):
                    verify_inclusion((index + 1) % size, size, LEAVES[index], proof, ROOTS[size])
            for path in (*(proof[:count] for count in range(len(proof))), [*proof, LEAVES[0]]):
                with pytest.raises(ProofInvalid, match="than a tree of"):
                    root_from_inclusion(index, size, LEAVES[index], path)


def test_every_consistency_proof_up_to_70_verifies() -> None:
    for old, new in itertools.combinations_with_replacement(range(LARGEST + 1), 2):
        proof = consistency_proof(old, new, subtree)
        verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_an_altered_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    proof = inclusion_proof(index, size, subtree)
    leaf, root = LEAVES[index], ROOTS[size]
    broken = [(flipped(leaf, bit), proof, root), (leaf, proof, flipped(root, bit)), (leaf, [*proof, leaf], root)]
    broken += [(leaf, [*proof[:i], flipped(h, bit), *proof[i + 1 :]], root) for i, h in enumerate(proof)]
    broken += [(leaf, proof[:-1], root)] if proof else []
    for bad_leaf, bad_proof, bad_root in broken:
        with pytest.raises(ProofInvalid):
            verify_inclusion(index, size, bad_leaf, bad_proof, bad_root)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_an_altered_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    bit = data.draw(st.integers(0, 255))
    proof = consistency_proof(old, new, subtree)
    first, second = ROOTS[old], ROOTS[new]
    broken = [(flipped(first, bit), second, proof), (first, flipped(second, bit), proof)]
    broken += [(first, second, [*proof, first]), (first, second, proof[:-1]), (first, second, [])]
    broken += [(first, second, [*proof[:i], flipped(h, bit), *proof[i + 1 :]]) for i, h in enumerate(proof)]
    for bad_first, bad_second, bad_proof in broken:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, bad_first, bad_second, bad_proof)


def test_a_tree_cannot_shrink() -> None:
    with pytest.raises(ProofInvalid):
        verify_consistency(5, 4, ROOTS[5], ROOTS[4], [])
    for old, new in ((5, 4), (-1, 4), (-4, -2)):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, ROOTS[4], ROOTS[4], [])
        with pytest.raises(ValueError, match="cannot extend"):
            consistency_proof(old, new, subtree)


def test_nothing_is_proved_of_a_place_that_a_tree_does_not_have() -> None:
    for index, size in ((4, 4), (5, 4), (-1, 4), (0, 0)):
        with pytest.raises(ProofInvalid, match="does not have"):
            verify_inclusion(index, size, LEAVES[4], [], ROOTS[size])
        with pytest.raises(ValueError, match="not in a tree"):
            inclusion_proof(index, size, subtree)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 65_793])
def test_tiles_grown_leaf_by_leaf_equal_tiles_of_the_whole_and_prove_across_tile_borders(size: int) -> None:
    leaves = [hashlib.sha256(i.to_bytes(8)).digest() for i in range(size)]
    stored: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        return stored.get((level, index), b"")

    builder, edge = TileBuilder(), CompactRange()
    for number, leaf in enumerate(leaves):
        if number in (100, 256, 300, 65_536):  # a restart must carry on from what is stored
            stored.update({(level, index): hashes for level, index, hashes in builder.take_changed()})
            builder = TileBuilder(number, read)
        builder.append(leaf)
        edge.append(leaf)
        assert builder.root() == edge.root()
    stored.update({(level, index): hashes for level, index, hashes in builder.take_changed()})
    whole = HashedTree(b"".join(leaves))
    assert stored == {key: whole.tile(*key) for key in whole.keys() if whole.tile(*key)}  # noqa: SIM118
    oracle = subtree_oracle(read)
    assert oracle(0, size) == edge.root()
    for index in {0, size // 2, size - 1}:
        verify_inclusion(index, size, leaves[index], inclusion_proof(index, size, oracle), edge.root())


@pytest.mark.parametrize("batches", [(1000,) * 70, (1, 254, 1, 256, 257, 511, 1024), (65_535, 0, 2, 300)])
def test_tiles_grown_by_the_batch_equal_tiles_of_the_whole(batches: tuple[int, ...]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    builder, leaves = TileBuilder(), list[bytes]()
    for count in batches:
        batch = [hashlib.sha256(i.to_bytes(8)).digest() for i in range(len(leaves), len(leaves) + count)]
        builder.extend(batch)
        leaves += batch
        assert builder.size == len(leaves)
        assert builder.root() == HashedTree(b"".join(leaves)).root(len(leaves))
        stored.update({(level, index): hashes for level, index, hashes in builder.take_changed()})
    whole = HashedTree(b"".join(leaves))
    assert stored == {key: whole.tile(*key) for key in whole.keys() if whole.tile(*key)}  # noqa: SIM118
