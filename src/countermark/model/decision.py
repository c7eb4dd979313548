"""What policy says about a set of findings. A refusal is a decision, never an exception."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

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


ON_NOT_ASSESSED: Final = "on_not_assessed"
"""The rule that fires on what could not be looked at: ``on_not_assessed.prompt``, ``on_not_assessed.image``."""


class Decision(Frozen):
    """The outcome, the rule that decided it, and why.

    ``category``, ``severity`` and ``stage`` name what the deciding rule fired on; they are ``None`` for an allow.
    Where it fired on what could not be looked at, ``category`` and ``severity`` are ``None`` too, for nobody saw
    anything of any category; the reasons say which were not assessed. ``reasons`` are plain sentences, strictest first,
    that never quote the prompt.
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
    def unseen(self) -> bool:
        """Whether it rests on what policy wants looked for and nobody could, not on what was found."""
        return self.rule.startswith(f"{ON_NOT_ASSESSED}.")

    @property
    def sentence(self) -> str:
        """The outcome with what it rests on: never only "blocked", always category, severity, stage and rule.

        What could not be looked at has neither category nor severity: it says "not assessed" in their place.
        """
        if self.outcome is Outcome.ALLOW:
            return f"allowed under policy {self.policy_id} {self.policy_version}"
        verb = {Outcome.BLOCK: "blocked", Outcome.REVIEW: "held for review", Outcome.REDACT: "to be redacted"}
        if self.unseen:
            return f"{verb[self.outcome]}: not assessed, stage {self.stage}, rule {self.rule}"
        category = self.category or "any (the stage failed)"
        severity = "not known (not assessed)" if self.severity is None else self.severity
        about = f"category {category}, severity {severity}, stage {self.stage}, rule {self.rule}"
        return f"{verb[self.outcome]}: {about}"
