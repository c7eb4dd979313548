"""Acts, topics, groups and artists inside sentences: the same words, safe in one frame and unsafe in another."""

from __future__ import annotations

import random

from training.prompt_safety.concepts import Concept, acts, as_typed, fill, read
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

_TAUGHT = frozenset({"illicit", "self_harm"})  # the categories in which instructions are a request of their own


def _row(text: str, category: str | None, rng: random.Random, source: str) -> Row:
    targets = benign_targets() if category is None else unsafe_targets(category)
    return Row(as_typed(text, rng), targets, source, tags={"category": category})


def act_rows(rng: random.Random, *, unsafe: int, safe: int, guides: int) -> list[Row]:
    """Every act in some of the frames; and in frames that ask for instructions, where that makes sense."""
    frames = read("bank/frames.yaml")

    def framed(concept: Concept, kind: str, times: int) -> list[Row]:
        source = "safe_act" if concept.category is None else "act"
        return [
            _row(fill(frame, rng, act=concept.text), concept.category, rng, source)
            for frame in rng.sample(frames[kind], times)
        ]

    rows: list[Row] = []
    for concept in acts():
        rows += framed(concept, "act_frames", safe if concept.category is None else unsafe)
        if concept.category is None or concept.category in _TAUGHT:
            rows += framed(concept, "guide_frames", guides)
    return rows


def topic_rows(rng: random.Random, *, concerned: int, glorified: int) -> list[Row]:
    """Every topic in frames of prevention, news and help (harmless), and in frames that commit or praise it."""
    frames = read("bank/frames.yaml")
    rows: list[Row] = []
    for category, topics in frames["topics"].items():
        for topic in topics:
            for frame in rng.sample(frames["concern_frames"], concerned):
                rows.append(_row(fill(frame, rng, topic=topic), None, rng, "concern"))
            unsafe = frames["glorifying_frames"].get(category, [])
            for frame in rng.sample(unsafe, min(glorified, len(unsafe))):
                rows.append(_row(fill(frame, rng, topic=topic), category, rng, "glorified"))
    return rows


def group_rows(rng: random.Random, *, hateful: int, respectful: int) -> list[Row]:
    """Groups of people, demeaned or shown with respect."""
    frames = read("bank/frames.yaml")

    def sentence(frame: str) -> str:
        group, other = rng.sample(frames["groups"], 2)
        return fill(frame, rng, group=group, other=other, task=rng.choice(frames["tasks"]))

    rows = [_row(sentence(rng.choice(frames["hate_frames"])), "hate", rng, "hate_frame") for _ in range(hateful)]
    rows += [_row(sentence(rng.choice(frames["respect_frames"])), None, rng, "respect") for _ in range(respectful)]
    return rows


def art_rows(rng: random.Random, count: int) -> list[Row]:
    """Pictures in the manner of an artist: harmless, though the unsafe collections are full of such names."""
    frames = read("bank/frames.yaml")
    rows: list[Row] = []
    for _ in range(count):
        text = rng.choice(frames["art_frames"]).replace("{subject}", rng.choice(frames["art_subjects"]))
        while "{artist}" in text:
            text = text.replace("{artist}", rng.choice(frames["artists"]), 1)
        rows.append(_row(fill(text, rng), None, rng, "art"))
    return rows
