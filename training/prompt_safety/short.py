"""Very short prompts of ordinary words.

Harmless captions are sentences and unsafe terms are words, so a model learns that a bare word it hardly knows is more
likely unsafe than not. Which words are ordinary is told by the training rows: those that no unsafe prompt of them has.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterable, Sequence

from training.prompt_safety.concepts import as_typed
from training.prompt_safety.rows import Row, benign_targets

SOURCE = "words"
WEIGHT = 0.5
"""Of a row: now and then a word is unsafe after all, and no training row says so."""
FRAMES = ("{}", "a photo of {}", "{} illustration", "an image of {}", "a drawing of {}", "{}, 4k", "{} icon")
_WORD = re.compile(r"[a-z]{4,}")
_NOT_ORDINARY = re.compile(
    "porn|sex|nud|naked|rap[ei]|pa?edo|molest|incest|prostit|whor|slut|erot|fetish|kill|murder|genocid|massacr|behead|corps|"
    "suicid|slave|nazi|hitler|lynch|terror|bomb|tortur|heroin|cocain|meth|weed|drug"
)
_REPORTED = 6  # every so many words, by their hash, are not trained on


def ordinary(words: Iterable[str], rows: Iterable[Row]) -> list[str]:
    """Those of ``words`` that no row has which may be unsafe, and that hold no stem of an unsafe word."""
    unsafe = {word for row in rows if not row.benign for word in _WORD.findall(row.text.lower())}
    return [word for word in words if _WORD.fullmatch(word) and word not in unsafe and not _NOT_ORDINARY.search(word)]


def is_reported(word: str) -> bool:
    return zlib.crc32(word.encode()) % _REPORTED == 0


def short_rows(words: Sequence[str], rng: random.Random, count: int) -> list[Row]:
    """Prompts of one or two words that are trained on."""
    chosen = [word for word in words if not is_reported(word)]
    texts = (" ".join(rng.sample(chosen, rng.choice((1, 1, 2)))) for _ in range(count))
    return [Row(as_typed(rng.choice(FRAMES).format(text), rng), benign_targets(), SOURCE, WEIGHT) for text in texts]


def held_out(words: Sequence[str], rng: random.Random, count: int) -> list[Row]:
    """Single words that no run trains on, half of them bare and half as a photo."""
    chosen = rng.sample([word for word in words if is_reported(word)], count)
    return [
        Row(FRAMES[place % 2].format(word), benign_targets(), SOURCE, split="test") for place, word in enumerate(chosen)
    ]
