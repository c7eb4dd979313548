"""The image stage: several independent classifiers, and how much their agreement weighs.

The models err on different images (Spearman correlation of their scores on photographs .05 to .17), so that one score
above the threshold is a reason to look, and two are a reason to refuse. Severity is 2 where one model is above its
review threshold, 4 where one is very sure, and 6 where two of them are above theirs. Three models look for sexual
content, one of them for graphic content too.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError
from countermark.model import Category, DetectorRef, Finding, Severity, Stage
from countermark.safety.image_models import NsfwJsMid, OpenNsfw, OwenSafety, PackagedImageModel
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed

_ID: Final = "countermark.image-safety"
_VERSION: Final = "2"
SMALLEST_SIDE: Final = 32
"""Below this, in pixels, there is nothing that the models could recognise."""
SQUARISH: Final = 2.5
LONGEST_RATIO: Final = 8.0
"""Longer strips are not assessed: squeezed into a model's square input they would show nothing."""


@dataclass(frozen=True)
class _Answer:
    """What one model says of one image, or why it says nothing."""

    model: PackagedImageModel
    scores: dict[Category, float]
    failure: str = ""


class ImageEnsemble:
    """Every shipped image detector behind one :class:`~countermark.safety.interface.ImageClassifier`.

    Args:
        models: the detectors; the shipped ones by default. Whoever leaves one out decides what is not looked at.
        threads: threads of one inference; :mod:`countermark.safety.onnx_session` decides by default.
        providers: onnxruntime's execution providers, best first; the same module decides by default.
        verify: load the models now, and raise if one cannot be used.

    Raises:
        WeightsMissing: with ``verify``, a model file is not installed.
        WeightsMismatch: with ``verify``, a model file is not the released one.
    """

    def __init__(
        self,
        models: Sequence[PackagedImageModel] | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        verify: bool = False,
    ) -> None:
        if models is None:
            models = tuple(
                model(threads=threads, providers=providers, verify=verify)
                for model in (OpenNsfw, OwenSafety, NsfwJsMid)
            )
        self._models = tuple(models)
        digests = "\0".join(f"{model.detector.id} {model.detector.digest}" for model in self._models)
        self._detector = DetectorRef(id=_ID, version=_VERSION, digest=hashlib.sha256(digests.encode()).hexdigest())

    @property
    def detector(self) -> DetectorRef:
        """The ensemble; its digest covers the digests of its models."""
        return self._detector

    @property
    def categories(self) -> frozenset[Category]:
        """The categories of all models together."""
        return frozenset(category for model in self._models for category in model.categories)

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """At least one finding for each category of the image stage.

        A category that a working model and a broken model share gets a finding from each, so that the broken one is
        seen: policy stops what was not looked at. May be called from several threads at once.

        Args:
            pixels: RGB uint8, H×W×3.
        """
        problem = unfit(pixels)
        if problem:
            return tuple(not_assessed(Stage.IMAGE, category, self.detector, problem) for category in IMAGE_CATEGORIES)
        return self._findings([self._ask(model, _views(pixels)) for model in self._models])

    def assess_many(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[Finding, ...]]:
        """What :meth:`assess` says of each image, in their order; the models see them in batches.

        Worth the memory on a device; on a CPU it takes as long as one image after the other.

        Args:
            images: RGB uint8, H×W×3 each; sizes may differ.
        """
        views = [[] if unfit(pixels) else _views(pixels) for pixels in images]
        together = [self._ask_together(model, views) for model in self._models]
        return [
            self._findings([answers[index] for answers in together]) if views[index] else self.assess(pixels)
            for index, pixels in enumerate(images)
        ]

    async def assess_async(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """:meth:`assess` in a thread of its own, so that the event loop goes on; the models release Python's lock."""
        return await asyncio.to_thread(self.assess, pixels)

    def _ask(self, model: PackagedImageModel, views: Sequence[NDArray[np.uint8]]) -> _Answer:
        try:
            return _Answer(model, _greatest(model.scores_many(views)))
        except CountermarkError as error:
            return _Answer(model, {}, f"the model {model.detector.id} cannot be used ({error.code})")
        except Exception as error:  # an inference engine may raise anything; whatever it is, nobody looked
            return _Answer(model, {}, f"the model {model.detector.id} failed ({type(error).__name__})")

    def _ask_together(self, model: PackagedImageModel, views: Sequence[Sequence[NDArray[np.uint8]]]) -> list[_Answer]:
        try:
            scores = iter(model.scores_many([view for of_one in views for view in of_one]))
            return [_Answer(model, _greatest([next(scores) for _ in of_one])) for of_one in views]
        except Exception:  # one image may be to blame: the others are not to suffer for it
            return [self._ask(model, of_one) for of_one in views]

    def _findings(self, answers: Sequence[_Answer]) -> tuple[Finding, ...]:
        votes: dict[Category, list[tuple[PackagedImageModel, float]]] = {}
        failures: list[Finding] = []
        for answer in answers:
            for category in answer.model.categories:
                if answer.failure:
                    failures.append(not_assessed(Stage.IMAGE, category, answer.model.detector, answer.failure))
                else:
                    votes.setdefault(category, []).append((answer.model, answer.scores[category]))
        judged = {category: self._judge(category, cast) for category, cast in votes.items()}
        answered = {*judged, *(finding.category for finding in failures)}
        silent = [self._silent(category) for category in IMAGE_CATEGORIES if category not in answered]
        found = [*judged.values(), *failures, *silent]
        return tuple(sorted(found, key=lambda finding: IMAGE_CATEGORIES.index(finding.category)))

    def _judge(self, category: Category, votes: list[tuple[PackagedImageModel, float]]) -> Finding:
        if any(not math.isfinite(score) for _, score in votes):
            return not_assessed(Stage.IMAGE, category, self.detector, "a model gave no number")
        above = [(model, score) for model, score in votes if score >= model.review]
        severity: Severity = 0
        if len(above) >= 2:
            severity = 6
        elif any(score >= model.very_high for model, score in above):
            severity = 4
        elif above:
            severity = 2
        said = "; ".join(f"{model.detector.id} {score:.3f}" for model, score in votes)
        detector = self.detector if len(votes) > 1 else votes[0][0].detector
        return assessed(Stage.IMAGE, category, detector, max(score for _, score in votes), severity, reason=said)

    def _silent(self, category: Category) -> Finding:
        return not_assessed(Stage.IMAGE, category, self.detector, "no image model for this category is installed")


def _greatest(scores: Sequence[dict[Category, float]]) -> dict[Category, float]:
    """The greatest score of each category over all views; no number where a view gave none."""
    return {category: float(np.max([score[category] for score in scores])) for category in scores[0]}


def unfit(pixels: NDArray[np.uint8]) -> str:
    """Why an array cannot be looked at, or the empty string."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        return "the pixels are not RGB of 8 bits"
    shorter, longer = sorted(pixels.shape[:2])
    if shorter < SMALLEST_SIDE:
        return f"the image is too small to recognise anything (a side of {shorter} pixels)"
    if longer > LONGEST_RATIO * shorter:
        return "the image is too elongated to recognise anything"
    return ""


def windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the image, and of overlapping squares along it where it is elongated.

    Whatever any of them shows, the image shows; a model's square input would show next to nothing of a strip.
    """
    shorter, longer = sorted((height, width))
    found = [(slice(0, height), slice(0, width))]
    if longer > SQUARISH * shorter:
        count = math.ceil(longer / shorter * 1.25)
        for start in np.linspace(0, longer - shorter, count).astype(int).tolist():
            along, across = slice(start, start + shorter), slice(0, shorter)
            found.append((along, across) if height > width else (across, along))
    return found


def _views(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [np.ascontiguousarray(pixels[rows, columns]) for rows, columns in windows(*pixels.shape[:2])]
