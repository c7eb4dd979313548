"""Lexicon, style bank, splits and the tables that the other steps read."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.prompt_safety import augment, concepts, encoder, sources
from training.prompt_safety.rows import Row, read_rows, write_rows

from countermark.safety.lexicon import Lexicon, read_counts, write_counts
from countermark.safety.normalise import normalise

TOPICS = 60
HELD_OUT_TOPICS = 16
CAPS = {"coco_benign": 2600, "t2i_compbench": 2200, "geneval": 250}  # harmless captions are cheap; keep the balance
WEAK_I2P_ROWS = 900
_LONGEST_WORD = 22
_TWO_LETTER_WORDS = "am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we ox tv hd pc"


def build_lexicon(data: Path) -> dict[str, int]:
    """Word counts from prompts, the tokenizer's whole words, our concepts and offensive terms.

    Words seen fewer than three times are left out unless the tokenizer knows them: that drops misspellings and names.
    """
    known = {word for word in encoder.tokenizer().get_vocab() if re.fullmatch("[a-z]{3,}", word)}
    prompts = [text for name in sources.VOCABULARY_SETS for text in sources.texts(data, name)]
    rng = random.Random(0)
    bank = [*concepts.unsafe_concepts(), *concepts.safe_concepts()]
    prompts += [concepts.fill(concept.text, rng) for concept in bank] * 3
    seen = Counter(word for text in prompts for word in re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower()))
    counts = Counter(
        {
            word: count
            for word, count in seen.items()
            if (count >= 3 or word in known) and len(word) <= _LONGEST_WORD and (len(word) > 1 or word in "ai")
        }
    )
    counts.update(known)
    for term in sources.offensive_words(data):
        counts[term] += 8
    return {word: count for word, count in counts.items() if len(word) != 2 or word in _TWO_LETTER_WORDS.split()}


def _assign_topics(rows: list[Row]) -> list[Row]:
    """Splits OVERT by clusters of meaning: whole topics are held out for calibration and test."""
    from sklearn.cluster import KMeans

    vectors = encoder.sentence_embeddings([row.text for row in rows])
    topics = KMeans(TOPICS, n_init=2, random_state=0).fit_predict(vectors)
    held = random.Random(7).sample(range(TOPICS), HELD_OUT_TOPICS)
    split = dict.fromkeys(held[::2], "calibrate") | dict.fromkeys(held[1::2], "test")
    return [replace(row, split=split.get(topic, "train")) for row, topic in zip(rows, topics, strict=True)]


def _split_of(row: Row, rng: random.Random) -> str:
    draw = rng.random()
    evenly = "calibrate" if draw < 0.5 else "test"
    match row.source:
        case "nibbler":
            return "train" if row.tags["round"] != 3 else "tune" if draw < 0.5 else "test"
        case "esd_art_benign" | "sneakyprompt_animals":
            return evenly
        case "t2i_compbench":
            return evenly if row.tags["kind"] in ("complex", "non_spatial") else "train"
        case "i2p":
            return "tune" if draw < 0.07 else "calibrate" if draw < 0.13 else "test" if draw < 0.2 else "train"
        case "xstest":
            return "tune" if draw < 0.12 else "test" if draw < 0.25 else "train"
        case "coco_benign":
            return "calibrate" if draw < 0.05 else "test" if draw < 0.1 else "train"
        case _:
            return "train"


def _split_concepts(bank: list[concepts.Concept], rng: random.Random) -> dict[str, list[concepts.Concept]]:
    """A quarter is held out of the first fine-tuning; a part of that joins the second."""
    bank = rng.sample(bank, len(bank))
    marks = [round(share * len(bank)) for share in (0.08, 0.16, 0.25)]
    return {
        "calibrate": bank[: marks[0]],
        "test": bank[marks[0] : marks[1]],
        "tune": bank[marks[1] : marks[2]],
        "train": bank[marks[2] :],
    }


def _cap(rows: list[Row], rng: random.Random) -> list[Row]:
    """Thins out the large harmless sources and I2P's weak rows."""

    def pool(row: Row) -> str:
        weak = row.source == "i2p" and not (row.tags["nude"] or row.tags["strong"])
        return "weak_i2p" if weak else row.source

    caps = CAPS | {"weak_i2p": WEAK_I2P_ROWS}
    kept: list[Row] = []
    taken: Counter[str] = Counter()
    for row in rng.sample(rows, len(rows)):
        taken[pool(row)] += 1
        if taken[pool(row)] <= caps.get(pool(row), len(rows)):
            kept.append(row)
    return kept


def build_tables(data: Path, out: Path) -> None:
    """Writes ``unigrams.tsv``, ``style_bank.txt`` and ``train|tune|release|calibrate|test.jsonl``."""
    write_counts(out / "unigrams.tsv", build_lexicon(data))
    styles = augment.build_style_bank([text for name in sources.STYLED_SETS for text in sources.texts(data, name)])
    (out / "style_bank.txt").write_text("\n".join(styles) + "\n", encoding="utf-8")

    rng = random.Random(7)
    rows = list(sources.labelled_rows(data))
    overt = _assign_topics([row for row in rows if row.source.startswith("overt")])
    rows = overt + [replace(row, split=_split_of(row, rng)) for row in rows if not row.source.startswith("overt")]
    unsafe = _split_concepts(concepts.unsafe_concepts(), rng)
    safe = _split_concepts(concepts.safe_concepts(), rng)

    train = _cap([row for row in rows if row.split == "train"], rng)
    train += concepts.concept_rows(unsafe["train"] + safe["train"], rng, unsafe=5, safe=7)
    train += sources.term_rows(data, rng)
    train += augment.style_and_length(train, rng, styles)
    write_rows(out / "train.jsonl", rng.sample(train, len(train)))

    tune = _second_table(
        train, [row for row in rows if row.split == "tune"], unsafe["tune"] + safe["tune"], rng, styles
    )
    write_rows(out / "tune.jsonl", tune)
    write_rows(out / "release.jsonl", _release_table(train + tune, unsafe["test"] + safe["test"]))
    for split in ("calibrate", "test"):
        held = [row for row in rows if row.split == split]
        held += concepts.concept_rows(unsafe[split] + safe[split], rng, unsafe=4, safe=4)
        write_rows(out / f"{split}.jsonl", held)


def _second_table(
    train: list[Row], tune: list[Row], bank: list[concepts.Concept], rng: random.Random, styles: list[str]
) -> list[Row]:
    """For the second fine-tuning: new concepts, pairs that differ in a detail, and a part of the first table."""
    new = [row for row in tune if row.source != "i2p" or row.tags["nude"] or row.tags["strong"]]
    new += concepts.concept_rows(bank, rng, unsafe=5, safe=7)
    short = [row.text for row in train if row.source in ("coco_benign", "safe_concept") and len(row.text) < 120]
    short += [row.text for row in train if row.source == "t2i_compbench" and len(row.text) > 40][:300]
    pairs = augment.differing_in_one_detail(short, rng, unsafe=2400, safe=2000)
    new += pairs
    new += [
        row.with_text(augment.wrap_in_style(row.text, rng, styles), derived="style") for row in rng.sample(pairs, 1100)
    ]
    new += [row.with_text(augment.lengthen(row.text, rng, short), derived="long") for row in rng.sample(pairs, 900)]
    new += augment.passages(train + pairs, rng, unsafe=600, safe=1000)
    new += augment.rare_names()
    always = ("overt", "concept", "safe_concept", "nibbler", "xstest")
    kept = [
        row
        for row in train
        if row.source.startswith(always) or rng.random() < (0.75 if row.source == "i2p" and row.weight > 0.3 else 0.35)
    ]
    return rng.sample(kept + new, len(kept) + len(new))


def _release_table(rows: list[Row], bank: list[concepts.Concept]) -> list[Row]:
    """For the weights that ship, once the held-out concepts are reported on: those, and a part of what was seen."""
    rng = random.Random(31)
    new = concepts.concept_rows(bank, rng, unsafe=8, safe=10)
    new += augment.passages(rows, rng, unsafe=300, safe=900)
    old = rng.sample(rows, 8000)
    return rng.sample(old + new, len(old) + len(new))


def load(out: Path, name: str) -> list[Row]:
    return read_rows(out / f"{name}.jsonl")


def normalised(out: Path, rows: Iterable[Row]) -> list[str]:
    """The texts as the classifier reads them."""
    lexicon = Lexicon(read_counts(out / "unigrams.tsv"))
    return [normalise(row.text, lexicon).text for row in rows]
