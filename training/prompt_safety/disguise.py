"""Ways to hide words from a filter: fixed ones to report on, and random mixtures of others to train on."""

from __future__ import annotations

import random
from collections.abc import Callable

_LEET = str.maketrans("aeiost", "4310$7")
_CYRILLIC = str.maketrans("aeopcx", "аеорсх")

EVASIONS: dict[str, Callable[[str], str]] = {
    "leet": lambda text: text.translate(_LEET),
    "homoglyph": lambda text: text.translate(_CYRILLIC),
    "spaced": lambda text: " ".join(" ".join(word) if len(word) > 3 else word for word in text.split()),
    "dotted": lambda text: " ".join(".".join(word) if len(word) > 3 else word for word in text.split()),
    "zero_width": "\u200b".join,
    "full_width": lambda text: "".join(chr(ord(c) + 0xFEE0) if 33 <= ord(c) <= 126 else c for c in text),
    "stacked_marks": lambda text: "".join(f"{c}\u0301\u0323\u0336" if c.isalpha() else c for c in text),
}

_MORE_LEET = {"a": "@4", "e": "3", "i": "1!", "o": "0", "s": "$5", "t": "7", "l": "1", "g": "9", "b": "8"}


def disguised(text: str, rng: random.Random) -> str:
    """Some words of a prompt hidden in one of several ways, chosen at random."""
    kind = rng.choice(["leet", "separated", "separated", "glyphs", "invisible", "repeated"])
    share = rng.choice([0.4, 0.7, 1.0])
    return " ".join(
        _hidden(word, kind, rng) if len(word) > 2 and rng.random() < share else word for word in text.split()
    )


def _hidden(word: str, kind: str, rng: random.Random) -> str:
    match kind:
        case "leet":
            return "".join(rng.choice(_MORE_LEET[c]) if c in _MORE_LEET and rng.random() < 0.6 else c for c in word)
        case "separated":
            return rng.choice([" ", " ", ".", "-", "_", "*"]).join(word)
        case "glyphs":
            return word.translate(_CYRILLIC)
        case "invisible":
            return rng.choice(["\u200b", "\u200d", "\u00ad"]).join(word)
        case _:
            position = rng.randrange(len(word))
            return word[:position] + word[position] * rng.randint(3, 5) + word[position + 1 :]
