"""Tier 0: small, editable lists of terms and patterns, one YAML file a category, in ``policies/terms/``.

A list catches what a model may one day miss and what must never depend on a score. It is deliberately short: on image
prompts, word lists alone are barely better than chance, and every common word on one is a group of users refused.
Terms match whole words; a space in a term matches white space or hyphens, and a ``*`` behind a word any ending of it.
An underscore in a prompt is read as a space too, for so are tags written. Accents may be left out, and ä, ö, ü and ß
be written ae, oe, ue and ss.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from countermark.errors import PolicyInvalid
from countermark.model import Category, DetectorRef, Finding, Severity, Stage
from countermark.model.base import Frozen
from countermark.resources import data_path
from countermark.safety.interface import assessed
from countermark.safety.known_words import fold_accents
from countermark.yaml_file import read_yaml_file

MINORS_FILE: Final = "minors.yaml"
ALLOWLIST_FILE: Final = "allowlist.yaml"
_ID: Final = "countermark.terms"
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


class TermList(Frozen):
    """One file of terms for one category."""

    apiVersion: Literal["countermark.terms/v1"]  # noqa: N815 (the name in the file)
    category: Category
    version: str
    score: float = Field(ge=0, le=1)
    severity: Severity
    terms: tuple[str | int, ...] = ()
    patterns: tuple[str, ...] = ()
    except_: tuple[str, ...] = Field(default=(), alias="except")


@dataclass(frozen=True)
class _Compiled:
    spec: TermList
    hit: re.Pattern[str]
    exception: re.Pattern[str] | None


class TermLists:
    """Every list of a folder, ready to match.

    Args:
        folder: where the files are; the shipped ones by default.

    Raises:
        PolicyInvalid: a file cannot be read, lacks a field, or holds a pattern that does not compile.
    """

    def __init__(self, folder: Path | None = None) -> None:
        found = sorted((folder or data_path("policies/terms")).glob("*.yaml"))
        self._files = [path for path in found if path.name not in (MINORS_FILE, ALLOWLIST_FILE)]
        self._lists = [_compile(path) for path in self._files]

    @cached_property
    def detector(self) -> DetectorRef:
        """Named after the newest version among the files; the digest covers all of their bytes."""
        versions = sorted(compiled.spec.version for compiled in self._lists)
        return DetectorRef(id=_ID, version=versions[-1] if versions else "0", digest=digest_of(self._files))

    @property
    def categories(self) -> frozenset[Category]:
        """The categories that have a list."""
        return frozenset(compiled.spec.category for compiled in self._lists)

    def findings(self, *readings: str, signals: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        """One assessed finding for each category with a hit in any reading of the prompt; none where nothing hits.

        Args:
            readings: the prompt in lower case, as written and as normalised.
            signals: the obfuscation that was undone, for the findings.
        """
        return tuple(
            assessed(
                Stage.PROMPT,
                compiled.spec.category,
                self.detector,
                compiled.spec.score,
                compiled.spec.severity,
                reason="a term of the list for this category is in the prompt",
                signals=signals,
            )
            for compiled in self._lists
            if any(_hits(compiled, reading) for reading in with_tags_apart(readings))
        )


def _hits(compiled: _Compiled, text: str) -> bool:
    if compiled.exception is not None:
        text = compiled.exception.sub(" ", text)
    return compiled.hit.search(text) is not None


def _compile(path: Path) -> _Compiled:
    spec = read_yaml_file(path, TermList)
    parts = [_as_people_spell(spec.terms), *spec.patterns]
    for pattern in spec.patterns:
        compile_pattern(pattern, path)
    hit = re.compile("|".join(f"(?:{part})" for part in parts if part) or r"(?!)")
    return _Compiled(spec, hit, re.compile(_as_people_spell(spec.except_)) if spec.except_ else None)


def _as_people_spell(terms: Iterable[str | int]) -> str:
    return term_pattern(dict.fromkeys(form for term in terms for form in spellings(str(term))))


def spellings(written: str) -> tuple[str, ...]:
    """A term or pattern as written, without accents, and with ä, ö, ü as ae, oe, ue; ß stays or becomes ss in each."""
    forms = (written, fold_accents(written), fold_accents(written.translate(_UMLAUTS)))
    return tuple(dict.fromkeys(spelt for form in forms for spelt in (form, form.replace("ß", "ss"))))


def with_tags_apart(readings: Iterable[str]) -> tuple[str, ...]:
    """Readings of a prompt, and with spaces for underscores those that have some: ``red_hair`` is two words."""
    return tuple(dict.fromkeys(form for reading in readings for form in (reading, reading.replace("_", " "))))


def compile_pattern(pattern: str, path: Path) -> re.Pattern[str]:
    """Compile one pattern of a file.

    Raises:
        PolicyInvalid: it is no regular expression.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PolicyInvalid(f"{path}: the pattern {pattern!r} does not compile: {error}.") from error


def term_pattern(terms: Iterable[str | int]) -> str:
    """A regular expression for any of ``terms`` as whole words; the empty string for no terms."""
    any_of_them = alternatives(terms)
    return rf"(?<![\w]){any_of_them}(?![\w])" if any_of_them else ""


def alternatives(terms: Iterable[str | int]) -> str:
    """A regular expression for any of ``terms``, whatever stands beside it; the empty string for no terms."""
    escaped = [r"[\s\-]+".join(map(_word, str(term).lower().split())) for term in terms]
    return f"(?:{'|'.join(sorted(escaped, key=len, reverse=True))})" if escaped else ""


def _word(word: str) -> str:
    stem = word.removesuffix("*")
    return re.escape(stem) + r"\w*" if stem and stem != word else re.escape(word)


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of rule files."""
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
