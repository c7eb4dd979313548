"""Rewordings that change style, length or one detail, on unsafe and harmless prompts alike."""

from __future__ import annotations

import random
import re
from collections import Counter

from training.prompt_safety.concepts import bank
from training.prompt_safety.rows import Row, benign_targets

from countermark.safety.styles import STYLE_WORD

_NOT_ONLY_STYLE = re.compile(
    r"nude|naked|sex|blood|gore|dead|kill|wet|skin|lingerie|erotic|body|breast|death|corpse|hell|demon|cum|girl|woman"
    r"|women|man\b|men\b|knife|gun",
    re.IGNORECASE,
)
_CORE_CHARS = 220  # of a prompt before style or sentences are added: the encoder reads 72 tokens

_SENTENCES = (
    "The scene is set {place}.", "The background is {colour} with soft {colour2} tones.", "Behind, {caption}.",
    "On the left there is {caption}.", "The lighting is {light}.", "In the distance, {caption}.",
    "The atmosphere is {mood}.", "The colours are {colour} and {colour2}.", "Nearby stands {caption}.",
    "The camera is positioned low, showing every texture.",
)  # fmt: skip
_DETAIL_CATEGORIES = ("sexual",) * 5 + ("violence",) * 5 + ("graphic",) * 5 + ("illicit",) * 5 + (
    "self_harm", "self_harm", "hate", "harassment",
)  # fmt: skip


def build_style_bank(prompts: list[str], *, at_least: int = 6) -> list[str]:
    """Clauses that occur ``at_least`` times, contain a style word and nothing that a picture could show."""
    counts = Counter(
        clause for prompt in prompts for clause in {part.strip().lower() for part in re.split(r"[,;|]", prompt)}
    )
    return sorted(
        {
            clause
            for clause, count in counts.items()
            if count >= at_least
            and 2 < len(clause) < 45
            and STYLE_WORD.search(clause)
            and not _NOT_ONLY_STYLE.search(clause)
        }
        | set(bank()["style_clauses"])
    )


def wrap_in_style(text: str, rng: random.Random, found: list[str]) -> str:
    """Style clauses before and after a prompt, half of them written by hand and half found in prompts."""

    def some(count: int) -> list[str]:
        return [rng.choice(bank()["style_clauses"] if rng.random() < 0.5 else found) for _ in range(count)]

    before, after = some(rng.choice([0, 0, 1, 2, 3])), some(rng.choice([1, 2, 3, 4, 6, 8]))
    return ", ".join([*before, text.rstrip(" ."), *after])


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


def style_and_length(rows: list[Row], rng: random.Random, found: list[str]) -> list[Row]:
    """Styled and lengthened copies of both classes: 4,500 + 1,500 styled, 2,500 + 700 long."""
    harmless = [row for row in rows if row.benign and row.source != "xstest"]
    hard = [row for row in harmless if row.source in ("overt_benign", "safe_concept")]
    unsafe = [row for row in rows if row.surely_unsafe and row.source in ("concept", "overt_unsafe", "i2p")]
    captions = [row.text for row in harmless if row.source in ("coco_benign", "safe_concept")]
    made: list[Row] = []
    for _ in range(4500):
        row = rng.choice(hard if rng.random() < 0.35 else harmless)
        made.append(row.with_text(wrap_in_style(row.text[:_CORE_CHARS], rng, found), derived="style"))
    for _ in range(1500):
        row = rng.choice(unsafe)
        made.append(row.with_text(wrap_in_style(row.text[:_CORE_CHARS], rng, found), derived="style"))
    for _ in range(2500):
        if rng.random() < 0.5:
            text = " ".join(_sentence(caption) for caption in rng.sample(captions, rng.choice([2, 3, 4])))
            made.append(Row(text, benign_targets(), "captions"))
        else:
            row = rng.choice(harmless)
            made.append(row.with_text(lengthen(row.text, rng, captions), derived="long"))
    for _ in range(700):
        row = rng.choice(unsafe)
        made.append(row.with_text(lengthen(row.text[:_CORE_CHARS], rng, captions), derived="long"))
    return made


def differing_in_one_detail(captions: list[str], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """Captions with one unsafe detail (sometimes a harmless one beside it), and captions with harmless details only."""
    harmless: list[str] = bank()["safe_details"]

    def insert(detail: str) -> str:
        caption = rng.choice(captions).rstrip(" .")
        return caption + rng.choice([" ", ", "]) + detail if rng.random() < 0.75 else f"{detail}, {caption}"

    rows: list[Row] = []
    for _ in range(unsafe):
        category = rng.choice(_DETAIL_CATEGORIES)
        text = insert(rng.choice(bank()["unsafe_details"][category]))
        if rng.random() < 0.25:
            text += rng.choice([" ", ", "]) + rng.choice(harmless)
        rows.append(Row(text, {"unsafe": 1.0, category: 1.0}, "unsafe_detail", 0.9))
    for _ in range(safe):
        text = insert(rng.choice(harmless))
        if rng.random() < 0.3:
            text += ", " + rng.choice(harmless)
        rows.append(Row(text, benign_targets(), "safe_detail", 0.9))
    return rows


def passages(rows: list[Row], rng: random.Random, *, unsafe: int, safe: int) -> list[Row]:
    """Pieces of long descriptions, as the classifier's windows cut them.

    30 to 60 words of captions, or an unsafe prompt somewhere among captions.
    """
    captions = [
        row.text for row in rows if row.benign and row.source in ("coco_benign", "overt_benign", "safe_concept")
    ]
    requests = [row for row in rows if row.surely_unsafe and row.source in ("concept", "overt_unsafe", "unsafe_detail")]

    def description(count: int) -> list[str]:
        return [_sentence(caption) for caption in rng.sample(captions, count)]

    made: list[Row] = []
    for _ in range(safe):
        words = " ".join(description(rng.choice([3, 4, 5, 6, 7]))).split()
        start = rng.choice([0, 0, rng.randrange(10)])
        made.append(Row(" ".join(words[start : start + rng.randint(30, 60)]), benign_targets(), "passage"))
    for _ in range(unsafe):
        row = rng.choice(requests)
        sentences = description(rng.choice([1, 2, 3]))
        sentences.insert(rng.randint(0, len(sentences)), _sentence(row.text[:_CORE_CHARS]))
        made.append(row.with_text(" ".join(sentences), derived="passage"))
    return made


def rare_names() -> list[Row]:
    """Every name of the bank in every frame, harmless."""
    return [
        Row(frame.format(name=name), benign_targets(), "name")
        for name in bank()["names"]
        for frame in bank()["name_frames"]
    ]
