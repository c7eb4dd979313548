"""The tables: English sets for transfer between languages, HateCheck in three, and our own bank in seven.

The base model places a sentence near its translations, so English rows teach the other languages; the bank says what
differs (slang, genders, compounds). HateCheck is for figures alone: heads trained
on it knew its sentences and not hate.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from training.prompt_safety import concepts, sources
from training.prompt_safety.rows import Row, benign_targets, read_jsonl

from countermark.safety.normalise import normalise

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt", "nl")
_BANK: Final = Path(__file__).with_name("bank")
_HATECHECK: Final = "multilingual_hatecheck_de_fr_es"
_HATECHECK_LANGUAGES: Final = {"german": "de", "french": "fr", "spanish": "es"}
# Functionalities kept out of training, so that the figure on HateCheck is about kinds of sentences never seen.
_HATECHECK_TEST: Final = frozenset(
    (
        "derog_impl_h", "threat_norm_h", "phrase_question_h", "negate_pos_h", "ident_pos_nh", "target_obj_nh",
        "profanity_nh",
    )
)  # fmt: skip
_ENGLISH_LIMITS: Final = {"coco_benign": 2500, "t2i_compbench": 700, "i2p": 900}
_FRAMES: Final[dict[str, tuple[str, ...]]] = {
    "en": ("{}", "a photo of {}", "{}, highly detailed, 8k", "draw {}", "an oil painting of {}"),
    "de": ("{}", "ein Foto: {}", "{}, hochdetailliert, 8k", "zeichne bitte: {}", "Ölgemälde, {}"),
    "fr": ("{}", "une photo : {}", "{}, très détaillé, 8k", "dessine {}", "peinture à l'huile, {}"),
    "es": ("{}", "una foto: {}", "{}, muy detallado, 8k", "dibuja {}", "pintura al óleo, {}"),
    "it": ("{}", "una foto: {}", "{}, molto dettagliato, 8k", "disegna {}", "dipinto a olio, {}"),
    "pt": ("{}", "uma foto: {}", "{}, muito detalhado, 8k", "desenhe {}", "pintura a óleo, {}"),
    "nl": ("{}", "een foto: {}", "{}, zeer gedetailleerd, 8k", "teken {}", "olieverfschilderij, {}"),
}


def bank() -> list[dict[str, Any]]:
    """Every concept: ``id``, ``category`` (``None`` for harmless) and its wording by language."""
    found: list[dict[str, Any]] = []
    for path in sorted(_BANK.glob("*.yaml")):
        for category, entries in YAML(typ="safe").load(path).items():
            for index, wordings in enumerate(entries):
                if tuple(wordings) != LANGUAGES:
                    raise ValueError(f"{path.name}: {category}[{index}] has not exactly the languages {LANGUAGES}")
                found.append(
                    {
                        "id": f"{category}/{index}",
                        "category": None if category.startswith("safe") else category,
                        "text": wordings,
                    }
                )
    return found


def _part(name: str) -> float:
    """A stable number in 0..1 for a name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def bank_rows() -> list[Row]:
    """Bank prompts in every language, as written (frame ``{}``) and in a few frames."""
    rows: list[Row] = []
    for concept in bank():
        category = concept["category"]
        targets = benign_targets() if category is None else {"unsafe": 1.0, category: 1.0}
        for language, text in concept["text"].items():
            for frame in _FRAMES[language]:
                tags = {"lang": language, "concept": concept["id"], "category": category, "frame": frame}
                rows.append(Row(frame.format(text), targets, "bank", tags=tags))
    return rows


def hatecheck_rows(data: Path) -> list[Row]:
    """HateCheck, split by functionality (train and calibrate on some, test on kinds never seen)."""
    rows: list[Row] = []
    for record in read_jsonl(data / f"{_HATECHECK}.jsonl"):
        kind, hateful = record["meta"]["functionality"], record["labels"]["hate"] == 1
        split = "test" if kind in _HATECHECK_TEST else "calibrate" if _part(record["text"]) < 0.15 else "train"
        tags = {"lang": _HATECHECK_LANGUAGES[record["lang"]], "kind": kind, "category": "hate" if hateful else None}
        targets = {"unsafe": 1.0, "hate": 1.0} if hateful else benign_targets()
        rows.append(Row(record["text"], targets, "hatecheck", 0.35, split, tags))
    return rows


def english_rows(data: Path, rng: random.Random) -> list[Row]:
    """The English sets, thinned, and renderings of the English concept bank; a tenth of each calibrates."""
    by_source: dict[str, list[Row]] = {}
    for row in sources.labelled_rows(data):
        if row.source != "i2p" or row.tags["nude"] or row.tags["strong"]:
            by_source.setdefault(row.source, []).append(row)
    rows: list[Row] = []
    for source, found in by_source.items():
        rng.shuffle(found)
        rows += found[: _ENGLISH_LIMITS.get(source, len(found))]
    written = [*concepts.unsafe_concepts(), *concepts.safe_concepts()]
    rows += concepts.concept_rows(written, rng, unsafe=3, safe=4)
    return [
        replace(
            row,
            split="test" if _part(f"english {row.text}") < 0.1 else "train",
            tags={**row.tags, "lang": "en"},
        )
        for row in rows
    ]


def all_rows(data: Path, seed: int) -> list[Row]:
    """Everything, with the text as the classifier reads it."""
    rng = random.Random(seed)
    rows = [*bank_rows(), *hatecheck_rows(data), *english_rows(data, rng)]
    return [replace(row, text=normalise(row.text).accented) for row in rows]
