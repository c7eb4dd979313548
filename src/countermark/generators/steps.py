"""Progress of a diffusers pipeline, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from countermark.generators.interface import OnStep, Watch
from countermark.generators.preview import NoPreview, PreviewMaker

_TRIES = 3
"""Some steps cannot be shown, such as one back into noise: then the next one is."""
UNSEEN = "No preview of the run could be made: the image was checked when it was finished, not before."


class StepRelay:
    """Passes a pipeline's step callback on as (steps done, steps in all), and remembers what the listener raised.

    Pipelines differ in what they do with an exception on its way out; :meth:`reraise` gives the listener's own back.

    Args:
        on_step: hears of every step.
        total: steps in all, for a pipeline that does not say.
        watch: looks at a preview of the run at the steps that it chooses.
        then: the caller's own callback, called last; what it returns is passed on.
    """

    def __init__(
        self,
        on_step: OnStep | None,
        total: int | None,
        *,
        watch: Watch | None = None,
        then: Callable[..., dict[str, Any] | None] | None = None,
    ) -> None:
        self._on_step = on_step
        self._total = total
        self._watch = watch
        self._then = then
        self._previews = PreviewMaker()
        self._raised: BaseException | None = None
        self._tries = 0
        self.unseen = False
        """Whether a preview was wanted and could not be made."""

    def __call__(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any] | None:
        """The signature of `callback_on_step_end`."""
        # What the pipeline says goes first: some solvers and pipelines make more steps than they are asked for.
        total = int(getattr(pipe, "num_timesteps", None) or self._total or step + 1)
        try:
            if self._on_step is not None:
                self._on_step(step + 1, total)
            if self._watch is not None:
                self._look(self._watch, pipe, step, total, tensors)
        except BaseException as error:
            self._raised = error
            raise
        return tensors if self._then is None else self._then(pipe, step, timestep, tensors)

    def _look(self, watch: Watch, pipe: Any, step: int, total: int, tensors: dict[str, Any]) -> None:
        latents = tensors.get("latents")
        if watch.wanted(step + 1, total):
            self._tries = _TRIES
        if self._tries and step + 1 < total:
            self._tries -= 1
            try:
                if latents is None:
                    raise NoPreview("the callback is not given the latents")
                images = self._previews.images(pipe, step, latents)
            except Exception:  # a pipeline's parts may raise anything; the finished image is checked in any case
                self.unseen = True
            else:
                self.unseen, self._tries = False, 0
                watch(images, step + 1, total)
        if latents is not None and (self._tries or watch.wanted(step + 2, total)):
            self._previews.follow(latents)

    def reraise(self) -> None:
        """Raise what the listener raised, if it did."""
        if self._raised is not None:
            raise self._raised
