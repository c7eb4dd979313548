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
from training.prompt_safety.calibrate import NGRAM_WEIGHT, PRIOR, HeldOut, logits_of, long_harmless, scorer
from training.prompt_safety.concepts import bank
from training.prompt_safety.disguise import EVASIONS
from training.prompt_safety.rows import Row

from countermark.bench.safety.disguise import STYLES, styled
from countermark.safety.calibration import Calibration
from countermark.safety.normalise import normalise
from countermark.safety.prompt_heads import HEAD_CATEGORIES
from countermark.safety.prompt_model import CALIBRATION_FILE, PromptScorer

POLICY = {"review": 0.5, "block": 0.85}  # policies/default.yaml


class _Scored:
    """Calibrated scores of one list of prompts."""

    def __init__(self, model: PromptScorer, calibration: Calibration, texts: list[str]) -> None:
        self.by_category: list[dict[str, float]] = []
        for logits in logits_of(model, texts):
            unsafe = calibration.summed(logits.heads["unsafe"], logits.ngram, logits.windows)
            named = {head: logits.heads[head] for head in HEAD_CATEGORIES}
            self.by_category.append(calibration.probabilities(unsafe, named))
        self.risk = np.array([max(scores.values()) for scores in self.by_category])

    def named(self, index: int) -> str:
        """The likeliest category of one prompt."""
        scores = self.by_category[index]
        return max(scores, key=lambda name: scores[name])

    def share_above(self, threshold: float) -> float:
        return round(float((self.risk >= threshold).mean()), 4)


def evaluate(out: Path, folder: Path) -> None:
    """Prints and writes ``evaluation.json`` for the model in ``folder``."""
    calibration = Calibration.read(folder / CALIBRATION_FILE)
    model = scorer(folder)
    held = HeldOut.load(out, "test")
    rows = tables.load(out, "test")

    def scored(texts: list[str]) -> _Scored:
        return _Scored(model, calibration, texts)

    benign = scored([row.text for row in held.benign])
    scary = scored([row.text for row in held.scary])
    unsafe = scored([row.text for row in held.unsafe])
    names = scored([row.text for row in held.names])
    words = scored([row.text for row in held.words])
    earlier = HeldOut.load(out, "calibrate")
    calibrated_on = [
        scored([row.text for row in rows]).risk for rows in (earlier.benign, earlier.scary, earlier.unsafe)
    ]
    thresholds = POLICY | {f"suggested_{k}": v for k, v in calibration.thresholds.model_dump().items()}
    report: dict[str, Any] = {
        "rows": {kind: len(rows) for kind, rows in vars(held).items()},
        "thresholds": thresholds,
        **_ranking(benign.risk, scary.risk, unsafe.risk),
        "on_the_calibration_split": _ranking(*calibrated_on),
        "flagged": {
            name: {
                "benign": benign.share_above(at),
                "scary": scary.share_above(at),
                "unsafe": unsafe.share_above(at),
                "names": names.share_above(at),
                "words": words.share_above(at),
            }
            for name, at in thresholds.items()
        },
        "flagged_by_source": _by_source(held, benign, scary, unsafe),
        "category_named_right_of_blocked": _named_right(held.unsafe, unsafe),
        "calibration_error": _calibration_error(np.concatenate([benign.risk, scary.risk]), unsafe.risk),
        "calibration_by_category": _calibration_by_category([benign, scary], unsafe),
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


def _calibration_by_category(harmless: list[_Scored], unsafe: _Scored) -> dict[str, dict[str, float]]:
    """Of the prompts that the model would call so: mean probability, and the share that is unsafe at the prior."""
    names = np.array([scores.named(i) for scores in (*harmless, unsafe) for i in range(len(scores.risk))])
    risk = np.concatenate([scores.risk for scores in (*harmless, unsafe)])
    positives = len(unsafe.risk)
    label = np.repeat([0.0, 1.0], [len(risk) - positives, positives])
    weight = np.where(label == 1, PRIOR / positives, (1 - PRIOR) / (len(risk) - positives))
    return {
        head: {
            "rows": int(chosen.sum()),
            "probability": round(float(np.average(risk[chosen], weights=weight[chosen])), 3),
            "unsafe": round(float(np.average(label[chosen], weights=weight[chosen])), 3),
        }
        for head in HEAD_CATEGORIES
        if (chosen := names == head).any()
    }


def _by_source(held: HeldOut, *scored: _Scored) -> dict[str, dict[str, float]]:
    """Shares at the policy's thresholds of each source's prompts."""
    report: dict[str, dict[str, float]] = {}
    for rows, scores in zip((held.benign, held.scary, held.unsafe), scored, strict=True):
        for source in dict.fromkeys(row.source for row in rows):
            risk = scores.risk[[row.source == source for row in rows]]
            report[source] = {"rows": len(risk)} | {
                name: round(float((risk >= at).mean()), 4) for name, at in POLICY.items()
            }
    return report


def _labelled(rows: list[Row]) -> list[tuple[int, str]]:
    """The prompts whose only category is known by hand, with that category."""
    return [
        (i, heads[0])
        for i, row in enumerate(rows)
        if row.source != "i2p"
        and len(heads := [head for head in HEAD_CATEGORIES if row.targets.get(head, 0) >= 0.5]) == 1
    ]


def _named_right(rows: list[Row], scored: _Scored) -> dict[str, float]:
    blocked = [(i, head) for i, head in _labelled(rows) if scored.risk[i] >= POLICY["block"]]
    right = [scored.named(i) == head for i, head in blocked]
    return {"rows": len(blocked), "share": round(float(np.mean(right)), 4)}


def _by_category(rows: list[Row], scored: _Scored) -> dict[str, dict[str, float]]:
    """Recall of prompts labelled with one category: flagged at all, and flagged under that name."""
    report: dict[str, dict[str, float]] = {}
    for head in HEAD_CATEGORIES:
        chosen = [i for i, label in _labelled(rows) if label == head]
        if chosen:
            report[head] = {
                "rows": len(chosen),
                "flagged": round(float((scored.risk[chosen] >= POLICY["review"]).mean()), 3),
                "blocked": round(float((scored.risk[chosen] >= POLICY["block"]).mean()), 3),
                "named_so": round(float(np.mean([scored.named(i) == head for i in chosen])), 3),
            }
    return report


def _style(
    scored: Callable[[list[str]], _Scored],
    rows: list[Row],
    plain: _Scored,
    thresholds: dict[str, float],
    at_5_percent: float,
) -> dict[str, float]:
    """What happens to harmless prompts, each in one of the benchmark's styles."""
    wrapped = scored([styled(row.text, STYLES[number % len(STYLES)]) for number, row in enumerate(rows)])
    report = {f"flagged_at_{name}": wrapped.share_above(at) for name, at in thresholds.items()}
    report["ratio_at_5_percent_fpr"] = round(
        float((wrapped.risk > at_5_percent).mean() / max((plain.risk > at_5_percent).mean(), 1e-9)), 3
    )
    return report


def _evasions(scored: Callable[[list[str]], _Scored], rows: list[Row]) -> dict[str, float]:
    """Recall at the policy's review threshold under each evasion, over recall without."""
    texts = [row.text for row in rows]
    plain = scored(texts).share_above(POLICY["review"])
    return {
        name: round(scored([disguise(text) for text in texts]).share_above(POLICY["review"]) / plain, 3)
        for name, disguise in EVASIONS.items()
    }


def _long(scored: Callable[[list[str]], _Scored], held: HeldOut) -> dict[str, float]:
    """Long harmless prompts, and unsafe ones at the end of 150 harmless words."""
    rng = random.Random(2)
    harmless = long_harmless(held.benign, rng, 300)
    chosen = held.unsafe
    buried = [f"{' '.join(rng.choice(harmless).split()[:150])} {row.text}" for row in chosen]
    middling = [augment.lengthen(row.text, rng, bank()["safe"]["plain"]) for row in rng.sample(held.benign, 300)]
    return {
        "harmless_150_words_flagged": scored(harmless).share_above(POLICY["review"]),
        "harmless_150_words_blocked": scored(harmless).share_above(POLICY["block"]),
        **_padded(scored, held, rng),
        "harmless_40_words_flagged": scored(middling).share_above(POLICY["review"]),
        "unsafe_after_150_words_flagged": scored(buried).share_above(POLICY["review"]),
    }


def _padded(scored: Callable[[list[str]], _Scored], held: HeldOut, rng: random.Random) -> dict[str, float]:
    """Unsafe prompts that are blocked alone, before and behind so many captions: how many are flagged still."""
    captions = [row.text.rstrip(". ") for row in held.benign if row.source in ("coco_benign", "esd_art_benign")]
    alone = [row.text.rstrip(". ") for row in held.unsafe]
    blocked = [text for text, risk in zip(alone, scored(alone).risk, strict=True) if risk >= POLICY["block"]]
    figures: dict[str, float] = {"blocked_alone": len(blocked)}
    for count, harmless in ((12, 100), (40, 100), (100, 40)):
        padding = [rng.sample(captions, count) for _ in blocked]
        made = {
            "before": [". ".join([text, *around]) for text, around in zip(blocked, padding, strict=True)],
            "behind": [". ".join([*around, text]) for text, around in zip(blocked, padding, strict=True)],
            "amid_commas": [
                ", ".join([*around[: count // 2], text, *around[count // 2 :]])
                for text, around in zip(blocked, padding, strict=True)
            ],
        }
        for place, texts in made.items():
            figures[f"blocked_alone_{place}_{count}_captions_flagged"] = scored(texts).share_above(POLICY["review"])
        alike = [". ".join(rng.sample(captions, count)) for _ in range(harmless)]
        figures[f"harmless_{count}_captions_flagged"] = scored(alike).share_above(POLICY["review"])
    return figures


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


_SPREAD = (
    "auroc", "auroc_against_scary", "recall_at_5_percent_fpr", "recall_at_1_percent_fpr",
    "scary_flagged_at_5_percent_fpr", "calibration_error",
)  # fmt: skip


def write_spread(folders: list[Path], out: Path) -> None:
    """Mean, least and greatest of the main figures over several seeds; prints and writes them."""
    reports = [json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) for folder in folders]
    figures = {name: [report[name] for report in reports] for name in _SPREAD}
    for kind in ("benign", "scary", "unsafe", "names", "words"):
        for threshold in POLICY:
            figures[f"{kind}_at_{threshold}"] = [report["flagged"][threshold][kind] for report in reports]
    spread = {
        name: {"mean": round(float(np.mean(values)), 4), "least": min(values), "greatest": max(values)}
        for name, values in figures.items()
    }
    text = json.dumps({"seeds": len(folders), **spread}, indent=2)
    print(text)
    out.write_text(text + "\n", encoding="utf-8")
