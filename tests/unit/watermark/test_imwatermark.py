"""The backend on the invisible-watermark package, and the recogniser of other generators' constant marks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from countermark.errors import AssetInvalid, AssetTooSmall, KeyUnavailable, MissingExtra, UsageError
from countermark.watermark import ForeignMarks, InvisibleWatermark, Watermark
from countermark.watermark.imwatermark import FOREIGN_MARKS, fair_coin_probability

KEY = b"a key for the other backend"


@pytest.fixture
def small(photographs):
    return np.ascontiguousarray(photographs["astronaut"][:272, :272])


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "imwatermark", None)
    with pytest.raises(MissingExtra) as caught:
        InvisibleWatermark(key=KEY)
    assert "countermark[imwatermark]" in caught.value.remedy


class TestWithThePackage:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")

    def test_a_record_id_is_read_back(self, small):
        backend = InvisibleWatermark(key=KEY)
        assert isinstance(backend, Watermark)
        marked = backend.embed(small, 2**48 - 2)
        found = backend.detect(marked)
        assert (found.state, found.record_id) == ("detected", 2**48 - 2)
        assert found.false_positive_probability == 2**-32

    def test_an_unmarked_picture_and_another_key_give_nothing(self, small):
        backend = InvisibleWatermark(key=KEY)
        assert backend.detect(small).state == "absent"
        assert InvisibleWatermark(key=KEY + b"!").detect(backend.embed(small, 1)).state == "absent"

    def test_colours_are_not_swapped(self, small):
        difference = InvisibleWatermark(key=KEY).embed(small, 1).astype(int) - small
        # The mark is in U, which is blue less luma: blue changes most.
        assert np.abs(difference[:, :, 2]).mean() > np.abs(difference[:, :, 0]).mean()

    def test_refusals_are_typed(self, small):
        with pytest.raises(UsageError, match="32 bits"):
            InvisibleWatermark("rivaGan", key=KEY)
        with pytest.raises(UsageError, match="unknown"):
            InvisibleWatermark("fourier", key=KEY)
        with pytest.raises(KeyUnavailable):
            InvisibleWatermark(key=b"short")
        with pytest.raises(AssetTooSmall):
            InvisibleWatermark(key=KEY).embed(small[:200], 1)
        with pytest.raises(AssetInvalid):
            InvisibleWatermark(key=KEY).embed(small[:, :, 0], 1)

    @pytest.mark.parametrize("known", FOREIGN_MARKS, ids=lambda mark: mark.origin)
    def test_a_known_generators_mark_is_recognised(self, photographs, known):
        from imwatermark import WatermarkEncoder

        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", list(known.bits))
        bgr = np.ascontiguousarray(photographs["astronaut"][:, :, ::-1])
        marked = np.ascontiguousarray(encoder.encode(bgr, known.method)[:, :, ::-1])
        found = ForeignMarks().detect(marked)
        assert found.state == "foreign"
        assert known.origin in found.note
        assert found.false_positive_probability <= 1e-6
        assert found.record_id is None

    def test_photographs_have_no_foreign_mark(self, photographs):
        for name in ("astronaut", "chelsea", "coffee"):
            assert ForeignMarks().detect(photographs[name]).state == "absent"


def test_the_chance_of_fair_coins_is_binomial():
    assert fair_coin_probability(48, 0) == 2**-48
    assert fair_coin_probability(4, 1) == 5 / 16
    assert fair_coin_probability(10, 10) == 1.0
