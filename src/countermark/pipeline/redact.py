"""Redaction: what detectors point at is made unrecognisable, and the picture is looked at again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.imaging import Raster
from countermark.model import Category, Decision, Finding, Outcome, Region, Stage
from countermark.pipeline.attempt import Attempt
from countermark.policy import redactable

PADDING = 0.15
"""Of a region's sides, added all around: detectors box tightly."""
CELLS = 6
"""Of a region's longer side: what is left of it are the mean colours of so many by so many cells at most."""
_NO_REGIONS = "Redaction is not possible: no detector says where in the picture it is."

Assess = Callable[[Raster], tuple[Finding, ...]]
Judge = Callable[[Callable[[], tuple[Finding, ...]]], Decision]


@dataclass(frozen=True)
class Redacted:
    """A raster in which regions were made unrecognisable, and which."""

    raster: Raster
    regions: tuple[Region, ...]
    share: float
    """Of the picture's pixels, 0..1."""

    @property
    def summary(self) -> str:
        """What was done, in a few words, without saying what was seen."""
        count = len(self.regions)
        return f"{count} {'region' if count == 1 else 'regions'} blurred, {self.share:.1%} of the picture"


def redact(
    attempt: Attempt, raster: Raster, decision: Decision, *, look: Assess, judge: Judge
) -> tuple[Raster, Decision]:
    """Blur what policy wants blurred and look again.

    Only when the second look finds nothing that policy minds is the decision still *redact*, with the changed picture;
    what was done stands in the attempt's parameters. Otherwise the picture is the one that came in, and the decision
    *review*, or *block* where the second look says so.

    Args:
        attempt: whose findings ask for it; those of the second look are added.
        raster: the picture.
        decision: what policy said of it: *redact*.
        look: the image stage's detectors.
        judge: runs the detectors and lets policy decide; a failure closes.
    """
    wanted = redactable(attempt.parts.policy, attempt.findings)
    regions = regions_of(attempt.findings, wanted)
    if not regions:
        return raster, held(decision, _NO_REGIONS)
    with attempt.timer("redact"):
        done = obscure(raster, regions)
    attempt.params["redaction"] = done.summary
    attempt.params["redacted_regions"] = "; ".join(map(_written, regions))
    second = judge(lambda: tuple(map(_second_look, look(done.raster))))
    if second.outcome is Outcome.ALLOW:
        said = f"Redacted: {done.summary}; a second look found nothing that the policy minds."
        return done.raster, decision.model_copy(update={"reasons": (*decision.reasons, said)})
    said = f"Redaction was tried ({done.summary}) and is not enough."
    return raster, held(second, said, after=decision)


def regions_of(findings: Iterable[Finding], categories: frozenset[Category]) -> tuple[Region, ...]:
    """Every region that the image stage's findings of these categories point at, once."""
    found = (f.regions for f in findings if f.stage is Stage.IMAGE and f.category in categories)
    return tuple(dict.fromkeys(region for regions in found for region in regions))


def held(decision: Decision, why: str, *, after: Decision | None = None) -> Decision:
    """The decision that stops a picture which cannot be redacted: at least *review*."""
    outcome = Outcome.BLOCK if decision.outcome is Outcome.BLOCK else Outcome.REVIEW
    before = after.reasons if after else ()
    reasons = (why, *before, *decision.reasons)
    return decision.model_copy(update={"outcome": outcome, "reasons": tuple(dict.fromkeys(reasons))})


def obscure(raster: Raster, regions: Sequence[Region]) -> Redacted:
    """Replace each region by the mean colours of a few cells, softened. Nothing finer can be got back from them.

    Of a transparent picture likewise what can be seen through, in which all of a picture or text may stand.
    """
    pixels = raster.pixels.copy()
    alpha = None if raster.alpha is None else raster.alpha.copy()
    touched = np.zeros(pixels.shape[:2], np.bool_)
    for region in regions:
        rows, columns = _padded(region, raster.height, raster.width)
        pixels[rows, columns] = _softened(raster.pixels[rows, columns])
        if alpha is not None and raster.alpha is not None:
            alpha[rows, columns] = _softened(raster.alpha[rows, columns])
        touched[rows, columns] = True
    # The file's digest is no longer that of these pixels.
    changed = replace(raster, pixels=pixels, alpha=alpha, sha256="")
    return Redacted(changed, tuple(regions), float(touched.mean()))


def _padded(region: Region, height: int, width: int) -> tuple[slice, slice]:
    across, down = (region.right - region.left) * PADDING, (region.bottom - region.top) * PADDING
    top, bottom = math.floor((region.top - down) * height), math.ceil((region.bottom + down) * height)
    left, right = math.floor((region.left - across) * width), math.ceil((region.right + across) * width)
    return slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))


def _softened(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = patch.shape[:2]
    cell = max(height, width) / CELLS
    few = max(1, round(width / cell)), max(1, round(height / cell))
    mosaic = cv2.resize(patch, few, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(mosaic, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _second_look(finding: Finding) -> Finding:
    return finding.model_copy(update={"reason": f"after redaction: {finding.reason}".rstrip(": ")})


def _written(region: Region) -> str:
    box = ",".join(f"{side:.3f}" for side in (region.left, region.top, region.right, region.bottom))
    return f"{region.label} {box}"
