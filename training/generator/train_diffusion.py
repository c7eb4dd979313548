"""Second training: the transformer (and the word encoder) by flow matching on the autoencoder's latents."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, WordEncoder
from countermark.generators.embedded.vocabulary import Vocabulary

from .captions import caption_of, vocabulary
from .optimise import Budget, Trainer
from .render import HELD_OUT
from .scenes import scene_of
from .team import Team, run_team
from .train_autoencoder import as_tensor

STEPS = 8_700
BATCH = 80
CAPTIONS_PER_SCENE = 6
CAPTION_DROP = 0.1
_VALIDATE_EVERY = 500


def prepare(work: Path) -> None:
    """Write the latents of all pictures in half precision, N×C×16×16, and numbers of several captions each, N×K×L."""
    model = SceneAutoencoder.from_pretrained(work / "autoencoder").eval()
    pictures = np.load(work / "renders.npy", mmap_mode="r")
    with torch.inference_mode():
        parts = [model.encode(as_tensor(pictures[k : k + 256])).half().numpy() for k in range(0, len(pictures), 256)]
    np.save(work / "latents.npy", np.concatenate(parts))
    words, choose = Vocabulary(vocabulary()), random.Random(0)
    length = WordEncoder().config.max_words
    rows = [
        [words.numbers(caption_of(scene_of(seed), choose), length) for _ in range(CAPTIONS_PER_SCENE)]
        for seed in range(len(pictures))
    ]
    np.save(work / "captions.npy", np.array(rows, np.int16))


class Batches:
    """Latents and captions of the training set, at random, and of the held-out scenes, always the same."""

    def __init__(self, work: Path) -> None:
        self.latents: NDArray[np.float16] = np.load(work / "latents.npy", mmap_mode="r")
        self.captions: NDArray[np.int16] = np.load(work / "captions.npy", mmap_mode="r")
        self.used = int(np.any(self.captions != 0, axis=(0, 1)).sum())
        self.rng = np.random.default_rng()

    def _rows(self, rows: NDArray[np.int64], which: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        numbers = torch.from_numpy(self.captions[rows, which, : self.used].astype(np.int64))
        return torch.from_numpy(self.latents[rows].astype(np.float32)), numbers

    def draw(self) -> tuple[Tensor, Tensor]:
        """Latents B×C×16×16 and caption numbers B×L, some captions dropped."""
        rows = self.rng.integers(0, len(self.latents) - HELD_OUT, BATCH)
        clean, numbers = self._rows(rows, self.rng.integers(0, CAPTIONS_PER_SCENE, BATCH))
        numbers[torch.from_numpy(self.rng.random(BATCH) < CAPTION_DROP)] = 0
        return clean, numbers

    def held_out(self) -> tuple[Tensor, Tensor]:
        """The held-out latents with their first captions."""
        rows = np.arange(len(self.latents) - HELD_OUT, len(self.latents))
        return self._rows(rows, np.zeros(HELD_OUT, np.int64))


def flow_error(transformer: torch.nn.Module, words: torch.nn.Module, clean: Tensor, numbers: Tensor) -> Tensor:
    """Mean squared error of the velocity at random times, a little more often where there is much noise."""
    noise, share = torch.randn_like(clean), torch.sigmoid(torch.randn(len(clean)) + 0.3)
    mixed = torch.lerp(clean, noise, share[:, None, None, None])
    with torch.autocast("cpu", torch.bfloat16):
        velocity = transformer(mixed, share, *words(numbers))
    return ((velocity.float() - (noise - clean)) ** 2).mean()


class Best:
    """The averaged models with the least error on held-out scenes so far, kept on disk."""

    def __init__(self, trainer: Trainer, batches: Batches, work: Path) -> None:
        self.trainer, self.work, self.held_out = trainer, work, batches.held_out()
        self.path = work / "transformer" / "training.json"
        self.error = json.loads(self.path.read_text())["held_out_error"] if self.path.exists() else float("inf")

    def look(self) -> float:
        """Measure the averaged models, the noise being the same each time, and keep them if they are the best."""
        models = self.trainer.averages
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(5)
            clean, numbers = self.held_out
            parts = zip(clean.split(100), numbers.split(100), strict=True)
            errors = [flow_error(models["transformer"], models["text_encoder"], c, n) for c, n in parts]
        error = float(torch.stack(errors).mean())
        if error < self.error:
            self.error = error
            for name, model in models.items():
                model.save_pretrained(self.work / name)  # type: ignore[operator]
            figures = {**self.trainer.figures(), "samples": self.trainer.steps * BATCH * self.trainer.team.size}
            self.path.write_text(json.dumps({**figures, "held_out_error": round(error, 4)}))
        return error


def train(team: Team, args: argparse.Namespace) -> None:
    """What each process of the team does."""
    batches = Batches(args.work)
    words = vocabulary()
    if args.start is None:
        text_encoder = WordEncoder(words=tuple(words))
        transformer = SceneTransformer(channels=batches.latents.shape[1])
    else:
        text_encoder = WordEncoder.from_pretrained(args.start / "text_encoder")
        transformer = SceneTransformer.from_pretrained(args.start / "transformer")
        if list(text_encoder.config.words) != words:
            raise SystemExit(f"The weights in {args.start} know other words than the captions hold.")
    transformer = transformer.train().to(memory_format=torch.channels_last)
    text_encoder.train()
    trainer = Trainer(
        {"transformer": transformer, "text_encoder": text_encoder}, team, Budget(args.steps, args.seconds),
        muon=args.muon, adam=args.adam, cooldown=0.5, average=0.998,
    )  # fmt: skip
    if team.leads:
        sizes = [sum(p.numel() for p in m.parameters()) for m in trainer.models.values()]
        print("parameters", sizes, "words", len(words), "longest caption", batches.used, flush=True)
    trainer.resume(args.work / "diffusion.pt")
    batches.rng = trainer.rng()
    best = Best(trainer, batches, args.work) if team.leads else None
    while not trainer.finished:
        with sdpa_kernel(SDPBackend.MATH):  # a quarter faster than the fused kernel on so few tokens
            trainer.update(flow_error(transformer, text_encoder, *batches.draw()))
        if team.leads and trainer.steps % 50 == 0:
            print(trainer.progress(), flush=True)
        if best is not None and (trainer.steps % _VALIDATE_EVERY == 0 or trainer.finished):
            print(f"held out {best.look():.4f}", flush=True)
            trainer.save(args.work / "diffusion.pt")
    if best is not None:
        (args.work / "diffusion.done").touch()


def main() -> None:
    """Train on `renders.npy` and `autoencoder/`; write `transformer/` and `text_encoder/`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seconds", type=float, help="train for so long instead of so many steps")
    parser.add_argument("--start", type=Path, help="go on from packed weights, made with the same autoencoder")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--muon", type=float, default=4e-3)
    parser.add_argument("--adam", type=float, default=2e-3)
    args = parser.parse_args()
    if not (args.work / "captions.npy").exists():
        prepare(args.work)
    run_team(train, args)


if __name__ == "__main__":
    main()
