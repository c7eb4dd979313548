"""One driver for all steps: ``python -m training.prompt_safety.run --data DIR --out DIR [--install]``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

EPOCHS, RATE = 0.45, 2e-4
SEEDS = (0, 1, 2)
STATE = "encoder.pt"


def _step(result: Path, make: Callable[[], None]) -> None:
    if result.exists():
        print(f"{result.name}: kept", flush=True)
        return
    print(f"{result.name}: making", flush=True)
    make()


def _train(out: Path, seeds: Sequence[int], epochs: float) -> list[Path]:
    """N-grams, and fine-tuning once with each seed, in a folder of its own.

    Args:
        out: where the tables are.
        seeds: of dropout and batches; tables, n-grams and first heads are the same for all.
        epochs: how often the training table is read.

    Returns:
        The folders.
    """
    from training.prompt_safety import encoder, ngram_fit, tables

    folders = [out / f"seed{seed}" for seed in seeds]
    if all((folder / STATE).exists() for folder in folders) and (out / "ngrams.npz").exists():
        return folders
    rows = tables.load(out, "train")
    texts = tables.normalised(out, rows)
    _step(out / "ngrams.npz", lambda: ngram_fit.fit(rows, texts, out / "ngrams.npz"))
    cache = encoder.LowerLayers(texts)
    for seed, folder in zip(seeds, folders, strict=True):
        folder.mkdir(exist_ok=True)
        schedule, state = encoder.Schedule(epochs, RATE, seed), folder / STATE
        _step(state, partial(encoder.fine_tune, rows, cache, schedule, state))
    return folders


def _average(out: Path, seeds: list[Path]) -> Path:
    """The mean of all seeds' weights, in a folder of its own: what ships."""
    from training.prompt_safety import encoder

    folder = out / "mean"
    folder.mkdir(exist_ok=True)
    _step(folder / STATE, lambda: encoder.average([seed / STATE for seed in seeds], folder / STATE))
    return folder


def _finish(out: Path, folder: Path) -> None:
    """Export, calibration and evaluation of the encoder in ``folder``, each result beside it."""
    from training.prompt_safety import calibrate, encoder, evaluate

    for name in ("unigrams.tsv", "style_bank.txt", "ngrams.npz"):
        shutil.copyfile(out / name, folder / name)
    state, model = folder / STATE, folder / "prompt_encoder.int8.onnx"
    _step(model, lambda: encoder.export(state, model))
    safetensors = folder / "prompt_encoder.safetensors"
    _step(safetensors, lambda: encoder.write_safetensors(state, safetensors))
    _step(folder / "tokenizer.json", lambda: encoder.copy_tokenizer(folder / "tokenizer.json"))
    _step(folder / "calibration.json", lambda: calibrate.calibrate(out, folder))
    _step(folder / "evaluation.json", lambda: evaluate.evaluate(out, folder))


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
    seeds = _train(out, arguments.seeds, arguments.epochs)
    mean = _average(out, seeds)
    for folder in (mean, *seeds):
        _finish(out, folder)
    evaluate.write_spread(seeds, out / "spread.json")
    if arguments.install:
        install.install(mean)


if __name__ == "__main__":
    main()
