"""The prompt sets and what their labels mean.

| set | licence | used as |
|---|---|---|
| OVERT (yixiao-huang/OVERT) | Apache-2.0 | harmless prompts that look unsafe, and unsafe ones |
| Adversarial Nibbler (google-research-datasets) | CC-BY-4.0 | human-written implicit attacks, soft labels from votes |
| I2P (Schramowski et al. 2023; via OPTML-Group/Diffusion-MU-Attack) | MIT | weak labels |
| XSTest (Röttger et al. 2024) | CC-BY-4.0 | contrast pairs |
| COCO captions | CC-BY-4.0 | harmless image prompts |
| T2I-CompBench, GenEval, ESD art prompts, SneakyPrompt animals | MIT | harmless image prompts |
| LDNOOBW | CC-BY-4.0 | offensive words, English only |
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.prompt_safety.rows import NAMED, Row, benign_targets, read_jsonl, unsafe_targets

BENIGN_SETS = ("coco_benign", "t2i_compbench", "geneval", "esd_art_benign", "sneakyprompt_animals")
VOCABULARY_SETS = (
    "coco_benign", "t2i_compbench", "i2p", "nibbler_attempted_unlabelled", "overt_benign_a", "overt_unsafe_a",
    "esd_art_benign", "xstest", "sneakyprompt_animals",
)  # fmt: skip
STYLED_SETS = ("i2p", "nibbler_attempted_unlabelled", "adversarial_nibbler_r1_r3")

_MINORS = re.compile(r"pedo|paedo|loli|jail ?bait|pthc|preteen|child|underage|shota|boy|girl|young|teen", re.IGNORECASE)


def texts(data: Path, name: str) -> list[str]:
    return [record["text"] for record in read_jsonl(data / f"{name}.jsonl")]


def labelled_rows(data: Path) -> Iterator[Row]:
    """Every labelled prompt of the sets, still without a split."""
    for name in BENIGN_SETS:
        for record in read_jsonl(data / f"{name}.jsonl"):
            yield Row(record["text"], benign_targets(), name, tags={"kind": record.get("meta", {}).get("kind")})
    for record in read_jsonl(data / "overt_benign_a.jsonl"):
        yield Row(record["text"], benign_targets(), "overt_benign", 1.5)
    for name, reader in (
        ("overt_unsafe_a", _overt_unsafe),
        ("adversarial_nibbler_r1_r3", _nibbler),
        ("i2p", _i2p),
        ("xstest", _xstest),
    ):
        for record in read_jsonl(data / f"{name}.jsonl"):
            row = reader(record)
            if row is not None:
                yield row


def _positive(record: Mapping[str, Any]) -> list[str]:
    renamed = ("graphic" if label == "shocking" else label for label, value in record["labels"].items() if value == 1)
    return [label for label in renamed if label != "unsafe"]


def _overt_unsafe(record: Mapping[str, Any]) -> Row:
    targets: dict[str, float] = {}
    labels = _positive(record)
    for label in labels:
        if label in NAMED:
            targets |= unsafe_targets(label)
        else:
            targets["other"] = 1.0  # privacy, copyright, public figures: not what "unsafe" means here
    return Row(record["text"], targets, "overt_unsafe", 3.0, tags={"category": labels[0] if labels else None})


def _nibbler(record: Mapping[str, Any]) -> Row | None:
    """Soft targets from the share of annotators who called the *text* unsafe; the image may be unsafe regardless."""
    meta, verdict = record["meta"], record["labels"].get("unsafe")
    share = meta.get("text_unsafe_frac")
    if verdict is None and share is None:
        return None
    share = 0.5 if share is None else share
    if verdict == 1:
        targets = {"unsafe": max(0.55, 0.3 + 0.7 * share)}
        failures = " ".join(meta.get("image_failure") or [])
        targets |= {head: 0.8 for head, word in (("sexual", "sexual"), ("violence", "viol")) if word in failures}
    elif verdict == 0:
        targets = benign_targets(0.05)
    else:
        targets = {"unsafe": 0.1 + 0.6 * share}
    return Row(
        record["text"], targets, "nibbler", 0.6, tags={"round": meta["round"], "share": share, "verdict": verdict}
    )


def _i2p(record: Mapping[str, Any]) -> Row:
    """Weak labels: trusted where generated images were nude, a little where they were mostly inappropriate.

    Elsewhere (no tag) ``tables.py`` leaves the row out: a soft target for thousands of harmless artists' names would
    make every mention of an artist half unsafe.
    """
    meta = record["meta"]
    labels = [label for label in _positive(record) if label in NAMED]
    nude = meta["nudity_pct"] >= 30 and "sexual" in labels
    strong = meta["hard"] == 1 and meta["inappropriate_pct"] >= 50
    probability = 0.97 if nude else 0.88
    weight = 1.0 if nude else 0.35
    targets = {"unsafe": probability} | {
        label: probability - 0.05 if len(labels) > 1 else probability for label in labels
    }
    return Row(record["text"], targets, "i2p", weight, tags={"nude": nude, "strong": strong})


def _xstest(record: Mapping[str, Any]) -> Row:
    tags = {"focus": record["meta"]["focus"]}
    if record["labels"]["unsafe"]:
        return Row(record["text"], {"unsafe": 1.0}, "xstest", 0.6, tags=tags)
    return Row(record["text"], benign_targets(), "xstest", 0.8, tags=tags)


def offensive_words(data: Path) -> list[str]:
    """English single words of LDNOOBW, for the lexicon, so that segmentation finds them."""
    records = read_jsonl(data / "ldnoobw_terms.jsonl")
    return [
        word
        for record in records
        if record["lang"] == "en"
        for word in re.findall("[a-z]+", record["text"].lower())
        if len(word) > 3
    ]


_TERM_FRAMES = (
    "a picture of {}", "a woman, {}", "{} artwork", "a man and {}", "photo, {}, 8k", "a realistic image of {}",
)  # fmt: skip


def term_rows(data: Path, rng: random.Random) -> list[Row]:
    """Offensive terms alone and in a frame. Terms about minors are left out: a rule of its own answers for them."""
    rows: list[Row] = []
    for record in read_jsonl(data / "ldnoobw_terms.jsonl"):
        term = record["text"].lower()
        if record["lang"] != "en" or _MINORS.search(term):
            continue
        for text in (term, rng.choice(_TERM_FRAMES).format(term)):
            rows.append(Row(text, {"unsafe": 0.9}, "terms", 0.5))
    return rows
