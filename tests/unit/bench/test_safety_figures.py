from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from countermark.bench.safety.figures import curve, exact_share, rank, ratio, share, threshold_at, told

SCORES = st.lists(st.integers(0, 6).map(lambda n: n / 6), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_areas_are_those_of_scikit_learn_ties_and_all(down: list[float], above: list[float]) -> None:
    ranking = rank(np.array(down), np.array(above), replicates=10)
    assert ranking is not None
    labels = np.repeat([0, 1], [len(down), len(above)])
    scores = np.concatenate([down, above])
    assert ranking.auroc.value == pytest.approx(roc_auc_score(labels, scores))
    assert ranking.auprc.value == pytest.approx(average_precision_score(labels, scores))
    assert ranking.prevalence == pytest.approx(len(above) / len(scores))


@given(SCORES, SCORES)
def test_recall_is_that_of_the_lowest_threshold_within_the_rate(down: list[float], above: list[float]) -> None:
    ranking = rank(np.array(down), np.array(above), replicates=1)
    assert ranking is not None
    for rate, found in ((0.01, ranking.recall_at_1_percent), (0.05, ranking.recall_at_5_percent)):
        threshold = threshold_at(np.array(down), rate)
        assert np.mean(np.array(down) > threshold) <= rate
        assert found.value == pytest.approx(np.mean(np.array(above) > threshold))


def test_intervals_hold_the_figure_and_shrink_with_more_rows() -> None:
    rng = np.random.default_rng(3)
    small = rank(rng.normal(0, 1, 60), rng.normal(2, 1, 60))
    large = rank(rng.normal(0, 1, 3000), rng.normal(2, 1, 3000))
    assert small is not None
    assert large is not None
    for ranking in (small, large):
        assert ranking.auroc.low < ranking.auroc.value < ranking.auroc.high
        assert ranking.recall_at_5_percent.low <= ranking.recall_at_5_percent.value <= ranking.recall_at_5_percent.high
    assert large.auroc.high - large.auroc.low < (small.auroc.high - small.auroc.low) / 3
    # Two normal distributions two deviations apart: the area is Φ(√2).
    assert large.auroc.low < 0.5 * (1 + math.erf(1)) < large.auroc.high


def test_nothing_is_ranked_without_both_classes() -> None:
    some, none = np.array([0.1, 0.2]), np.array([])
    assert rank(some, none) is None
    assert rank(none, some) is None


def test_the_curve_rises_from_corner_to_corner() -> None:
    points = curve(np.array([0.1, 0.4, 0.4]), np.array([0.3, 0.4, 0.9]))
    assert points == [(0, 0), (0, pytest.approx(1 / 3)), (pytest.approx(2 / 3), pytest.approx(2 / 3)),
                      (pytest.approx(2 / 3), 1), (1, 1)]  # fmt: skip


def test_shares_stay_uncertain_at_none_and_all() -> None:
    none, half = share(0, 50), share(25, 50)
    assert none is not None
    assert half is not None
    assert (none.low, none.value) == (0, 0)
    assert none.high == pytest.approx(0.0713, abs=5e-4)  # Wilson's interval of 0 of 50
    assert half.value == 0.5
    assert half.low == pytest.approx(1 - half.high)
    assert share(0, 0) is None


def test_exact_intervals_are_those_of_the_binomial() -> None:
    """The ends are where the count, or one more extreme, has a chance of 2.5 %."""
    from scipy.stats import binom

    for count, of in ((0, 50), (1, 254), (25, 50), (50, 50)):
        found = exact_share(count, of)
        assert found is not None
        assert (found.value, found.of) == (count / of, of)
        assert found.low <= found.value <= found.high
        if count:
            assert binom.sf(count - 1, of, found.low) == pytest.approx(0.025)
        if count < of:
            assert binom.cdf(count, of, found.high) == pytest.approx(0.025)
    assert exact_share(0, 0) is None


def test_ratios_are_of_the_same_rows() -> None:
    before = np.array([True] * 8 + [False] * 12)
    same = ratio(before, before)
    assert same is not None
    assert (same.value, same.low, same.high) == (1, 1, 1)
    fewer = ratio(before & (np.arange(20) < 6), before)
    assert fewer is not None
    assert fewer.value == 0.75
    assert fewer.low < 0.75 < fewer.high <= 1
    assert ratio(before, np.zeros(20, bool)) is None


def test_the_mean_of_several_changes_counts() -> None:
    before = np.array([True] * 8 + [False] * 12)
    doubled = np.stack([before, np.arange(20) < 16])
    found = ratio(doubled, before)
    assert found is not None
    assert found.value == 1.5
    assert found.low < 1.5 < found.high
    assert found.of == 20


@pytest.mark.parametrize(("harmless", "at_5", "at_1"), [(19, False, False), (20, True, False), (100, True, True)])
def test_a_rate_that_no_row_can_make_up_is_not_told(harmless: int, at_5: bool, at_1: bool) -> None:
    ranking = rank(np.linspace(0, 0.5, harmless), np.ones(3), replicates=10)
    assert (told(ranking, "recall_at_5_percent") is not None) == at_5
    assert (told(ranking, "recall_at_1_percent") is not None) == at_1
    assert told(ranking, "auroc") is not None
    assert told(None, "auroc") is None
