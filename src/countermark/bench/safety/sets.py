"""The prompts that are measured: read from JSON lines, sampled, and kept apart by what they are good for.

A row has ``text`` (or ``prompt``, as ``check`` takes it); ``labels``, in which a missing key is unknown and ``unsafe``
says 1 or 0 overall; ``source``; and perhaps ``lang`` and ``meta``. What a row counts as follows from these and from
names, by the rules below, so that nobody has to be believed who says which rows were "the hard ones".
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from countermark.errors import NotFound
from countermark.files import open_file
from countermark.model import MAX_PROMPT_CHARS, Category

MAX_LINE_BYTES: Final = 1 << 20
_SEED: Final = 5

TERM: Final = "term"
"""The label of rows that are offensive words, not prompts."""

Role = Literal["reporting", "trained_on"]
Kind = Literal["image prompts", "implicit attacks", "weak labels", "general text"]

TRAINED_ON: Final = frozenset(
    {
        "adversarial_nibbler",
        "coco_benign",
        "esd_art_benign",
        "geneval",
        "i2p",
        "ldnoobw_terms",
        "multilingual_hatecheck",
        "nibbler_attempted_unlabelled",
        "overt_benign",
        "overt_unsafe",
        "sneakyprompt_animals",
        "t2i_compbench",
        "xstest",
    }
)
"""Sources of which the training or calibration of a prompt model saw some rows; the model cards name the same."""

LEFT_OUT: Final = ("_b", "_held_out")
"""A file of such a source whose name ends so holds rows that training left out; whoever names it so vouches for it."""

KINDS: Final[Mapping[str, Kind]] = {
    "adversarial_nibbler": "implicit attacks",  # judged by the pictures that came of them, mostly not by their words
    "i2p": "weak labels",  # a prompt has the label of the concept that it was found under, whatever it says
    "multilingual_hatecheck": "general text",
    "xstest": "general text",
}
"""Sources that say little about prompts for images: reported each by itself, in no overall figure."""

HARD_NAMES: Final = ("hard_negative", "looks_unsafe", "scary", "overt_benign", "overt_safe", "xstest")
"""A safe row is a *hard negative* if its source or file is named so, or its ``meta`` says ``hard_negative: true``."""

_RENAMED: Final = {"shocking": Category.GRAPHIC.value, "self-harm": Category.SELF_HARM.value}
_LANGUAGES: Final = {"english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
                     "portuguese": "pt", "dutch": "nl"}  # fmt: skip


@dataclass(frozen=True)
class PromptRow:
    """One prompt.

    Attributes:
        unsafe: as labelled; ``None`` where nobody knows.
        categories: the labels that are 1, without ``unsafe``, in this project's names where it has one.
        hard: safe, but looks unsafe.
        language: two letters as a rule; empty where the row does not say.
    """

    text: str
    unsafe: bool | None
    categories: frozenset[str]
    source: str
    role: Role
    kind: Kind
    hard: bool = False
    language: str = ""

    def saying(self, text: str) -> PromptRow:
        """The same row in other words."""
        return replace(self, text=text)


@dataclass(frozen=True)
class Skipped:
    """A line that is no prompt; the text is never quoted."""

    place: str
    reason: str


@dataclass(frozen=True)
class PromptSet:
    """What was read.

    Attributes:
        rows: the sample, in a fixed order.
        terms: offensive words, from rows labelled ``term`` in English or in no language: the word list of the peers.
        read: how many rows there were before sampling, by source.
        duplicates: rows left out because an earlier one has the same text.
        contradictory: those of them that are labelled safe where the earlier one is unsafe, or the other way round.
        unlabelled: rows left out because nothing says whether they are unsafe.
    """

    rows: tuple[PromptRow, ...]
    terms: frozenset[str]
    read: dict[str, int]
    duplicates: int
    skipped: tuple[Skipped, ...]
    contradictory: int = 0
    unlabelled: int = 0


def load(folder: Path, *, limit: int = 0) -> PromptSet:
    """Read every ``.jsonl`` file of a folder.

    Args:
        folder: where the files are.
        limit: at most so many rows of each source, label and language, drawn with a fixed seed; 0 for all.

    Raises:
        NotFound: there is no such folder, or no labelled prompt in it.
    """
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise NotFound(f"There is no folder {folder} with .jsonl files.", remedy="Name the folder: --prompts DIR.")
    rows: dict[str, PromptRow] = {}
    terms: set[str] = set()
    read: Counter[str] = Counter()
    duplicates = contradictory = 0
    skipped: list[Skipped] = []
    for found in (found for file in files for _, found in read_rows(file)):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        read[found.source] += 1
        if TERM in found.categories:
            terms.update([found.text.lower()] if found.language in ("", "en") else [])
            continue
        key = _key(found.text)
        duplicates += key in rows
        contradictory += key in rows and {rows[key].unsafe, found.unsafe} == {True, False}
        if key not in rows or found.role == "trained_on":  # what training saw in any file, it saw
            rows[key] = found
    known = [row for row in rows.values() if row.unsafe is not None]
    if not known:
        raise NotFound(
            f"There is no labelled prompt in {folder}.",
            remedy='A line is for example {"text": "a cat", "labels": {"unsafe": 0}, "source": "mine"}.',
        )
    return PromptSet(
        tuple(_sampled(known, limit)),
        frozenset(terms),
        dict(read),
        duplicates,
        tuple(skipped),
        contradictory=contradictory,
        unlabelled=len(rows) - len(known),
    )


def read_rows(file: Path) -> Iterator[tuple[int, PromptRow | Skipped]]:
    """Each line's number, and its prompt or why it is none; empty lines are passed over.

    A line of a ``.txt`` file is an unlabelled prompt as it stands. A file that cannot be read is one such line.
    """
    try:
        with open_file(file) as lines:
            yield from _rows(file, lines)
    except OSError as error:
        yield 0, Skipped(file.name, f"it cannot be read: {error.strerror or error}")


def _rows(file: Path, lines: BinaryIO) -> Iterator[tuple[int, PromptRow | Skipped]]:
    plain = file.suffix.lower() == ".txt"
    number = 0
    while line := lines.readline(MAX_LINE_BYTES):
        number += 1
        if line.strip():
            try:
                record = {"text": line.decode().rstrip("\r\n")} if plain else _json(line)
                yield number, _row(record, file.stem)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                said = str(error) if type(error) is ValueError else "not a JSON object with a text and labels"
                yield number, Skipped(f"{file.name}:{number}", said)


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # also of a number of thousands of digits
        raise ValueError("not JSON") from None


def _row(record: Mapping[str, Any], stem: str) -> PromptRow:
    text, labels = record["text"] if "text" in record else record["prompt"], record.get("labels") or {}
    if not isinstance(labels, dict):
        raise ValueError('"labels" is no object')
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the text is empty or no string")
    if len(text) > MAX_PROMPT_CHARS:
        raise ValueError(f"the text is longer than {MAX_PROMPT_CHARS:,} characters")
    source = str(record.get("source") or stem)
    meta = record.get("meta") or {}
    unsafe = None if labels.get("unsafe") not in (0, 1) else bool(labels["unsafe"])
    named = f"{source} {stem}".lower()
    looks_unsafe = meta.get("hard_negative") in (True, 1) or any(name in named for name in HARD_NAMES)
    language = str(record.get("lang") or "").lower()
    positive = {_RENAMED.get(str(name), str(name)) for name, value in labels.items() if value == 1}
    return PromptRow(
        text=text,
        unsafe=unsafe,
        categories=frozenset(positive - {"unsafe"}),
        source=source,
        role="trained_on" if source in TRAINED_ON and not stem.endswith(LEFT_OUT) else "reporting",
        kind=KINDS.get(source, "image prompts"),
        hard=unsafe is False and looks_unsafe,
        language=_LANGUAGES.get(language, language),
    )


def _key(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _sampled(rows: Iterable[PromptRow], limit: int) -> list[PromptRow]:
    pools: dict[tuple[Any, ...], list[PromptRow]] = {}
    for row in rows:
        pools.setdefault((row.source, row.role, row.unsafe, row.language), []).append(row)
    drawn: list[PromptRow] = []
    for name, pool in sorted(pools.items(), key=lambda pair: str(pair[0])):
        chosen = pool if not limit or len(pool) <= limit else random.Random(f"{_SEED} {name}").sample(pool, limit)  # noqa: S311
        drawn.extend(chosen)
    return drawn
