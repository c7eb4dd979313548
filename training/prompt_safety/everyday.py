"""Ordinary things told in whole sentences, and unsafe acts told alike; the lines are in ``bank/everyday.yaml``.

Whole stories in a line, with and without harm, are in ``bank/told.yaml``.
"""

from __future__ import annotations

import random

from training.prompt_safety.concepts import acts, as_typed, fill, read
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

SOURCE, UNSAFE = "everyday", "not_everyday"
GALLERY, UNSAFE_GALLERY = "gallery", "not_gallery"
_WHOLE = ("animals", "lines", "heroes", "works")


def lines() -> list[str]:
    """The whole lines, and the parts that sentences are put together from."""
    bank = read("bank/everyday.yaml")
    gallery = [line for part in ("subjects", "seen") for line in bank["gallery"][part]]
    return [*(line for part in (*_WHOLE, "doing", "things") for line in bank[part]), *gallery]


def told() -> list[tuple[str, str | None]]:
    """The stories, each with its category, or ``None`` where nobody comes to harm."""
    bank = read("bank/told.yaml")
    unsafe = [(line, category) for category, lines in bank["unsafe"].items() for line in lines]
    return [*unsafe, *((line, None) for line in bank["safe"])]


def everyday_rows(rng: random.Random, *, each: int, people: int, things: int, unsafe: int) -> list[Row]:
    """Whole lines ``each`` times, sentences about people and things put together, and unsafe acts told alike."""
    bank = read("bank/everyday.yaml")
    texts = [line for part in _WHOLE for line in bank[part] for _ in range(each)]
    texts += [f"{rng.choice(bank['people'])} {rng.choice(bank['doing'])}." for _ in range(people)]
    for _ in range(things):
        first, second = rng.sample(bank["rough"], 2)
        texts.append(f"the {first}, {second} {rng.choice(bank['things'])}.")
    rows = [Row(_as_told(text, rng), benign_targets(), SOURCE) for text in texts]
    for act in rng.choices([act for act in acts() if act.category is not None], k=unsafe):
        text = fill(rng.choice(bank["unsafe_frames"]), rng, act=act.text)
        targets = unsafe_targets(str(act.category))
        rows.append(Row(_as_told(text, rng), targets, UNSAFE, tags={"category": act.category}))
    return rows


def told_rows(rng: random.Random, *, each: int) -> list[Row]:
    """Stories in a line, with and without harm, ``each`` times: harm by what is seen, done or left of it."""
    return [
        Row(
            _as_told(line, rng),
            unsafe_targets(category) if category else benign_targets(),
            "not_told" if category else "told",
            tags={"category": category},
        )
        for line, category in told()
        for _ in range(each)
    ]


def gallery_rows(rng: random.Random, *, safe: int, unsafe: int) -> list[Row]:
    """Pictures as galleries speak of them: strong feelings and broken faces; and unsafe acts in the same words."""
    gallery, artists = read("bank/everyday.yaml")["gallery"], read("bank/frames.yaml")["artists"]

    def sentence(frame: str, act: str) -> str:
        parts = {"kind": "kinds", "subject": "subjects", "seen": "seen", "charged": "charged"}
        given = {name: rng.choice(gallery[words]) for name, words in parts.items()}
        manner = rng.choice(gallery["manners"]).format(artist=rng.choice(artists))
        return fill(frame, rng, act=act, manner=manner, **given)

    rows = [
        Row(_as_told(sentence(rng.choice(gallery["frames"]), ""), rng), benign_targets(), GALLERY) for _ in range(safe)
    ]
    for act in rng.choices([act for act in acts() if act.category is not None], k=unsafe):
        text = _as_told(sentence(rng.choice(gallery["unsafe_frames"]), act.text), rng)
        targets = unsafe_targets(str(act.category))
        rows.append(Row(text, targets, UNSAFE_GALLERY, tags={"category": act.category}))
    return rows


def _as_told(text: str, rng: random.Random) -> str:
    """Sentences are mostly typed as such."""
    return text[0].upper() + text[1:] if rng.random() < 0.7 else as_typed(text.rstrip("."), rng)
