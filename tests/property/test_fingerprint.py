"""The index of fingerprints: its answers are those of comparing with everything, however it came to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from countermark.fingerprint import (
    MATCH,
    Fingerprint,
    FingerprintIndex,
    Hit,
    dihedral,
    distance,
    index,
    multi_index,
    pdq,
)
from countermark.fingerprint.hamming import LANES, Packed
from countermark.fingerprint.multi_index import REACH, MultiIndex
from countermark.fingerprint.snapshot import Snapshot, read_snapshot, write_snapshot

seeds = st.integers(0, 2**32 - 1)


def planted(seed: int, count: int, *, alike: int) -> Packed:
    """Random hashes, and copies of the first with 0 to 40 bits changed, in random places."""
    generator = np.random.default_rng(seed)
    packed = generator.integers(0, 2**64, (count, LANES), np.uint64)
    bits = np.unpackbits(np.tile(packed[0], (alike, 1)).view(np.uint8), axis=1)
    for row in bits:
        row[generator.choice(256, generator.integers(41), replace=False)] ^= 1
    packed[1 : alike + 1] = np.packbits(bits, axis=1).view(np.uint64)
    return packed[generator.permutation(count)]


def by_comparing(packed: Packed, forms: Packed, within: int) -> dict[int, int]:
    apart = np.bitwise_count(packed[:, None] ^ forms).sum(axis=2, dtype=np.int64).min(axis=1)
    return {int(place): int(apart[place]) for place in np.flatnonzero(apart <= within)}


def fingerprints(packed: Packed) -> list[Fingerprint]:
    return [Fingerprint(row.tobytes().hex(), 100) for row in packed]


@settings(max_examples=60, deadline=None)
@given(seed=seeds, within=st.integers(0, REACH), forms=st.integers(1, 8), alike=st.integers(0, 200))
def test_tables_answer_as_a_full_comparison_does(seed: int, within: int, forms: int, alike: int) -> None:
    packed = planted(seed, 500, alike=alike)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_index, "_WORTHWHILE", 0)  # never fall back on scanning
        positions, distances = MultiIndex(packed).search(packed[:forms], within)
    assert dict(zip(positions.tolist(), distances.tolist(), strict=True)) == by_comparing(
        packed, packed[:forms], within
    )
    assert len(set(positions.tolist())) == len(positions)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    within=st.integers(0, 256),
    tail=st.integers(1, 16),
    pieces=st.lists(st.integers(0, 60), min_size=1, max_size=12),
)
def test_what_is_entered_in_any_pieces_and_order_is_found_alike(
    seed: int, within: int, tail: int, pieces: list[int]
) -> None:
    packed = planted(seed, max(sum(pieces), 12), alike=10)
    references = np.random.default_rng(seed).permutation(len(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "TAIL", tail)
        patch.setattr(index, "_SCANS_BEFORE_TABLES", 0)
        pieced, start = FingerprintIndex(), 0
        for piece in [*pieces, len(packed)]:
            pieced.extend(references[start : start + piece], packed[start : start + piece])
            start += piece
        singly = FingerprintIndex(zip(fingerprints(packed), references.tolist(), strict=True))
        query = fingerprints(packed)[0]
        answers = [one.query(query, within=within, limit=10**6) for one in (pieced, singly)]
    expected = by_comparing(packed, packed[:1], within)
    assert answers[0] == answers[1] == sorted(Hit(apart, int(references[place])) for place, apart in expected.items())
    assert len(pieced._blocks) <= len(packed).bit_length()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, count=st.integers(1, 300))
def test_what_was_kept_answers_as_what_is_in_memory(
    seed: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("kept") / "fingerprints.idx"
    packed = planted(seed, count, alike=min(count - 1, 5))
    references = np.cumsum(np.random.default_rng(seed).integers(1, 5, count))
    write_snapshot(path, Snapshot("origin", int(references[-1]) + 1, bytes(32), references, packed))
    kept = read_snapshot(path, origin="origin", at_most=int(references[-1]) + 1)
    both = FingerprintIndex(), FingerprintIndex()
    both[0].extend(references, packed)
    both[1].extend(kept.references, kept.packed)
    for form in fingerprints(packed[:3]):
        for within in (MATCH, 120):
            assert both[0].query(form, within=within) == both[1].query(form, within=within)


def photograph(name: str) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(getattr(data, name)())[..., :3])


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["astronaut", "coffee", "chelsea", "rocket"]),
    turns=st.integers(0, 3),
    flipped=st.booleans(),
    quality=st.integers(30, 95),
)
def test_a_turned_or_flipped_picture_is_a_match_under_one_of_its_eight_forms(
    name: str, turns: int, flipped: bool, quality: int
) -> None:
    recorded = FingerprintIndex((pdq.compute(photograph(other)), n) for n, other in enumerate(NAMES))
    pixels = photograph(name)
    turned = np.ascontiguousarray(np.rot90(pixels[:, ::-1] if flipped else pixels, turns))
    reposted = cv2.imdecode(cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    hits = recorded.query_forms(dihedral(reposted), within=MATCH)
    assert [hit.reference for hit in hits] == [NAMES.index(name)]
    assert hits[0].distance == min(distance(form, pdq.compute(pixels)) for form in dihedral(reposted))


NAMES = ["astronaut", "coffee", "chelsea", "rocket"]
