"""Laws of the prompt normaliser."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.safety.normalise import MAX_NORMALISED_CHARS, normalise

ANY_TEXT = st.text(max_size=300)
TRICKY = st.text(
    alphabet=st.sampled_from("abemnosx 013457@$!|.,-_*/'\"()\u200b\u200d\u202e\u0301\u0336аеоѕηＡｂ𝐜ßıøł漢нж\n\t"),
    max_size=120,
)
ENGLISH = st.lists(
    st.sampled_from(
        ["a", "red", "lighthouse", "woman", "holding", "of", "the", "garden", "8k", "35mm", "photo", "and"]
    ),
    min_size=1,
    max_size=40,
).map(" ".join)
RUSSIAN = st.lists(
    st.sampled_from(["девушка", "читает", "книгу", "в", "парке", "на", "скамейке", "мама", "кот", "и", "лес"]),
    min_size=1,
    max_size=30,
).map(" ".join)


@given(st.one_of(ANY_TEXT, TRICKY))
@settings(max_examples=400, deadline=None)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text).text
    assert normalise(once).text == once


@given(st.one_of(ANY_TEXT, TRICKY))
@settings(max_examples=200, deadline=None)
def test_the_result_is_bounded_lower_case_and_free_of_control_characters(text: str) -> None:
    result = normalise(text).text
    assert len(result) <= min(MAX_NORMALISED_CHARS, 18 * len(text) + 1)  # 18: the longest NFKC expansion (U+FDFA)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in result)
    assert result == " ".join(result.split())
    assert not any("A" <= char <= "Z" for char in result)


@given(ENGLISH)
@settings(max_examples=100, deadline=None)
def test_plain_english_is_left_alone(text: str) -> None:
    result = normalise(text)
    assert (result.text, result.signals) == (text, frozenset())


@given(RUSSIAN)
@settings(max_examples=100, deadline=None)
def test_plain_russian_is_left_alone(text: str) -> None:
    result = normalise(text)
    assert (result.text, result.signals) == (text, frozenset())
