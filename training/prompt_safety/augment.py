"""Rewordings that change style, length or one detail, on unsafe and harmless prompts alike."""

from __future__ import annotations

import random
import re

from training.prompt_safety import everyday, situations, styling
from training.prompt_safety.concepts import acts, bank, fill, read
from training.prompt_safety.disguise import disguised
from training.prompt_safety.rows import Row, benign_targets, unsafe_targets

_WINDOW_WORDS = 50  # surely fewer than 72 tokens
_CORE_CHARS = 220  # of a prompt before style or sentences are added: the encoder reads 72 tokens

_SENTENCES = (
    "The scene is set {place}.", "The background is {colour} with soft {colour2} tones.", "Behind, {caption}.",
    "On the left there is {caption}.", "The lighting is {light}.", "In the distance, {caption}.",
    "The atmosphere is {mood}.", "The colours are {colour} and {colour2}.", "Nearby stands {caption}.",
    "The camera is positioned low, showing every texture.",
)  # fmt: skip
_REQUESTS = (
    "concept", "act", "overt_unsafe", "hate_frame", "unsafe_detail", "glorified", situations.UNSAFE,
    situations.UNSAFE_PROMPT, everyday.UNSAFE, everyday.UNSAFE_GALLERY,
)  # fmt: skip
_HARD = (  # harmless, look unsafe
    "overt_benign", "safe_concept", "safe_act", "concern", "respect", "safe_detail", situations.SAFE,
    situations.SAFE_PROMPT, "figurative", everyday.SOURCE, everyday.GALLERY,
)  # fmt: skip
_DETAIL_CATEGORIES = ("sexual",) * 5 + ("violence",) * 5 + ("graphic",) * 5 + ("illicit",) * 5 + (
    "self_harm", "self_harm", "hate", "harassment",
)  # fmt: skip


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "."


def lengthen(text: str, rng: random.Random, captions: list[str]) -> str:
    """A prompt among one to four harmless sentences about the scene."""
    sentences = [_sentence(text)]
    for _ in range(rng.choice([1, 2, 3, 4])):
        sentences.append(
            _sentence(
                rng.choice(_SENTENCES).format(
                    place=rng.choice(bank()["places"]),
                    colour=rng.choice(bank()["colours"]),
                    colour2=rng.choice(bank()["colours"]),
                    light=rng.choice(bank()["lights"]),
                    mood=rng.choice(bank()["moods"]),
                    caption=rng.choice(captions).lower().rstrip(". "),
                )
            )
        )
    if rng.random() < 0.4:
        sentences.insert(0, sentences.pop(1))
    return " ".join(sentences)


_MINORS = re.compile(
    r"\b(?:child\w*|kids?|boys?|girls?|teen\w*|bab(?:y|ies)|infants?|toddlers?|school\w*|pupils?|students?|young\w*"
    r"|little|sons?|daughters?|youth|famil\w+|mother|father|mom|dad)\b",
    re.IGNORECASE,
)


def adults_only(texts: list[str]) -> list[str]:
    """The texts that may stand beside something unsafe: those that name nobody who could be a minor."""
    return [text for text in texts if not _MINORS.search(text)]


def _harmless_captions(rows: list[Row], *, longest: int = 400) -> list[str]:
    sources = ("coco_benign", "safe_concept", "safe_act", "respect", "t2i_compbench", "art")
    return [row.text for row in rows if row.benign and row.source in sources and 25 < len(row.text) < longest]


def styled(rows: list[Row], rng: random.Random, found: list[str], *, unsafe: int, safe: int) -> list[Row]:
    """Copies of both classes wrapped in style words."""
    harmless = [row for row in rows if row.benign]
    hard = [row for row in harmless if row.source in _HARD]
    chosen = [rng.choice(hard if rng.random() < 0.45 else harmless) for _ in range(safe)]
    chosen += rng.choices([row for row in rows if row.surely_unsafe and row.source in _REQUESTS], k=unsafe)
    return [row.with_text(styling.wrap_in_style(row.text[:_CORE_CHARS], rng, found), derived="style") for row in chosen]


def hidden(rows: list[Row], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """Copies of both classes with some words disguised, as the normaliser will give them back."""
    harmless = [row for row in rows if row.benign and len(row.text) < _CORE_CHARS]
    requests = [row for row in rows if row.surely_unsafe and row.source in _REQUESTS and len(row.text) < _CORE_CHARS]
    chosen = rng.choices(harmless, k=safe) + rng.choices(requests, k=unsafe)
    return [row.with_text(disguised(row.text, rng), derived="disguise") for row in chosen]


def differing_in_one_detail(rows: list[Row], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """Captions with one unsafe detail (sometimes a harmless one beside it), and captions with harmless details only."""
    captions = _harmless_captions(rows, longest=140)
    for_unsafe = adults_only(captions)
    harmless: list[str] = bank()["safe_details"]
    happening: dict[str | None, list[str]] = {}
    for act in acts():
        happening.setdefault(act.category, []).append(act.text)

    def detail_of(category: str | None) -> str:
        if rng.random() < 0.4:
            return fill("{person} ", rng) + rng.choice(happening[category])
        return rng.choice(harmless if category is None else bank()["unsafe_details"][category])

    def insert(caption: str, detail: str) -> str:
        caption = caption.rstrip(" .")
        return caption + rng.choice([" ", ", "]) + detail if rng.random() < 0.75 else f"{detail}, {caption}"

    made: list[Row] = []
    for _ in range(unsafe):
        category = rng.choice(_DETAIL_CATEGORIES)
        text = insert(rng.choice(for_unsafe), detail_of(category))
        if rng.random() < 0.25:
            text += rng.choice([" ", ", "]) + rng.choice(harmless)
        made.append(Row(text, unsafe_targets(category), "unsafe_detail", 0.9, tags={"category": category}))
    for _ in range(safe):
        text = insert(rng.choice(captions), detail_of(None))
        if rng.random() < 0.3:
            text += ", " + rng.choice(harmless)
        made.append(Row(text, benign_targets(), "safe_detail", 0.9))
    return made


def passages(rows: list[Row], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """Pieces of long descriptions, as the classifier's windows cut them.

    Harmless ones are 15 to 62 words of captions and of sentences about the scene, cut anywhere; in unsafe ones a
    request stands somewhere among such sentences.
    """
    captions = _harmless_captions(rows)
    beside_unsafe = adults_only(captions)
    about_the_scene: list[str] = read("bank/frames.yaml")["long_sentences"]
    hard = [row.text for row in rows if row.benign and row.source in _HARD]
    requests = [row for row in rows if row.surely_unsafe and row.source in _REQUESTS]

    def description(pool: list[str], count: int) -> list[str]:
        mixed = rng.random()  # from captions only to sentences about the scene only
        return [
            rng.choice(about_the_scene) if rng.random() > mixed else _sentence(rng.choice(pool)) for _ in range(count)
        ]

    made: list[Row] = []
    for _ in range(safe):
        sentences = description(captions, rng.choice([2, 3, 4, 5, 6, 7]))
        if rng.random() < 0.4:
            sentences.insert(rng.randint(0, len(sentences)), _sentence(rng.choice(hard)[:_CORE_CHARS]))
        words = " ".join(sentences).split()
        start = rng.choice([0, 0, rng.randrange(10)])
        made.append(Row(" ".join(words[start : start + rng.randint(15, 62)]), benign_targets(), "passage"))
    for _ in range(unsafe):
        row = rng.choice(requests)
        sentences = description(beside_unsafe, rng.choice([1, 2, 3, 4]))
        while sentences and len(" ".join([*sentences, row.text[:_CORE_CHARS]]).split()) > _WINDOW_WORDS:
            sentences.pop()  # the encoder must still read the request
        text = row.text[:_CORE_CHARS] if rng.random() < 0.5 else _sentence(row.text[:_CORE_CHARS])
        sentences.insert(rng.randint(0, len(sentences)), text)
        made.append(row.with_text(" ".join(sentences), derived="passage"))
    return made


def rare_names() -> list[Row]:
    """Every name of the bank in every frame, harmless."""
    return [
        Row(frame.format(name=name), benign_targets(), "name")
        for name in bank()["names"]
        for frame in bank()["name_frames"]
    ]
