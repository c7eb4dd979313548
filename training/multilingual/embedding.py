"""Embeddings of the base model, computed once per text and kept in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from countermark.safety.e5 import DIMENSIONS, E5Encoder

_SAVE_EVERY = 2000


class EmbeddingCache:
    """Text → embedding, remembered in ``folder`` between runs.

    Args:
        folder: where ``e5.npz`` is kept; changed texts cost their own embedding only.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "e5.npz"
        self._encoder = E5Encoder()
        self._known: dict[str, NDArray[np.float16]] = {}
        if self._path.exists():
            stored = np.load(self._path)
            self._known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def __call__(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """One row per text, float32 texts × 384."""
        wanted = list(texts)
        keys = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in wanted]
        missing = {key: text for key, text in zip(keys, wanted, strict=True) if key not in self._known}
        for done, (key, text) in enumerate(missing.items(), 1):
            self._known[key] = self._encoder.embed(text).astype(np.float16)
            if done % _SAVE_EVERY == 0:
                print(f"embedded {done} of {len(missing)}", flush=True)
                self._save()
        if missing:
            self._save()
        return np.array([self._known[key] for key in keys], dtype=np.float32).reshape(-1, DIMENSIONS)

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self._path, keys=np.array(list(self._known)), vectors=np.array(list(self._known.values())))
