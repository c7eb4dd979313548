"""One driver for all steps: ``python -m training.prompt_safety.run --data DIR --out DIR [--install]``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

EPOCHS, RATE = 1.3, 1.5e-4


def _step(result: Path, make: Callable[[], None]) -> None:
    if result.exists():
        print(f"{result.name}: kept", flush=True)
        return
    print(f"{result.name}: making", flush=True)
    make()


def _one_seed(out: Path, seed: int, epochs: float) -> Path:
    """Fine-tuning, export, calibration and evaluation with one seed, in a folder of its own.

    Args:
        out: where the tables are.
        seed: of heads, dropout and batches; the tables are the same for all seeds.
        epochs: how often the training table is read.

    Returns:
        The folder with the model files and ``evaluation.json``.
    """
    from training.prompt_safety import calibrate, encoder, evaluate, ngram_fit, tables

    folder = out / f"seed{seed}"
    folder.mkdir(exist_ok=True)
    for name in ("unigrams.tsv", "style_bank.txt"):
        shutil.copyfile(out / name, folder / name)
    state, model, ngrams = folder / "encoder.pt", folder / "prompt_encoder.int8.onnx", out / "ngrams.npz"

    def fine_tune() -> None:
        rows = tables.load(out, "train")
        encoder.fine_tune(rows, tables.normalised(out, rows), encoder.Schedule(epochs, RATE, seed), state)

    def fit_ngrams() -> None:
        rows = tables.load(out, "train")
        ngram_fit.fit(rows, tables.normalised(out, rows), ngrams)

    _step(ngrams, fit_ngrams)
    shutil.copyfile(ngrams, folder / "ngrams.npz")
    _step(state, fine_tune)
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="train once with each; the first one ships")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="passes over the training table")
    parser.add_argument("--without", nargs="+", default=(), help="leave sources out of training, to report on them")
    parser.add_argument("--wide", action="store_true", help="train on situations and figures of speech as well")
    parser.add_argument("--install", action="store_true", help="copy the results into the package")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    out.mkdir(parents=True, exist_ok=True)

    import torch
    from training.prompt_safety import evaluate, held_out, install, tables

    torch.set_num_threads(1)
    _step(
        out / "test.jsonl",
        lambda: tables.build_tables(data, out, without=arguments.without, wide=arguments.wide),
    )
    _step(out / "held_out", lambda: held_out.write(out, out / "held_out"))
    folders = [_one_seed(out, seed, arguments.epochs) for seed in arguments.seeds]
    evaluate.write_spread(folders, out / "spread.json")
    if arguments.install:
        install.install(folders[0])


if __name__ == "__main__":
    main()
