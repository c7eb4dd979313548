"""Tier 1: the shipped prompt model, a fine-tuned sentence encoder (int8, ONNX) beside hashed n-grams.

A prompt is read as normalised, without what only says how a picture is to look. Prompts longer than the encoder's 72
tokens are read in windows that end between clauses, and of those that leave a doubt each sentence alone; the most
unsafe part counts, so that padding gains little. A prompt with a passage in a language that is not read is not cleared.
See ``weights/model_card.md`` for how it was trained, what it scores, and where it is weak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from countermark.errors import CountermarkError
from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, Stage
from countermark.safety.allowlist import Allowlist
from countermark.safety.calibration import Calibration
from countermark.safety.interface import LANGUAGE_NOT_READ, assessed, not_assessed, why_unusable
from countermark.safety.language import foreign_passages, identify
from countermark.safety.lexicon import LEXICON_FILE, WEIGHTS_DIR, Lexicon, read_counts
from countermark.safety.loading import Loaded
from countermark.safety.ngrams import NgramModel
from countermark.safety.normalise import TOO_LONG_WRITTEN_OUT, TRUNCATED, NormalisedText, normalise
from countermark.safety.prompt_heads import HEAD_CATEGORIES, HEADS
from countermark.safety.styles import strip_style, without_stop
from countermark.safety.weights import WeightFiles

DETECTOR_ID: Final = "countermark.prompt-minilm"
DETECTOR_VERSION: Final = "7.1"
"""That of the weights, and how often since then what is done with them has changed."""

WINDOW_TOKENS: Final = 70  # and the two that open and close a sequence
WINDOW_OVERLAP: Final = 20
_CLAUSE_ENDS: Final = frozenset(".,;!?|")
_SENTENCE_END: Final = re.compile(r"[.;!?|]+(?:\s+|$)")
_DOUBTFUL: Final = -4.0  # a summed logit; a probability of about one in twenty
_BATCH: Final = 16
_A_RUN_IN_TOKENS: Final = 8  # what one more inference costs beside its tokens

ENCODER_FILE: Final = "prompt_encoder.int8.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
NGRAM_FILE: Final = "ngrams.npz"
STYLE_FILE: Final = "style_bank.txt"
CALIBRATION_FILE: Final = "calibration.json"


@dataclass(frozen=True, slots=True)
class Logits:
    """What the model says of one text before calibration: the nine heads, and the n-grams' opinion.

    ``windows`` is how many pieces the text was read in.
    """

    heads: dict[str, float]
    ngram: float
    windows: int = 1


@dataclass(frozen=True, slots=True)
class _Read:
    """What the model says of each of several texts."""

    heads: NDArray[np.float32]
    ngrams: NDArray[np.float64]
    summed: NDArray[np.float64]

    def worse(self, other: _Read) -> _Read:
        """Whichever holds the most unsafe text."""
        return other if other.summed.max() > self.summed.max() else self


class PromptScorer:
    """The loaded model: normalised text in, logits out. Safe to share between threads.

    Args:
        files: maps a file name to the path to read (checked against its digest, or not while the model is being made).
        threads: threads of one inference.
    """

    def __init__(self, files: dict[str, Path], *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(files[ENCODER_FILE]), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(files[TOKENIZER_FILE]))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._ngrams = NgramModel.read(files[NGRAM_FILE])
        self._styles = frozenset(files[STYLE_FILE].read_text(encoding="utf-8").split("\n"))
        self.lexicon = Lexicon(read_counts(files[LEXICON_FILE]))

    def logits(self, text: str, ngram_weight: float) -> Logits:
        """The logits of a normalised text without pure style and final full stop: those of the worst of its parts.

        Its parts are its windows and, for what a window says is thinned by what stands beside it, each sentence of
        those windows that leave a doubt.
        """
        windows = self._windows(without_stop(strip_style(text, self._styles)))
        read = self._read(windows, ngram_weight)
        if len(windows) > 1:
            doubtful = [part for (_, part), logit in zip(windows, read.summed, strict=True) if logit >= _DOUBTFUL]
            sentences = dict.fromkeys(sentence for part in doubtful for sentence in _sentences(part))
            if sentences:
                alone = [window for sentence in sentences for window in self._windows(sentence)]
                read = read.worse(self._read(alone, ngram_weight))
        worst = int(np.argmax(read.summed))
        return Logits(
            dict(zip(HEADS, map(float, read.heads[worst]), strict=True)), float(read.ngrams[worst]), len(windows)
        )

    def _read(self, windows: list[tuple[list[int], str]], ngram_weight: float) -> _Read:
        heads = self._encode([ids for ids, _ in windows])
        ngrams = np.array([self._ngrams.logit(part) for _, part in windows])
        return _Read(heads, ngrams, heads[:, 0] + ngram_weight * ngrams)

    def _windows(self, text: str) -> list[tuple[list[int], str]]:
        """Token ids and text of each window, as few as cover the text; what is said twice is read once."""
        encoding: Any = self._tokenizer.encode(text, add_special_tokens=True)
        first, *inner, last = encoding.ids
        if len(inner) <= WINDOW_TOKENS:
            return [(encoding.ids, text)]
        spans, tokens = encoding.offsets[1:-1], encoding.tokens[1:-1]
        windows: list[tuple[list[int], str]] = []
        start = 0
        while start < len(inner):
            end = _window_end(tokens, start)
            part = inner[start:end]
            windows.append(([first, *part, last], text[spans[start][0] : spans[end - 1][1]]))
            start = end if end == len(inner) or tokens[end - 1] in _CLAUSE_ENDS else end - WINDOW_OVERLAP
        return list({tuple(ids): (ids, part) for ids, part in windows}.values())

    def _encode(self, sequences: list[list[int]]) -> NDArray[np.float32]:
        """The nine logits of each token sequence, in their order."""
        result = np.empty((len(sequences), len(HEADS)), dtype=np.float32)
        for places in _alike([len(sequence) for sequence in sequences]):
            ids = np.zeros((len(places), len(sequences[places[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, place in enumerate(places):
                ids[row, : len(sequences[place])] = sequences[place]
                mask[row, : len(sequences[place])] = 1
            (result[places],) = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        return result


def _sentences(text: str) -> list[str]:
    """The sentences of a text that has several; none of one that is a single one."""
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence]
    return sentences if len(sentences) > 1 else []


def _alike(lengths: list[int]) -> Iterator[list[int]]:
    """Places of sequences to be run together, shortest first: padding one of them costs less than a run of its own."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == _BATCH or lengths[place] - lengths[batch[0]] > _A_RUN_IN_TOKENS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _window_end(tokens: list[str], start: int) -> int:
    """Where the window from ``start`` ends: behind the last clause that fits, unless that leaves it half empty."""
    longest = min(start + WINDOW_TOKENS, len(tokens))
    if longest == len(tokens):
        return longest
    for end in range(longest, start + WINDOW_TOKENS // 2, -1):
        if tokens[end - 1] in _CLAUSE_ENDS:
            return end
    return longest


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as the model took it: its text, probabilities, and doubts."""

    normalised: NormalisedText
    probabilities: dict[Category, float]
    doubt: str = ""


def _doubt(text: str, lexicon: Lexicon) -> str:
    """Why not to believe a low score: the text, or part of it, is in a language that the model does not read."""
    if reason := identify(text, lexicon).reason:
        return reason
    passages = foreign_passages(text, lexicon)
    return passages[0][1].reason.replace("the prompt seems", "part of the prompt seems") if passages else ""


class PromptModel:
    """The shipped prompt classifier.

    Args:
        weights: the folder with the model files and their manifest; the package's own by default.
        threads: threads of one inference.
        allowlist: names that are read as something plain; none by default.
        verify: load and check everything now instead of at the first prompt.

    Raises:
        WeightsMissing: with ``verify``, a model file is not there.
        WeightsMismatch: with ``verify``, a model file is not the released one.
    """

    def __init__(
        self,
        weights: Path | None = None,
        *,
        threads: int = 1,
        allowlist: Allowlist | None = None,
        verify: bool = False,
    ) -> None:
        self._files = WeightFiles(weights or WEIGHTS_DIR)
        self._allowlist = allowlist
        self._threads = threads
        self._loaded: Loaded[tuple[PromptScorer, Calibration]] = Loaded(self._load)
        if verify:
            self._loaded.get()

    @cached_property
    def detector(self) -> DetectorRef:
        """The model, with the digest of its manifest (none where that is missing)."""
        try:
            digest: str | None = self._files.digest
        except CountermarkError:
            digest = None
        return DetectorRef(id=DETECTOR_ID, version=DETECTOR_VERSION, digest=digest)

    @property
    def categories(self) -> frozenset[Category]:
        """The categories that the model has a head for."""
        return frozenset(HEAD_CATEGORIES.values())

    def read(self, text: str) -> Reading:
        """Score one prompt.

        Raises:
            WeightsMissing: a model file is not there.
            WeightsMismatch: a model file is not the released one.
        """
        scorer, calibration = self._loaded.get()
        normalised = normalise(text, scorer.lexicon)
        if not normalised.text:
            return Reading(normalised, {}, "the prompt holds no readable text")
        if TRUNCATED in normalised.signals:
            return Reading(normalised, {}, TOO_LONG_WRITTEN_OUT)
        text = self._allowlist.plain(normalised.text) if self._allowlist else normalised.text
        logits = scorer.logits(text, calibration.ngram_weight)
        named = {head: logits.heads[head] for head in HEAD_CATEGORIES}
        unsafe = calibration.summed(logits.heads["unsafe"], logits.ngram, logits.windows)
        probabilities = calibration.probabilities(unsafe, named)
        return Reading(
            normalised,
            {HEAD_CATEGORIES[head]: probability for head, probability in probabilities.items()},
            _doubt(normalised.accented, scorer.lexicon),
        )

    def assess(self, text: str) -> tuple[Finding, ...]:
        """One finding for each category that the model has a head for. Never raises on the model's own failure.

        Where the text is not one that the model reads, only what it found counts: a high score is reported, a low one
        is "not assessed".
        """
        if len(text) > MAX_PROMPT_CHARS:
            return self._nothing(f"the prompt is longer than {MAX_PROMPT_CHARS:,} characters")
        try:
            reading = self.read(text)
            thresholds = self._loaded.get()[1].thresholds
        except CountermarkError as error:
            return self._nothing(why_unusable("the prompt model", error))
        except Exception as error:  # an inference engine may raise anything; whatever it is, nobody looked
            return self._nothing(f"the prompt model failed ({type(error).__name__})")
        signals = tuple(sorted(reading.normalised.signals))
        hidden = f"obfuscated text: {', '.join(signals)}" if signals else ""
        findings: list[Finding] = []
        for category in HEAD_CATEGORIES.values():
            probability = reading.probabilities.get(category)
            severity = thresholds.severity(probability) if probability is not None else 0
            if probability is None or (reading.doubt and severity == 0):
                why = (*signals, LANGUAGE_NOT_READ) if reading.probabilities else signals
                findings.append(not_assessed(Stage.PROMPT, category, self.detector, reading.doubt, why))
            else:
                findings.append(
                    assessed(
                        Stage.PROMPT, category, self.detector, probability, severity, reason=hidden, signals=signals
                    )
                )
        return tuple(findings)

    def _nothing(self, reason: str) -> tuple[Finding, ...]:
        return tuple(
            not_assessed(Stage.PROMPT, category, self.detector, reason) for category in HEAD_CATEGORIES.values()
        )

    def _load(self) -> tuple[PromptScorer, Calibration]:
        names = (ENCODER_FILE, TOKENIZER_FILE, NGRAM_FILE, LEXICON_FILE, STYLE_FILE, CALIBRATION_FILE)
        files = {name: self._files.checked(name) for name in names}
        return PromptScorer(files, threads=self._threads), Calibration.read(files[CALIBRATION_FILE])
