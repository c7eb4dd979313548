"""What every generation core looks like to the rest of the house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from countermark.model import GenerationRequest, ModelRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OnStep = Callable[[int, int], None]
"""Called after each denoising step with (steps done, steps in all); what it raises stops the generation."""


class Watch(Protocol):
    """Looks at what a run is becoming, once on its way; what it raises stops the run and comes out unchanged."""

    def wanted(self, done: int, total: int) -> bool:
        """Whether a preview is to be made after ``done`` of ``total`` steps. The same answer to the same question."""
        ...

    def __call__(self, images: Sequence[NDArray[np.uint8]], done: int, total: int) -> None:
        """Look at small previews (RGB uint8 H×W×3), one for each image that the run is making."""
        ...


@dataclass(frozen=True)
class Generated:
    """What a generator made of one request.

    Attributes:
        images: RGB, uint8, H×W×3, C-contiguous: as many as the request counts.
        parameters: what was really used (seed, steps, size, ...), for the record. It is for ever, so what is named like
            a prompt, contains it, or is longer than 500 characters is left out there, with a notice.
        notices: plain sentences on what differs from the request. They may quote single words of the prompt, so they
            are for the caller's eyes: they belong neither in a log nor in the record.
    """

    images: tuple[NDArray[np.uint8], ...]
    parameters: dict[str, str | int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Generator(Protocol):
    """A model that turns a request into images.

    Threads that share a Countermark call it at the same time: one that cannot take this keeps a lock of its own, as
    those of this room do.
    """

    @property
    def model(self) -> ModelRef:
        """Which model this is; the digest is that of the weights really in use."""
        ...

    def generate(
        self, request: GenerationRequest, *, on_step: OnStep | None = None, watch: Watch | None = None
    ) -> Generated:
        """Make the images of one request.

        Args:
            request: what is asked for.
            on_step: hears of every step.
            watch: is shown a preview of the run where one can be made; a notice says so where it cannot.

        Raises:
            UsageError: the request asks for something that this model cannot do.
            GenerationFailed: the model raised or returned something unusable.
        """
        ...
