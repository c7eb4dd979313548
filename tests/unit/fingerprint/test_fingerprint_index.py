from __future__ import annotations

import numpy as np
import pytest

from countermark.errors import UsageError
from countermark.fingerprint import MATCH, Fingerprint, FingerprintIndex, Hit, distance
from countermark.fingerprint.hamming import LANES, pack, scan
from countermark.fingerprint.index import TAIL
from countermark.fingerprint.multi_index import MultiIndex


def random_fingerprints(count: int) -> list[Fingerprint]:
    generator = np.random.default_rng(1)
    return [Fingerprint(generator.bytes(32).hex(), 100) for _ in range(count)]


def with_flipped_bits(fingerprint: Fingerprint, count: int) -> Fingerprint:
    positions = np.random.default_rng(count).choice(256, count, replace=False)
    number = int(fingerprint.bits, 16)
    for position in positions:
        number ^= 1 << int(position)
    return Fingerprint(f"{number:064x}", 100)


@pytest.fixture(scope="module")
def fingerprints():
    return random_fingerprints(1000)


@pytest.fixture(scope="module")
def many():
    """More than a tail holds, so that there are blocks of several sizes."""
    return np.random.default_rng(2).integers(0, 2**64, (5 * TAIL + 100, LANES), np.uint64)


def as_fingerprint(row: np.ndarray) -> Fingerprint:
    return Fingerprint(row.tobytes().hex(), 100)


def test_it_agrees_with_comparing_one_by_one(fingerprints):
    index = FingerprintIndex((fingerprint, n) for n, fingerprint in enumerate(fingerprints))
    for count in (0, 20, 60, 97):
        query = with_flipped_bits(fingerprints[123], count)
        expected = sorted(Hit(distance(query, other), n) for n, other in enumerate(fingerprints))
        assert index.query(query, within=130, limit=50) == [hit for hit in expected if hit.distance <= 130][:50]
        assert index.query(query)[0] == Hit(count, 123)


def test_nothing_beyond_the_distance_is_returned(fingerprints):
    index = FingerprintIndex([(fingerprints[0], 7)])
    assert index.query(with_flipped_bits(fingerprints[0], 32), within=31) == []
    assert index.query(with_flipped_bits(fingerprints[0], 31), within=31) == [Hit(31, 7)]
    assert index.query(fingerprints[0], within=-1) == []


def test_equals_come_in_the_order_of_their_references(fingerprints):
    index = FingerprintIndex([(fingerprints[0], 10), (fingerprints[0], 9), (fingerprints[0], 11)])
    assert [hit.reference for hit in index.query(fingerprints[0], limit=2)] == [9, 10]


def test_an_empty_index_finds_nothing(fingerprints):
    index = FingerprintIndex()
    assert len(index) == 0
    assert index.query(fingerprints[0], within=256) == []
    assert index.query_forms([], within=256) == []


def test_it_grows(fingerprints):
    index = FingerprintIndex()
    for n, fingerprint in enumerate(fingerprints[:300]):
        index.add(fingerprint, n)
        assert len(index) == n + 1
        assert index.query(fingerprint, within=0) == [Hit(0, n)]


def test_the_distance_to_several_forms_is_that_to_the_nearest(fingerprints):
    index = FingerprintIndex((fingerprint, n) for n, fingerprint in enumerate(fingerprints))
    forms = [with_flipped_bits(fingerprints[5], 30), with_flipped_bits(fingerprints[5], 12), fingerprints[6]]
    assert index.query_forms(forms, within=MATCH) == [Hit(0, 6), Hit(12, 5)]


def test_blocks_and_tail_are_searched_alike_before_and_after_their_tables_are_made(many):
    index = FingerprintIndex()
    for start in range(0, len(many), 3000):
        rows = many[start : start + 3000]
        index.extend(np.arange(start, start + len(rows)), rows)
    assert len(index) == len(many)
    for number in range(200):
        place = number * 205
        query = with_flipped_bits(as_fingerprint(many[place]), number % 32)
        assert index.query(query, within=MATCH) == [Hit(number % 32, place)]


def test_entries_come_back_in_the_order_in_which_they_were_entered(many):
    index = FingerprintIndex()
    references = np.arange(len(many))[::-1]
    for start in range(0, len(many), 5000):
        index.extend(references[start : start + 5000], many[start : start + 5000])
    kept_references, kept = index.entries()
    assert np.array_equal(kept_references, references)
    assert np.array_equal(kept, many)


def test_what_was_entered_is_a_copy(many):
    mine = many.copy()
    index = FingerprintIndex()
    index.extend(np.arange(len(mine)), mine)
    mine[:] = 0
    assert index.query(as_fingerprint(many[0]), within=0) == [Hit(0, 0)]


def test_a_crowd_of_look_alikes_is_searched_rightly():
    """Everything in the same buckets: the tables give up, the answer stays."""
    crowd = np.tile(np.arange(LANES, dtype=np.uint64), (3 * TAIL, 1))
    tables = MultiIndex(crowd)
    positions, distances = tables.search(crowd[:1], 5)
    assert len(positions) == len(crowd)
    assert not distances.any()


@pytest.mark.parametrize("within", [0, 1, 15, 16, 17, 30, 31])
def test_tables_find_what_differs_most_evenly(many, within):
    """The worst case of the pigeonhole principle: the differing bits spread over all words."""
    tables = MultiIndex(many)
    for apart in (within, within + 1):
        query = many[77].copy()
        words = query.view(np.uint16)
        for bit in range(apart):
            words[15 - bit % 16] ^= np.uint16(1 << (bit // 16 + 3))
        positions, distances = tables.search(query[None], within)
        assert positions.tolist() == ([77] if apart <= within else [])
        assert distances.tolist() == ([apart] if apart <= within else [])


def test_a_scan_reaches_all_256_bits():
    opposite = np.array([[0] * LANES, [2**64 - 1] * LANES], np.uint64)
    positions, distances = scan(opposite, opposite[:1], 256)
    assert positions.tolist() == [0, 1]
    assert distances.tolist() == [0, 256]


@pytest.mark.parametrize("faulty", ["", "0" * 63, "0" * 63 + " ", "x" * 64, " " * 2 + "0" * 62])
def test_what_is_no_hash_is_not_packed(faulty):
    with pytest.raises(ValueError, match="hexadecimal"):
        pack(["0" * 64, faulty])


@pytest.mark.parametrize("reference", [-1, 2**63, 1.5, "1", None])
def test_a_reference_that_cannot_be_kept_is_refused(fingerprints, reference):
    index = FingerprintIndex()
    with pytest.raises(UsageError, match="reference"):
        index.add(fingerprints[0], reference)
    assert len(index) == 0


def test_no_hits_are_given_where_none_are_asked_for(fingerprints):
    index = FingerprintIndex([(fingerprints[0], 7), (fingerprints[0], 8)])
    assert index.query(fingerprints[0], limit=0) == index.query(fingerprints[0], limit=-1) == []
