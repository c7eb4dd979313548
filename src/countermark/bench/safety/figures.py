"""Figures with their uncertainty: how two sets of scores are told apart, shares, and ratios of shares."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from countermark.model.base import Frozen

REPLICATES: Final = 1000
FALSE_POSITIVE_RATES: Final = (0.01, 0.05)
_SEED: Final = 20261122
_CHUNK_CELLS: Final = 4_000_000  # of replicates × distinct scores at a time
_Z: Final = 1.959963984540054  # 97.5 % of a standard normal distribution


class Estimate(Frozen):
    """A figure and its 95 % interval, from ``of`` rows."""

    value: float
    low: float
    high: float
    of: int


class Ranking(Frozen):
    """How well scores put the unsafe above the harmless; intervals by bootstrap over rows, within each class.

    The average precision (``auprc``) depends on ``prevalence``, the share of unsafe rows in the sample. A recall at a
    false-positive rate is that of the lowest threshold at which no greater share of the harmless rows is flagged.
    """

    unsafe: int
    harmless: int
    prevalence: float
    auroc: Estimate
    auprc: Estimate
    recall_at_1_percent: Estimate
    recall_at_5_percent: Estimate


ENOUGH: Final = {"recall_at_1_percent": 100, "recall_at_5_percent": 20}
"""Harmless rows of which one is such a share: with fewer, the figure would be that of no false positive at all."""


def told(ranking: Ranking | None, name: str) -> Estimate | None:
    """A figure of a ranking by its name; ``None`` where the harmless rows are too few for it to mean what it says."""
    if ranking is None or ranking.harmless < ENOUGH.get(name, 1):
        return None
    estimate: Estimate = getattr(ranking, name)
    return estimate


def rank(harmless: NDArray[np.float64], unsafe: NDArray[np.float64], replicates: int = REPLICATES) -> Ranking | None:
    """The ranking of two samples of scores; ``None`` where one of them is empty."""
    if not len(harmless) or not len(unsafe):
        return None
    down, above = _counted(harmless, unsafe)
    exact = _figures(down[None], above[None])[0]
    drawn = _resampled(down, above, replicates)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    total = len(harmless) + len(unsafe)
    auroc, auprc, at_1, at_5 = (
        Estimate(value=float(value), low=float(bottom), high=float(top), of=total)
        for value, bottom, top in zip(exact, low, high, strict=True)
    )
    return Ranking(
        unsafe=len(unsafe),
        harmless=len(harmless),
        prevalence=len(unsafe) / total,
        auroc=auroc,
        auprc=auprc,
        recall_at_1_percent=at_1,
        recall_at_5_percent=at_5,
    )


def threshold_at(harmless: NDArray[np.float64], rate: float) -> float:
    """The score above which at most ``rate`` of the harmless are."""
    falling = np.sort(harmless)[::-1]
    allowed = math.floor(rate * len(falling) + 1e-9)
    return float(falling[allowed]) if allowed < len(falling) else -math.inf


def curve(harmless: NDArray[np.float64], unsafe: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The receiver operating characteristic: (false-positive rate, recall) from (0, 0) to (1, 1)."""
    down, above = _counted(harmless, unsafe)
    false, true = np.cumsum(down) / len(harmless), np.cumsum(above) / len(unsafe)
    return [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]


def share(count: int, of: int) -> Estimate | None:
    """A share with its Wilson interval, which stays honest at none and at all (Wilson 1927); ``None`` of nothing."""
    if not of:
        return None
    value, square = count / of, _Z * _Z
    middle = (value + square / (2 * of)) / (1 + square / of)
    reach = _Z / (1 + square / of) * math.sqrt(value * (1 - value) / of + square / (4 * of * of))
    return Estimate(value=value, low=max(0.0, middle - reach), high=min(1.0, middle + reach), of=of)


def exact_share(count: int, of: int) -> Estimate | None:
    """A share with its exact interval (Clopper and Pearson 1934), for what should be rare; ``None`` of nothing."""
    if not of:
        return None
    from scipy.special import betaincinv

    low = float(betaincinv(count, of - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 0.975)) if count < of else 1.0
    return Estimate(value=count / of, low=low, high=high, of=of)


def ratio(after: NDArray[np.bool_], before: NDArray[np.bool_], replicates: int = REPLICATES) -> Estimate | None:
    """How many of the same rows are flagged after a change, over how many before; bootstrap over rows.

    Args:
        after: one value a row, or (changes, rows) for several changes of each, of which the mean counts.
        before: one value a row.
        replicates: of the bootstrap.

    Returns:
        ``None`` where none was flagged before.
    """
    if not before.any():
        return None
    rng = np.random.default_rng(_SEED)
    times = np.atleast_2d(after)
    kinds, counts = np.unique(np.stack([times.sum(axis=0), before]), axis=1, return_counts=True)
    drawn = rng.multinomial(len(before), counts / len(before), size=replicates)
    numerator, denominator = drawn @ kinds[0] / len(times), drawn @ kinds[1]
    ratios = numerator[denominator > 0] / denominator[denominator > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(
        value=float(times.sum() / len(times) / before.sum()), low=float(low), high=float(high), of=len(before)
    )


def _counted(harmless: NDArray[np.float64], unsafe: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many of each class have each distinct score, the highest first."""
    values, place = np.unique(np.concatenate([harmless, unsafe]), return_inverse=True)
    down = np.bincount(place[: len(harmless)], minlength=len(values))
    above = np.bincount(place[len(harmless) :], minlength=len(values))
    return down[::-1].astype(np.int64), above[::-1].astype(np.int64)


def _resampled(down: NDArray[np.int64], above: NDArray[np.int64], replicates: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(_SEED)
    step = max(1, _CHUNK_CELLS // len(down))
    parts = []
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        harmless = rng.multinomial(down.sum(), down / down.sum(), size=size)
        unsafe = rng.multinomial(above.sum(), above / above.sum(), size=size)
        parts.append(_figures(harmless, unsafe))
    return np.concatenate(parts)


def _figures(down: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per row of counts: area under the curve, average precision, recall at each false-positive rate."""
    false, true = np.cumsum(down, axis=1), np.cumsum(above, axis=1)
    harmless, unsafe = false[:, -1:], true[:, -1:]
    area = (down * (true - above / 2)).sum(axis=1) / (harmless * unsafe)[:, 0]
    precision = true / np.maximum(true + false, 1)
    average = (above * precision).sum(axis=1) / unsafe[:, 0]
    recalls = []
    for rate in FALSE_POSITIVE_RATES:
        reached = (false <= rate * harmless + 1e-9).sum(axis=1)
        padded = np.concatenate([np.zeros((len(true), 1), np.int64), true], axis=1)
        recalls.append(padded[np.arange(len(true)), reached] / unsafe[:, 0])
    return np.stack([area, average, *recalls], axis=1)
