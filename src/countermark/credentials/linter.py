"""The conformance linter: what would the public rubric say of this manifest?

Run on every manifest before its image is released; see :mod:`countermark.credentials.rules` for the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from countermark.credentials.rules import DISCOURAGED, RULES, View


@dataclass(frozen=True)
class Problem:
    """One rule broken, and by what. ``severity`` is ``warning`` where the rubric only discourages."""

    rule: str
    severity: Literal["error", "warning"]
    details: tuple[str, ...]

    def __str__(self) -> str:
        """Rule and culprits, on one line."""
        return f"{self.rule}: {', '.join(self.details)}"


def lint(crjson: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Check the active manifest of a store against every rule.

    Args:
        crjson: the parsed crJSON of a manifest store.

    Returns:
        One problem for each rule broken, empty where the manifest conforms.
    """
    view = View(crjson)
    problems = []
    for rule, finder in RULES.items():
        culprits = finder(view)
        if culprits:
            severity: Literal["error", "warning"] = "warning" if rule in DISCOURAGED else "error"
            problems.append(Problem(rule, severity, tuple(culprits)))
    return tuple(problems)
