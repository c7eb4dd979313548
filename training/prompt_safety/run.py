"""One driver for all steps: ``python -m training.prompt_safety.run --data DIR --out DIR [--install]``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

EPOCHS = 0.45  # a seed and round
ROUNDS = (("first", 2e-4, 0.02), ("second", 1e-4, 0.0))
"""Name, learning rate, label smoothing. The second round begins with the mean of the first one's weights."""
SEEDS = (0, 1, 2)


def _step(result: Path, make: Callable[[], None]) -> None:
    if result.exists():
        print(f"{result.name}: kept", flush=True)
        return
    print(f"{result.name}: making", flush=True)
    make()


def _train(out: Path, seeds: Sequence[int], epochs: float) -> dict[str, Path]:
    """N-grams, and two rounds of fine-tuning with all seeds, each round ending in the mean of their weights.

    Args:
        out: where the tables are.
        seeds: of dropout and batches; tables, n-grams and first heads are the same for all.
        epochs: how often the training table is read by each seed in each round.

    Returns:
        The states of the second round by the name of their folder: ``seedN``, and ``mean``, which ships.
    """
    from training.prompt_safety import encoder, ngram_fit, tables

    folders = {name: out / name for name, _, _ in ROUNDS}
    states = {
        name: {kind: folder / f"{kind}.pt" for kind in (*(f"seed{seed}" for seed in seeds), "mean")}
        for name, folder in folders.items()
    }
    last = states[ROUNDS[-1][0]]
    if all(state.exists() for state in last.values()):
        return last
    rows = tables.load(out, "train")
    texts = tables.normalised(out, rows)
    _step(out / "ngrams.npz", lambda: ngram_fit.fit(rows, texts, out / "ngrams.npz"))
    cache = encoder.LowerLayers(texts)
    start: Path | None = None
    for name, rate, smoothing in ROUNDS:
        folders[name].mkdir(exist_ok=True)
        *of_seeds, mean = states[name].values()
        for seed, state in zip(seeds, of_seeds, strict=True):
            schedule = encoder.Schedule(epochs, rate, seed, smoothing)
            _step(state, partial(encoder.fine_tune, rows, cache, schedule, state, start=start))
        _step(mean, partial(encoder.average, of_seeds, mean))
        start = mean
    return last


def _finish(out: Path, state: Path) -> Path:
    """Export, calibration and evaluation of one fine-tuned encoder, in a folder with its name."""
    from training.prompt_safety import calibrate, encoder, evaluate

    folder = out / state.stem
    folder.mkdir(exist_ok=True)
    for name in ("unigrams.tsv", "style_bank.txt", "ngrams.npz"):
        shutil.copyfile(out / name, folder / name)
    model = folder / "prompt_encoder.int8.onnx"
    _step(model, lambda: encoder.export(state, model))
    safetensors = folder / "prompt_encoder.safetensors"
    _step(safetensors, lambda: encoder.write_safetensors(state, safetensors))
    _step(folder / "tokenizer.json", lambda: encoder.copy_tokenizer(folder / "tokenizer.json"))
    _step(folder / "calibration.json", lambda: calibrate.calibrate(out, folder))
    _step(folder / "evaluation.json", lambda: evaluate.evaluate(out, folder))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables, checkpoints and reports")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="train once with each; their mean ships")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="passes over the training table")
    parser.add_argument("--without", nargs="+", default=(), help="leave sources out of training, to report on them")
    parser.add_argument("--install", action="store_true", help="copy the results into the package")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    out.mkdir(parents=True, exist_ok=True)

    import torch
    from training.prompt_safety import evaluate, held_out, install, tables

    torch.set_num_threads(1)
    _step(out / "test.jsonl", lambda: tables.build_tables(data, out, without=arguments.without))
    _step(out / "held_out", lambda: held_out.write(out, out / "held_out"))
    states = _train(out, arguments.seeds, arguments.epochs)
    mean = _finish(out, states.pop("mean"))
    evaluate.write_spread([_finish(out, state) for state in states.values()], out / "spread.json")
    if arguments.install:
        install.install(mean)


if __name__ == "__main__":
    main()
