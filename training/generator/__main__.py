"""Every step in order; steps whose result is there are skipped, and trainings go on from their last checkpoint."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

STEPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("render", "large.npy", ()),
    ("train_autoencoder", "autoencoder/training.json", ()),
    ("train_diffusion", "diffusion.done", ()),
    ("train_upsampler", "upsampler_first/training.json", ()),
    ("imagine", "imagined.npy", ()),
    ("train_upsampler", "upsampler/training.json", ("--imagined",)),
)
"""Module, the file that shows it is done, and more arguments."""


def main() -> None:
    """Render, train, pack and evaluate."""
    parser = argparse.ArgumentParser(prog="python -m training.generator", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints, about 6 GB")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packed weights")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each; the steps assume 2")
    args = parser.parse_args()
    for module, done, more in STEPS:
        if not (args.work / done).exists():
            work = ("--work", str(args.work), "--processes", str(args.processes))
            _run(f"training.generator.{module}", *work, *more)
    _run("training.generator.pack", "--work", str(args.work), "--out", str(args.out))
    _run("benchmarks.generator", "--model", str(args.out), "--sheet", str(args.work / "sheet.png"))


def _run(module: str, *arguments: str) -> None:
    print("==", module, *arguments, flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


if __name__ == "__main__":
    main()
