"""What every generation core looks like to the rest of the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from countermark.model import GenerationRequest, ModelRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OnStep = Callable[[int, int], None]
"""Called after each denoising step with (steps done, steps in all); what it raises stops the generation."""


@dataclass(frozen=True)
class Generated:
    """What a generator made of one request.

    Attributes:
        images: RGB, uint8, H×W×3, C-contiguous: as many as the request counts.
        parameters: what was really used (seed, steps, size, ...), for the record.
        notices: plain sentences on what differs from the request. They may quote single words of the prompt, so they
            are for the caller's eyes: they belong neither in a log nor in the record.
    """

    images: tuple[NDArray[np.uint8], ...]
    parameters: dict[str, str | int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Generator(Protocol):
    """A model that turns a request into images."""

    @property
    def model(self) -> ModelRef:
        """Which model this is; the digest is that of the weights really in use."""
        ...

    def generate(self, request: GenerationRequest, *, on_step: OnStep | None = None) -> Generated:
        """Make the images of one request.

        Raises:
            UsageError: the request asks for something that this model cannot do.
            GenerationFailed: the model raised or returned something unusable.
        """
        ...
