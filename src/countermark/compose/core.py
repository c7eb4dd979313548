"""A generator bound to one request: what it gives back is looked at before anything else is done with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from countermark.errors import GenerationFailed, UsageError
from countermark.generators.interface import Generated
from countermark.model import GenerationRequest, ModelRef

if TYPE_CHECKING:
    from countermark.generators import Generator, Watch

_SOME_MODEL = "c2pa.types.model"
"""Of a model that is known by its name alone (C2PA specification 2.4, asset types)."""
_NOT_SHOWN = "The generator shows nothing before it is done: the image was checked when it was finished, not before."


class Core:
    """Binds a generator to one request, so that the pipeline need not know how it is called.

    Generators of others are strangers: what they return is looked at, and copied, so that nothing changes between check
    and mark.
    """

    def __init__(
        self, generator: Callable[[], Generator], request: GenerationRequest, on_step: Callable[[int, int], None] | None
    ) -> None:
        self._generator = generator
        self._request = request
        self._on_step = on_step

    @property
    def model(self) -> ModelRef:
        """Which model answers; loads it where it is not loaded yet."""
        generator = self._generator()
        try:
            return reference(generator.model)
        except AttributeError as error:
            raise UsageError(
                f"The generator {type(generator).__name__} has no attribute 'model'.",
                remedy="Give it one that says which model it is: countermark.model.ModelRef(id=...).",
            ) from error

    def __call__(
        self, watch: Watch | None = None, /
    ) -> tuple[Sequence[NDArray[np.uint8]], dict[str, str], tuple[str, ...]]:
        """Make the images: copies, as many as were asked for.

        Raises:
            GenerationFailed: the generator returned something else.
        """
        generator = self._generator()
        # Generators of others may be older than previews, or have nothing to show before they are done.
        shows = watch is not None and "watch" in inspect.signature(generator.generate).parameters
        more = {"watch": watch} if shows else {}
        made = generator.generate(self._request, on_step=self._on_step, **more)
        if not isinstance(made, Generated):
            raise _unusable(type(made).__name__, "a Generated was expected")
        images = [_pixels(image) for image in made.images]
        if len(images) != self._request.count:
            raise _unusable(f"{len(images)} images", f"the request counts {self._request.count}")
        notices = made.notices if shows or watch is None else (*made.notices, _NOT_SHOWN)
        return images, {str(name): str(value) for name, value in made.parameters.items()}, notices


def reference(model: Any) -> ModelRef:
    """The model that somebody named.

    Raises:
        UsageError: it is no name.
    """
    if isinstance(model, ModelRef):
        return model
    try:
        return ModelRef(id=model, type=_SOME_MODEL)
    except ValidationError:
        given = f"{len(model):,}" if isinstance(model, str) else type(model).__name__
        raise UsageError(
            f"A model is named by 1 to 200 characters, not by {given}.", remedy="Say which model made the image."
        ) from None


def _pixels(image: Any) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray):
        raise _unusable(type(image).__name__, "pixels were expected")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise _unusable(f"an array that is {image.dtype} of shape {image.shape}", "pixels were expected")
    return np.array(image, order="C")


def _unusable(given: str, instead: str) -> GenerationFailed:
    return GenerationFailed(
        f"The generator returned {given} where {instead}.",
        remedy="A generator returns countermark.generators.Generated, its images NumPy arrays: RGB, uint8, H×W×3.",
    )
