"""Situations (``bank/situations/``) in many manners of asking (``bank/manners.yaml``), and whole written prompts.

Harmless and unsafe lines of a topic share their people, things and words, and both are asked for in every manner with
the same odds: as a caption, a request, a question, with a purpose, with a tail that sets a mood, among sentences of an
art director. What is left to tell them apart is what happens in them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from training.prompt_safety.concepts import as_typed, fill, read
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

_TOPIC_FILES = ("violence", "crime", "body", "people", "horror", "drama", "society")
_WINDOW_WORDS = 52  # what surely fits the encoder's 72 tokens
SAFE, UNSAFE = "situation", "unsafe_situation"
SAFE_PROMPT, UNSAFE_PROMPT = "prompt", "unsafe_prompt"


@lru_cache(maxsize=1)
def topics() -> dict[str, dict[str, object]]:
    """Every topic with its ``slots``, its ``safe`` lines and its ``unsafe`` ones by category."""
    return {
        name: topic
        for file in _TOPIC_FILES
        for name, topic in read(str(Path("bank", "situations", f"{file}.yaml"))).items()
    }


def lines() -> Iterator[tuple[str, str, str | None]]:
    """``(topic, line with slots, category or None)`` of every situation."""
    for name, topic in topics().items():
        for line in topic["safe"]:  # type: ignore[attr-defined]
            yield name, line, None
        for category, unsafe in topic.get("unsafe", {}).items():  # type: ignore[attr-defined]
            for line in unsafe:
                yield name, line, category


def prompts() -> Iterator[tuple[str, str | None]]:
    """``(whole prompt, category or None)``."""
    written = read("bank/prompts.yaml")
    for text in written["safe"]:
        yield text, None
    for category, texts in written["unsafe"].items():
        for text in texts:
            yield text, category


def _scene(topic: str, line: str, rng: random.Random) -> str:
    slots = topics()[topic]["slots"]
    return fill(line, rng, **{name: rng.choice(words) for name, words in slots.items()})  # type: ignore[attr-defined]


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _directed(scene: str, rng: random.Random) -> str:
    """A piece of a long description as one window of the classifier holds it, the situation somewhere inside."""
    around: list[str] = rng.sample(read("bank/manners.yaml")["direction"], rng.choice([1, 2, 2, 3]))
    while around and len(" ".join([*around, scene]).split()) > _WINDOW_WORDS:
        around.pop()
    around.insert(rng.randint(0, len(around)), f"{_upper_first(scene)}.")
    return " ".join(around)


def in_a_manner(scene: str, rng: random.Random) -> str:
    """One way to ask for a scene; the odds are the same for every scene."""
    manners = read("bank/manners.yaml")
    tail = rng.choice(manners["tails"]) if rng.random() < 0.45 else ""
    opening = rng.choice(manners["openings"])
    draw = rng.random()
    if draw < 0.2:
        return as_typed(scene + tail, rng)
    if draw < 0.3:
        return _upper_first(scene) + (tail or ".")
    if draw < 0.7:
        return f"{opening} {scene}{tail}" + rng.choice(["", "."])
    if draw < 0.78:
        return f"{opening} {scene} {rng.choice(manners['purposes'])}"
    if draw < 0.86:
        return str(rng.choice(manners["questions"])).replace("{scene}", scene)
    return _directed(scene, rng)


def situation_rows(rng: random.Random, *, safe: int, unsafe: int) -> list[Row]:
    """Every situation ``safe`` or ``unsafe`` times, each time with other people and things and in another manner."""
    rows: list[Row] = []
    for topic, line, category in lines():
        times, source = (safe, SAFE) if category is None else (unsafe, UNSAFE)
        targets = benign_targets() if category is None else unsafe_targets(category)
        tags = {"topic": topic, "category": category}
        rows += [Row(in_a_manner(_scene(topic, line, rng), rng), targets, source, tags=tags) for _ in range(times)]
    return rows


def _windows(text: str, category: str | None, rng: random.Random) -> list[str]:
    """A long prompt in pieces that the encoder reads whole: all of a harmless one, the beginning of an unsafe one."""
    words = text.split()
    if len(words) <= _WINDOW_WORDS:
        return [text]
    starts = [0] if category else [0, *(rng.randrange(1, len(words) - 20) for _ in range(3))]
    return [" ".join(words[start : start + _WINDOW_WORDS]) for start in starts]


def prompt_rows(rng: random.Random, *, safe: int, unsafe: int) -> list[Row]:
    """Whole prompts, as they stand and ``safe - 1`` or ``unsafe - 1`` times with a tail or typed by somebody else."""
    tails = read("bank/manners.yaml")["tails"]
    rows: list[Row] = []
    for text, category in prompts():
        source = SAFE_PROMPT if category is None else UNSAFE_PROMPT
        targets = benign_targets() if category is None else unsafe_targets(category)
        tags = {"category": category}
        for piece in _windows(text, category, rng):
            again = [
                piece.rstrip(".?") + rng.choice(tails) if rng.random() < 0.6 else piece.lower().rstrip(".")
                for _ in range((safe if category is None else unsafe) - 1)
            ]
            rows += [Row(version, targets, source, tags=tags) for version in (piece, *again)]
    return rows
