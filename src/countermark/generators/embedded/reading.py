"""How the embedded generator reads a prompt, and what it says of the words that it cannot draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from countermark.generators.embedded.vocabulary import Vocabulary, split_words

_FILE: Final = Path(__file__).parent / "lexicon.yaml"
_FALLBACK: Final = "a meadow"
_LISTED: Final = 8


@dataclass(frozen=True)
class Lexicon:
    """Words beyond the vocabulary.

    Attributes:
        glue: words that say nothing that could be drawn or missed.
        same: another word for the same, to the word that the model knows.
        hints: words that suggest something to draw without settling what.
        modifiers: words that go with the subject after them.
        nearest: a word for something that the model cannot draw, to the nearest word that it knows.
        subjects: a word that names a scene or a thing, to ("scene" or "thing", which one).
    """

    glue: frozenset[str]
    hints: frozenset[str]
    modifiers: frozenset[str]
    same: dict[str, str]
    nearest: dict[str, str]
    subjects: dict[str, tuple[str, str]]


@cache
def lexicon() -> Lexicon:
    """The lexicon that ships with the package."""
    groups = YAML(typ="safe").load(_FILE)

    def by_word(group: str) -> dict[str, str]:
        return {word: known for known, words in groups[group].items() for word in words.split()}

    subjects = {word: (kind, one) for kind in ("scene", "thing") for word, one in by_word(f"{kind}s").items()}
    glue, hints, modifiers = (frozenset(groups[name].split()) for name in ("glue", "hints", "modifiers"))
    return Lexicon(glue, hints, modifiers, by_word("same"), by_word("nearest"), subjects)


@dataclass(frozen=True)
class Reading:
    """What is made of a prompt.

    Attributes:
        text: the words that the model is given, all of which it knows.
        stand_ins: words it does not know, each with the nearest that it draws instead.
        left_out: words that have no effect: unknown ones, and scenes or things beyond the first.
        fallback: whether nothing in the prompt says what to draw.
    """

    text: str
    stand_ins: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    fallback: bool = False

    @property
    def notices(self) -> tuple[str, ...]:
        """Plain sentences on what differs from the prompt; often none."""
        notices = []
        if self.stand_ins:
            pairs = [f"“{known}” for “{said}”" for said, known in self.stand_ins[:_LISTED]]
            more = ", …" if len(self.stand_ins) > _LISTED else ""
            notices.append(f"The embedded generator drew the nearest that it knows: {', '.join(pairs)}{more}.")
        if self.left_out:
            listed = ", ".join(self.left_out[:_LISTED]) + (", …" if len(self.left_out) > _LISTED else "")
            notices.append(f"The embedded generator could not draw these words and left them out: {listed}.")
        if self.fallback:
            notices.append(f"Nothing in the prompt says what to draw that it can: {_FALLBACK} was drawn.")
        return tuple(notices)


def read(prompt: str, vocabulary: Vocabulary) -> Reading:
    """Reduce a prompt to what the model learnt: one scene and one kind of thing, in words of its vocabulary.

    Args:
        prompt: any text.
        vocabulary: the model's words.
    """
    known_words = lexicon()
    kept: list[str] = []
    drawn: dict[str, str] = {}
    stand_ins: dict[str, str] = {}
    left_out: dict[str, None] = {}
    for said in split_words(prompt):
        word = said if said in vocabulary else known_words.same.get(said, said)
        if word not in vocabulary:
            if said in known_words.glue:
                continue
            if said not in known_words.nearest:
                left_out[said] = None
                continue
            word = known_words.nearest[said]
        kind, which = known_words.subjects.get(word, ("", ""))
        if kind and drawn.setdefault(kind, which) != which:
            left_out[said] = None
            while kept and kept[-1] in known_words.modifiers:
                kept.pop()
            continue
        if said in known_words.nearest and said not in vocabulary:
            stand_ins[said] = word
        kept.append(word)
    fallback = not drawn and known_words.hints.isdisjoint(kept)
    if fallback:
        kept = [*split_words(_FALLBACK), *kept]
    return Reading(" ".join(kept), tuple(stand_ins.items()), tuple(left_out), fallback)
