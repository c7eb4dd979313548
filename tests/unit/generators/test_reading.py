from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.generators.embedded.reading import Reading, lexicon, read
from countermark.generators.embedded.vocabulary import Vocabulary, split_words
from countermark.generators.embedded.weights import SHIPPED

WORDS = Vocabulary(json.loads((SHIPPED / "text_encoder" / "config.json").read_text())["words"])


def test_every_word_of_the_lexicon_leads_to_one_that_the_model_learnt() -> None:
    known = lexicon()
    targets = {*known.same.values(), *known.nearest.values(), *known.subjects, *known.modifiers, *known.hints} - {"sky"}
    assert [word for word in sorted(targets) if word not in WORDS] == []


def test_no_word_stands_in_two_places() -> None:
    known = lexicon()
    assert not known.same.keys() & known.nearest.keys()
    assert [word for word in {**known.same, **known.nearest} if word in WORDS] == []


@pytest.mark.parametrize(
    "prompt",
    ["a red lighthouse by the sea at dusk", "three white ducks on a pond in the mist, gouache", "snowy hills by night"],
)
def test_a_prompt_in_its_own_words_is_left_alone(prompt: str) -> None:
    assert read(prompt, WORDS) == Reading(" ".join(split_words(prompt)))


def test_another_word_for_the_same_needs_no_notice() -> None:
    reading = read("It is a crimson car by the lakes at twilight", WORDS)
    assert reading.text == "a red car by the lake at dusk"
    assert reading.notices == ()


def test_the_nearest_is_drawn_and_said() -> None:
    reading = read("five dogs in a jungle", WORDS)
    assert reading.text == "three cats in a forest"
    (notice,) = reading.notices
    for pair in ("“three” for “five”", "“cats” for “dogs”", "“forest” for “jungle”"):
        assert pair in notice


def test_of_several_things_and_scenes_the_first_is_drawn() -> None:
    reading = read("a red car and a blue house by the lake in the mountains", WORDS)
    assert reading.text == "a red car by the lake"
    assert reading.left_out == ("house", "mountains")
    assert "house, mountains" in reading.notices[0]


def test_a_prompt_that_names_nothing_gets_a_meadow_and_says_so() -> None:
    reading = read("cyberpunk samurai at night", WORDS)
    assert reading.text == "a meadow at night"
    assert reading.notices[-1] == "Nothing in the prompt says what to draw that it can: a meadow was drawn."


def test_long_lists_are_cut_short() -> None:
    (left_out, _) = read(" ".join(f"nonsense{letter}" for letter in "abcdefghijkl"), WORDS).notices
    assert left_out.endswith(", ….")
    assert "nonsensel" not in left_out


@given(st.text(max_size=200))
def test_what_the_model_is_given_it_knows(prompt: str) -> None:
    reading = read(prompt, WORDS)
    assert all(word in WORDS for word in reading.text.split())
    assert reading.text
