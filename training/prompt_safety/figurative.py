"""Dangerous words in harmless sense: fiction, figures of speech, impossibilities, invented people, feelings.

A crime in a game is harmless; the same crime as a manual, or as a photograph of somebody who commits it, is not. That a
group cannot walk through walls is true of everybody; that it fails where another group succeeds is an insult
(``frames.py``). The lines are in ``bank/figurative.yaml``.
"""

from __future__ import annotations

import random

from training.prompt_safety.concepts import acts, as_typed, fill, read
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets
from training.prompt_safety.situations import in_a_manner

SOURCE, UNSAFE = "figurative", "not_fiction"
_IN_FICTION = frozenset({"illicit", "violence"})  # lust, gore, hate and self-harm stay what they are in a story


def _row(text: str, rng: random.Random) -> Row:
    return Row(as_typed(text, rng), benign_targets(), SOURCE)


def fiction_rows(rng: random.Random, *, told: int, meant: int) -> list[Row]:
    """Every violent or criminal act in ``told`` frames of fiction, and in ``meant`` frames of real life.

    Other unsafe acts stand in ``meant`` frames of fiction, and stay unsafe there.
    """
    bank = read("bank/figurative.yaml")
    rows: list[Row] = []
    for act in acts():
        if act.category is None:
            continue
        harmless = act.category in _IN_FICTION
        if harmless:
            frames = rng.sample(bank["fiction_frames"], told)
            rows += [_row(fill(frame, rng, act=act.text), rng) for frame in frames]
        for frame in rng.sample(bank["not_fiction_frames" if harmless else "fiction_frames"], meant):
            text = as_typed(fill(frame, rng, act=act.text), rng)
            rows.append(Row(text, unsafe_targets(act.category), UNSAFE, tags={"category": act.category}))
    return rows


def other_rows(rng: random.Random, *, groups: int, invented: int, each: int) -> list[Row]:
    """``groups`` impossibilities, ``invented`` secrets, and every figure of speech and feeling ``each`` times."""
    bank, people = read("bank/figurative.yaml"), read("bank/frames.yaml")["groups"]
    rows = [
        _row(fill(rng.choice(bank["impossible_frames"]), rng, group=rng.choice(people), task=task), rng)
        for task in rng.choices(bank["impossible"], k=groups)
    ]
    for _ in range(invented):
        words = {"invented": rng.choice(bank["invented"]), "private": rng.choice(bank["private"])}
        rows.append(_row(fill(rng.choice(bank["invented_frames"]), rng, **words), rng))
    for line in (*bank["figures"], *bank["feelings"]):
        rows.append(_row(line, rng))
        rows += [_row(in_a_manner(line, rng), rng) for _ in range(each - 1)]
    return rows
