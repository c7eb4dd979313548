from __future__ import annotations

import pytest

from countermark.safety.lexicon import WEIGHTS_DIR
from countermark.safety.prompt_model import STYLE_FILE
from countermark.safety.styles import strip_style, without_stop

BANK = frozenset({"trending on artstation", "greg rutkowski", "vermeer", "wes anderson"})


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("a cat, trending on artstation", "a cat"),
        ("masterpiece, best quality, a cat, 8k, highly detailed", "a cat"),
        ("a cat, 85mm, f/1.8, iso 800, 1/200s, bokeh", "a cat"),
        ("a cat, by greg rutkowski", "a cat"),
        ("a cat, in the style of vermeer and greg rutkowski", "a cat"),
        ("a cat, oil painting by vermeer, directed by wes anderson", "a cat"),
        ("an oil painting of a cat", "a cat"),
        ("highly detailed watercolour sketch of a cat, sharp focus", "a cat"),
        ("ultra realistic a cat on a sofa", "a cat on a sofa"),
        ("a cat --ar 16:9 --v 6.1", "a cat"),
        ("a cat --tile --style raw", "a cat"),
        ("a cat --no people", "a cat --no people"),
        ("(masterpiece:1.2), a cat", "a cat"),
        ("a cat. 8k. a dog", "a cat., a dog"),
        ("a cat on a sofa", "a cat on a sofa"),
        ("a glass of water", "a glass of water"),
        ("highly detailed, 8k", "highly detailed, 8k"),
    ],
)
def test_style_is_left_out_and_nothing_else(prompt: str, shown: str) -> None:
    assert strip_style(prompt, BANK) == shown


@pytest.mark.parametrize(
    "prompt",
    [
        "a street, by naked people having sex",
        "a street, in the style of a man stabbing his wife",
        "a street, by vermeer and two naked people",
        "a street, a painting by a murderer with his victim",
        "a street, 1488",
        "a street --ar naked --v people",
        "a street --naked --people",
        "a street --style naked",
    ],
)
def test_a_credit_hides_nothing(prompt: str) -> None:
    assert strip_style(prompt, BANK) == prompt


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a cat.", "a cat"),
        ("a cat . ..", "a cat"),
        ("a cat. a dog.", "a cat. a dog"),
        ("is this a cat?", "is this a cat?"),
        ("3.5", "3.5"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_full_stops_at_the_end_are_left_out_and_no_others(prompt: str, read: str) -> None:
    assert without_stop(prompt) == read


def test_the_shipped_bank_knows_painters_photographers_and_directors() -> None:
    bank = frozenset((WEIGHTS_DIR / STYLE_FILE).read_text(encoding="utf-8").split("\n"))
    assert {"greg rutkowski", "ansel adams", "wes anderson", "85mm lens"} <= bank
