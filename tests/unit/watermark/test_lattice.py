"""What the lattice watermark promises: presence, absence, strength, keys, and typed refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from countermark.errors import AssetInvalid, AssetTooLarge, AssetTooSmall, KeyUnavailable, UsageError
from countermark.watermark import Lattice, Watermark
from countermark.watermark.lattice import keystream, polar
from countermark.watermark.lattice.embed import embed
from countermark.watermark.lattice.tile import keyed_tile
from countermark.watermark.payload import Payload, append_tag, derive_key

OTHER_KEY = b"quite another key for the tests."

PINNED_SIGNS = [-1, -1, 1, -1, 1, -1, 1, 1, 1, -1, -1, -1, -1, -1, 1, 1]
PINNED_TONES = [[61, 2], [2, 61], [-61, 2], [-2, 61]]
PINNED_DATA = [66, 76, 90, 555, 192, 276]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


def test_it_is_a_watermark(mark):
    assert isinstance(mark, Watermark)


def test_an_unmarked_photograph_is_not_detected(mark, photographs):
    for pixels in photographs.values():
        found = mark.detect(pixels)
        assert (found.state, found.record_id, found.false_positive_probability) == ("absent", None, 1.0)
        assert found.transform is None


def test_another_key_detects_nothing(mark, photographs):
    stranger = Lattice(OTHER_KEY)
    for pixels in photographs.values():
        assert stranger.detect(mark.embed(pixels, 1)).state == "absent"


@pytest.mark.parametrize("record_id", [0, 1, 2**47, 2**48 - 1])
def test_every_record_id_is_carried(mark, photographs, record_id):
    assert mark.detect(mark.embed(photographs["chelsea"], record_id)).record_id == record_id


@pytest.mark.parametrize("target", [37.0, 40.0, 43.0])
def test_the_strength_is_met(key, photographs, target):
    for pixels in photographs.values():
        marked = Lattice(key, psnr=target).embed(pixels, 5)
        assert abs(psnr(pixels, marked) - target) <= 0.1


@pytest.mark.parametrize("level", [0, 255])
def test_the_strength_is_met_where_half_the_mark_is_clipped(mark, level):
    flat = np.full((300, 200, 3), level, np.uint8)
    assert psnr(flat, mark.embed(flat, 5)) >= 39.9


def test_the_input_is_left_alone_and_the_output_has_its_form(mark, photographs):
    before = photographs["coffee"].copy()
    marked = mark.embed(before, 5)
    assert np.array_equal(before, photographs["coffee"])
    assert (marked.shape, marked.dtype, marked.flags["C_CONTIGUOUS"]) == (before.shape, np.uint8, True)


def test_equal_input_gives_equal_output(key, photographs):
    turned = cv2.warpAffine(
        Lattice(key).embed(photographs["china"], 9), cv2.getRotationMatrix2D((320, 213), 4, 1.0), (640, 427)
    )
    assert np.array_equal(Lattice(key).embed(turned, 3), Lattice(key).embed(turned, 3))
    assert Lattice(key).detect(turned) == Lattice(key).detect(turned)


def test_a_picture_that_is_not_contiguous_is_taken(mark, photographs):
    view = photographs["astronaut"][::-1, ::2]
    assert mark.detect(mark.embed(view, 8)).record_id == 8


def test_the_mark_of_version_1_never_changes():
    """Marks must be found by later releases: the keyed waveform is pinned for one key."""
    tile = keyed_tile(b"0123456789abcdef")
    assert tile.signs[0, 0, :16].astype(int).tolist() == PINNED_SIGNS
    assert tile.tones[:4].astype(int).tolist() == PINNED_TONES
    assert tile.data[:6].tolist() == PINNED_DATA
    assert tile.placement(77) == (192, 128)


def test_the_tones_are_closed_under_quarter_turns_and_flips(key):
    tones = {tuple(tone) for tone in keyed_tile(key).tones}
    both = tones | {(-u, -v) for u, v in tones}
    assert len(both) == 48
    assert {(-v, u) for u, v in both} == both
    assert {(-u, v) for u, v in both} == both


def test_a_mark_whose_tag_was_forged_is_not_detected(key, mark, photographs):
    """The waveform is the key's own, and every bit decodes; only the tag is wrong."""
    word = append_tag(derive_key(key, keystream.label("tag")), Payload(77).to_bits())
    tile = keyed_tile(key)
    honest = embed(photographs["coffee"], tile, polar.encode(word, 512), tile.placement(77), 40.0)
    assert mark.detect(honest).record_id == 77
    for position in (0, 30, 60, 87):
        forged = word.copy()
        forged[position] ^= 1
        found = mark.detect(embed(photographs["coffee"], tile, polar.encode(forged, 512), tile.placement(77), 40.0))
        assert found.record_id is None


def test_a_ruined_mark_is_inconclusive(key, mark, photographs):
    """Tones and pilots are there, but the coded bits are nobody's word."""
    noise = np.random.default_rng(3).integers(0, 2, 512).astype(np.uint8)
    turned = cv2.getRotationMatrix2D((300, 200), 3, 1.0)
    ruined = cv2.warpAffine(embed(photographs["coffee"], keyed_tile(key), noise, (64, 0), 40.0), turned, (600, 400))
    found = mark.detect(ruined)
    assert (found.state, found.record_id, found.false_positive_probability) == ("inconclusive", None, 1.0)
    assert found.note


def test_marks_of_earlier_epochs_are_found(photographs):
    keys = {number: bytes([number]) * 32 for number in range(4)}
    current = Lattice(keys[3], epoch=3, keys=keys)
    for epoch, secret in keys.items():
        marked = Lattice(secret, epoch=epoch).embed(photographs["astronaut"], 100 + epoch)
        turned = np.ascontiguousarray(np.rot90(marked))
        for pixels in (marked, turned):
            found = current.detect(pixels)
            assert (found.record_id, found.epoch, found.version) == (100 + epoch, epoch, 1)


def test_an_epoch_beyond_the_payloads_field_is_reported_in_full(photographs):
    marker = Lattice(OTHER_KEY, epoch=21)
    assert marker.detect(marker.embed(photographs["chelsea"], 4)).epoch == 21


def test_a_retired_key_is_no_longer_found(key, photographs):
    marked = Lattice(key, epoch=0).embed(photographs["chelsea"], 4)
    assert Lattice(OTHER_KEY, epoch=1).detect(marked).state == "absent"


def test_the_false_positive_bound_counts_every_comparison(mark, photographs):
    direct = mark.detect(mark.embed(photographs["coffee"], 6))
    assert direct.false_positive_probability == pytest.approx(16 * 2**-32)
    others = {number: bytes([number]) * 16 for number in range(1, 4)}
    searched = Lattice(b"a key for the tests, 32 bytes...", epoch=0, keys=others)
    cropped = mark.embed(photographs["coffee"], 6)[60:, 90:]
    assert searched.detect(cropped).false_positive_probability >= mark.detect(cropped).false_positive_probability


@pytest.mark.parametrize("short", [b"", b"fifteen bytes..", "a string of more than sixteen"])
def test_a_weak_key_is_refused(key, short):
    with pytest.raises(KeyUnavailable):
        Lattice(short)
    with pytest.raises(KeyUnavailable):
        Lattice(key, epoch=1, keys={0: short})


def test_impossible_settings_are_refused(key):
    with pytest.raises(UsageError, match="epoch"):
        Lattice(key, epoch=-1)
    with pytest.raises(UsageError, match="Two different keys"):
        Lattice(key, epoch=1, keys={1: OTHER_KEY})
    with pytest.raises(UsageError, match="dB"):
        Lattice(key, psnr=12)


@pytest.mark.parametrize(
    "settings", [{"epoch": "1"}, {"epoch": 1.0}, {"epoch": True}, {"keys": {"a": b"x" * 32}}, {"keys": [b"x" * 32]}]
)
def test_settings_of_another_type_are_refused_and_not_quoted(key, settings):
    with pytest.raises(UsageError, match=r"epoch"):
        Lattice(key, **settings)
    with pytest.raises(UsageError) as refused:
        Lattice(key, epoch=key)
    assert key.decode() not in str(refused.value)
    with pytest.raises(UsageError, match="dB, not str"):
        Lattice(key, psnr="40")


def test_integers_of_numpy_will_do(mark, key, photographs):
    marked = Lattice(key, epoch=np.int64(0)).embed(photographs["chelsea"], np.uint64(2**47))
    assert np.array_equal(marked, mark.embed(photographs["chelsea"], 2**47))


@pytest.mark.parametrize("record_id", [-1, 2**48, 1.0, True, np.bool_(True), "1"])
def test_an_impossible_record_id_is_refused(mark, photographs, record_id):
    with pytest.raises(UsageError, match="record id"):
        mark.embed(photographs["chelsea"], record_id)


def test_a_key_never_shows_in_a_representation(key):
    assert key.decode() not in repr(Lattice(key))


@pytest.mark.parametrize(
    ("pixels", "error"),
    [
        (np.zeros((200, 200), np.uint8), AssetInvalid),
        (np.zeros((200, 200, 4), np.uint8), AssetInvalid),
        (np.zeros((200, 200, 3), np.float32), AssetInvalid),
        ([[0]], AssetInvalid),
        (np.zeros((127, 400, 3), np.uint8), AssetTooSmall),
        (np.zeros((128, 8193, 3), np.uint8), AssetTooLarge),
    ],
)
def test_pixels_that_cannot_carry_a_mark_are_refused(mark, pixels, error):
    with pytest.raises(error):
        mark.embed(pixels, 1)


def test_pixels_that_cannot_be_examined_are_refused(mark):
    with pytest.raises(AssetTooSmall):
        mark.detect(np.zeros((63, 400, 3), np.uint8))
    with pytest.raises(AssetInvalid):
        mark.detect(np.zeros((200, 200), np.uint8))
