"""Measure watermarks: every attack on every picture by every backend, with quality, false alarms and cost."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.bench import machine
from countermark.bench.attacks import ATTACKS, Attack
from countermark.bench.backends import Backend, build, number_for
from countermark.bench.images import Picture, PictureSet
from countermark.bench.quality import psnr, ssim
from countermark.bench.report import (
    AttackRow,
    BackendReport,
    Cost,
    PictureRow,
    Pictures,
    Report,
    SkippedRow,
    Tally,
    with_totals,
)
from countermark.errors import CountermarkError, UsageError

Outcome = Literal["recovered", "missed", "wrong", "refused"]
TIMED_SIDE = 1024


@dataclass(frozen=True)
class Task:
    """One picture for one backend; small enough to be sent to another process."""

    backend: str
    psnr: float
    picture: Picture
    attacks: tuple[str, ...]


@dataclass
class Measured:
    """What came of a task; ``None`` where there was nothing to measure."""

    backend: str
    picture: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    psnr: float | None = None
    ssim: float | None = None
    falsely_detected: bool | None = None


def measure(
    pictures: PictureSet,
    attacks: Sequence[Attack],
    backends: Sequence[str],
    *,
    psnr_target: float = 40.0,
    jobs: int = 1,
    timed: bool = True,
    advance: Callable[[int, int], None] = lambda done, whole: None,
) -> Report:
    """Mark, attack and read every picture.

    Args:
        pictures: what to mark.
        attacks: what to do to the marked pictures.
        backends: names of :data:`countermark.bench.backends.NAMES`.
        psnr_target: the strength of our own mark in decibels.
        jobs: processes that work at the same time; the figures do not depend on it.
        timed: whether to measure CPU time too, afterwards and alone.
        advance: told (tasks done, tasks altogether).

    Raises:
        UsageError: a backend is unknown, named twice, or none is named.
        MissingExtra: a backend's package is not installed.
    """
    built = [_backend(name, psnr_target) for name in backends]  # fails before the long work, not in the middle of it
    names = [backend.name for backend in built]
    if not names or len(set(names)) != len(names):
        raise UsageError("Each watermark has to be named once.", remedy="For example --backends lattice,dwtDctSvd.")
    tasks = [
        Task(name, psnr_target, picture, tuple(attack.name for attack in attacks))
        for picture in pictures.pictures
        for name in names
    ]
    done: list[Measured] = []
    with _one_opencv_thread():
        for measured in _run(tasks, jobs):
            done.append(measured)
            advance(len(done), len(tasks))
        costs = {backend.name: _cost(backend, pictures.pictures[0]) if timed else None for backend in built}
    return with_totals(
        Report(
            set=_describe(pictures),
            psnr_target=psnr_target,
            attacks=tuple(AttackRow(name=a.name, group=a.group, core=a.core) for a in attacks),
            backends=tuple(
                _gather(backend, [m for m in done if m.backend == backend.name], costs[backend.name])
                for backend in built
            ),
            machine=machine.describe(),
        )
    )


def _run(tasks: list[Task], jobs: int) -> Iterator[Measured]:
    if jobs == 1:
        yield from map(measure_picture, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        try:
            yield from pool.map(measure_picture, tasks)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def measure_picture(task: Task) -> Measured:
    """One task: mark, attack and read one picture with one backend."""
    backend = _backend(task.backend, task.psnr)
    picture = task.picture
    number = number_for(picture.name, backend.bits)
    measured = Measured(task.backend, picture.name)
    marked = _embedded(backend, picture.pixels, number)
    if marked is not None:
        measured.psnr, measured.ssim = psnr(picture.pixels, marked), ssim(picture.pixels, marked)
    if backend.knows_absence:
        measured.falsely_detected = _outcome(backend, picture.pixels, number) in ("recovered", "wrong")
    for name in task.attacks:
        attack = ATTACKS[name]
        carrier = marked if attack.input_side is None else _embedded(backend, attack.prepare(picture.pixels), number)
        measured.outcomes[name] = "refused" if carrier is None else _outcome(backend, attack(carrier), number)
    return measured


@cache
def _backend(name: str, psnr_target: float) -> Backend:
    return build(name, psnr_target)


def _embedded(backend: Backend, pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8] | None:
    """The marked picture, or ``None`` where the backend refuses it."""
    try:
        return backend.embed(pixels, number)
    except CountermarkError:
        return None


def _outcome(backend: Backend, pixels: NDArray[np.uint8], number: int) -> Outcome:
    """What reading gives. A refusal (too small, too large) is the mark's failure, not the measurement's."""
    try:
        found = backend.read(pixels)
    except CountermarkError:
        return "refused"
    if found == number:
        return "recovered"
    return "wrong" if found is not None and backend.knows_absence else "missed"


def _gather(backend: Backend, measured: list[Measured], cost: Cost | None) -> BackendReport:
    attacks = {}
    for name in measured[0].outcomes:
        outcomes = [m.outcomes[name] for m in measured]
        attacks[name] = Tally(
            recovered=outcomes.count("recovered"),
            missed=outcomes.count("missed"),
            wrong=outcomes.count("wrong"),
            refused=outcomes.count("refused"),
            missed_on=tuple(m.picture for m in measured if m.outcomes[name] != "recovered"),
        )
    examined = [m.falsely_detected for m in measured if m.falsely_detected is not None]
    return BackendReport(
        name=backend.name,
        task=backend.task,
        attacks=attacks,
        psnr=_mean([m.psnr for m in measured]),
        ssim=_mean([m.ssim for m in measured]),
        unmarked=len(examined),
        false_detections=sum(examined),
        cost=cost,
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def _cost(backend: Backend, picture: Picture) -> Cost:
    square = np.asarray(cv2.resize(picture.pixels, (TIMED_SIDE, TIMED_SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
    number = number_for(picture.name, backend.bits)
    marked = _embedded(backend, square, number)
    if marked is None:
        return Cost(embed=None, detect=None, unmarked=None)
    return Cost(
        embed=machine.cpu_milliseconds(lambda: backend.embed(square, number)),
        detect=machine.cpu_milliseconds(lambda: backend.read(marked)),
        unmarked=machine.cpu_milliseconds(lambda: backend.read(square)),
    )


def _describe(pictures: PictureSet) -> Pictures:
    return Pictures(
        name=pictures.name,
        role=pictures.role,
        notice=pictures.notice,
        pictures=tuple(
            PictureRow(name=p.name, width=p.pixels.shape[1], height=p.pixels.shape[0], sha256=p.sha256)
            for p in pictures.pictures
        ),
        skipped=tuple(SkippedRow(name=name, reason=reason) for name, reason in pictures.skipped),
    )


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
