"""The embedded generator: does it draw what the prompt says, sharply, in variety, and how fast?

    python -m benchmarks.generator [--model FOLDER] [--pictures N] [--sheet FILE.png]

A small classifier that was trained on renders alone (`training/generator/judge.py`) reads the generated pictures. It
forgives blur, so the sharpness of edges stands beside it, relative to renders of the same scenes; and because a model
that always drew the same picture would satisfy both, so does its variety. Look at the contact sheet all the same.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from training.generator import evaluate

from countermark.generators.embedded.pipeline import ScenePipeline
from countermark.generators.embedded.weights import SHIPPED

BARS = {"scene": 0.97, "time": 0.97, "object": 0.95, "colour": 0.88}
_LOAD = "from countermark.generators import EmbeddedGenerator as E; E()"


def report(name: str, value: float, unit: str = "", note: str = "") -> None:
    print(f"{name:<52} {value:>8.3f} {unit:<4} {note}".rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the weights (default: the shipped ones)")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of fixed prompts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipe = ScenePipeline.from_pretrained(args.model)
    pipe.set_progress_bar_config(disable=True)

    known = evaluate.readings_of_renders(1000)
    read, sharp = evaluate.readings(pipe, evaluate.judged_scenes(args.pictures))
    for question, share in read.items():
        bar = f"the bar: {BARS[question]:.2f}; " if question in BARS else ""
        report(
            f"{question} read rightly, {args.pictures} pictures",
            share,
            "",
            f"{bar}1,000 renders: {known[question]:.3f}",
        )
    each = ", ".join(f"{style} {ratio:.3f}" for style, ratio in sharp.items() if style != "all")
    report("edge sharpness over that of renders", sharp["all"], "", f"the bar: 0.8; {each}")
    report("distance between samples of a prompt, over renders'", evaluate.variety(pipe, 20, 8), "", "the bar: 0.6")
    report(
        "autoencoder alone, 500 held-out renders", evaluate.reconstruction(pipe.autoencoder, 500), "dB", "the bar: 34"
    )

    size = sum(path.stat().st_size for path in args.model.rglob("*") if path.is_file())
    report("size of all files", size / 1e6, "MB", "the bar: 15")
    for side in (512, 768):
        seconds = []
        for seed in range(5):
            started = time.process_time()
            evaluate.draw(pipe, evaluate.SHEET[seed], [seed], side)
            seconds.append(time.process_time() - started)
        report(f"CPU for a picture of {side}×{side}, one thread", statistics.median(seconds), "s")
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", _LOAD], check=True)
    report("import and load, a fresh process", time.monotonic() - started, "s", "the bar: 10")
    if args.sheet is not None:
        evaluate.contact_sheet(pipe).save(args.sheet, optimize=True)


if __name__ == "__main__":
    main()
