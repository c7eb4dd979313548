"""Image classifiers that take more into account than pixels: the file that they came from, and the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from countermark.safety.interface import ImageClassifier

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from countermark.model import Finding


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of pixels beside themselves; what is not is empty.

    Attributes:
        sha256: of the file that they came from, 64 lowercase hexadecimal digits.
        prompt: what they were generated from. In no finding, like any prompt.
    """

    sha256: str = ""
    prompt: str = ""


NOTHING = Known()


@runtime_checkable
class KnowingImageClassifier(ImageClassifier, Protocol):
    """An image classifier that can use what is known of pixels, beside looking at them."""

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        """As ``assess``, for pixels of which this is known."""
        ...


def look_at(classifier: ImageClassifier, pixels: NDArray[np.uint8], known: Known = NOTHING) -> tuple[Finding, ...]:
    """What a classifier says of pixels, and of what is known of them where it can use it."""
    if isinstance(classifier, KnowingImageClassifier):
        return classifier.assess_known(pixels, known)
    return classifier.assess(pixels)
