"""Words in an image, judged as the prompt stage would judge them.

A slogan on a picture says what it says, whoever painted it. What is read goes to the prompt classifier, and what that
finds comes back under the one category ``text_in_image``, with the category that the words fall into as reason and
signal. The words themselves are in no finding.

Photographs give stray tokens (a number plate, a round thing taken for an 0): a line counts from a confidence of
:data:`CONFIDENT` on, and the learned classifiers are asked about two words and more. A word that stands alone is looked
up in the lists, so that a slur is found where a list has it.

What is text and cannot be read (another script, blurred) is *not assessed*. Texture looks like text to the finder, too,
but the reader is far less sure of it (``benchmarks/harmless_pictures.py --text`` counts how many photographs are not
assessed). A script that the reader takes for another, and is sure of, is read wrongly.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError, MissingExtra
from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, Region, Stage
from countermark.safety.combine import Another
from countermark.safety.image_ensemble import unfit
from countermark.safety.interface import ImageClassifier, PromptClassifier, assessed, not_assessed
from countermark.safety.text_reader import DIGESTS, Line, TextReader, installed

_ID: Final = "countermark.text-in-image"
_VERSION: Final = "2"
CONFIDENT: Final = 0.8
"""Lines read with less confidence are not judged."""
DOUBTFUL: Final = 0.55
"""Lines read with less confidence are taken for texture; from here to :data:`CONFIDENT`, for text that nobody reads."""
_SURELY_TEXT: Final = 0.65  # of the finder's certainty; only then is a line that is not read taken for text
_OBLONG: Final = 1.5  # a line is longer than high by this at least
_LONG, _SPARSE = 3.0, 0.8  # and where it is this long, it has more characters than this for each height of it
ENOUGH_WORDS: Final = 2
_LISTS: Final = frozenset({"countermark.terms", "countermark.minors-rule", "countermark.entities"})
"""Detectors that look words up: the only ones that have something to say of one word."""
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{4,}")
"""Four characters of a script that puts no spaces between words are two words at least."""


class TextInImage:
    """A partial :class:`~countermark.safety.interface.ImageClassifier`: it answers for ``text_in_image`` alone.

    Needs the models of the extra ``ocr``; without them it answers *not assessed*.

    Args:
        prompts: judges the words; best the one that judges prompts.
        reader: reads them; the models of the extra by default.
    """

    def __init__(self, prompts: PromptClassifier, reader: TextReader | None = None) -> None:
        self._prompts = prompts
        self._reader = reader if reader is not None else TextReader()

    @property
    def detector(self) -> DetectorRef:
        """Reader and judge; the digest covers the reader's models and the prompt classifier's own digest."""
        parts = "\0".join([*DIGESTS.values(), self._prompts.detector.digest or self._prompts.detector.id])
        return DetectorRef(id=_ID, version=_VERSION, digest=hashlib.sha256(parts.encode()).hexdigest())

    @property
    def categories(self) -> frozenset[Category]:
        """``text_in_image``."""
        return frozenset({Category.TEXT_IN_IMAGE})

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """What the words in the image ask for, and where its lines are; a score of 0 where there are none.

        Further findings, *not assessed*, say that some of the words could not be judged: their language is not read,
        they cannot be made out, or there are more lines than are looked at.

        Args:
            pixels: RGB uint8, H×W×3.
        """
        problem = unfit(pixels)
        if problem:
            return (self._unassessed(problem),)
        try:
            lines, more = self._reader.read(pixels)
            return tuple(self._findings(lines, more, pixels.shape[:2]))
        except CountermarkError as error:
            return (self._unassessed(f"the text in the image cannot be read ({error.code})"),)
        except Exception as error:  # an inference engine may raise anything; whatever it is, nobody looked
            return (self._unassessed(f"reading the text in the image failed ({type(error).__name__})"),)

    def _findings(self, found: list[Line], more: bool, size: tuple[int, int]) -> Iterator[Finding]:
        lines = [line for line in found if _is_read(line)]
        unread = sum(_is_unread(line) for line in found)
        if more:
            yield self._unassessed("the image holds more lines of text than are read")
        if unread:
            counted = "a line of text was found that" if unread == 1 else f"{unread} lines of text were found that"
            yield self._unassessed(f"{counted} cannot be read")
        words = _words("\n".join(line.text for line in lines))
        few = words < ENOUGH_WORDS
        readings = _readings(lines)
        if any(len(text) > MAX_PROMPT_CHARS for text in readings):
            yield self._unassessed("the image holds more text than is judged")
        findings = [finding for text in readings for finding in self._prompts.assess(text[:MAX_PROMPT_CHARS])]
        if few:
            findings = [one for one in findings if one.detector.id in _LISTS and one.severity]
        unjudged = next(
            (one for one in findings if one.score is None and one.category in self._prompts.categories), None
        )
        if unjudged is not None:
            yield self._unassessed(f"text was found and not judged: {unjudged.reason}", unjudged.signals)
        # What was found counts whatever it is of: of extremism, say, lists find some and nobody clears any.
        scored = [(finding.severity, finding.score, finding) for finding in findings if finding.score is not None]
        if scored:
            yield self._judged(max(scored, key=lambda each: each[:2])[2], lines, words, size)
        elif few and not unread:
            said = "fewer than two words were found, and none that a list has" if lines else "no text was found"
            yield assessed(Stage.IMAGE, Category.TEXT_IN_IMAGE, self.detector, 0.0, 0, reason=said)

    def _judged(self, worst: Finding, lines: list[Line], words: int, size: tuple[int, int]) -> Finding:
        confidence = min(line.confidence for line in lines)
        turned = any(line.turned for line in lines)
        counted = f"{words} words" if words > 1 else "one word"
        where = f"{counted}, confidence {confidence:.2f}{', upside down' if turned else ''}"
        said = f"the text in the image ({where}) reads as harmless"
        signals = ["upside_down"] if turned else []
        if worst.severity:
            said = f"the text in the image ({where}) reads as {worst.category} ({worst.detector.id})"
            signals = [f"text:{worst.category}", *signals, *worst.signals]
        return assessed(
            Stage.IMAGE,
            Category.TEXT_IN_IMAGE,
            self.detector,
            worst.score or 0.0,
            worst.severity,
            reason=said,
            signals=tuple(signals),
            regions=tuple(_regions(lines, size)) if worst.severity else (),
        )

    def _unassessed(self, reason: str, signals: tuple[str, ...] = ()) -> Finding:
        return not_assessed(Stage.IMAGE, Category.TEXT_IN_IMAGE, self.detector, reason, signals)


def text_opinion(prompts: PromptClassifier) -> Another[ImageClassifier]:
    """A :class:`TextInImage` to be heard beside the shipped image models, always.

    Raises:
        MissingExtra: the extra ``ocr`` is not installed.
    """
    if not installed():
        raise MissingExtra("ocr", "Reading the text in images")
    return Another(TextInImage(prompts))


def _regions(lines: list[Line], size: tuple[int, int]) -> Iterator[Region]:
    """Upright boxes round the lines; which of them says it is not told, for it may take all of them."""
    height, width = size
    for line in lines:
        left, top = np.clip(line.box.min(axis=0) / (width, height), 0, 1)
        right, bottom = np.clip(line.box.max(axis=0) / (width, height), 0, 1)
        if left < right and top < bottom:
            score = min(1.0, line.confidence)
            yield Region(
                label="text", left=float(left), top=float(top), right=float(right), bottom=float(bottom), score=score
            )


def _words(text: str) -> int:
    return len(_WORD.findall(text)) + len(_UNSPACED.findall(text))


def _is_read(line: Line) -> bool:
    return line.confidence >= CONFIDENT and bool(line.text) and not _is_sparse(line)


def _is_unread(line: Line) -> bool:
    """Whether it is text and nobody knows what it says: the reader finds letters or spaces, and is not sure of them."""
    if line.certainty < _SURELY_TEXT or line.confidence < DOUBTFUL or _is_read(line):
        return False
    return _length(line) >= _OBLONG and (len(line.text) != 1 or _is_sparse(line))


def _is_sparse(line: Line) -> bool:
    """Whether the reader made out a letter here and there of a long line."""
    return _length(line) >= _LONG and len(line.text) < _SPARSE * _length(line)


def _length(line: Line) -> float:
    """In heights of the line."""
    across, down = (float(np.linalg.norm(line.box[corner] - line.box[0])) for corner in (1, 3))
    return max(across, down) / max(1.0, min(across, down))


def _readings(lines: list[Line]) -> list[str]:
    """All lines as one text, and each that says something by itself: a slogan may stand among harmless words."""
    if not lines:
        return []
    whole = " ".join(line.text for line in lines)
    single = [line.text for line in lines if _words(line.text) > ENOUGH_WORDS]
    return list(dict.fromkeys([whole, *single]))
