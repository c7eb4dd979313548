"""How logits of the prompt model become probabilities."""

from __future__ import annotations

import math

import pytest

from countermark.safety.calibration import Calibration, Platt, Thresholds, likeliest
from countermark.safety.lexicon import WEIGHTS_DIR
from countermark.safety.prompt_heads import HEAD_CATEGORIES
from countermark.safety.prompt_model import CALIBRATION_FILE

STEEP, FLAT = Platt(slope=2.0, intercept=0.0), Platt(slope=1.0, intercept=-2.0)
EVEN = Platt(slope=1.0, intercept=0.0)


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        prior=0.2,
        ngram_weight=0.3,
        length_penalty=1.0,
        unsafe={"hate": STEEP, "illicit": FLAT},
        shares={"hate": EVEN, "illicit": EVEN},
        thresholds=Thresholds(review=0.4, middle=0.6, block=0.8),
    )


def test_the_curve_of_the_named_category_decides(calibration: Calibration) -> None:
    as_hate = calibration.probabilities(1.0, {"hate": 3.0, "illicit": -3.0})
    as_crime = calibration.probabilities(1.0, {"hate": -3.0, "illicit": 3.0})
    assert as_hate["hate"] == pytest.approx(STEEP(1.0))
    assert as_crime["illicit"] == pytest.approx(FLAT(1.0))
    assert as_hate["hate"] > as_crime["illicit"]


def test_doubt_about_the_name_never_lowers_the_greatest_probability(calibration: Calibration) -> None:
    sure = calibration.probabilities(1.0, {"hate": 3.0, "illicit": -3.0})
    unsure = calibration.probabilities(1.0, {"hate": 0.1, "illicit": 0.0})
    assert max(sure.values()) == max(unsure.values()) == pytest.approx(STEEP(1.0))


def test_many_windows_count_for_less(calibration: Calibration) -> None:
    assert calibration.summed(2.0, 1.0, windows=5) < calibration.summed(2.0, 1.0, windows=1) == pytest.approx(2.3)


def test_from_the_fourth_window_on_their_number_counts_no_more(calibration: Calibration) -> None:
    assert calibration.summed(2.0, 1.0, windows=3) > calibration.summed(2.0, 1.0, windows=4)
    assert calibration.summed(2.0, 1.0, windows=4) == calibration.summed(2.0, 1.0, windows=200)


def test_a_window_that_would_be_blocked_alone_is_held_in_any_company() -> None:
    shipped = Calibration.read(WEIGHTS_DIR / CALIBRATION_FILE)
    for curve in shipped.unsafe.values():
        blocked = (math.log(0.85 / 0.15) - curve.intercept) / curve.slope
        assert curve(blocked) == pytest.approx(0.85)
        assert curve(shipped.summed(blocked, 0.0, windows=1000)) >= 0.5


def test_the_likeliest_category_has_the_greatest_lead() -> None:
    assert likeliest({"hate": EVEN, "illicit": EVEN}, {"hate": -1.0, "illicit": 0.5}) == "illicit"


def test_the_shipped_curves_are_one_a_category_and_rise() -> None:
    shipped = Calibration.read(WEIGHTS_DIR / CALIBRATION_FILE)
    assert set(shipped.unsafe) == set(shipped.shares) == set(HEAD_CATEGORIES)
    assert all(curve.slope > 0 for curve in shipped.unsafe.values())
    assert len({curve.intercept for curve in shipped.unsafe.values()}) == len(HEAD_CATEGORIES)
    assert shipped.thresholds.review < shipped.thresholds.middle < shipped.thresholds.block
