"""Rows with a judge's words on them: to be narrowed down, sampled, reworded and counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from countermark.bench.safety import figures
from countermark.bench.safety.judges import Judge, Verdict
from countermark.bench.safety.report import Outcomes
from countermark.bench.safety.sets import PromptRow
from countermark.model import Outcome

_SEED: Final = 11


@dataclass(frozen=True)
class Judged:
    """Rows with one judge's words on them."""

    rows: tuple[PromptRow, ...]
    verdicts: tuple[Verdict, ...]

    def where(self, keep: Callable[[PromptRow], bool]) -> Judged:
        """The part for which a condition holds."""
        kept = [(row, verdict) for row, verdict in zip(self.rows, self.verdicts, strict=True) if keep(row)]
        return Judged(tuple(row for row, _ in kept), tuple(verdict for _, verdict in kept))

    @cached_property
    def risks(self) -> NDArray[np.float64]:
        """Scores of those that have one."""
        return np.array([v.risk for v in self.verdicts if v.risk is not None], np.float64)

    @property
    def outcomes(self) -> Outcomes:
        """How many were stopped, and why."""
        held = sum(v.found and v.outcome is not Outcome.BLOCK for v in self.verdicts)
        blocked = sum(v.found and v.outcome is Outcome.BLOCK for v in self.verdicts)
        unseen = sum(not v.found and v.outcome is not Outcome.ALLOW for v in self.verdicts)
        flagged = figures.share(held + blocked, len(self.verdicts))
        return Outcomes(of=len(self.verdicts), held=held, blocked=blocked, not_assessed=unseen, flagged=flagged)

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Which are above a score; what has none is not."""
        return np.array([v.risk is not None and v.risk > threshold for v in self.verdicts], np.bool_)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which were stopped for what was found."""
        return np.array([v.found for v in self.verdicts], np.bool_)


def sample(judged: Judged, size: int) -> Judged:
    """At most so many, always the same ones."""
    count = len(judged.rows)
    chosen = sorted(random.Random(_SEED).sample(range(count), min(size, count)))  # noqa: S311
    return Judged(tuple(judged.rows[i] for i in chosen), tuple(judged.verdicts[i] for i in chosen))


def judged_as(judge: Judge, judged: Judged, reword: Callable[[PromptRow, int], str]) -> Judged:
    """The same rows in other words, judged anew; ``reword`` takes a row and its number."""
    rows = tuple(row.saying(reword(row, number)) for number, row in enumerate(judged.rows))
    return Judged(rows, tuple(judge.judge(row) for row in rows))
