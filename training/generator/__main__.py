"""Every step in order; steps whose result is there are skipped, and trainings go on from their last checkpoint."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

STEPS: tuple[tuple[str, str, int | None], ...] = (
    ("render", "renders.npy", None),
    ("train_autoencoder", "autoencoder/training.json", 700),
    ("train_diffusion", "transformer/training.json", 5700),
    ("train_upsampler", "upsampler/training.json", 1300),
)
"""Module, the file that shows it is done, and the seconds of training behind the shipped weights."""


def main() -> None:
    """Render, train, pack and evaluate."""
    parser = argparse.ArgumentParser(prog="python -m training.generator", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints, about 1 GB")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packed weights")
    parser.add_argument("--pace", type=float, default=1.0, help="multiply the training times by this")
    args = parser.parse_args()
    work = ("--work", str(args.work))
    for module, done, seconds in STEPS:
        if not (args.work / done).exists():
            _run(module, *work, *(("--seconds", str(seconds * args.pace)) if seconds else ()))
    _run("pack", *work, "--out", str(args.out))
    _run("evaluate", *work, "--model", str(args.out), "--sheet", str(args.work / "sheet.png"))


def _run(module: str, *arguments: str) -> None:
    print("==", module, flush=True)
    subprocess.run([sys.executable, "-m", f"training.generator.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
