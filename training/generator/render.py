"""Render the training set: small pictures for the autoencoder and the flow, fewer large ones for the upsampler."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .scenes import render, scene_of

SMALL = 64
LARGE = 512
COUNT = 144_000
LARGE_COUNT = 4_000
HELD_OUT = 1_000
"""The last scenes of the training set are kept out of every training, for validation."""
LARGE_SEEDS = 1_000_000
HELD_OUT_SEEDS = 5_000_000
"""Scenes from this seed on are never in the training set."""


def small_picture(seed: int) -> NDArray[np.uint8]:
    """Render the scene of a seed at the size the autoencoder works at."""
    return render(scene_of(seed), SMALL)


def large_picture(seed: int) -> NDArray[np.uint8]:
    """Render the scene of a seed at the size that the upsampler is to draw."""
    return render(scene_of(seed), LARGE)


def reduced(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Box-reduce large pictures to what the autoencoder sees."""
    small = [cv2.resize(picture, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small).astype(np.uint8)


def write(path: Path, draw: Callable[[int], NDArray[np.uint8]], seeds: range, side: int, processes: int) -> None:
    """Draw the scenes of some seeds into a uint8 array N×side×side×3 on disk; a half-written one has another name."""
    partial = path.with_suffix(".partial.npy")
    pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(seeds), side, side, 3))
    # Started anew: a copy of a process with threads may inherit a lock that nobody will open.
    with get_context("spawn").Pool(processes, cv2.setNumThreads, (1,)) as pool:
        for k, picture in enumerate(pool.imap(draw, seeds, chunksize=64)):
            pictures[k] = picture
    pictures.flush()
    partial.rename(path)


def main() -> None:
    """Write `renders.npy` (row k being the scene of seed k) and `large.npy` (from seed `LARGE_SEEDS` on)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--large", type=int, default=LARGE_COUNT)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    write(args.work / "renders.npy", small_picture, range(args.count), SMALL, args.processes)
    seeds = range(LARGE_SEEDS, LARGE_SEEDS + args.large)
    write(args.work / "large.npy", large_picture, seeds, LARGE, args.processes)


if __name__ == "__main__":
    main()
