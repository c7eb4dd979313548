"""Lines of our bank that resemble a line of the prompt sets, and held-out lines that resemble training lines.

``python -m training.prompt_safety.overlap --data DIR``. A concept that was (half) remembered from a public set would
leak that set into training, and figures reported on it would flatter us. Resemblance is the share of a concept's word
trigrams that one line of a set holds; concepts of fewer than five words are too short to tell. Short everyday phrases
("next to a red car") are listed for somebody to look at; a longer line that resembles one makes the command fail.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

from training.prompt_safety import concepts, everyday, homonyms, situations, sources
from training.prompt_safety.rows import read_jsonl

RESEMBLES = 0.6
LONG = 7  # trigrams, nine words: nobody writes that many alike by chance
_SETS = (*sources.BENIGN_SETS, "overt_benign_a", "overt_unsafe_a", "adversarial_nibbler_r1_r3", "i2p", "xstest")


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def resembling(data: Path) -> list[tuple[float, str, str]]:
    """``(share, concept, set)`` for every concept whose trigrams are mostly in one line of a set."""
    holders: dict[tuple[str, ...], set[tuple[str, int]]] = defaultdict(set)
    for name in _SETS:
        for index, record in enumerate(read_jsonl(data / f"{name}.jsonl")):
            for gram in trigrams(record["text"]):
                holders[gram].add((name, index))
    found: list[tuple[float, str, str]] = []
    for text in (*_bank(), *(row.text for split in ("calibrate", "test") for row in concepts.held_out(split))):
        grams = trigrams(text.replace("{", "").replace("}", ""))
        if len(grams) < 3:
            continue
        shared: dict[tuple[str, int], int] = defaultdict(int)
        for gram in grams:
            for line in holders.get(gram, ()):
                shared[line] += 1
        if shared:
            line, count = max(shared.items(), key=lambda item: item[1])
            if count / len(grams) >= RESEMBLES:
                found.append((count / len(grams), text, line[0]))
    return sorted(found, reverse=True)


def _bank() -> list[str]:
    """Everything that is trained on, but for the short frames, which are no prompts by themselves."""
    written = (*concepts.unsafe_concepts(), *concepts.safe_concepts(), *concepts.acts())
    details = (*concepts.bank()["unsafe_details"].values(), concepts.bank()["safe_details"])
    return [
        *(concept.text for concept in written),
        *(text for texts in details for text in texts),
        *(line for _, line, _ in situations.lines()),
        *(text for text, _ in situations.prompts()),
        *(text for kind in ("figures", "feelings") for text in concepts.read("bank/figurative.yaml")[kind]),
        *everyday.lines(),
        *(line for line, _ in everyday.told()),
        *homonyms.lines(),
    ]


def leaking() -> list[tuple[float, str, str]]:
    """``(share, held-out prompt, split)`` for every held-out prompt most of whose trigrams one training line has."""
    lines = [trigrams(text) for text in _bank()]
    found: list[tuple[float, str, str]] = []
    for split in ("calibrate", "test"):
        for row in concepts.held_out(split):
            grams = trigrams(row.text)
            share = max((len(grams & line) / len(grams) for line in lines), default=0.0) if len(grams) > 1 else 0.0
            if share >= RESEMBLES:
                found.append((share, row.text, split))
    return sorted(found, reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    found = resembling(parser.parse_args().data)
    found += [(share, text, f"held out ({split})") for share, text, split in leaking()]
    for share, text, where in found:
        print(f"{share:.2f}\t{where}\t{text}")
    if copied := [text for _, text, _ in found if len(trigrams(text)) >= LONG]:
        raise SystemExit(f"{len(copied)} line(s) are too much like a line of a prompt set; write them anew")


if __name__ == "__main__":
    main()
