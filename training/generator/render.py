"""Render the training set: captions are drawn later from the scenes, so only the 64 px pictures are stored."""

from __future__ import annotations

import argparse
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .scenes import render, scene_of

SMALL = 64
LARGE = 512
HELD_OUT_SEEDS = 5_000_000
"""Scenes from this seed on are never in the training set."""


def small_picture(seed: int) -> NDArray[np.uint8]:
    """Render the scene of a seed at the size the autoencoder works at."""
    return render(scene_of(seed), SMALL)


def main() -> None:
    """Write `renders.npy`: uint8 N×64×64×3, row k being the scene of seed k."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints")
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    pictures = np.empty((args.count, SMALL, SMALL, 3), np.uint8)
    with Pool(args.workers) as pool:
        for k, picture in enumerate(pool.imap(small_picture, range(args.count), chunksize=64)):
            pictures[k] = picture
    np.save(args.work / "renders.npy", pictures)


if __name__ == "__main__":
    main()
