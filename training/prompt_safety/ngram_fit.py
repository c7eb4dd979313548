"""Fits the hashed n-gram logistic regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from training.prompt_safety.rows import Row, tensors

from countermark.safety.ngrams import FEATURES, NgramModel, features


def fit(rows: list[Row], normalised: list[str], out: Path) -> None:
    """Logistic regression by stochastic gradient descent on the head ``unsafe``; unsure rows count little."""
    from sklearn.linear_model import SGDClassifier

    targets, weights = tensors(rows)
    known = np.flatnonzero(weights[:, 0] > 0)
    parts = [features(normalised[i]) for i in known]
    pointers = np.cumsum([0, *(len(columns) for columns, _ in parts)])
    matrix = csr_matrix(
        (np.concatenate([values for _, values in parts]), np.concatenate([columns for columns, _ in parts]), pointers),
        shape=(len(known), FEATURES),
    )
    confidence = np.abs(2 * targets[known, 0] - 1)
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=15, random_state=0)
    model.fit(matrix, targets[known, 0] >= 0.5, sample_weight=weights[known, 0] * confidence)
    NgramModel(model.coef_[0].astype(np.float32), float(model.intercept_[0])).write(out)
