"""Harmless names whose words sound unsafe, and the same words meant; the lines are in ``bank/homonyms.yaml``."""

from __future__ import annotations

import random
import zlib
from typing import Any

from training.prompt_safety.concepts import as_typed, read
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

SOURCE, UNSAFE = "homonyms", "not_homonyms"
_SPLITS = ("train", "train", "train", "train", "calibrate", "test")


def _bank() -> dict[str, Any]:
    return read("bank/homonyms.yaml")


def split_of(name: str) -> str:
    """Where a name belongs, by the hash of its longest word: every third word of that kind is never trained on."""
    longest = max(name.split(), key=len).removesuffix("s")
    return _SPLITS[zlib.crc32(longest.encode()) % len(_SPLITS)]


def names(split: str) -> list[tuple[str, str]]:
    """The names of a split, each with its kind."""
    kinds = _bank()["names"]
    return [(name, kind) for kind, found in kinds.items() for name in map(str, found) if split_of(name) == split]


def lines() -> list[str]:
    """What is trained on: names, and lines that mean their words."""
    return [name for name, _ in names("train")] + [line for part in _bank()["unsafe"].values() for line in part]


def homonym_rows(rng: random.Random, *, each: int, unsafe: int) -> list[Row]:
    """Every name that is trained on, bare and framed, ``each`` times in all; the same words meant, ``unsafe`` times."""
    bank = _bank()

    def framed(text: str, frames: list[str], times: int) -> list[str]:
        return [as_typed(frame.format(text), rng) for frame in [frames[0], *rng.sample(frames[1:], times - 1)]]

    rows = [
        Row(text, benign_targets(), SOURCE)
        for name, kind in names("train")
        for text in framed(name, bank["frames"][kind], each)
    ]
    return rows + [
        Row(text, unsafe_targets(category), UNSAFE, tags={"category": category})
        for category, lines in bank["unsafe"].items()
        for line in lines
        for text in framed(line, bank["unsafe_frames"], unsafe)
    ]


def held_out(split: str) -> list[Row]:
    """The names of ``calibrate`` or ``test``, each bare and in one frame."""
    frames = _bank()["frames"]
    rng = random.Random(3)
    return [
        Row(text, benign_targets(), SOURCE, split=split)
        for name, kind in names(split)
        for text in (name, rng.choice(frames[kind][1:]).format(name))
    ]
