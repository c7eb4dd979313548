"""Laws of the written bank that trains the prompt model (``training/prompt_safety/bank``)."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from training.prompt_safety import concepts, everyday, figurative, frames, homonyms, overlap, short, situations
from training.prompt_safety.augment import adults_only, differing_in_one_detail, passages
from training.prompt_safety.rows import NAMED, Row, benign_targets

SLOT = re.compile(r"\{(\w+)\}")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    rng = random.Random(3)
    made = situations.situation_rows(rng, safe=6, unsafe=6) + situations.prompt_rows(rng, safe=3, unsafe=3)
    made += figurative.fiction_rows(rng, told=4, meant=2) + figurative.other_rows(rng, groups=99, invented=99, each=3)
    made += everyday.everyday_rows(rng, each=1, people=99, things=99, unsafe=99)
    made += homonyms.homonym_rows(rng, each=2, unsafe=2) + everyday.told_rows(rng, each=1)
    made += everyday.gallery_rows(rng, safe=99, unsafe=99)
    return made


def of_adults(texts: list[str]) -> bool:
    harmless = (
        "a little (?:hatching|nostalgic)|little ferry|schoolteacher|a family doctor|young adult|girl in her twenties"
    )
    rest = [re.sub(harmless, "", text, flags=re.IGNORECASE) for text in texts]
    return adults_only(rest) == rest


def test_no_slot_is_left_open(rows: list[Row]) -> None:
    assert not [row.text for row in rows if "{" in row.text or "}" in row.text]


def test_every_slot_of_a_situation_has_words() -> None:
    for topic, line, _ in situations.lines():
        slots = situations.topics()[topic]["slots"]
        assert set(SLOT.findall(line)) <= set(slots), line  # type: ignore[arg-type]


def test_categories_are_heads_of_the_model(rows: list[Row]) -> None:
    assert {row.tags["category"] for row in rows if not row.benign} <= NAMED


def test_a_sexual_line_stands_beside_nobody_who_could_be_a_minor(rows: list[Row]) -> None:
    sexual = [row.text for row in rows if not row.benign and row.targets.get("sexual") == 1.0]
    assert len(sexual) > 300
    assert of_adults(sexual)


def test_the_manner_says_nothing_about_the_class(rows: list[Row]) -> None:
    """The same first words open harmless and unsafe situations about equally often."""
    openings: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for row in rows:
        if row.source in (situations.SAFE, situations.UNSAFE):
            openings[row.benign][" ".join(row.text.lower().split()[:2])] += 1
    for opening in ("create an", "generate a", "could you", "storyboard panel", "imagine a"):
        harmless, unsafe = (openings[kind][opening] / openings[kind].total() for kind in (True, False))
        assert 0.4 < harmless / unsafe < 2.5, opening


def test_no_caption_with_somebody_who_could_be_a_minor_stands_beside_something_sexual(rows: list[Row]) -> None:
    rng = random.Random(4)
    minors = ("a boy flies a kite on the beach", "two school girls share an umbrella", "a mother and her baby asleep")
    captions = [Row(f"{line}, picture {n}", benign_targets(), "coco_benign") for n in range(99) for line in minors]
    captions += [Row(line, benign_targets(), "coco_benign") for line in everyday.lines()]
    made = differing_in_one_detail(captions, rng, unsafe=500, safe=100) + passages(
        captions + rows, rng, unsafe=500, safe=9
    )
    sexual = [row.text for row in made if row.targets.get("sexual") == 1.0]
    assert len(sexual) > 150
    assert of_adults(sexual)
    assert not of_adults([row.text for row in made if row.benign])


def test_most_topics_have_both_classes() -> None:
    both = [topic for topic in situations.topics().values() if topic.get("unsafe") and topic["safe"]]
    assert len(both) > 0.9 * len(situations.topics())


def test_a_crime_is_harmless_in_a_game_only(rows: list[Row]) -> None:
    rng = random.Random(5)
    fiction = figurative.fiction_rows(rng, told=3, meant=3)
    framed = {row.tags["category"] for row in frames.act_rows(rng, unsafe=2, safe=2, guides=2) if not row.benign}
    assert {row.benign for row in fiction if "video game" in row.text.lower()} == {True, False}
    assert {row.tags.get("category") for row in fiction if row.benign} == {None}
    assert {"illicit", "violence", "sexual"} <= framed


def test_held_out_prompts_are_not_in_the_bank() -> None:
    trained = {text.lower() for text, _ in situations.prompts()}
    held_out = {row.text.lower() for split in ("calibrate", "test") for row in concepts.held_out(split)}
    assert not trained & held_out
    assert not [text for _, text, _ in overlap.leaking() if len(overlap.trigrams(text)) >= overlap.LONG]


def test_no_name_is_trained_on_and_reported_on() -> None:
    words = {split: {max(name.split(), key=len) for name, _ in homonyms.names(split)} for split in ("train", "test")}
    assert len(homonyms.held_out("test")) > 400
    assert not words["train"] & words["test"]


def test_ordinary_words_are_those_of_no_unsafe_prompt() -> None:
    rows = [
        Row("two goalkeepers quarrel", {"unsafe": 0.0}, "a"),
        Row("a guillotine at work", {"unsafe": 1.0}, "b"),
        Row("a plot", {"violence": 1.0}, "c"),
    ]
    words = ["goalkeepers", "guillotine", "plot", "bombshell", "cat", "vineyard"]
    assert short.ordinary(words, rows) == ["goalkeepers", "vineyard"]


def test_no_word_is_trained_on_alone_and_reported_on() -> None:
    words = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(26)]
    trained = {word for row in short.short_rows(words, random.Random(1), 2000) for word in words if word in row.text}
    reported = {word for row in short.held_out(words, random.Random(1), 60) for word in words if word in row.text}
    assert len(reported) == 60
    assert len(trained) > 300
    assert not trained & reported
