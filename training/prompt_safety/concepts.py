"""The written concept bank (``concepts.yaml`` and ``bank/``) and its plain renderings; frames are in ``frames.py``."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

_FOLDER = Path(__file__).parent
_OFTEN = frozenset({"sexual", "illicit", "violence", "graphic"})
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Concept:
    """One thing to depict. ``category`` is a head's name, or ``None`` for a harmless concept."""

    text: str
    category: str | None


@lru_cache(maxsize=8)
def read(name: str) -> dict[str, Any]:
    """One parsed file of the bank."""
    parsed: dict[str, Any] = YAML(typ="safe").load(_FOLDER / name)
    return parsed


def bank() -> dict[str, Any]:
    """The first file: short concepts, slots, details, names."""
    return read("concepts.yaml")


def _named(sections: dict[str, list[str]]) -> list[Concept]:
    return [Concept(text, category) for category, texts in sections.items() for text in texts]


def _harmless(texts: Iterable[str]) -> list[Concept]:
    return [Concept(text, None) for text in texts]


def unsafe_concepts() -> list[Concept]:
    """Short concepts and whole scenes, all seen in training."""
    return _named(bank()["unsafe"]) + _named(read("bank/scenes.yaml")["unsafe"])


def safe_concepts() -> list[Concept]:
    return _harmless(chain(*bank()["safe"].values(), *read("bank/scenes.yaml")["safe"].values()))


def acts() -> list[Concept]:
    """Phrases that begin with a gerund, unsafe and harmless."""
    parsed = read("bank/acts.yaml")
    return _named(parsed["acts"]) + _harmless(parsed["safe_acts"])


def held_out(split: str) -> list[Row]:
    """Whole prompts that no training step reads. ``split`` is ``calibrate`` or ``test``."""
    parts = [read("bank/held_out.yaml")[split], *([read("bank/calibrate.yaml")] if split == "calibrate" else [])]
    unsafe = [
        Row(text, unsafe_targets(category), "written", split=split, tags={"category": category})
        for part in parts
        for category, texts in part["unsafe"].items()
        for text in texts
    ]
    return unsafe + [
        Row(text, benign_targets(), "written_safe", split=split) for part in parts for text in part["safe"]
    ]


def fill(text: str, rng: random.Random, **given: str) -> str:
    """Puts ``given`` phrases, or random ones, into the slots."""
    slots = bank()["slots"] | {
        "victim": bank()["slots"]["person"],
        "place": bank()["places"],
        "opening": bank()["openings"],
        "light": bank()["lights"],
        "mood": bank()["moods"],
        "colour": bank()["colours"],
    }
    for _ in range(2):  # what is put in may have slots of its own
        text = _SLOT.sub(lambda slot: given[slot[1]] if slot[1] in given else rng.choice(slots[slot[1]]), text)
    return text


def as_typed(text: str, rng: random.Random) -> str:
    """The habits of people who type: a capital or not, a full stop or not."""
    if rng.random() < 0.3:
        return text[0].upper() + text[1:] + rng.choice([".", ""])
    return text


def render(concept: Concept, rng: random.Random) -> str:
    """One prompt that asks for the concept."""
    text = fill(concept.text, rng)
    long = len(text.split()) > 9  # a whole scene has its own place and opening
    if rng.random() < (0.15 if long else 0.45):
        text = f"{text} {rng.choice(bank()['places'])}"
    if rng.random() < (0.3 if long else 0.65):
        text = f"{rng.choice(bank()['openings'])} {text}"
    return as_typed(text, rng)


def concept_rows(concepts: list[Concept], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """``unsafe`` or ``safe`` renderings of every concept, two more of the frequent unsafe categories."""
    rows: list[Row] = []
    for concept in concepts:
        tags = {"concept": concept.text, "category": concept.category}
        if concept.category is None:
            rows.append(Row(concept.text, benign_targets(), "safe_concept", tags=tags))
            rows += [Row(render(concept, rng), benign_targets(), "safe_concept", tags=tags) for _ in range(safe - 1)]
            continue
        times = unsafe + (2 if concept.category in _OFTEN else 0)
        rows += [
            Row(render(concept, rng), unsafe_targets(concept.category), "concept", tags=tags) for _ in range(times)
        ]
    return rows
