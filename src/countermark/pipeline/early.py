"""Stopping a run that is already judged unsafe, on a preview of what it is becoming.

This saves work; it is no gate. A preview that could not be made or looked at stops nothing, and every finished image
is checked as if there had been no preview. Only what the policy *blocks* on a score stops a run: whether a person
would have let a picture pass can be told of the finished picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from numpy import uint8
from numpy.typing import NDArray

from countermark.model import Decision, Finding, Outcome
from countermark.observe import get_logger
from countermark.pipeline.attempt import Attempt
from countermark.policy import decide_early
from countermark.safety.interface import ImageClassifier


@dataclass(frozen=True)
class EarlyCheck:
    """When a run is looked at, and by whom.

    Attributes:
        safety: looks at previews of some 64 to 256 pixels a side: local and quick ones only.
        at: the share of the steps after which it looks, between 0 and 1.
    """

    safety: ImageClassifier
    at: float


class RunStopped(Exception):
    """Ends a run from within its step callback; caught by the pipeline, which records the refusal."""

    def __init__(self, decision: Decision, findings: tuple[Finding, ...]) -> None:
        super().__init__(decision.rule)
        self.decision = decision
        self.findings = findings


class EarlyLook:
    """A generator's ``watch``: judges the previews of one attempt.

    Args:
        attempt: the record of which says that there was a look, and after which step.
        check: who looks, and when.
    """

    def __init__(self, attempt: Attempt, check: EarlyCheck) -> None:
        self._attempt = attempt
        self._check = check

    def wanted(self, done: int, total: int) -> bool:
        """Whether to look after ``done`` of ``total`` steps: once in a run, never after the last."""
        return done < total and done == max(1, math.ceil(self._check.at * total))

    def __call__(self, images: Sequence[NDArray[uint8]], done: int, total: int) -> None:
        """Look at the previews.

        Raises:
            RunStopped: the policy blocks one of them.
        """
        where = f"preview after step {done} of {total}"
        with self._attempt.timer("preview_safety"):
            for pixels in images:
                try:
                    findings = self._check.safety.assess(pixels)
                except Exception as error:  # not the gate: the finished image is checked whatever happens here
                    name = type(error).__name__
                    get_logger("pipeline").warning("preview not assessed", error=name, attempt=self._attempt.id)
                    return
                decision = decide_early(self._attempt.parts.policy, findings)
                if decision.outcome is Outcome.BLOCK:
                    reasons = (f"The run was stopped on a {where}.", *decision.reasons)
                    raise RunStopped(
                        decision.model_copy(update={"reasons": reasons}), tuple(_told(f, where) for f in findings)
                    )
        self._attempt.params["preview"] = f"passed after step {done} of {total}"


def _told(finding: Finding, where: str) -> Finding:
    return finding.model_copy(update={"reason": f"{where}: {finding.reason}".rstrip(": ")})
