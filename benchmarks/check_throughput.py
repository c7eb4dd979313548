"""How many prompts a second ``countermark check --prompts FILE`` assesses on one core.

    python -m benchmarks.check_throughput [--prompts FILE] [--rows 2000]

The command runs as a user runs it, in a process of its own that is kept to one core, with ``--json``; its CPU time
counts, so that what else the machine does does not. Starting it is measured on a file of one prompt and told apart.
Without a file, half of the prompts are one caption of the training renderer (about ten words) and half are six of them
in a row, as image prompts are often long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPEATS = 3


def captions(rows: int) -> list[str]:
    """Harmless prompts, short ones and long ones by turns."""
    from training.generator.captions import caption_of
    from training.generator.scenes import scene_of

    choose = random.Random(5)
    made = [caption_of(scene_of(seed), choose) for seed in range(rows * 6)]
    return [made[6 * row] if row % 2 else ", ".join(made[6 * row : 6 * row + 6]) for row in range(rows)]


def spent(file: Path) -> float:
    """CPU seconds of one run on one core."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "countermark", "check", "--json", "--prompts", str(file)]
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print prompts a second, without and with the start of the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_throughput", description=main.__doc__)
    parser.add_argument("--prompts", type=Path, help="a file of JSON lines with a 'text' instead of captions")
    parser.add_argument("--rows", type=int, default=2000, help="how many captions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many, one = args.prompts, Path(folder) / "one.jsonl"
        if many is None:
            many = Path(folder) / "many.jsonl"
            many.write_text("".join(json.dumps({"text": text}) + "\n" for text in captions(args.rows)))
        lines = [line for line in many.read_text().splitlines() if line.strip()]
        one.write_text(lines[0] + "\n")
        words = statistics.fmean(len(json.loads(line)["text"].split()) for line in lines)
        start = min(spent(one) for _ in range(REPEATS))
        whole = min(spent(many) for _ in range(REPEATS))
    print(f"{len(lines)} prompts of {words:.0f} words in the mean, one core, CPU time, the quickest of {REPEATS} runs")
    print(f"start of the program: {start:.1f} s")
    print(
        f"check --prompts: {(len(lines) - 1) / (whole - start):.0f} prompts/s, {len(lines) / whole:.0f} with the start"
    )


if __name__ == "__main__":
    main()
