"""Names of harmless things whose words sound unsafe, read as something plain before the prompt model sees them.

A model that was trained on captions takes *nude lipstick* and *flying buttress* for what their words say. The list,
``policies/terms/allowlist.yaml``, is a deployer's remedy that needs no training. It can only take a name out of sight:
whatever else a prompt says is read as ever, and term lists and the rule about minors read the prompt as it was written.
Between the words of a name stand white space, hyphens or underscores, and a stop only where the list writes one: there
it may be left out.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import Field

from countermark.errors import PolicyInvalid
from countermark.model import DetectorRef
from countermark.model.base import Frozen
from countermark.resources import data_path
from countermark.safety.known_words import fold_accents
from countermark.safety.terms import ALLOWLIST_FILE, digest_of
from countermark.yaml_file import read_yaml_file

_ID: Final = "countermark.allowlist"
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_WITHIN_A_NAME: Final = re.compile(r"[\s\-_]+")
_ACROSS_A_STOP: Final = re.compile(r"[\s\-_]*[,:][\s\-_]+")
_ARTICLES: Final = frozenset({"a", "an", "the"})

Words = tuple[str, ...]


class NameGroup(Frozen):
    """Names and what they are read as: lower-case plain words."""

    reads_as: str = Field(pattern=r"^[a-z][a-z \-]{1,60}$")
    names: tuple[str | int, ...] = Field(min_length=1)


class Name(NamedTuple):
    """What a name is read as, and behind which of its words (from 0) a comma or colon may stand."""

    reads_as: str
    stops: frozenset[int]


class AllowlistFile(Frozen):
    """The file."""

    apiVersion: Literal["countermark.allowlist/v1"]  # noqa: N815 (the name in the file)
    version: str
    groups: tuple[NameGroup, ...] = ()


class Allowlist:
    """The names of one folder of term lists.

    Args:
        folder: where ``allowlist.yaml`` is; the shipped one by default. Without the file there are no names.

    Raises:
        PolicyInvalid: the file cannot be read, lacks a field, or holds a name twice or without letters.
    """

    def __init__(self, folder: Path | None = None) -> None:
        path = (folder or data_path("policies/terms")) / ALLOWLIST_FILE
        self._files = [path] if path.exists() else []
        spec = read_yaml_file(path, AllowlistFile) if self._files else None
        self._version = spec.version if spec else "0"
        self._names = _named(spec, path) if spec else {}
        self._longest: dict[str, int] = {}
        for name in self._names:
            self._longest[_singular(name[0])] = max(len(name), self._longest.get(_singular(name[0]), 0))

    @cached_property
    def detector(self) -> DetectorRef:
        """The list, with the digest of its file."""
        return DetectorRef(id=_ID, version=self._version, digest=digest_of(self._files))

    def plain(self, text: str) -> str:
        """A prompt with every name on the list, and an article before it, replaced by what it is read as.

        Args:
            text: lower case, without accents, as :func:`~countermark.safety.normalise.normalise` gives it.
        """
        words = list(_WORD.finditer(text))
        parts: list[str] = []
        done = place = 0
        while place < len(words):
            name = self._name_at(text, words, place)
            if name is None:
                place += 1
                continue
            article = place > 0 and words[place - 1].group() in _ARTICLES and words[place - 1].start() >= done
            parts += [text[done : words[place - article].start()], self._names[name].reads_as]
            place += len(name)
            done = words[place - 1].end()
        return "".join([*parts, text[done:]])

    def _name_at(self, text: str, words: list[re.Match[str]], place: int) -> Words | None:
        """The longest name that begins with the word at ``place``."""
        longest = self._longest.get(_singular(words[place].group()), 0)
        for length in range(min(longest, len(words) - place), 0, -1):
            piece = words[place : place + length]
            name = _folded([word.group() for word in piece])
            if name in self._names and all(
                _WITHIN_A_NAME.fullmatch(text, before.end(), after.start())
                or (index in self._names[name].stops and _ACROSS_A_STOP.fullmatch(text, before.end(), after.start()))
                for index, (before, after) in enumerate(pairwise(piece))
            ):
                return name
        return None


def _folded(words: list[str]) -> Words:
    return (*words[:-1], _singular(words[-1]))


def _singular(word: str) -> str:
    return word.removesuffix("s")


def _named(spec: AllowlistFile, path: Path) -> dict[Words, Name]:
    named: dict[Words, Name] = {}
    for group in spec.groups:
        for written in group.names:
            text = fold_accents(str(written).lower())
            found = list(_WORD.finditer(text))
            found = found[bool(found) and found[0].group() in _ARTICLES :]
            words = [word.group() for word in found]
            name = _folded(words) if words and words[-1] not in _ARTICLES else ()
            if not name or name in named:
                problem = "stands there twice" if name else "is no name"
                raise PolicyInvalid(f"{path}: groups: {group.reads_as}: {written!r} {problem}.")
            gaps = enumerate(pairwise(found))
            stops = frozenset(i for i, (one, other) in gaps if set(text[one.end() : other.start()]) & {",", ":"})
            named[name] = Name(group.reads_as, stops)
    return named
