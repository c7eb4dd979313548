"""Copies finished weights into the package and writes their digests."""

from __future__ import annotations

import shutil
from pathlib import Path

from training.prompt_safety.calibrate import MODEL_FILES

from countermark.safety.lexicon import WEIGHTS_DIR
from countermark.safety.prompt_model import CALIBRATION_FILE
from countermark.safety.weights import write_manifest


def install(out: Path) -> None:
    names = [*MODEL_FILES, CALIBRATION_FILE]
    WEIGHTS_DIR.mkdir(exist_ok=True)
    for name in names:
        shutil.copyfile(out / name, WEIGHTS_DIR / name)
    write_manifest(WEIGHTS_DIR, names)
