"""Reads the words in an image, upright or upside down, with the models inside the package rapidocr.

The models are PaddleOCR's PP-OCRv6 (small): one finds lines of text (differentiable binarisation, Liao and others, AAAI
2020), one reads a line (connectionist temporal classification, Graves and others, ICML 2006). Both are run here, in our
own sessions. The package is not imported: it can download models, and it sets up a log of its own.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.errors import MissingExtra
from countermark.safety.loading import Loaded
from countermark.safety.onnx_session import open_session
from countermark.safety.weights import check_digest

Pixels = NDArray[np.uint8]

PACKAGE: Final = "rapidocr"
FINDER: Final = "models/PP-OCRv6_det_small.onnx"
READER: Final = "models/PP-OCRv6_rec_small.onnx"
DIGESTS: Final = {
    FINDER: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    READER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}

LONGEST_SIDE: Final = 1280
SHORTEST_SIDE: Final = 736
"""Images are scaled to have at least the one and at most the other, which wins: time and memory are bounded."""
MOST_LINES: Final = 48
"""Lines read of one image; those that the finder is surest of come first."""
SURELY_UPRIGHT: Final = 0.9
"""A line read with this confidence is not tried upside down."""

_STRIDE: Final = 32  # sides of the finder's input are multiples of this
_IS_TEXT: Final = 0.3  # from here on a pixel belongs to a line
_IS_LINE: Final = 0.5  # the mean over a line's pixels is at least this
_GROWTH: Final = 1.6  # lines are found shrunken; area × this / perimeter is put back on each side
_THINNEST: Final = 3  # pixels of the finder's map
_LINE_HEIGHT: Final = 48
_NARROWEST, _WIDEST = 320, 1920
_BATCH: Final = 6


@dataclass(frozen=True)
class Line:
    """A line of text, or what the finder takes for one.

    Attributes:
        text: what it says; empty where nothing but spaces was read.
        confidence: mean probability of its characters, 0..1; 0 where not even a space was read.
        certainty: mean probability, over its pixels, that it is text, 0.5..1.
        turned: whether it was read upside down.
        box: corners, clockwise from the upper left, 4×2 in pixels of the image.
    """

    text: str
    confidence: float
    certainty: float
    turned: bool
    box: NDArray[np.float32]


@dataclass(frozen=True)
class _Found:
    box: NDArray[np.float32]
    certainty: float


class TextReader:
    """Finds and reads lines of text; the models are loaded at the first image.

    Args:
        folder: the folder of the package, which holds ``models``; where rapidocr is installed by default.
        threads: threads of one inference; the machine decides by default.
        providers: onnxruntime's execution providers, best first; see :mod:`countermark.safety.onnx_session`.
        verify: load and check the models now instead of at the first image; raises what :meth:`read` raises.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        verify: bool = False,
    ) -> None:
        self._folder = folder
        self._threads = threads
        self._providers = providers
        self._sessions: Loaded[tuple[Any, Any, list[str]]] = Loaded(self._load)
        if verify:
            self._sessions.get()

    def read(self, pixels: Pixels) -> tuple[list[Line], bool]:
        """The lines in the order of reading, those that say nothing too, and whether there were more than are read.

        Args:
            pixels: RGB uint8, H×W×3.

        Raises:
            MissingExtra: rapidocr is not installed.
            WeightsMissing: a model file is not in it.
            WeightsMismatch: a model file is not the expected one.
        """
        finder, reader, characters = self._sessions.get()
        found = sorted(_find(finder, pixels), key=lambda one: -one.certainty)
        chosen = _in_reading_order(found[:MOST_LINES])
        crops = [_cut_out(pixels, one.box) for one in chosen]
        upright = _read(reader, characters, crops)
        doubtful = [index for index, (_, confidence) in enumerate(upright) if confidence < SURELY_UPRIGHT]
        turned = dict(zip(doubtful, _read(reader, characters, [crops[i][::-1, ::-1] for i in doubtful]), strict=True))
        lines: list[Line] = []
        for index, one in enumerate(chosen):
            readings = [(*upright[index], False), *((*turned[i], True) for i in (index,) if i in turned)]
            text, confidence, is_turned = max(readings, key=lambda reading: reading[1])
            lines.append(Line(text.strip(), confidence, one.certainty, is_turned, one.box))
        return lines, len(found) > MOST_LINES

    def _load(self) -> tuple[Any, Any, list[str]]:
        folder = self._folder if self._folder is not None else _installed()
        finder, reader = (self._open(folder / name, DIGESTS[name]) for name in (FINDER, READER))
        names = reader.get_modelmeta().custom_metadata_map["character"].splitlines()
        return finder, reader, ["", *names, " "]  # first the "blank" between characters

    def _open(self, path: Path, digest: str) -> Any:
        check_digest(path, digest)
        return open_session(path, threads=self._threads, providers=self._providers)


def installed() -> bool:
    """Whether the extra that holds the models is there; nothing is loaded."""
    return importlib.util.find_spec(PACKAGE) is not None


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra("ocr", "Reading the text in images")
    return Path(spec.origin).parent


def _find(session: Any, pixels: Pixels) -> list[_Found]:
    height, width = pixels.shape[:2]
    scale = max(1.0, SHORTEST_SIDE / min(height, width))
    scale = min(scale, LONGEST_SIDE / max(height, width))
    sides = [max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height)]
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, sides, interpolation=smooth)
    (output,) = session.run(None, {session.get_inputs()[0].name: _as_input(resized)[None]})
    probabilities = output[0, 0]
    mask = cv2.dilate((probabilities > _IS_TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    to_image = np.array([width / sides[0], height / sides[1]], np.float32)
    found: list[_Found] = []
    for contour in contours:
        centre, (across, down), angle = cv2.minAreaRect(contour)
        if min(across, down) < _THINNEST:
            continue
        certainty = _mean_inside(probabilities, cv2.boxPoints((centre, (across, down), angle)))
        if certainty < _IS_LINE:
            continue
        margin = 2 * _GROWTH * across * down / (2 * (across + down))
        corners = cv2.boxPoints((centre, (across + margin, down + margin), angle)) * to_image
        found.append(_Found(_clockwise(corners), certainty))
    return found


def _as_input(rgb: Pixels) -> NDArray[np.float32]:
    """C×H×W in -1..1, blue first: so both models were trained."""
    channels = rgb[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)
    result: NDArray[np.float32] = channels / np.float32(127.5) - np.float32(1)
    return result


def _mean_inside(values: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    height, width = values.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], (1,))
    return float(cv2.mean(values[top : bottom + 1, left : right + 1], inside)[0])


def _clockwise(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners from the upper left on, for a line that is tilted by less than half a right angle."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    upper_left, lower_left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    upper_right, lower_right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.array([upper_left, upper_right, lower_right, lower_left], np.float32)


def _in_reading_order(found: list[_Found]) -> list[_Found]:
    """From top to bottom; those whose tops are within half a line of each other from left to right."""
    rows: list[list[_Found]] = []
    for one in sorted(found, key=lambda one: float(one.box[0, 1])):
        last = rows[-1][0] if rows else None
        half = 0.5 * float(np.linalg.norm(one.box[3] - one.box[0]))
        if last is not None and one.box[0, 1] - last.box[0, 1] < half:
            rows[-1].append(one)
        else:
            rows.append([one])
    return [one for row in rows for one in sorted(row, key=lambda one: float(one.box[0, 0]))]


def _cut_out(pixels: Pixels, box: NDArray[np.float32]) -> Pixels:
    """The line, level and at the reader's height; a column of text is laid on its side."""
    width = max(1, round(float(max(np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[2] - box[3])))))
    height = max(1, round(float(max(np.linalg.norm(box[3] - box[0]), np.linalg.norm(box[2] - box[1])))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    level = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(box, target),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if height >= 1.5 * width:
        level = np.rot90(level)
        width, height = height, width
    across = min(_WIDEST, max(1, math.ceil(_LINE_HEIGHT * width / height)))
    return np.asarray(cv2.resize(np.ascontiguousarray(level), (across, _LINE_HEIGHT)), np.uint8)


def _read(session: Any, characters: list[str], crops: Sequence[Pixels]) -> list[tuple[str, float]]:
    """Text and confidence of each crop, in their order; those of like width are read together."""
    result = [("", 0.0)] * len(crops)
    by_width = sorted(range(len(crops)), key=lambda index: crops[index].shape[1])
    name = session.get_inputs()[0].name
    for start in range(0, len(by_width), _BATCH):
        chosen = by_width[start : start + _BATCH]
        widest = max(_NARROWEST, *(crops[index].shape[1] for index in chosen))
        batch = np.zeros((len(chosen), 3, _LINE_HEIGHT, widest), np.float32)
        for row, index in enumerate(chosen):
            batch[row, :, :, : crops[index].shape[1]] = _as_input(crops[index])
        (steps,) = session.run(None, {name: batch})
        for row, index in enumerate(chosen):
            result[index] = _collapse(steps[row], characters)
    return result


def _collapse(steps: NDArray[np.float32], characters: list[str]) -> tuple[str, float]:
    """The likeliest character of each step, repetitions and blanks left out, and their mean probability."""
    best = steps.argmax(axis=1)
    kept = (best != 0) & np.r_[True, best[1:] != best[:-1]]
    if not kept.any():
        return "", 0.0
    return "".join(characters[code] for code in best[kept]), float(steps.max(axis=1)[kept].mean())
