"""Findings and decisions without a pipeline: the shipped classifiers, and pixels from wherever they come."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from countermark import imaging
from countermark.model import Decision, Finding, Stage
from countermark.pipeline import check_prompt
from countermark.policy import Policy, decide

if TYPE_CHECKING:
    from countermark.safety.interface import ImageClassifier, PromptClassifier


def default_prompt_safety() -> PromptClassifier:
    """The shipped prompt classifiers."""
    from countermark.safety import PromptEnsemble

    return PromptEnsemble()


def default_image_safety() -> ImageClassifier:
    """The shipped image classifiers."""
    from countermark.safety import ImageEnsemble

    return ImageEnsemble()


def check(
    policy: Policy,
    *,
    prompt: str | None = None,
    image: Any = None,
    prompt_safety: PromptClassifier | None = None,
    image_safety: ImageClassifier | None = None,
) -> tuple[tuple[Finding, ...], Decision]:
    """Assess a prompt or an image and let policy decide; nothing is generated or recorded."""
    if (prompt is None) == (image is None):
        raise TypeError("give either a prompt or an image")
    if prompt is not None:
        check_prompt(prompt)
        findings = (prompt_safety or default_prompt_safety()).assess(prompt)
        return findings, decide(policy, findings, Stage.PROMPT)
    findings = (image_safety or default_image_safety()).assess(to_raster(image).pixels)
    return findings, decide(policy, findings, Stage.IMAGE)


def to_raster(image: Any) -> imaging.Raster:
    """Pixels from a path, file bytes, a raster, a Pillow image or an array.

    Raises:
        AssetInvalid: it is none of these, or cannot be read.
    """
    if isinstance(image, imaging.Raster):
        return image
    if isinstance(image, (str, Path)):
        return imaging.decode(imaging.read_file(Path(image)), str(image))
    if isinstance(image, bytes):
        return imaging.decode(image)
    if isinstance(image, np.ndarray):
        return imaging.from_array(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return imaging.decode(buffer.getvalue())
