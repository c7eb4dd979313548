"""How a picture is asked to look, put around prompts of both classes; and the bank of clauses that say only that."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import chain
from typing import Any

from training.prompt_safety.concepts import read

from countermark.safety.styles import STYLE_WORD

_NOT_ONLY_STYLE = re.compile(
    r"nude|naked|sex|blood|gore|dead|kill|wet|skin|lingerie|erotic|body|breast|death|corpse|hell|demon|cum|girl|woman"
    r"|women|man\b|men\b|knife|gun",
    re.IGNORECASE,
)
_CREDIT = re.compile(r"by ([^\W\d_][\w .'\-]+)")
_LONGEST = 45


def _styles() -> dict[str, Any]:
    return read("bank/styles.yaml")


def build_style_bank(prompts: list[str], *, at_least: int = 6) -> list[str]:
    """Clauses and names that say how a picture looks, lower case.

    Those found are clauses that occur ``at_least`` times, are a credit or contain a style word, and contain nothing
    that a picture could show; whoever is credited in them, and the clauses and names of the written bank, are added.
    """
    counts = Counter(
        clause for prompt in prompts for clause in {part.strip().lower() for part in re.split(r"[,;|]", prompt)}
    )
    found = {
        clause
        for clause, count in counts.items()
        if count >= at_least
        and 2 < len(clause) < _LONGEST
        and (STYLE_WORD.search(clause) or _CREDIT.search(clause))
        and not _NOT_ONLY_STYLE.search(clause)
    }
    styles = _styles()
    written = chain(*styles["clauses"].values(), *styles["names"].values())
    credited = {name for clause in found if (credit := _CREDIT.fullmatch(clause)) for name in credit[1].split(" and ")}
    return sorted(found | credited | {line.lower() for line in written})


def words() -> list[str]:
    """The words of the written media and clauses, less those that a picture could show."""
    styles = _styles()
    written = " ".join(map(str, chain(styles["adjectives"], styles["media"], *styles["clauses"].values()))).lower()
    return sorted(
        {word for word in re.findall(r"[a-z]{3,}", written) if not _NOT_ONLY_STYLE.search(word)} - set(styles["shown"])
    )


def wrap_in_style(text: str, rng: random.Random, found: list[str]) -> str:
    """A prompt as people dress it up: a medium, an opening or style clauses before it, and style clauses after it.

    Args:
        text: the prompt.
        rng: what draws.
        found: clauses found in prompts, beside the written ones.
    """
    styles = _styles()
    text = text.rstrip(" .")
    before: list[str] = []
    draw = rng.random()
    if draw < 0.4:
        text = f"{_medium(styles, rng)} of {_lowered(text)}"
    elif draw < 0.55:
        text = f"{rng.choice(styles['openings'])} {_lowered(text)}"
    elif draw < 0.75:
        before = [_clause(styles, rng, found) for _ in range(rng.choice([1, 2, 3]))]
    after = [
        _clause(styles, rng, found) for _ in range(rng.choice([0, 1, 2, 3, 4, 6, 8] if draw < 0.75 else [1, 2, 4, 8]))
    ]
    between = rng.choice([", "] * 8 + [" | ", ". ", "; ", " "])
    dressed = between.join([*before, text, *after])
    return dressed.title() if rng.random() < 0.03 else dressed


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _medium(styles: dict[str, Any], rng: random.Random) -> str:
    """A medium with up to two adjectives, with its article or, as often, without."""
    words = [*rng.sample(styles["adjectives"], rng.choice([0, 0, 1, 1, 2])), rng.choice(styles["media"])]
    article = rng.choice(["", "an " if words[0][0] in "aeio" else "a "])
    return article + rng.choice([" ", ", "] if len(words) > 2 else [" "]).join(words)


def _clause(styles: dict[str, Any], rng: random.Random, found: list[str]) -> str:
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(found)
    if draw < 0.7:
        kinds = styles["clauses"]
        return str(rng.choice(kinds[rng.choice(list(kinds))]))
    trade = rng.choice(["painters", "painters", "painters", "photographers", "directors"])
    name, name2 = rng.sample(styles["names"][trade], 2)
    credit = str(rng.choice(styles["credits"][trade])).format(name=name, name2=name2)
    return credit.title() if rng.random() < 0.2 else credit


def held_out(text: str, number: int) -> str:
    """A prompt in one of the styles that are never trained on."""
    wraps: list[str] = _styles()["held_out"]
    return wraps[number % len(wraps)].format(_lowered(text.rstrip(" .")))
