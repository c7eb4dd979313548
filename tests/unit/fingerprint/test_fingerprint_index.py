from __future__ import annotations

import numpy as np
import pytest

from countermark.fingerprint import Fingerprint, FingerprintIndex, Hit, distance


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


def test_it_agrees_with_comparing_one_by_one(fingerprints):
    index = FingerprintIndex((fingerprint, f"{n:04d}") for n, fingerprint in enumerate(fingerprints))
    for count in (0, 20, 60, 97):
        query = with_flipped_bits(fingerprints[123], count)
        expected = sorted(Hit(distance(query, other), f"{n:04d}") for n, other in enumerate(fingerprints))
        assert index.query(query, within=130, limit=50) == [hit for hit in expected if hit.distance <= 130][:50]
        assert index.query(query)[0] == Hit(count, "0123")


def test_nothing_beyond_the_distance_is_returned(fingerprints):
    index = FingerprintIndex([(fingerprints[0], "a")])
    assert index.query(with_flipped_bits(fingerprints[0], 32), within=31) == []
    assert index.query(with_flipped_bits(fingerprints[0], 31), within=31) == [Hit(31, "a")]


def test_equals_come_in_the_order_of_their_references(fingerprints):
    index = FingerprintIndex([(fingerprints[0], "b"), (fingerprints[0], "a"), (fingerprints[0], "c")])
    assert [hit.reference for hit in index.query(fingerprints[0], limit=2)] == ["a", "b"]


def test_an_empty_index_finds_nothing(fingerprints):
    index = FingerprintIndex()
    assert len(index) == 0
    assert index.query(fingerprints[0], within=256) == []


def test_it_grows(fingerprints):
    index = FingerprintIndex()
    for n, fingerprint in enumerate(fingerprints[:300]):
        index.add(fingerprint, str(n))
    assert len(index) == 300
    assert index.query(fingerprints[299], within=0) == [Hit(0, "299")]
