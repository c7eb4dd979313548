from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from countermark.errors import AssetInvalid, UsageError
from countermark.fingerprint import MATCH, NEAR, Fingerprint, classify, dihedral, distance, pdq


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]


@pytest.mark.parametrize(
    "attack",
    [
        lambda a: jpeg(a, 30),
        lambda a: cv2.resize(a, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        lambda a: cv2.resize(a, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC),
        lambda a: np.clip(a * 1.2 + 5, 0, 255).astype(np.uint8),
        lambda a: cv2.GaussianBlur(a, (0, 0), 2),
    ],
    ids=["jpeg 30", "shrunk", "enlarged", "brighter", "blurred"],
)
def test_a_picture_matches_its_copies(pictures, attack):
    for pixels in pictures:
        assert classify(distance(pdq.compute(pixels), pdq.compute(attack(pixels)))) == "match"


def test_different_pictures_are_far_apart(pictures):
    hashes = [pdq.compute(pixels) for pixels in pictures]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > NEAR


def test_reducing_a_large_picture_changes_few_bits():
    """The hash of the unreduced picture is what other programs compute."""
    import pdqhash

    large = cv2.resize(data.coffee(), (1500, 1000), interpolation=cv2.INTER_CUBIC)
    full = Fingerprint(np.packbits(pdqhash.compute(large)[0].astype(np.uint8)).tobytes().hex(), 100)
    assert distance(pdq.compute(large), full) <= 16


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_one_of_the_eight_finds_a_turned_picture(pictures, turns, flipped):
    for pixels in pictures:
        turned = np.rot90(pixels[:, ::-1] if flipped else pixels, turns)
        assert min(distance(pdq.compute(turned), other) for other in dihedral(pixels)) <= MATCH


def test_the_first_of_the_eight_is_the_picture_itself(pictures):
    eight = dihedral(pictures[0])
    assert len(eight) == 8
    assert eight[0] == pdq.compute(pictures[0])


def test_a_flat_picture_has_no_quality():
    assert pdq.compute(np.full((300, 300, 3), 90, np.uint8)).quality == 0
    assert pdq.compute(data.coffee()).quality == 100


def test_the_classes_meet_at_their_thresholds():
    assert [classify(d) for d in (0, 31, 32, 97, 98, 256)] == ["match", "match", "near", "near", "none", "none"]


def test_distance_is_hamming():
    zero, one = Fingerprint("0" * 64, 100), Fingerprint("f" * 64, 100)
    assert (distance(zero, zero), distance(zero, one)) == (0, 256)
    assert distance(zero, Fingerprint("0" * 63 + "5", 0)) == 2


@pytest.mark.parametrize("bits", ["", "0" * 63, "G" * 64, "F" * 64])
def test_a_malformed_hash_is_refused(bits):
    with pytest.raises(UsageError):
        Fingerprint(bits, 100)


@pytest.mark.parametrize(
    "pixels", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((0, 9, 3), np.uint8), None]
)
def test_what_is_not_pixels_is_refused(pixels):
    with pytest.raises(AssetInvalid):
        pdq.compute(pixels)
