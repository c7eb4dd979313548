"""Image classifiers that know files as well as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from countermark.safety.interface import ImageClassifier

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from countermark.model import Finding


@runtime_checkable
class FileClassifier(ImageClassifier, Protocol):
    """An image classifier that can look a file up by its bytes, beside looking at its pixels."""

    def assess_file(self, pixels: NDArray[np.uint8], sha256: str) -> tuple[Finding, ...]:
        """As ``assess``, for pixels that came from a file with this SHA-256 (64 lowercase hexadecimal digits)."""
        ...


def look_at(classifier: ImageClassifier, pixels: NDArray[np.uint8], sha256: str = "") -> tuple[Finding, ...]:
    """What a classifier says of pixels, and of the file that they came from where its digest is known."""
    if sha256 and isinstance(classifier, FileClassifier):
        return classifier.assess_file(pixels, sha256)
    return classifier.assess(pixels)
