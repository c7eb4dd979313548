"""Policy: which scores are let through, held for a person, or refused; and what happens when nobody looked."""

from __future__ import annotations

from countermark.policy.decide import decide, decide_early, decide_failure, name_mismatch, redactable
from countermark.policy.load import DEFAULT_POLICY, load_policy
from countermark.policy.schema import Policy

__all__ = [
    "DEFAULT_POLICY",
    "Policy",
    "decide",
    "decide_early",
    "decide_failure",
    "load_policy",
    "name_mismatch",
    "redactable",
]
