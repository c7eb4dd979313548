"""Progress of a diffusers pipeline, step by step."""

from __future__ import annotations

from typing import Any

from countermark.generators.interface import OnStep


class StepRelay:
    """Passes a pipeline's step callback on as (steps done, steps in all), and remembers what the listener raised.

    Pipelines differ in what they do with an exception on its way out; :meth:`reraise` gives the listener's own back.
    """

    def __init__(self, on_step: OnStep | None, total: int | None) -> None:
        self._on_step = on_step
        self._total = total
        self._raised: BaseException | None = None

    def __call__(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """The signature of `callback_on_step_end`."""
        if self._on_step is not None:
            total = self._total if self._total is not None else int(getattr(pipe, "num_timesteps", step + 1))
            try:
                self._on_step(step + 1, total)
            except BaseException as error:
                self._raised = error
                raise
        return tensors

    def reraise(self) -> None:
        """Raise what the listener raised, if it did."""
        if self._raised is not None:
            raise self._raised
