"""Calibration: logits of held-out prompts to probabilities, and the thresholds that follow."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from training.prompt_safety import styling, tables
from training.prompt_safety.rows import Row

from countermark.safety.calibration import MOST_WINDOWS, Calibration, Platt, Thresholds, lead, likeliest
from countermark.safety.lexicon import LEXICON_FILE
from countermark.safety.normalise import normalise
from countermark.safety.prompt_heads import HEAD_CATEGORIES
from countermark.safety.prompt_model import (
    CALIBRATION_FILE,
    ENCODER_FILE,
    NGRAM_FILE,
    STYLE_FILE,
    TOKENIZER_FILE,
    Logits,
    PromptScorer,
)

NGRAM_WEIGHT = 0.3
PRIOR = 1 / 11
"""The share of unsafe prompts in the stream that the probabilities are meant for: many attacks, but not half of it.
What the shares below allow on the calibration split should lie near the default policy's .50 and .85."""
MODEL_FILES = (ENCODER_FILE, TOKENIZER_FILE, NGRAM_FILE, LEXICON_FILE, STYLE_FILE)

# What the thresholds allow: shares of harmless prompts, and of harmless prompts that look unsafe, above each.
REVIEW_SHARES = (0.03, 0.05)
BLOCK_SHARES = (0.004, 0.01)

_TAIL = 0.96  # the quantile at which long and short harmless prompts shall agree
_GREATEST_PENALTY = 2.0  # padding must not pull a clear request below the thresholds
_PRIOR_ROWS = 10.0  # how much a category's own prompts must weigh to outvote the common curve


_ORDINARY = ("t2i_compbench", "coco_benign", "esd_art_benign", "sneakyprompt_animals")
_ROWS_OF_A_SOURCE = 400


@dataclass(frozen=True)
class HeldOut:
    """Held-out prompts by what they stand for."""

    benign: list[Row]
    scary: list[Row]  # harmless, look unsafe
    unsafe: list[Row]
    names: list[Row]  # harmless, sound unsafe; nothing is calibrated on them
    words: list[Row]  # harmless, single words; likewise

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
        scary = by_source.get("overt_benign", []) + by_source["written_safe"]
        return cls(benign, scary, unsafe, by_source.get("homonyms", []), by_source.get("words", []))


def scorer(folder: Path) -> PromptScorer:
    return PromptScorer({name: folder / name for name in MODEL_FILES})


def logits_of(model: PromptScorer, texts: list[str]) -> list[Logits]:
    return [model.logits(normalise(text, model.lexicon).text, NGRAM_WEIGHT) for text in texts]


def _categories(logits: Logits) -> dict[str, float]:
    return {name: logits.heads[name] for name in HEAD_CATEGORIES}


def summed(logits: list[Logits], length_penalty: float) -> NDArray[np.float64]:
    return np.array(
        [
            item.heads["unsafe"]
            + NGRAM_WEIGHT * item.ngram
            - length_penalty * math.log(min(item.windows, MOST_WINDOWS))
            for item in logits
        ]
    )


def long_harmless(benign: list[Row], rng: random.Random, count: int) -> list[str]:
    """Descriptions of about 150 words, made of twelve captions each."""
    captions = [row.text for row in benign if row.source in ("coco_benign", "esd_art_benign")]
    return [" ".join(f"{caption.rstrip('. ')}." for caption in rng.sample(captions, 12)) for _ in range(count)]


def _length_penalty(short: list[Logits], long: list[Logits]) -> float:
    """What brings the doubtful tail of long harmless prompts down to that of short ones, per ln(windows)."""
    excess = np.quantile(summed(long, 0.0), _TAIL) - np.quantile(summed(short, 0.0), _TAIL)
    windows = float(np.mean([math.log(min(item.windows, MOST_WINDOWS)) for item in long]))
    return round(float(np.clip(excess / windows, 0.0, _GREATEST_PENALTY)), 3)


def calibrate(out: Path, folder: Path) -> None:
    """Fits the curves of the model in ``folder`` on the split ``calibrate``; writes ``calibration.json`` beside it."""
    held = HeldOut.load(out, "calibrate")
    model = scorer(folder)
    rng = random.Random(3)
    wrapped = [styling.held_out(row.text, number) for number, row in enumerate(rng.sample(held.benign, 100))]
    plain = logits_of(model, [row.text for row in held.benign])
    long = logits_of(model, long_harmless(held.benign, rng, 200))
    penalty = _length_penalty(plain, long)
    plain_benign = plain + logits_of(model, wrapped) + long[:50]
    scary_logits = logits_of(model, [row.text for row in held.scary])
    unsafe_logits = logits_of(model, [row.text for row in held.unsafe])

    logits = [*plain_benign, *scary_logits, *unsafe_logits]
    shares = {head: _share_curve(head, held.unsafe, unsafe_logits) for head in HEAD_CATEGORIES}
    evidence = _Evidence(
        x=summed(logits, penalty),
        unsafe=np.repeat([0.0, 1.0], [len(logits) - len(unsafe_logits), len(unsafe_logits)]),
        named=np.array([likeliest(shares, _categories(item)) for item in logits]),
    )
    curves = evidence.curves()
    calibration = Calibration(
        prior=PRIOR,
        ngram_weight=NGRAM_WEIGHT,
        length_penalty=penalty,
        unsafe=curves,
        shares=shares,
        thresholds=_thresholds(curves, evidence, len(plain_benign)),
    )
    (folder / CALIBRATION_FILE).write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Evidence:
    """Held-out prompts of both classes: summed logit, label, and the category that the model would name."""

    x: NDArray[np.float64]
    unsafe: NDArray[np.float64]
    named: NDArray[np.str_]

    def curves(self) -> dict[str, Platt]:
        """One curve a category, fitted on the prompts that the model would call so, and drawn to that of all prompts.

        Where a category has few prompts, the common curve decides; with many, its own do.
        """
        everything = np.ones(len(self.x), bool)
        common = self._fit(everything, None)
        return {head: self._fit(self.named == head, common) for head in HEAD_CATEGORIES}

    def _fit(self, chosen: NDArray[np.bool_], towards: Platt | None) -> Platt:
        from scipy.optimize import minimize

        x, unsafe = self.x[chosen], self.unsafe[chosen]
        weight = self._weights()[chosen]
        centre = np.array([towards.slope, towards.intercept]) if towards else np.zeros(2)
        strength = _PRIOR_ROWS if towards else 1e-3

        def loss(curve: NDArray[np.float64]) -> float:
            z = curve[0] * x + curve[1]
            likelihood = (weight * (np.logaddexp(0.0, z) - unsafe * z)).sum()
            away = (curve - centre) / (np.array([towards.slope, 1.0]) if towards else np.ones(2))
            return float(likelihood + strength * (away**2).sum())

        slope, intercept = minimize(loss, np.array([0.5, -1.0]) if towards is None else centre).x
        return Platt(slope=float(slope), intercept=float(intercept))

    def _weights(self) -> NDArray[np.float64]:
        """Of each prompt, so that ``PRIOR`` of the whole is unsafe, and 1 on average."""
        count = len(self.unsafe)
        positive = self.unsafe.sum()
        return np.where(self.unsafe == 1, PRIOR * count / positive, (1 - PRIOR) * count / (count - positive))


def _platt(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> Platt:
    """A logistic curve over one variable; both classes weigh the same, whatever their numbers."""
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([negative, positive])[:, None]
    y = np.repeat([0, 1], [len(negative), len(positive)])
    fitted = LogisticRegression(C=1.0, class_weight="balanced").fit(x, y)
    return Platt(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]))


def _share_curve(head: str, rows: list[Row], logits: list[Logits]) -> Platt:
    """P(this category | unsafe) from the head's lead over the other categories."""
    leads = np.array([lead(head, _categories(item)) for item in logits])
    labelled = np.array([any(name in row.targets for name in HEAD_CATEGORIES) for row in rows])
    positive = np.array([row.targets.get(head, 0.0) >= 0.5 for row in rows])
    return _platt(leads[labelled & ~positive], leads[labelled & positive])


def _thresholds(curves: dict[str, Platt], evidence: _Evidence, ordinary: int) -> Thresholds:
    """Probabilities above which few harmless prompts lie; the first ``ordinary`` of the evidence look harmless too."""
    risks = np.array([curves[name](x) for name, x in zip(evidence.named, evidence.x, strict=True)])
    benign, scary = risks[:ordinary], risks[ordinary:][evidence.unsafe[ordinary:] == 0]

    def at(shares: tuple[float, float]) -> float:
        return float(max(np.quantile(benign, 1 - shares[0]), np.quantile(scary, 1 - shares[1])))

    review, block = at(REVIEW_SHARES), at(BLOCK_SHARES)
    return Thresholds(review=round(review, 3), middle=round((review + block) / 2, 3), block=round(block, 3))
