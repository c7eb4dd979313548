from __future__ import annotations

import numpy as np
import pytest

from countermark.watermark.payload import (
    MESSAGE_BITS,
    Payload,
    append_tag,
    derive_key,
    false_positive_bound,
    tag_verifies,
)


@pytest.mark.parametrize("payload", [Payload(0), Payload(2**48 - 1, 15, 15), Payload(0x0123456789AB, 7)])
def test_a_payload_comes_back_from_its_bits(payload):
    bits = payload.to_bits()
    assert len(bits) == MESSAGE_BITS
    assert Payload.from_bits(bits) == payload


def test_the_layout_is_version_epoch_id_most_significant_first():
    bits = Payload(record_id=1, epoch=2, version=3).to_bits()
    assert "".join(map(str, bits)) == "0011" + "0010" + "0" * 47 + "1"


def test_the_tag_depends_on_every_bit_and_on_the_key():
    word = append_tag(b"k" * 32, Payload(5).to_bits())
    assert tag_verifies(b"k" * 32, word)
    assert not tag_verifies(b"l" * 32, word)
    for position in range(len(word)):
        forged = word.copy()
        forged[position] ^= 1
        assert not tag_verifies(b"k" * 32, forged)


def test_random_words_verify_about_never():
    generator = np.random.default_rng(0)
    words = generator.integers(0, 2, (5000, MESSAGE_BITS + 32)).astype(np.uint8)
    assert not any(tag_verifies(b"k" * 32, word) for word in words)


def test_keys_for_different_purposes_differ():
    assert derive_key(b"m" * 16, b"one") != derive_key(b"m" * 16, b"two")


def test_the_bound_is_a_probability():
    assert false_positive_bound(16) == 16 / 2**32
    assert false_positive_bound(2**40) == 1.0
