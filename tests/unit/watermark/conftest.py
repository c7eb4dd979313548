from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from skimage import data
from sklearn.datasets import load_sample_image

from countermark.watermark import Lattice

KEY = b"a key for the tests, 32 bytes..."


@cache
def load_photographs() -> dict[str, np.ndarray]:
    return {
        "astronaut": data.astronaut(),
        "chelsea": data.chelsea(),
        "china": load_sample_image("china.jpg"),
        "coffee": data.coffee(),
        "flower": load_sample_image("flower.jpg"),
        "rocket": data.rocket(),
    }


@pytest.fixture(autouse=True)
def _one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    return load_photographs()


@pytest.fixture(scope="session")
def key() -> bytes:
    return KEY


@pytest.fixture(scope="session")
def mark(key: bytes) -> Lattice:
    return Lattice(key)
