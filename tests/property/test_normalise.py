"""Laws of the prompt normaliser."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.safety.normalise import MAX_EXPANSION, MAX_NORMALISED_CHARS, normalise

ANY_TEXT = st.text(max_size=300)
TRICKY = st.text(
    alphabet=st.sampled_from(
        "abemnosx 013457@$!|+.,-_*/'\"()[]{}<>:=&;#\\"
        "\u200b\u200d\u202e\u0301\u0336\ufe0f\u20e3аеоѕηＡｂ𝐜ßıøłéüñя漢нж·—🇳🇺🇩🇪👩❤\n\t"
    ),
    max_size=120,
)
SYNTAX = st.lists(
    st.sampled_from(
        [
            "(",
            "((",
            ")",
            "))",
            "[",
            "]",
            "{",
            "}",
            "|",
            ":",
            ":1.3",
            ":0.5)",
            "<lora:",
            ">",
            "a",
            "ki",
            "ling",
            "n",
            "4",
            " ",
        ]
    ),
    max_size=40,
).map("".join)
# Words of many scripts, as people write them, with emoji, flags and marks that belong to the spelling.
WORDS = (
    "garden photo straße mädchen über crème brûlée forêt niña corazón perché città ação crianças één café "
    "łódź żaba říjen čtyři őszi şehir ağaç țară đường người thân åska æble þór "
    "девушка читает книгу ёлка їжак γυναίκα διαβάζει βιβλίο ελλάδα հայաստան საქართველო "
    "امرأة تقرأ كتابًا می‌خواهم אישה קוראת בַּגַּן एक क्षत्रिय पुस्तक বাংলা தமிழ் "
    "一只猫坐在桌子上 庭で遊ぶ子猫 고양이가 แมว น้ำ ทำ ພາສາລາວ አማርኛ "
    "🍎 🐈‍⬛ ❤️ 👨‍👩‍👧 🏳️‍🌈 👍🏽 🇫🇷 🇩🇪🇮🇹 ☀️ α-helix 8k 35mm f/1.8 r2d2 c++ u.s. 16:9 1920s rock'n'roll "
    "mid-1800s late-19th-century 70-200mm 24-70mm d850 gfx100s a320neo #ff5733 #c0ffee rgb(255,0,0) i<10 "
    "user@example.com @home xxxiii cccp 3-in-1 9-to-5 f-150 ak-47 (1girl) 2001: m16a4 sd1.5 ph.d. node.js"
)
ORDINARY = st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=30).map(" ".join)
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


@given(st.one_of(ANY_TEXT, TRICKY, SYNTAX))
@settings(max_examples=400, deadline=None)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once.text).text == once.text
    assert normalise(once.accented).accented == once.accented


@given(st.one_of(ANY_TEXT, TRICKY, SYNTAX))
@settings(max_examples=200, deadline=None)
def test_the_result_is_bounded_lower_case_and_free_of_control_characters(text: str) -> None:
    normalised = normalise(text)
    for result in (normalised.text, normalised.accented):
        assert len(result) <= min(MAX_NORMALISED_CHARS, MAX_EXPANSION * len(text))
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in result)
        assert result == " ".join(result.split())
        assert not any("A" <= char <= "Z" for char in result)


@given(st.one_of(ANY_TEXT, TRICKY, SYNTAX))
@settings(max_examples=200, deadline=None)
def test_the_readings_differ_in_accents_alone_and_ascii_has_one(text: str) -> None:
    normalised = normalise(text)
    if normalised.accented.isascii():
        assert normalised.text == normalised.accented


@given(ORDINARY)
@settings(max_examples=300, deadline=None)
def test_ordinary_text_of_any_script_keeps_its_spelling(text: str) -> None:
    result = normalise(text)
    assert (result.accented, result.signals) == (text, frozenset())


@given(ORDINARY)
@settings(max_examples=100, deadline=None)
def test_only_latin_letters_lose_their_accents(text: str) -> None:
    latin_gone = "".join(
        unicodedata.normalize("NFD", char)[0] if char < "\u0250" or "\u1e00" <= char <= "\u1eff" else char
        for char in text
    )
    assert normalise(text).text == latin_gone


@given(ORDINARY, st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_characters_that_only_hide_are_taken_out(text: str, count: int) -> None:
    hidden = f"\u202e{text}" + "\u2066\ufeff\u00ad\U000e0041" * count
    result = normalise(hidden)
    assert result.accented == text
    assert {"bidi", "zero_width"} <= result.signals


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
