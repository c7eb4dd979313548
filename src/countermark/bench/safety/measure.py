"""Ask every judge about every prompt, and put the answers together."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from countermark.bench import machine
from countermark.bench.safety.judged import Judged
from countermark.bench.safety.judges import Judge
from countermark.bench.safety.report import (
    TRAINED_NOTICE,
    Absent,
    JudgeFigures,
    JudgeRow,
    Latency,
    Part,
    PictureFigures,
    Report,
    SkippedLines,
)
from countermark.bench.safety.sets import PromptRow, PromptSet, Role
from countermark.bench.safety.tables import figures_of
from countermark.policy import Policy

TIMED: Final = 100
_SEED: Final = 11
_FIRST_SKIPPED: Final = 20
_ROLES: Final[tuple[Role, ...]] = ("reporting", "trained_on")

Progress = Callable[[int, int], None]
T = TypeVar("T")


def measure(
    prompts: PromptSet,
    judges: Sequence[Judge],
    policy: Policy,
    *,
    absent: Iterable[Absent] = (),
    pictures: PictureFigures | None = None,
    limit: int = 0,
    advance: Progress = lambda done, whole: None,
) -> Report:
    """Measure every judge on every part of the prompts.

    Args:
        prompts: what :func:`countermark.bench.safety.sets.load` read.
        judges: the installation's own first.
        policy: which categories count as unsafe here, and at which thresholds.
        absent: peers that could not be asked.
        pictures: the image stage's figures, measured apart.
        limit: how the prompts were sampled, to be said.
        advance: told (prompts judged, prompts altogether), all judges together and without the disguised ones.
    """
    whole, done = len(prompts.rows) * len(judges), 0
    parts: dict[Role, list[JudgeFigures]] = {role: [] for role in _ROLES}
    judge_rows = []
    for judge in judges:
        verdicts = []
        for row in prompts.rows:
            verdicts.append(judge.judge(row))
            done += 1
            advance(done, whole)
        judged = Judged(prompts.rows, tuple(verdicts))
        for role in _ROLES:
            of_role = judged.where(lambda row, role=role: row.role == role)  # type: ignore[misc]
            if of_role.rows:
                parts[role].append(figures_of(judge, of_role, policy))
        latency = _latency(judge, prompts.rows)
        judge_rows.append(JudgeRow(name=judge.name, task=judge.task, detector=judge.detector, latency=latency))
    return Report(
        policy=policy.ref,
        limit=limit,
        read=prompts.read,
        duplicates=prompts.duplicates,
        contradictory=prompts.contradictory,
        unlabelled=prompts.unlabelled,
        skipped=SkippedLines(
            count=len(prompts.skipped),
            first=tuple(f"{skipped.place}: {skipped.reason}" for skipped in prompts.skipped[:_FIRST_SKIPPED]),
        ),
        judges=tuple(judge_rows),
        absent=tuple(absent),
        parts=tuple(_part(role, prompts.rows, found) for role, found in parts.items() if found),
        pictures=pictures,
        machine=machine.describe(),
    )


def _part(role: Role, rows: Sequence[PromptRow], judges: list[JudgeFigures]) -> Part:
    counts = Counter(row.source for row in rows if row.role == role)
    return Part(role=role, notice=TRAINED_NOTICE if role == "trained_on" else "", rows=counts, judges=tuple(judges))


def _latency(judge: Judge, rows: Sequence[PromptRow]) -> Latency:
    chosen = random.Random(_SEED).sample(list(rows), min(TIMED, len(rows)))  # noqa: S311
    return timed(judge.judge, chosen)


def timed(work: Callable[[T], object], items: Sequence[T]) -> Latency:
    """CPU time of one call each, after one to warm up."""
    work(items[0])
    times = []
    for item in items:
        start = time.process_time()
        work(item)
        times.append(1000 * (time.process_time() - start))
    times.sort()
    return Latency(median=statistics.median(times), percentile_95=times[int(0.95 * (len(times) - 1))], of=len(times))
