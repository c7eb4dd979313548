"""The written concept bank (``concepts.yaml``) and its renderings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from training.prompt_safety.rows import Row, benign_targets

_BANK = Path(__file__).with_name("concepts.yaml")
_OFTEN = frozenset({"sexual", "illicit", "violence", "graphic"})


@dataclass(frozen=True)
class Concept:
    """One thing to depict. ``category`` is a head's name, or ``None`` for a harmless concept."""

    text: str
    category: str | None


@lru_cache(maxsize=1)
def bank() -> dict[str, Any]:
    """The parsed file; heads are called as in the model (``shocking`` is ``graphic``)."""
    parsed: dict[str, Any] = YAML(typ="safe").load(_BANK)
    return parsed


def unsafe_concepts() -> list[Concept]:
    return [Concept(text, category) for category, concepts in bank()["unsafe"].items() for text in concepts]


def safe_concepts() -> list[Concept]:
    return [Concept(text, None) for concepts in bank()["safe"].values() for text in concepts]


def fill(text: str, rng: random.Random) -> str:
    """Puts a random word into each slot."""
    slots = bank()["slots"]
    for slot, choices in (
        ("victim", "person"),
        ("person", "person"),
        ("people", "people"),
        ("weapon", "weapon"),
        ("adult", "adult"),
    ):
        text = text.replace(f"{{{slot}}}", rng.choice(slots[choices]))
    return text


def render(concept: Concept, rng: random.Random) -> str:
    """One prompt that asks for the concept."""
    text = fill(concept.text, rng)
    if rng.random() < 0.45:
        text = f"{text} {rng.choice(bank()['places'])}"
    if rng.random() < 0.7:
        text = f"{rng.choice(bank()['openings'])} {text}"
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:] + rng.choice([".", ""])
    return text


def concept_rows(concepts: list[Concept], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """``unsafe`` or ``safe`` renderings of every concept, four more of the frequent unsafe categories."""
    rows: list[Row] = []
    for concept in concepts:
        if concept.category is None:
            rows += [
                Row(render(concept, rng), benign_targets(), "safe_concept", tags={"concept": concept.text})
                for _ in range(safe)
            ]
            continue
        targets = {"unsafe": 1.0, concept.category: 1.0}
        tags = {"concept": concept.text, "category": concept.category}
        times = unsafe + (4 if concept.category in _OFTEN and unsafe > 4 else 0)
        rows += [Row(render(concept, rng), targets, "concept", tags=tags) for _ in range(times)]
    return rows
