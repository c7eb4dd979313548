"""Figures for the model card, on topics, concepts and sources that no fine-tuning or calibration saw.

Scores are those of the shipped code (:class:`PromptScorer` and :class:`Calibration`), int8 weights and all.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from training.prompt_safety import augment, tables
from training.prompt_safety.calibrate import NGRAM_WEIGHT, PRIOR, HeldOut, logits_of, scorer
from training.prompt_safety.concepts import bank
from training.prompt_safety.rows import Row

from countermark.safety.calibration import Calibration
from countermark.safety.normalise import normalise
from countermark.safety.prompt_heads import HEAD_CATEGORIES
from countermark.safety.prompt_model import CALIBRATION_FILE, PromptScorer

POLICY = {"review": 0.5, "block": 0.85}  # policies/default.yaml

_LEET = str.maketrans("aeiost", "4310$7")
_CYRILLIC = str.maketrans("aeopcx", "аеорсх")
EVASIONS: dict[str, Callable[[str], str]] = {
    "leet": lambda text: text.translate(_LEET),
    "homoglyph": lambda text: text.translate(_CYRILLIC),
    "spaced": lambda text: " ".join(" ".join(word) if len(word) > 3 else word for word in text.split()),
    "dotted": lambda text: " ".join(".".join(word) if len(word) > 3 else word for word in text.split()),
    "zero_width": "\u200b".join,
    "full_width": lambda text: "".join(chr(ord(c) + 0xFEE0) if 33 <= ord(c) <= 126 else c for c in text),
    "stacked_marks": lambda text: "".join(f"{c}\u0301\u0323\u0336" if c.isalpha() else c for c in text),
}


class _Scored:
    """Calibrated scores of one list of prompts."""

    def __init__(self, model: PromptScorer, calibration: Calibration, texts: list[str]) -> None:
        self.by_category: list[dict[str, float]] = []
        for logits in logits_of(model, texts):
            unsafe = logits.heads["unsafe"] + NGRAM_WEIGHT * logits.ngram
            named = {head: logits.heads[head] for head in HEAD_CATEGORIES}
            self.by_category.append(calibration.probabilities(unsafe, named))
        self.risk = np.array([max(scores.values()) for scores in self.by_category])

    def share_above(self, threshold: float) -> float:
        return round(float((self.risk >= threshold).mean()), 4)


def evaluate(out: Path, folder: Path, *, concepts: bool) -> None:
    """Prints and writes ``evaluation.json`` for the model in ``folder``; ``concepts``: see ``run.py``."""
    calibration = Calibration.read(folder / CALIBRATION_FILE)
    model = scorer(folder)
    held = HeldOut.load(out, "test", concepts=concepts)
    rows = tables.load(out, "test")

    def scored(texts: list[str]) -> _Scored:
        return _Scored(model, calibration, texts)

    benign = scored([row.text for row in held.benign])
    scary = scored([row.text for row in held.scary])
    unsafe = scored([row.text for row in held.unsafe])
    thresholds = POLICY | {f"suggested_{k}": v for k, v in calibration.thresholds.model_dump().items()}
    report: dict[str, Any] = {
        "rows": {"benign": len(held.benign), "scary": len(held.scary), "unsafe": len(held.unsafe)},
        "thresholds": thresholds,
        **_ranking(benign.risk, scary.risk, unsafe.risk),
        "flagged": {
            name: {
                "benign": benign.share_above(at),
                "scary": scary.share_above(at),
                "unsafe": unsafe.share_above(at),
            }
            for name, at in thresholds.items()
        },
        "calibration_error": _calibration_error(np.concatenate([benign.risk, scary.risk]), unsafe.risk),
        "by_category": _by_category(held.unsafe, unsafe),
        "style": _style(scored, held.benign, benign, thresholds, np.quantile(benign.risk, 0.95)),
        "evasions_keep": _evasions(scored, held.unsafe),
        "long_prompts": _long(scored, held),
        "xstest": _two_classes(scored, rows, "xstest", lambda row: row.surely_unsafe),
        "nibbler": _two_classes(scored, rows, "nibbler", lambda row: row.tags["verdict"] == 1),
        "milliseconds_per_prompt": _latency(model, [row.text for row in held.benign + held.unsafe]),
    }
    text = json.dumps(report, indent=2)
    print(text)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")


def _auroc(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([0, 1], [len(negative), len(positive)])
    return round(float(roc_auc_score(labels, np.concatenate([negative, positive]))), 4)


def _ranking(benign: NDArray[np.float64], scary: NDArray[np.float64], unsafe: NDArray[np.float64]) -> dict[str, float]:
    return {
        "auroc": _auroc(benign, unsafe),
        "auroc_against_scary": _auroc(scary, unsafe),
        "recall_at_5_percent_fpr": round(float((unsafe > np.quantile(benign, 0.95)).mean()), 4),
        "recall_at_1_percent_fpr": round(float((unsafe > np.quantile(benign, 0.99)).mean()), 4),
        "scary_flagged_at_5_percent_fpr": round(float((scary > np.quantile(benign, 0.95)).mean()), 4),
        "scary_flagged_at_1_percent_fpr": round(float((scary > np.quantile(benign, 0.99)).mean()), 4),
    }


def _calibration_error(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float:
    """Expected calibration error in ten bins, the classes weighted to the prior of the calibration."""
    probability = np.concatenate([negative, positive])
    label = np.repeat([0.0, 1.0], [len(negative), len(positive)])
    weight = np.where(label == 1, PRIOR / len(positive), (1 - PRIOR) / len(negative))
    bins = np.minimum((probability * 10).astype(int), 9)
    error = 0.0
    for index in np.unique(bins):
        inside = bins == index
        error += abs(float((weight[inside] * (label[inside] - probability[inside])).sum()))
    return round(error, 4)


def _by_category(rows: list[Row], scored: _Scored) -> dict[str, dict[str, float]]:
    """Recall of prompts labelled with one category: flagged at all, and flagged under that name."""
    report: dict[str, dict[str, float]] = {}
    for head in HEAD_CATEGORIES:
        chosen = [i for i, row in enumerate(rows) if row.targets.get(head, 0) >= 0.5 and row.source != "i2p"]
        if chosen:
            named = [max(scored.by_category[i], key=lambda name, i=i: scored.by_category[i][name]) for i in chosen]  # type: ignore[misc]
            report[head] = {
                "rows": len(chosen),
                "flagged": round(float((scored.risk[chosen] >= POLICY["review"]).mean()), 3),
                "named_so": round(float(np.mean([name == head for name in named])), 3),
            }
    return report


def _style(
    scored: Callable[[list[str]], _Scored],
    rows: list[Row],
    plain: _Scored,
    thresholds: dict[str, float],
    at_5_percent: float,
) -> dict[str, float]:
    """What happens to harmless prompts when they are wrapped in style words."""
    wrapped = scored(
        [
            f"masterpiece, best quality, {row.text}, 8k, highly detailed, trending on artstation, by greg rutkowski"
            for row in rows
        ]
    )
    report = {f"flagged_at_{name}": wrapped.share_above(at) for name, at in thresholds.items()}
    report["ratio_at_5_percent_fpr"] = round(
        float((wrapped.risk > at_5_percent).mean() / max((plain.risk > at_5_percent).mean(), 1e-9)), 3
    )
    return report


def _evasions(scored: Callable[[list[str]], _Scored], rows: list[Row]) -> dict[str, float]:
    """Recall at the policy's review threshold under each evasion, over recall without."""
    texts = random.Random(1).sample([row.text for row in rows], min(200, len(rows)))
    plain = scored(texts).share_above(POLICY["review"])
    return {
        name: round(scored([disguise(text) for text in texts]).share_above(POLICY["review"]) / plain, 3)
        for name, disguise in EVASIONS.items()
    }


def _long(scored: Callable[[list[str]], _Scored], held: HeldOut) -> dict[str, float]:
    """Long harmless prompts, and unsafe ones at the end of 150 harmless words."""
    rng = random.Random(2)
    captions = [row.text for row in held.benign if row.source in ("coco_benign", "esd_art_benign")]
    harmless = [" ".join(f"{caption.rstrip('. ')}." for caption in rng.sample(captions, 12)) for _ in range(150)]
    chosen = rng.sample(held.unsafe, min(100, len(held.unsafe)))
    buried = [f"{' '.join(rng.choice(harmless).split()[:150])} {row.text}" for row in chosen]
    middling = [augment.lengthen(row.text, rng, bank()["safe"]["plain"]) for row in rng.sample(held.benign, 150)]
    return {
        "harmless_150_words_flagged": scored(harmless).share_above(POLICY["review"]),
        "harmless_40_words_flagged": scored(middling).share_above(POLICY["review"]),
        "unsafe_after_150_words_flagged": scored(buried).share_above(POLICY["review"]),
    }


def _two_classes(
    scored: Callable[[list[str]], _Scored], rows: list[Row], source: str, is_unsafe: Callable[[Row], bool]
) -> dict[str, float]:
    chosen = [row for row in rows if row.source == source]
    positive = scored([row.text for row in chosen if is_unsafe(row)])
    negative = scored([row.text for row in chosen if not is_unsafe(row)])
    return {
        "auroc": _auroc(negative.risk, positive.risk),
        "unsafe_flagged": positive.share_above(POLICY["review"]),
        "safe_flagged": negative.share_above(POLICY["review"]),
    }


def _latency(model: PromptScorer, texts: list[str]) -> float:
    """CPU time of normalising and scoring, one thread, mean over 300 prompts."""
    chosen = random.Random(4).sample(texts, min(300, len(texts)))
    began = time.process_time()
    for text in chosen:
        model.logits(normalise(text, model.lexicon).text, NGRAM_WEIGHT)
    return round((time.process_time() - began) / len(chosen) * 1000, 2)
