"""Lexicon, style bank, splits and the tables that the other steps read."""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from training.prompt_safety import (
    augment,
    concepts,
    encoder,
    everyday,
    figurative,
    frames,
    homonyms,
    short,
    situations,
    sources,
    styling,
)
from training.prompt_safety.rows import Row, read_rows, write_rows

from countermark.safety.lexicon import Lexicon, read_counts, write_counts
from countermark.safety.normalise import normalise
from countermark.safety.styles import without_stop

TOPICS = 60
HELD_OUT_TOPICS = 16
CAPS = {"coco_benign": 4500, "t2i_compbench": 2200, "geneval": 250}  # harmless captions are cheap; keep the balance
_LONGEST_WORD = 22
_TWO_LETTER_WORDS = "am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we ox tv hd pc"


def build_lexicon(data: Path, *, wide: bool = False) -> dict[str, int]:
    """Word counts from prompts, the tokenizer's whole words, our concepts and offensive terms.

    Words seen fewer than three times are left out unless the tokenizer knows them: that drops misspellings and names.
    """
    known = {word for word in encoder.tokenizer().get_vocab() if re.fullmatch("[a-z]{3,}", word)}
    prompts = [text for name in sources.VOCABULARY_SETS for text in sources.texts(data, name)]
    rng = random.Random(0)
    bank = [*concepts.unsafe_concepts(), *concepts.safe_concepts(), *concepts.acts()]
    prompts += [concepts.fill(concept.text, rng) for concept in bank] * 3
    if wide:
        prompts += [text for text, _ in situations.prompts()] * 3
        prompts += [row.text for row in situations.situation_rows(rng, safe=3, unsafe=3)]
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
    split = dict.fromkeys(held, "test") | dict.fromkeys(held[2::4], "calibrate")
    return [replace(row, split=split.get(topic, "train")) for row, topic in zip(rows, topics, strict=True)]


def _split_of(row: Row, rng: random.Random) -> str:
    draw = rng.random()
    evenly = "calibrate" if draw < 0.5 else "test"
    match row.source:
        case "nibbler":
            return "train" if row.tags["round"] != 3 else "train" if draw < 0.5 else "test"
        case "xstest":
            return "test" if zlib.crc32(str(row.tags["focus"]).encode()) % 2 else "train"  # no word on both sides
        case "esd_art_benign" | "sneakyprompt_animals":
            return evenly
        case "t2i_compbench":
            return evenly if row.tags["kind"] in ("complex", "non_spatial") else "train"
        case "i2p":
            return "train" if draw < 0.07 else "calibrate" if draw < 0.13 else "test" if draw < 0.2 else "train"
        case "coco_benign":
            return "calibrate" if draw < 0.05 else "test" if draw < 0.1 else "train"
        case _:
            return "train"


def _cap(rows: list[Row], rng: random.Random) -> list[Row]:
    """Thins out the large harmless sources, and leaves out what I2P is not sure of."""
    kept: list[Row] = []
    taken: Counter[str] = Counter()
    for row in rng.sample(rows, len(rows)):
        if row.source == "i2p" and not (row.tags["nude"] or row.tags["strong"]):
            continue
        taken[row.source] += 1
        if taken[row.source] <= CAPS.get(row.source, len(rows)):
            kept.append(row)
    return kept


def training_table(seed: int) -> str:
    """The name of the table that one seed trains on: the same prompts and lines, rendered by other draws."""
    return f"train{seed}"


def build_tables(
    data: Path,
    out: Path,
    seeds: Sequence[int],
    *,
    without: Sequence[str] = (),
    wide: bool = False,
    everyday_lines: bool = False,
    names: bool = False,
) -> None:
    """Writes ``unigrams.tsv``, ``style_bank.txt``, ``calibrate|test.jsonl``, and ``trainN.jsonl`` for each seed.

    Args:
        data: the prompt sets.
        out: where the tables go.
        seeds: of the training tables; the splits are the same for all.
        without: sources (the starts of their names) to leave out of training and calibration altogether, all of
            their rows becoming test rows: what the model makes of prompts from elsewhere.
        wide: adds the situations, whole prompts and figures of speech of the bank.
        everyday_lines: adds ordinary things in whole sentences, and unsafe acts told alike.
        names: adds names that sound unsafe, the same words meant, rare ordinary words, and stories in a line.
    """
    lexicon = build_lexicon(data, wide=wide)
    write_counts(out / "unigrams.tsv", lexicon)
    styles = styling.build_style_bank([text for name in sources.STYLED_SETS for text in sources.texts(data, name)])
    (out / "style_bank.txt").write_text("\n".join(sorted({*styles, *styling.words()})) + "\n", encoding="utf-8")

    rng = random.Random(7)
    rows = list(sources.labelled_rows(data))
    overt = _assign_topics([row for row in rows if row.source.startswith("overt")])
    rows = overt + [replace(row, split=_split_of(row, rng)) for row in rows if not row.source.startswith("overt")]
    if without:
        rows = [replace(row, split="test") if row.source.startswith(tuple(without)) else row for row in rows]
    seen = [row for row in rows if row.split == "train"]
    for seed in seeds:
        draws = random.Random(seed)
        terms = sources.term_rows(data, draws)
        chosen = {"wide": wide, "everyday_lines": everyday_lines, "names": names}
        table = _training_table(seen, terms, draws, styles, sorted(lexicon), **chosen)
        write_rows(out / f"{training_table(seed)}.jsonl", table)
    words = short.held_out(short.ordinary(sorted(lexicon), load(out, training_table(seeds[0]))), rng, 400)
    for split in ("calibrate", "test"):
        of_split = [row for row in [*rows, *words] if row.split == split]
        write_rows(out / f"{split}.jsonl", of_split + concepts.held_out(split) + homonyms.held_out(split))


def _training_table(
    rows: list[Row],
    terms: list[Row],
    rng: random.Random,
    styles: list[str],
    words: list[str],
    *,
    wide: bool,
    everyday_lines: bool,
    names: bool,
) -> list[Row]:
    """Prompt sets, the written bank in its frames, and rewordings of both; shuffled. ``words`` are those of English."""
    made = _cap(rows, rng) + terms
    made += concepts.concept_rows(concepts.unsafe_concepts(), rng, unsafe=4, safe=4)
    made += concepts.concept_rows(concepts.safe_concepts(), rng, unsafe=4, safe=4)
    made += frames.act_rows(rng, unsafe=6, safe=7, guides=4)
    made += frames.topic_rows(rng, concerned=12, glorified=4)
    made += frames.group_rows(rng, hateful=900, respectful=900)
    made += frames.art_rows(rng, 1200)
    if everyday_lines:
        made += everyday.everyday_rows(rng, each=2, people=600, things=250, unsafe=900)
        made += everyday.gallery_rows(rng, safe=450, unsafe=200)
    if wide:
        made += situations.situation_rows(rng, safe=11, unsafe=9)
        made += situations.prompt_rows(rng, safe=4, unsafe=4)
        made += figurative.fiction_rows(rng, told=4, meant=2)
        made += figurative.other_rows(rng, groups=500, invented=300, each=5)
    if names:
        made += everyday.told_rows(rng, each=4)
        made += homonyms.homonym_rows(rng, each=2, unsafe=3)
        made += short.short_rows(short.ordinary(words, made), rng, 1800)
    made += augment.differing_in_one_detail(made, rng, unsafe=2200, safe=2200)
    made += augment.rare_names()
    rewordings = [
        augment.styled(made, rng, styles, unsafe=2500, safe=4500),
        augment.passages(made, rng, unsafe=2200, safe=4200),
        augment.hidden(made, rng, unsafe=1300, safe=1300),
    ]
    made += [row for rows_of_one_kind in rewordings for row in rows_of_one_kind]
    return rng.sample(made, len(made))


def load(out: Path, name: str) -> list[Row]:
    return read_rows(out / f"{name}.jsonl")


def normalised(out: Path, rows: Iterable[Row]) -> list[str]:
    """The texts as the classifier reads them, but for what it takes for style: that is left in."""
    lexicon = Lexicon(read_counts(out / "unigrams.tsv"))
    return [without_stop(normalise(row.text, lexicon).text) for row in rows]
