"""How often a passage in another language is found in an English prompt, and taken to be there where none is.

    python -m training.multilingual.passages --data DIR

Passages are the unsafe texts of the bank, which trained the identifier, and those of ``bank_others.yaml``: the figures
are of the rule that puts its word together, not of the identifier.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from training.multilingual.data import LANGUAGES, bank, english_rows
from training.multilingual.languages import other_prompts

from countermark.safety.language import foreign_passages, identify
from countermark.safety.normalise import normalise

_PLACES = {"behind a comma": "{cover}, {passage}", "between, without a stop": "{cover} {passage} {cover}"}


def _found(text: str) -> bool:
    read = normalise(text).accented
    return not identify(read).supported or bool(foreign_passages(read))


def main() -> None:
    """Prints shares."""
    parser = argparse.ArgumentParser(prog="python -m training.multilingual.passages", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    rng = random.Random(7)
    english = [normalise(row.text).accented for row in english_rows(parser.parse_args().data, rng)]
    rng.shuffle(english)
    read = [text for text in english[:10_000] if identify(text).supported]
    print(f"English prompts: {len(read)}, with a passage {sum(bool(foreign_passages(text)) for text in read)}")
    concepts = bank()
    covers = [concept["text"]["en"] for concept in concepts if concept["id"].startswith("safe_plain")]
    passages = {
        language: [concept["text"][language] for concept in concepts if concept["category"]]
        for language in LANGUAGES
        if language != "en"
    }
    passages["other"] = [text for texts in other_prompts() for text, _ in texts]
    for place, form in _PLACES.items():
        for language, texts in passages.items():
            told = [_found(form.format(cover=rng.choice(covers), passage=text)) for text in dict.fromkeys(texts)]
            print(f"{place}: {language}: {len(told)} passages, found {np.mean(told):.3f}")


if __name__ == "__main__":
    main()
