"""Calibration: logits of held-out prompts to probabilities, and the thresholds that follow."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from training.prompt_safety import augment, tables
from training.prompt_safety.rows import Row

from countermark.safety.calibration import Calibration, Platt, Thresholds, lead
from countermark.safety.normalise import normalise
from countermark.safety.prompt_heads import HEAD_CATEGORIES
from countermark.safety.prompt_model import (
    CALIBRATION_FILE,
    ENCODER_FILE,
    LEXICON_FILE,
    NGRAM_FILE,
    STYLE_FILE,
    TOKENIZER_FILE,
    Logits,
    PromptScorer,
)

NGRAM_WEIGHT = 0.3
PRIOR = 0.2
"""The share of unsafe prompts in the stream that the probabilities are meant for: many attacks, but not half of it."""
MODEL_FILES = (ENCODER_FILE, TOKENIZER_FILE, NGRAM_FILE, LEXICON_FILE, STYLE_FILE)

# What the thresholds allow: shares of harmless prompts, and of harmless prompts that look unsafe, above each.
REVIEW_SHARES = (0.03, 0.05)
BLOCK_SHARES = (0.004, 0.01)

_TAIL = 0.96  # the quantile at which long and short harmless prompts shall agree
_GREATEST_PENALTY = 2.0  # padding must not pull a clear request below the thresholds


_ORDINARY = ("t2i_compbench", "coco_benign", "esd_art_benign", "sneakyprompt_animals")
_ROWS_OF_A_SOURCE = 400


@dataclass(frozen=True)
class HeldOut:
    """Held-out prompts by what they stand for."""

    benign: list[Row]
    scary: list[Row]  # harmless, look unsafe
    unsafe: list[Row]

    @classmethod
    def load(cls, out: Path, split: str) -> HeldOut:
        """Prompts of one split; ordinary ones also three at a time, as one longer prompt."""
        rng = random.Random(5)
        by_source: dict[str, list[Row]] = {}
        for row in tables.load(out, split):
            by_source.setdefault(row.source, []).append(row)
        benign = [
            row
            for name in _ORDINARY
            for row in rng.sample(by_source.get(name, []), min(_ROWS_OF_A_SOURCE, len(by_source.get(name, []))))
        ]
        captions = [row.text for row in by_source["coco_benign"] + by_source["esd_art_benign"]]
        for _ in range(100):
            text = " ".join(caption.strip().rstrip(".") + "." for caption in rng.sample(captions, 3))
            benign.append(Row(text, benign[0].targets, "captions"))
        unsafe = [
            row
            for source in ("overt_unsafe", "written", "i2p")
            for row in by_source.get(source, [])
            if "unsafe" in row.targets and (row.source != "i2p" or row.tags["nude"])
        ]
        return cls(benign, by_source.get("overt_benign", []) + by_source["written_safe"], unsafe)


def scorer(folder: Path) -> PromptScorer:
    return PromptScorer({name: folder / name for name in MODEL_FILES})


def logits_of(model: PromptScorer, texts: list[str]) -> list[Logits]:
    return [model.logits(normalise(text, model.lexicon).text, NGRAM_WEIGHT) for text in texts]


def summed(logits: list[Logits], length_penalty: float) -> NDArray[np.float64]:
    return np.array(
        [item.heads["unsafe"] + NGRAM_WEIGHT * item.ngram - length_penalty * math.log(item.windows) for item in logits]
    )


def long_harmless(benign: list[Row], rng: random.Random, count: int) -> list[str]:
    """Descriptions of about 150 words, made of twelve captions each."""
    captions = [row.text for row in benign if row.source in ("coco_benign", "esd_art_benign")]
    return [" ".join(f"{caption.rstrip('. ')}." for caption in rng.sample(captions, 12)) for _ in range(count)]


def _length_penalty(short: list[Logits], long: list[Logits]) -> float:
    """What brings the doubtful tail of long harmless prompts down to that of short ones, per ln(windows)."""
    excess = np.quantile(summed(long, 0.0), _TAIL) - np.quantile(summed(short, 0.0), _TAIL)
    windows = float(np.mean([math.log(item.windows) for item in long]))
    return round(float(np.clip(excess / windows, 0.0, _GREATEST_PENALTY)), 3)


def calibrate(out: Path, folder: Path) -> None:
    """Fits the curves of the model in ``folder`` on the split ``calibrate``; writes ``calibration.json`` beside it."""
    held = HeldOut.load(out, "calibrate")
    model = scorer(folder)
    styles = (folder / STYLE_FILE).read_text(encoding="utf-8").splitlines()
    rng = random.Random(3)
    wrapped = [augment.wrap_in_style(row.text, rng, styles) for row in rng.sample(held.benign, 100)]
    plain = logits_of(model, [row.text for row in held.benign])
    long = logits_of(model, long_harmless(held.benign, rng, 200))
    penalty = _length_penalty(plain, long)
    benign = summed(plain + logits_of(model, wrapped) + long[:50], penalty)
    scary = summed(logits_of(model, [row.text for row in held.scary]), penalty)
    unsafe_logits = logits_of(model, [row.text for row in held.unsafe])

    curve = _for_prior(_platt(np.concatenate([benign, scary]), summed(unsafe_logits, penalty)))
    shares = {head: _share_curve(head, held.unsafe, unsafe_logits) for head in HEAD_CATEGORIES}
    calibration = Calibration(
        prior=PRIOR,
        ngram_weight=NGRAM_WEIGHT,
        length_penalty=penalty,
        unsafe=curve,
        shares=shares,
        thresholds=_thresholds(curve, benign, scary),
    )
    (folder / CALIBRATION_FILE).write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _platt(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> Platt:
    """A logistic curve over one variable; both classes weigh the same, whatever their numbers."""
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([negative, positive])[:, None]
    y = np.repeat([0, 1], [len(negative), len(positive)])
    fitted = LogisticRegression(C=1.0, class_weight="balanced").fit(x, y)
    return Platt(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]))


def _for_prior(balanced: Platt) -> Platt:
    """The curve for classes of equal size, moved to one where ``PRIOR`` of the prompts are unsafe (Bayes' rule)."""
    return Platt(slope=balanced.slope, intercept=balanced.intercept + math.log(PRIOR / (1 - PRIOR)))


def _share_curve(head: str, rows: list[Row], logits: list[Logits]) -> Platt:
    """P(this category | unsafe) from the head's lead over the other categories."""
    leads = np.array([lead(head, {name: item.heads[name] for name in HEAD_CATEGORIES}) for item in logits])
    labelled = np.array([any(name in row.targets for name in HEAD_CATEGORIES) for row in rows])
    positive = np.array([row.targets.get(head, 0.0) >= 0.5 for row in rows])
    return _platt(leads[labelled & ~positive], leads[labelled & positive])


def _thresholds(curve: Platt, benign: NDArray[np.float64], scary: NDArray[np.float64]) -> Thresholds:
    def at(shares: tuple[float, float]) -> float:
        return float(max(np.quantile(benign, 1 - shares[0]), np.quantile(scary, 1 - shares[1])))

    review, block = at(REVIEW_SHARES), at(BLOCK_SHARES)
    return Thresholds(
        review=round(curve(review), 3), middle=round(curve((review + block) / 2), 3), block=round(curve(block), 3)
    )
