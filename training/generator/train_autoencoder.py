"""First training: the autoencoder between 64×64 pictures and 16×16 latents."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from countermark.generators.embedded.models import SceneAutoencoder

from .optimise import Budget, Trainer
from .render import HELD_OUT
from .team import Team, run_team

STEPS = 4_500
BATCH = 24
LATENT_NOISE = 0.1


def as_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Uint8 B×H×W×3 to float B×3×H×W in -1..1, kept in channels-last memory (the fast layout on a CPU)."""
    values = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return values.contiguous(memory_format=torch.channels_last)


def slopes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring pixels, along rows and along columns."""
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def slope_error(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of slopes: what keeps edges sharp."""
    pairs = zip(slopes(first), slopes(second), strict=True)
    return torch.stack([(a - b).abs().mean() for a, b in pairs]).sum()


def psnr(first: Tensor, second: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures in -1..1."""
    errors = ((first - second) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(4 / errors)).mean())


def standardise(model: SceneAutoencoder, pictures: NDArray[np.uint8]) -> None:
    """Store mean and deviation of the latents, so that the transformer sees unit variance."""
    with torch.no_grad():
        raw = torch.cat(
            [model.encoder(as_tensor(pictures[k : k + 256])) for k in range(0, min(4096, len(pictures)), 256)]
        )
        model.latent_mean.copy_(raw.mean((0, 2, 3))[:, None, None])
        model.latent_std.copy_(raw.std((0, 2, 3))[:, None, None])


def finish(trainer: Trainer, pictures: NDArray[np.uint8], folder: Path) -> None:
    """Standardise and save the averaged model with its figures."""
    model = trainer.averages["autoencoder"]
    assert isinstance(model, SceneAutoencoder)
    standardise(model, pictures)
    with torch.no_grad():
        held_out = as_tensor(pictures[-HELD_OUT:])
        quality = psnr(held_out, model.decode(model.encode(held_out)).clamp(-1, 1))
    model.save_pretrained(folder)
    figures = {**trainer.figures(), "psnr_64": round(quality, 2)}
    (folder / "training.json").write_text(json.dumps(figures))
    print(figures, flush=True)


def train(team: Team, args: argparse.Namespace) -> None:
    """What each process of the team does."""
    pictures = np.load(args.work / "renders.npy", mmap_mode="r")
    model = SceneAutoencoder().to(memory_format=torch.channels_last)
    trainer = Trainer(
        {"autoencoder": model}, team, Budget(args.steps, args.seconds),
        muon=args.muon, adam=args.adam, cooldown=0.5, average=0.998,
    )  # fmt: skip
    trainer.resume(args.work / "autoencoder.pt")
    rng = trainer.rng()
    while not trainer.finished:
        rows = np.sort(rng.integers(0, len(pictures) - HELD_OUT, BATCH))
        seen = as_tensor(pictures[rows])
        with torch.autocast("cpu", torch.bfloat16):
            codes = model.encoder(seen).float()
            drawn = model.picture(model.decoder(codes + LATENT_NOISE * torch.randn_like(codes))).float()
        error = (drawn - seen).abs().mean() + 2 * ((drawn - seen) ** 2).mean() + 0.5 * slope_error(drawn, seen)
        trainer.update(error + 2e-3 * (codes**2).mean())
        if team.leads and trainer.steps % 100 == 0:
            print(f"{trainer.progress()} {psnr(drawn.detach(), seen):.1f} dB", flush=True)
        if team.leads and trainer.steps % 1000 == 0:
            trainer.save(args.work / "autoencoder.pt")
    if team.leads:
        finish(trainer, pictures, args.work / "autoencoder")


def main() -> None:
    """Train on `renders.npy` and write `autoencoder/`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seconds", type=float, help="train for so long instead of so many steps")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--muon", type=float, default=3e-3)
    parser.add_argument("--adam", type=float, default=2e-3)
    run_team(train, parser.parse_args())


if __name__ == "__main__":
    main()
