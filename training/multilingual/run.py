"""Trains, calibrates and reports on the heads: ``python -m training.multilingual.run --data DIR --out DIR``.

Every concept of the bank is scored by a network that saw it in no language (cross-validation over concepts); those
scores give the figures and the calibration. What ships is trained on all of it. About fifteen minutes on one core, most
of it for embeddings, which ``--out`` keeps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from training.multilingual import heads
from training.multilingual.data import LANGUAGES, all_rows
from training.multilingual.embedding import EmbeddingCache
from training.prompt_safety.rows import Row

from countermark.safety.e5 import E5Encoder
from countermark.safety.multilingual import HEADS_FILE, WEIGHTS_FOLDER
from countermark.safety.weights import write_manifest

FOLDS = 5
SEEDS = (0, 1, 2)
PRIOR = 0.25  # of unsafe prompts in the stream that scores are calibrated for
Scores = NDArray[np.float32]


def fold_of(row: Row) -> int:
    """The fold of a bank row's concept, the same in every language; -1 for other rows."""
    if row.source != "bank":
        return -1
    return int(hashlib.sha256(f"fold {row.tags['concept']}".encode()).hexdigest(), 16) % FOLDS


def fit(rows: list[Row], embeddings: Scores, mask: NDArray[np.bool_]) -> heads.Network:
    kept = [row for row, keep in zip(rows, mask, strict=True) if keep]
    return heads.joined([heads.train(kept, embeddings[mask], seed=seed) for seed in SEEDS])


def recall(scores: Scores, unsafe: NDArray[np.bool_], rate: float) -> float:
    """Share of unsafe prompts above the score that ``rate`` of the harmless ones reach at most."""
    threshold = np.quantile(scores[~unsafe], 1 - rate, method="higher")
    return float((scores[unsafe] > threshold).mean())


def figures(scores: Scores, unsafe: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "unsafe": int(unsafe.sum()),
        "harmless": int((~unsafe).sum()),
        "auroc": float(roc_auc_score(unsafe, scores)),
        "auprc": float(average_precision_score(unsafe, scores)),
        "recall_at_5": recall(scores, unsafe, 0.05),
        "recall_at_1": recall(scores, unsafe, 0.01),
    }


def calibrate(scores: Scores, unsafe: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of a logistic curve, with the classes weighted to ``PRIOR``."""
    weights = np.where(unsafe, PRIOR / unsafe.mean(), (1 - PRIOR) / (1 - unsafe.mean()))
    curve = LogisticRegression(C=100).fit(scores[:, None], unsafe, sample_weight=weights)
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])


def thresholds(probabilities: Scores, unsafe: NDArray[np.bool_], close: NDArray[np.bool_]) -> tuple[float, ...]:
    """Review at 8 % of the harmless prompts that look unsafe, block at 2 %, and the middle between."""
    scary = probabilities[~unsafe & close]
    review, block = (float(np.quantile(scary, 1 - rate, method="higher")) for rate in (0.08, 0.02))
    review, block = min(0.9, max(0.3, review)), min(0.98, max(0.6, block))
    return review, (review + block) / 2, block


def shares(probabilities: Scores) -> list[float]:
    """How many of the prompts reach the default policy's review and block."""
    return [round(float((probabilities >= limit).mean()), 3) for limit in (0.5, 0.85)]


def milliseconds(texts: list[str]) -> float:
    encoder = E5Encoder()
    encoder.embed(texts[0])
    start = time.process_time()
    for text in texts:
        encoder.embed(text)
    return 1000 * (time.process_time() - start) / len(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for embeddings, weights and the report")
    parser.add_argument("--install", action="store_true", help="copy the weights into the package")
    options = parser.parse_args()
    rows = all_rows(options.data, seed=0)
    embeddings = EmbeddingCache(options.out)(row.text for row in rows)
    source, split = np.array([row.source for row in rows]), np.array([row.split for row in rows])
    language = np.array([row.tags["lang"] for row in rows])
    fold = np.array([fold_of(row) for row in rows])
    written = np.array([row.source == "bank" and row.tags["frame"] == "{}" for row in rows])
    trainable = source != "hatecheck"  # figures only: training on it taught words of the sentences, see the card
    unseen = np.zeros((len(rows), len(heads.HEADS)), np.float32)
    for held in range(FOLDS):
        network = fit(rows, embeddings, trainable & (fold != held) & ((split != "test") | (fold >= 0)))
        here = fold == held if held else (fold == 0) | (fold < 0)
        unseen[here] = network.logits(embeddings[here])
    unsafe = np.array([row.targets.get("unsafe", 0.5) > 0.5 for row in rows])
    clear = np.array([not 0.05 < row.targets.get("unsafe", 0.5) < 0.95 for row in rows])
    close = np.array([str(row.tags.get("concept", "")).startswith("safe_close/") for row in rows])
    report = {"bank": {}, "hatecheck": {}}
    for name in LANGUAGES:
        here = written & (language == name)
        report["bank"][name] = figures(unseen[here, 0], unsafe[here])
        here = (source == "hatecheck") & (language == name)
        if here.any():
            report["hatecheck"][name] = figures(unseen[here, 0], unsafe[here])
    here = (language == "en") & (split == "test") & (source != "bank") & clear
    report["english"] = figures(unseen[here, 0], unsafe[here])
    foreign = written & (language != "en")
    report["bank"]["all but English"] = figures(unseen[foreign, 0], unsafe[foreign])
    slope, intercept = calibrate(unseen[foreign, 0], unsafe[foreign])
    probabilities = 1 / (1 + np.exp(-(slope * unseen[:, 0] + intercept)))
    limits = thresholds(probabilities[foreign], unsafe[foreign], close[foreign])
    report["thresholds"] = limits
    groups = {"unsafe": unsafe, "close": ~unsafe & close, "plain": ~unsafe & ~close}
    report["flagged at .50, .85"] = {
        name: {group: shares(probabilities[written & (language == name) & mask]) for group, mask in groups.items()}
        for name in LANGUAGES
    }
    report["english flagged at .50, .85"] = {
        "harmless": shares(probabilities[here & ~unsafe]),
        "unsafe": shares(probabilities[here & unsafe]),
    }
    named = [
        heads.HEADS[1 + int(np.argmax(unseen[i, 1:]))] == rows[i].tags["category"]
        for i in np.flatnonzero(foreign & unsafe)
    ]
    report["category named"] = float(np.mean(named))
    report["ms"] = milliseconds([rows[i].text for i in np.flatnonzero(foreign)[:200]])
    final = fit(rows, embeddings, trainable & ((split != "test") | (fold >= 0)))
    folder = WEIGHTS_FOLDER if options.install else options.out
    heads.save(folder / HEADS_FILE, final, slope, intercept, limits)
    if options.install:
        write_manifest(folder, [HEADS_FILE, "languages.npz"])
    (options.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
