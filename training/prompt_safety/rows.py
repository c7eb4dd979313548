"""Rows of the training tables and their masked targets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countermark.safety.prompt_heads import HEADS

NAMED = frozenset(HEADS) - {"unsafe", "other"}
CATEGORY_LOSS_WEIGHT = 0.4  # of a category head against the head "unsafe"

# Categories that a prompt of the first one is hardly ever in as well. Of the rest nothing is said: a violent prompt may
# be graphic, and a hateful one violent.
_APART = {
    "sexual": ("violence", "graphic", "illicit", "self_harm", "hate"),
    "violence": ("sexual", "self_harm", "illicit"),
    "graphic": ("sexual", "illicit", "hate", "harassment", "self_harm"),
    "illicit": ("sexual", "graphic", "self_harm", "hate", "harassment"),
    "self_harm": ("sexual", "illicit", "hate", "harassment", "violence"),
    "hate": ("sexual", "graphic", "illicit", "self_harm"),
    "harassment": ("graphic", "illicit", "self_harm"),
}


@dataclass(frozen=True)
class Row:
    """One prompt. ``targets`` holds probabilities of the heads that are known; a missing head is unknown, not 0."""

    text: str
    targets: dict[str, float]
    source: str
    weight: float = 1.0
    split: str = "train"  # train | tune | calibrate | test
    tags: dict[str, Any] = field(default_factory=dict)

    def with_text(self, text: str, *, derived: str) -> Row:
        """The same targets for a reworded prompt."""
        return replace(self, text=text, source=f"{self.source}+{derived}")

    @property
    def benign(self) -> bool:
        return self.targets.get("unsafe", 1.0) <= 0.05

    @property
    def surely_unsafe(self) -> bool:
        return self.targets.get("unsafe", 0.0) >= 0.95


def benign_targets(value: float = 0.0) -> dict[str, float]:
    """Known to be harmless: every head is known."""
    return dict.fromkeys(HEADS, value)


def unsafe_targets(category: str) -> dict[str, float]:
    """Unsafe in one category, and certainly not in those that lie apart from it."""
    return {"unsafe": 1.0, category: 1.0} | dict.fromkeys(_APART[category], 0.0)


def tensors(rows: list[Row]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets and loss weights, both rows × heads; the weight of an unknown head is 0."""
    targets = np.zeros((len(rows), len(HEADS)), np.float32)
    weights = np.zeros_like(targets)
    for i, row in enumerate(rows):
        for head, value in row.targets.items():
            j = HEADS.index(head)
            targets[i, j] = value
            weights[i, j] = row.weight * (1.0 if head == "unsafe" else CATEGORY_LOSS_WEIGHT)
    return targets, weights


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    return [Row(**record) for record in read_jsonl(path)]


def read_jsonl(path: Path) -> list[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
