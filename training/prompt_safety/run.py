"""One driver for all steps: ``python -m training.prompt_safety.run --data DIR --out DIR [--install]``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

FIRST_EPOCHS, FIRST_RATE = 2.0, 1.5e-4
SECOND_EPOCHS, SECOND_RATE = 1.0, 1.2e-4
RELEASE_EPOCHS, RELEASE_RATE = 1.0, 6e-5


def _step(result: Path, make: Callable[[], None]) -> None:
    if result.exists():
        print(f"{result.name}: kept", flush=True)
        return
    print(f"{result.name}: making", flush=True)
    make()


def _finish(out: Path, folder: Path, state: Path, names: tuple[str, ...], *, concepts: bool) -> None:
    """Export, n-grams, calibration and evaluation of one fine-tuned state, in a folder of its own.

    Args:
        out: where the tables are.
        folder: where the results go.
        state: the fine-tuned encoder.
        names: the tables that the n-grams are fitted on.
        concepts: whether the held-out concepts are still unseen, and so part of the evaluation.
    """
    from training.prompt_safety import calibrate, encoder, evaluate, ngram_fit, tables

    folder.mkdir(exist_ok=True)
    for name in ("unigrams.tsv", "style_bank.txt"):
        shutil.copyfile(out / name, folder / name)
    model = folder / "prompt_encoder.int8.onnx"
    _step(model, lambda: encoder.export(state, model))
    _step(folder / "tokenizer.json", lambda: encoder.copy_tokenizer(folder / "tokenizer.json"))

    def fit_ngrams() -> None:
        rows = [row for name in names for row in tables.load(out, name)]
        ngram_fit.fit(rows, tables.normalised(out, rows), folder / "ngrams.npz")

    _step(folder / "ngrams.npz", fit_ngrams)
    _step(folder / "calibration.json", lambda: calibrate.calibrate(out, folder))
    _step(folder / "evaluation.json", lambda: evaluate.evaluate(out, folder, concepts=concepts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables, checkpoints and reports")
    parser.add_argument("--install", action="store_true", help="copy the results into the package")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    out.mkdir(parents=True, exist_ok=True)

    import torch
    from training.prompt_safety import encoder, tables

    torch.set_num_threads(1)
    _step(out / "test.jsonl", lambda: tables.build_tables(data, out))

    def fine_tune(name: str, schedule: encoder.Schedule, start: Path | None, result: Path) -> None:
        rows = tables.load(out, name)
        encoder.fine_tune(rows, tables.normalised(out, rows), schedule, start=start, out=result)

    first, second, release = out / "stage1.pt", out / "stage2.pt", out / "release.pt"
    _step(first, lambda: fine_tune("train", encoder.Schedule(FIRST_EPOCHS, FIRST_RATE), None, first))
    _step(second, lambda: fine_tune("tune", encoder.Schedule(SECOND_EPOCHS, SECOND_RATE), first, second))
    # Two models: one that has seen no held-out concept, to report on, and the one that ships, which has.
    report, ship = out / "held_out", out / "shipped"
    _finish(out, report, second, ("tune",), concepts=True)
    _step(release, lambda: fine_tune("release", encoder.Schedule(RELEASE_EPOCHS, RELEASE_RATE), second, release))
    _finish(out, ship, release, ("tune", "release"), concepts=False)
    if arguments.install:
        from training.prompt_safety import install

        install.install(ship)


if __name__ == "__main__":
    main()
