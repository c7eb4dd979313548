"""Properties of the watermark's parts that hold for every input."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from countermark.errors import AssetTooSmall, WatermarkFailed
from countermark.watermark import Lattice, canonical_shape, registrations
from countermark.watermark.lattice import polar
from countermark.watermark.lattice.canonical import pixels_to_plane
from countermark.watermark.lattice.tile import keyed_tile
from countermark.watermark.payload import Payload, append_tag, tag_verifies

TAG_KEY = b"t" * 32
LENGTH = 512

payloads = st.builds(
    Payload,
    record_id=st.integers(0, 2**48 - 1),
    epoch=st.integers(0, 15),
    version=st.integers(0, 15),
)
seeds = st.integers(0, 2**32 - 1)


@given(payloads)
def test_the_polar_code_returns_what_it_was_given(payload):
    word = append_tag(TAG_KEY, payload.to_bits())
    llrs = 8.0 * (1.0 - 2.0 * polar.encode(word, LENGTH))
    best = polar.decode(llrs, len(word), 1)[0]
    assert np.array_equal(best, word)
    assert Payload.from_bits(best[:56]) == payload


@settings(max_examples=40)
@given(payloads, seeds)
def test_the_polar_code_corrects_one_bit_in_eight_of_a_noisy_channel(payload, seed):
    """At a deviation of 0.87, hard decisions of an antipodal channel are wrong in one of eight places."""
    deviation = 0.87
    word = append_tag(TAG_KEY, payload.to_bits())
    sent = 1.0 - 2.0 * polar.encode(word, LENGTH)
    received = sent + np.random.default_rng(seed).normal(0, deviation, LENGTH)
    paths = polar.decode(2 * received / deviation**2, len(word), 16)
    assert len(paths) <= 16
    verified = [path for path in paths if tag_verifies(TAG_KEY, path)]
    assert len(verified) == 1
    assert np.array_equal(verified[0], word)


@settings(max_examples=20)
@given(seeds)
def test_no_path_of_pure_noise_verifies(seed):
    llrs = np.random.default_rng(seed).normal(0, 4, LENGTH)
    assert not any(tag_verifies(TAG_KEY, path) for path in polar.decode(llrs, 88, 16))


@given(st.integers(0, 6), st.integers(1, 64), seeds)
def test_encoding_is_linear(power, count, seed):
    length = 64 << (power % 4)
    first, second = np.random.default_rng(seed).integers(0, 2, (2, count)).astype(np.uint8)
    both = polar.encode(first, length) ^ polar.encode(second, length)
    assert np.array_equal(both, polar.encode(first ^ second, length))


@settings(max_examples=10)
@given(st.binary(min_size=16, max_size=40), seeds)
def test_dimensions_come_back_from_their_pixels(key, seed):
    tile = keyed_tile(key)
    vectors = np.random.default_rng(seed).normal(size=(3, tile.size))
    assert np.allclose(tile.analyse(tile.synthesise(vectors)), vectors, atol=1e-4)


@settings(max_examples=10)
@given(st.binary(min_size=16, max_size=40))
def test_every_dimension_has_one_part(key):
    tile = keyed_tile(key)
    parts = np.concatenate([tile.pilots, tile.data])
    assert np.array_equal(np.sort(parts), np.arange(tile.size))
    # Each coded bit has one dimension at most; the last few have none (the code is punctured).
    assert np.array_equal(tile.coded_bit, np.arange(len(tile.data)))
    assert 0.9 * LENGTH < len(tile.data) <= LENGTH


@settings(max_examples=8, deadline=None)
@given(st.integers(128, 900), st.integers(128, 900), payloads)
def test_pictures_of_every_size_and_aspect_carry_the_mark(height, width, payload):
    photograph = np.tile(data.astronaut(), (2, 2, 1))[:height, :width]
    mark = Lattice(b"a key for the properties", epoch=payload.epoch)
    marked = mark.embed(photograph, payload.record_id)
    found = mark.detect(marked)
    assert (found.record_id, found.epoch) == (payload.record_id, payload.epoch)
    assert np.allclose(registrations(found.transform, (height, width), (height, width))[0], np.eye(3), atol=1e-9)


def arbitrary(kind, height, width, seed):
    """Pixels that no camera takes."""
    random = np.random.default_rng(seed)
    shape = (height, width, 3)
    if kind == "constant":
        return np.full(shape, random.integers(0, 256, 3), np.uint8)
    if kind == "noise":
        return random.integers(0, 256, shape, dtype=np.uint8)
    if kind == "extremes":
        return (random.random(shape) < 0.5).astype(np.uint8) * np.uint8(255)
    if kind == "stripes":
        period = random.uniform(2, 40)
        wave = np.sin(2 * np.pi * (np.arange(width) + random.uniform() * np.arange(height)[:, None]) / period)
        return np.repeat((wave[..., None] > 0).astype(np.uint8) * np.uint8(255), 3, axis=2)
    ramp = np.linspace(0, 255, width)[None, :, None] + np.zeros(shape)
    return ramp.astype(np.uint8)


kinds = st.sampled_from(["constant", "noise", "extremes", "stripes", "ramp"])


@settings(max_examples=25, deadline=None)
@given(kinds, st.integers(1, 700), st.integers(1, 700), seeds)
def test_an_unmarked_array_is_never_detected_and_never_breaks_the_detector(kind, height, width, seed):
    mark = Lattice(b"a key for the properties")
    try:
        found = mark.detect(arbitrary(kind, height, width, seed))
    except AssetTooSmall:
        assert min(height, width) < 64
        return
    assert found.state != "detected"
    assert (found.record_id, found.transform, found.false_positive_probability) == (None, None, 1.0)


@settings(max_examples=25, deadline=None)
@given(kinds, st.integers(100, 700), st.integers(100, 700), payloads, seeds)
def test_an_array_is_marked_or_refused_by_a_typed_error(kind, height, width, payload, seed):
    """A picture without room may lose its mark, which the layer's readback catches; it never turns into another."""
    mark, pixels = Lattice(b"a key for the properties"), arbitrary(kind, height, width, seed)
    if min(height, width) < 128:
        with pytest.raises(AssetTooSmall):
            mark.embed(pixels, payload.record_id)
        return
    try:
        marked = mark.embed(pixels, payload.record_id)
    except WatermarkFailed:
        return
    assert (marked.shape, marked.dtype) == (pixels.shape, np.uint8)
    assert mark.detect(marked).record_id in (payload.record_id, None)


@settings(max_examples=6, deadline=None)
@given(st.integers(64, 140), st.integers(1500, 8192), st.booleans(), seeds)
def test_extremely_narrow_pictures_are_handled(short, long, upright, seed):
    shape = (long, short) if upright else (short, long)
    pixels, mark = arbitrary("noise", *shape, seed), Lattice(b"a key for the properties")
    assert mark.detect(pixels).state != "detected"
    if short >= 128:
        with suppress(WatermarkFailed):
            assert mark.detect(mark.embed(pixels, 7)).record_id in (7, None)


@given(st.integers(64, 8192), st.integers(64, 8192))
def test_the_corners_of_a_picture_are_the_corners_of_its_plane(height, width):
    shape = canonical_shape(height, width)
    matrix = pixels_to_plane(height, width, shape)
    assert np.allclose(matrix @ [-0.5, -0.5, 1], [-0.5, -0.5, 1])
    assert np.allclose(matrix @ [width - 0.5, height - 0.5, 1], [shape[1] - 0.5, shape[0] - 0.5, 1])
