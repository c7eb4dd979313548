"""One driver for all steps: ``python -m training.prompt_safety.run --data DIR --out DIR [--install]``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

EPOCHS, RATE = 1.3, 1.5e-4


def _step(result: Path, make: Callable[[], None]) -> None:
    if result.exists():
        print(f"{result.name}: kept", flush=True)
        return
    print(f"{result.name}: making", flush=True)
    make()


def _fine_tune(out: Path, seed: int, epochs: float) -> Path:
    """One run over the training table; gives its weights.

    Args:
        out: where the tables are.
        seed: of the training table, dropout and batches.
        epochs: how often the training table is read.
    """
    import torch
    from training.prompt_safety import encoder, tables

    torch.set_num_threads(1)
    state = out / f"seed{seed}" / "encoder.pt"
    state.parent.mkdir(exist_ok=True)

    def fine_tune() -> None:
        rows = tables.load(out, tables.training_table(seed))
        encoder.fine_tune(rows, tables.normalised(out, rows), encoder.Schedule(epochs, RATE, seed), state)

    _step(state, fine_tune)
    return state


def _finish(out: Path, state: Path) -> Path:
    """Export, calibration and evaluation of one set of weights; gives its folder, with all files of a model."""
    import torch
    from training.prompt_safety import calibrate, encoder, evaluate

    torch.set_num_threads(1)
    folder = state.parent
    for name in ("unigrams.tsv", "style_bank.txt", "ngrams.npz"):
        shutil.copyfile(out / name, folder / name)
    model, safetensors = folder / "prompt_encoder.int8.onnx", folder / "prompt_encoder.safetensors"
    _step(model, lambda: encoder.export(state, model))
    _step(safetensors, lambda: encoder.write_safetensors(state, safetensors))
    _step(folder / "tokenizer.json", lambda: encoder.copy_tokenizer(folder / "tokenizer.json"))
    _step(folder / "calibration.json", lambda: calibrate.calibrate(out, folder))
    _step(folder / "evaluation.json", lambda: evaluate.evaluate(out, folder))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables, checkpoints and reports")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=list(range(8)),
        help="train once with each; the mean of their weights ships",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many seeds train at a time")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="passes over the training table")
    parser.add_argument("--without", nargs="+", default=(), help="leave sources out of training, to report on them")
    parser.add_argument("--wide", action="store_true", help="train on situations and figures of speech as well")
    parser.add_argument(
        "--everyday", action=argparse.BooleanOptionalAction, default=True, help="train on ordinary sentences as well"
    )
    parser.add_argument(
        "--names",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train on names that sound unsafe and on stories as well",
    )
    parser.add_argument("--install", action="store_true", help="copy the results into the package")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    out.mkdir(parents=True, exist_ok=True)

    from training.prompt_safety import encoder, evaluate, held_out, install, ngram_fit, tables

    def build() -> None:
        chosen = {"wide": arguments.wide, "everyday_lines": arguments.everyday, "names": arguments.names}
        tables.build_tables(data, out, arguments.seeds, without=arguments.without, **chosen)

    wanted = [out / "test.jsonl", *(out / f"{tables.training_table(seed)}.jsonl" for seed in arguments.seeds)]
    _step(next((table for table in wanted if not table.exists()), wanted[0]), build)
    _step(out / "held_out", lambda: held_out.write(data, out, out / "held_out"))

    def fit_ngrams() -> None:
        rows = tables.load(out, tables.training_table(arguments.seeds[0]))
        ngram_fit.fit(rows, tables.normalised(out, rows), out / "ngrams.npz")

    _step(out / "ngrams.npz", fit_ngrams)
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        seeds, count = arguments.seeds, len(arguments.seeds)
        states = list(pool.map(_fine_tune, [out] * count, seeds, [arguments.epochs] * count))
        mean = out / f"mean_{'_'.join(map(str, seeds))}" / "encoder.pt"  # of other seeds it is another
        mean.parent.mkdir(exist_ok=True)
        _step(mean, lambda: encoder.average(states, mean))
        release, *members = pool.map(_finish, [out] * (count + 1), [mean, *states])
    evaluate.write_spread(members, out / "spread.json")
    if arguments.install:
        install.install(release)


if __name__ == "__main__":
    main()
