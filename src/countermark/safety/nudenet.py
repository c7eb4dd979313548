"""NudeNet: exposed parts of bodies with boxes, so that they can be redacted. Opt-in, for its licence is AGPL-3.0.

The package's metadata says MIT; its licence file, which counts, is the GNU Affero GPL 3.0 (the model descends from
Ultralytics' YOLOv8). Who lets users interact with a modified NudeNet over a network owes them its source, and whoever
distributes a program together with it must judge whether the whole falls under the AGPL. So countermark neither
depends on it nor contains any of it: ``pip install "countermark[nudenet]"`` is a decision that the deployer takes.

The package is not imported. Its model file is found through the import system's finder, checked against the digest
written here, and run in a session of our own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError, MissingExtra
from countermark.model import Category, DetectorRef, Finding, Region, Severity, Stage
from countermark.model.finding import MAX_REGIONS
from countermark.safety.image_ensemble import unfit, windows
from countermark.safety.interface import assessed, not_assessed
from countermark.safety.loading import Loaded
from countermark.safety.onnx_session import open_session
from countermark.safety.weights import check_digest

SIDE: Final = 320
SHA256: Final = "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f"
"""Of ``320n.onnx`` in nudenet 3.4.2."""
REVIEW: Final = 0.4
"""From here on a person should look: 1.4 % of 989 ImageNet photographs have a part with such a score."""
VERY_HIGH: Final = 0.7
LOWEST: Final = 0.25
"""Boxes below this are noise. Those above are told even under the review threshold, so that they are redacted too."""
OVERLAP: Final = 0.45
"""Intersection over union from which two boxes of one part are the same."""

PARTS: Final = (
    "FEMALE_GENITALIA_COVERED", "FACE_FEMALE", "BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED", "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED", "ANUS_EXPOSED", "FEET_EXPOSED", "BELLY_COVERED", "FEET_COVERED", "ARMPITS_COVERED",
    "ARMPITS_EXPOSED", "FACE_MALE", "BELLY_EXPOSED", "MALE_GENITALIA_EXPOSED", "ANUS_COVERED", "FEMALE_BREAST_COVERED",
    "BUTTOCKS_COVERED",
)  # fmt: skip
"""What the model tells apart, in the order of its outputs."""
SEXUAL_PARTS: Final = frozenset(
    {
        "ANUS_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
    }
)
"""The parts that count; faces, feet and men's chests do not."""


class NudeNet:
    """A partial image classifier: ``sexual``, with the regions of exposed parts.

    The score is the model's own for the part that it is surest of, not a calibrated probability: severity 2 from
    :data:`REVIEW`, 4 from :data:`VERY_HIGH`.

    Args:
        path: the model file; that of the installed package by default.
        threads: threads of one inference.
        providers: onnxruntime's execution providers, best first; see :mod:`countermark.safety.onnx_session`.
        verify: load and check the file now instead of at the first image.

    Raises:
        MissingExtra: with ``verify``, the package is not installed.
        WeightsMissing: with ``verify``, there is no such file.
        WeightsMismatch: with ``verify``, the file is not the one that this was written for.
    """

    detector: Final = DetectorRef(id="nudenet.320n", version="3.4.2", digest=SHA256)
    categories: Final = frozenset({Category.SEXUAL})

    def __init__(
        self,
        path: Path | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        verify: bool = False,
    ) -> None:
        self._path = path
        self._threads = threads
        self._providers = providers
        self._session: Loaded[Any] = Loaded(self._open)
        if verify:
            self._session.get()

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """One finding, ``sexual``, whose regions are the exposed parts; RGB uint8 H×W×3."""
        problem = unfit(pixels)
        if problem:
            return (self._silent(problem),)
        try:
            regions = [part for part in self.parts(pixels) if part.label in SEXUAL_PARTS]
        except CountermarkError as error:
            return (self._silent(f"the model cannot be used ({error.code})"),)
        except Exception as error:  # an inference engine may raise anything; whatever it is, nobody looked
            return (self._silent(f"the model failed ({type(error).__name__})"),)
        score = max((region.score for region in regions), default=0.0)
        severity: Severity = 4 if score >= VERY_HIGH else 2 if score >= REVIEW else 0
        seen = ", ".join(f"{region.label} {region.score:.3f}" for region in regions[:8]) or "no exposed parts"
        return (
            assessed(Stage.IMAGE, Category.SEXUAL, self.detector, score, severity, reason=seen, regions=tuple(regions)),
        )

    def parts(self, pixels: NDArray[np.uint8]) -> list[Region]:
        """Every part that the model sees, exposed or not, surest first, at most 64; of a strip along it, too.

        Raises:
            MissingExtra: the package is not installed.
            WeightsMissing: there is no model file.
            WeightsMismatch: the model file is not the one that this was written for.
        """
        session = self._session.get()
        height, width = pixels.shape[:2]
        found: list[Region] = []
        for rows, columns in windows(height, width):
            view = pixels[rows, columns]
            (output,) = session.run(None, {session.get_inputs()[0].name: _prepare(view)})
            found += [_placed(part, rows, columns, height, width) for part in _read(output[0], *view.shape[:2])]
        return sorted(found, key=lambda region: -region.score)[:MAX_REGIONS]

    def _silent(self, reason: str) -> Finding:
        return not_assessed(Stage.IMAGE, Category.SEXUAL, self.detector, reason)

    def _open(self) -> Any:
        path = self._path or _find()
        check_digest(path, SHA256)
        return open_session(path, threads=self._threads, providers=self._providers)


def _find() -> Path:
    spec = importlib.util.find_spec("nudenet")
    if spec is None or spec.origin is None:
        raise MissingExtra("nudenet", "Finding regions with NudeNet (AGPL-3.0)")
    return Path(spec.origin).parent / "320n.onnx"


def _prepare(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture in the upper left of a black square, reduced to the model's side: 1×3×320×320, RGB, 0..1.

    The package itself swaps red and blue of files that it reads, so that its model gets BGR. Trained on RGB, it is
    surer of what it sees in RGB.
    """
    height, width = pixels.shape[:2]
    longer = max(height, width)
    square = cv2.copyMakeBorder(pixels, 0, longer - height, 0, longer - width, cv2.BORDER_CONSTANT)
    small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(small.astype(np.float32).transpose(2, 0, 1)[None] / 255.0)


def _placed(part: Region, rows: slice, columns: slice, height: int, width: int) -> Region:
    """A part of the window, in shares of the whole image."""
    across, down = columns.stop - columns.start, rows.stop - rows.start
    box = {
        "left": (columns.start + part.left * across) / width,
        "top": (rows.start + part.top * down) / height,
        "right": (columns.start + part.right * across) / width,
        "bottom": (rows.start + part.bottom * down) / height,
    }
    return part.model_copy(update={name: min(1.0, side) for name, side in box.items()})


def _read(output: NDArray[np.float32], height: int, width: int) -> list[Region]:
    """Regions from the output of a YOLOv8 head: for each candidate a box (centre, size), then a score for each part."""
    longer = max(height, width)
    scores = output[4:]
    best = scores.max(axis=0)
    if not np.isfinite(best).all():
        raise ValueError("the model gave no numbers")
    kept = np.flatnonzero(best >= LOWEST)
    labels = scores[:, kept].argmax(axis=0)
    x, y, w, h = output[:4, kept].astype(np.float64) * (longer / SIDE)
    boxes = np.stack([x - w / 2, y - h / 2, w, h], axis=1)
    # Of each part on its own: a breast and an armpit may well overlap.
    surest = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best[kept].tolist(), labels.tolist(), LOWEST, OVERLAP)
    edges = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1) / [width, height, width, height]
    regions = []
    for i in np.asarray(surest, np.int64).ravel():
        left, top, right, bottom = (float(side) for side in np.clip(edges[i], 0.0, 1.0))
        if left < right and top < bottom:
            score = min(1.0, float(best[kept[i]]))
            regions.append(Region(label=PARTS[labels[i]], left=left, top=top, right=right, bottom=bottom, score=score))
    return sorted(regions, key=lambda region: -region.score)[:MAX_REGIONS]
