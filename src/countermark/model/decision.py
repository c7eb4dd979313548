"""What policy says about a set of findings. A refusal is a decision, never an exception."""

from __future__ import annotations

from enum import StrEnum

from countermark.model.base import Frozen, Sha256Hex
from countermark.model.finding import Category, Severity, Stage


class Outcome(StrEnum):
    """From mild to strict: let pass, change and pass, hold for a person, refuse."""

    ALLOW = "allow"
    REDACT = "redact"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 for allow … 3 for block: the strictest of several wins."""
        return tuple(Outcome).index(self)


BLOCKING = (Outcome.REVIEW, Outcome.BLOCK)
"""Outcomes that stop a release."""


class Decision(Frozen):
    """The outcome, the rule that decided it, and why.

    ``category``, ``severity`` and ``stage`` name what the deciding rule fired on; they are ``None`` for an allow.
    ``reasons`` are plain sentences, strictest first, that never quote the prompt.
    """

    outcome: Outcome
    rule: str
    policy_id: str
    policy_version: str
    policy_digest: Sha256Hex
    reasons: tuple[str, ...] = ()
    category: Category | None = None
    severity: Severity | None = None
    stage: Stage | None = None

    @property
    def sentence(self) -> str:
        """The outcome with what it rests on: never only "blocked", always category, severity, stage and rule."""
        if self.outcome is Outcome.ALLOW:
            return f"allowed under policy {self.policy_id} {self.policy_version}"
        verb = {Outcome.BLOCK: "blocked", Outcome.REVIEW: "held for review", Outcome.REDACT: "to be redacted"}
        category = self.category or "any (the stage failed)"
        severity = "not known (not assessed)" if self.severity is None else self.severity
        about = f"category {category}, severity {severity}, stage {self.stage}, rule {self.rule}"
        return f"{verb[self.outcome]}: {about}"
