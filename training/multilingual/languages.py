"""Trains the language identifier: ``python -m training.multilingual.languages --data DIR --out DIR``.

Texts are the bank in seven languages, HateCheck, English prompts, frequent words, and prompts in languages that are to
be turned away; also in pieces of two to six words, and without their accents, as prompts come.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from training.multilingual.data import LANGUAGES, bank, english_rows, hatecheck_rows

from countermark.safety.known_words import fold_accents
from countermark.safety.language import identify
from countermark.safety.language_model import FEATURES, features
from countermark.safety.normalise import normalise

Example = tuple[str, str]  # text, language
_HERE = Path(__file__).parent
_CLASSES = (*LANGUAGES, "other")
_FREQUENT = _HERE.parents[1] / "src/countermark/safety/data/frequent_words.yaml"
_OTHER_GROUPS = ("scandinavian", "west_slavic", "turkish_malay", "others")


def _read(name: str) -> dict[str, str]:
    parsed: dict[str, str] = YAML(typ="safe").load(_HERE / name)
    return parsed


def other_prompts() -> tuple[list[Example], list[Example]]:
    """Prompts of other languages, for training and for the test."""
    prompts = YAML(typ="safe").load(_HERE / "bank_others.yaml")
    train = [(text, "other") for texts in prompts.values() for text in texts[::2]]
    return train * 2, [(text, "other") for texts in prompts.values() for text in texts[1::2]]


def single_words() -> list[Example]:
    """Frequent words as examples of their own."""
    words = [(word, language) for language, group in _read("function_words.yaml").items() for word in group.split()]
    groups = YAML(typ="safe").load(_FREQUENT)
    words += [(word, "other") for group in _OTHER_GROUPS for word in groups[group].split()]
    loans: list[str] = YAML(typ="safe").load(_HERE / "english_loans.yaml")
    return words + [(word, "en") for word in (*groups["english"].split(), *loans)]


def pieces(text: str, language: str, rng: random.Random) -> list[str]:
    """The text, without its accents, and pieces of it; more of the languages of which there are few texts."""
    words = text.split()
    made = [text]
    for _ in range(10 if language == "other" else 2):
        length = rng.randint(2, 6)
        start = rng.randrange(max(1, len(words) - length + 1))
        made.append(" ".join(words[start : start + length]))
    return made + [fold_accents(piece) for piece in made if not piece.isascii()]


def fit(examples: list[Example], rng: random.Random) -> LogisticRegression:
    rows, labels, weights = [], [], []
    for text, language in examples:
        for piece in pieces(text, language, rng):
            rows.append(features(piece))
            labels.append(_CLASSES.index(language))
            weights.append(1.0 if " " in text else 0.7)
    counts = np.bincount(labels, weights=weights, minlength=len(_CLASSES))
    balance = (counts.mean() / counts) ** 0.7
    table = csr_matrix(
        (
            np.concatenate([values for _, values in rows]),
            np.concatenate([columns for columns, _ in rows]),
            np.cumsum([0, *(len(columns) for columns, _ in rows)]),
        ),
        shape=(len(rows), FEATURES),
    )
    model = LogisticRegression(C=30.0, max_iter=300, tol=1e-3)
    return model.fit(table, labels, sample_weight=np.array(weights) * balance[labels])


def write(path: Path, model: LogisticRegression) -> None:
    """Weights as int8 with a scale per language."""
    scales = np.abs(model.coef_).max(axis=1) / 127
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        weights=np.round(model.coef_ / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
        biases=model.intercept_.astype(np.float32),
        languages=np.array(_CLASSES),
    )


def gather(data: Path, rng: random.Random) -> tuple[list[Example], list[Example], list[Example]]:
    """Bank examples (with every fold to come), further training examples, and further test examples."""
    read = lambda text: normalise(text).accented  # noqa: E731
    banked = [(read(text), language) for concept in bank() for language, text in concept["text"].items()]
    train, test = other_prompts()
    train = [(read(text), language) for text, language in train] + single_words()
    test = [(read(text), language) for text, language in test]
    for row in hatecheck_rows(data):
        if rng.random() < 0.35:
            (test if row.split == "test" else train).append((read(row.text), row.tags["lang"]))
    english = english_rows(data, rng)
    rng.shuffle(english)
    for row in english[:7000]:
        (test if row.split == "test" else train).append((read(row.text), "en"))
    return banked, train, test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for languages.npz")
    parser.add_argument("--folds", type=int, default=4, help="cross-validation over concepts of the bank; 0: none")
    options = parser.parse_args()
    rng = random.Random(5)
    banked, train, test = gather(options.data, rng)
    per_concept = len(LANGUAGES)
    for fold in range(options.folds):
        held = [e for i, e in enumerate(banked) if (i // per_concept) % options.folds == fold]
        kept = [e for i, e in enumerate(banked) if (i // per_concept) % options.folds != fold]
        write(options.out / "fold.npz", fit(kept + train, rng))
        report(f"bank, fold {fold}", held, options.out / "fold.npz")
        if fold == 0:
            report("other test texts", test, options.out / "fold.npz")
    write(options.out / "languages.npz", fit(banked + train, rng))


def report(title: str, examples: list[Example], path: Path) -> None:
    """Per language: how many are identified as themselves, as English (read by the wrong model), or turned away."""
    from countermark.safety.language_model import LanguageModel

    model = LanguageModel(path)
    print(title)
    for language in _CLASSES:
        texts = [text for text, own in examples if own == language]
        if texts:
            named = [identify(text, model=model).language for text in texts]
            print(
                f"  {language}: {len(texts)} texts, right {np.mean([n == language for n in named]):.3f},"
                f" as English {np.mean([n == 'en' for n in named]):.3f},"
                f" not told {np.mean([n == 'other' for n in named]):.3f}"
            )


if __name__ == "__main__":
    main()
