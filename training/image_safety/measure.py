"""How often the image models and their agreement stop harmless pictures, and what an image costs.

    python -m training.image_safety.measure [--photographs DIR] [--renders 200]

Every picture counts once as a whole, and eleven times with its mirror image and parts. ``--renders`` adds scenes that
`training.generator` draws and no model was trained on.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from training.image_safety.pictures import Pixels, photographs, views

from countermark.model import Category
from countermark.safety import ImageEnsemble
from countermark.safety.image_models import NsfwJsMid, OpenNsfw, OwenSafety

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


def votes(pictures: list[Pixels], label: str) -> None:
    """Each model's count above each threshold, and the severities of the ensemble."""
    print(f"\n{label}: {len(pictures)}")
    models = [kind(threads=1) for kind in (OpenNsfw, OwenSafety, NsfwJsMid)]
    for model in models:
        scores = np.array([score[Category.SEXUAL] for score in model.scores_many(pictures)])
        counts = ", ".join(f"{threshold} {(scores >= threshold).sum()}" for threshold in THRESHOLDS)
        print(f"  {model.detector.id:26} at or above {counts}")
    found = ImageEnsemble(models).assess_many(pictures)
    for category in (Category.SEXUAL, Category.GRAPHIC):
        severities = Counter(f.severity for findings in found for f in findings if f.category is category)
        print(f"  {category:26} severities {dict(sorted(severities.items()))}")


def cost(side: int = 1024, rounds: int = 20) -> None:
    """CPU milliseconds of the whole image stage, on one thread."""
    name, pixels = next(photographs())
    picture = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
    ensemble = ImageEnsemble(threads=1, verify=True)
    ensemble.assess(picture)
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        ensemble.assess(picture)
        spent.append(time.process_time() - start)
    print(f"\nimage stage, {name} at {side}²: {1e3 * np.median(spent):.0f} ms of CPU (greatest {1e3 * max(spent):.0f})")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(prog="python -m training.image_safety.measure", description=main.__doc__)
    parser.add_argument("--photographs", type=Path, help="a folder of harmless photographs of your own")
    parser.add_argument("--renders", type=int, default=0)
    args = parser.parse_args()
    cost()
    pictures = [pixels for _, pixels in photographs(args.photographs)]
    votes(pictures, "photographs")
    votes([view for pixels in pictures for _, view in views(pixels)], "the same, their mirror images and parts")
    if args.renders:
        from training.generator.render import HELD_OUT_SEEDS, LARGE
        from training.generator.scenes import render, scene_of

        seeds = range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + args.renders)
        votes([render(scene_of(seed), LARGE) for seed in seeds], "rendered scenes")


if __name__ == "__main__":
    main()
