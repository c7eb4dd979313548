"""Third training: from the frozen autoencoder's features to 512×512.

In two passes: on true latents with noise, then (`--imagined`) also on latents that the transformer drew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from countermark.generators.embedded.models import SceneAutoencoder, SceneUpsampler

from .optimise import Budget, Trainer
from .render import HELD_OUT_SEEDS, LARGE, SMALL, large_picture, reduced
from .team import Team, run_team
from .train_autoencoder import as_tensor, psnr, slopes

STEPS = 2_800
IMAGINED_STEPS = 3_200
BATCH = 8
CROP = 32
"""Cells a side of the crops that are trained on: more pictures a step for the same work."""
IMAGINED_SHARE = 0.75
LATENT_NOISE = 0.2
"""Strongest noise on the standardised latents: sampled ones are never quite right and must still give clean edges."""
_SCALE = LARGE // SMALL
_NO_EDGE = 0.04
"""Five of 255 levels from pixel to pixel, in -1..1."""
_STAIR = 0.05


class Pairs:
    """Crops of large pictures with the features that should lead to them."""

    def __init__(self, autoencoder: SceneAutoencoder, work: Path, *, imagined: bool) -> None:
        self.large: NDArray[np.uint8] = np.load(work / "large.npy", mmap_mode="r")
        self.takes = np.load(work / "imagined.npy", mmap_mode="r") if imagined else None
        self.autoencoder, self.rng = autoencoder, np.random.default_rng()
        with torch.inference_mode():
            parts = [
                autoencoder.encode(as_tensor(reduced(self.large[k : k + 50]))) for k in range(0, len(self.large), 50)
            ]
        self.latents = torch.cat(parts).numpy()

    def _latents(self, rows: NDArray[np.int64]) -> Tensor:
        """Latents B×C×16×16 of some pictures: true ones with a little noise or, mostly, imagined ones."""
        latents = torch.from_numpy(self.latents[rows])
        latents += torch.randn_like(latents) * torch.rand(BATCH, 1, 1, 1) * LATENT_NOISE
        if self.takes is not None:
            replaced = self.rng.random(BATCH) < IMAGINED_SHARE
            take = self.takes[rows, self.rng.integers(0, self.takes.shape[1])]
            latents[torch.from_numpy(replaced)] = torch.from_numpy(take[replaced].astype(np.float32))
        return latents

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features B×F×32×32 and small pictures B×3×32×32, cut out of whole ones, with the same in B×3×256×256."""
        rows = self.rng.choice(len(self.large), BATCH, replace=False)
        with torch.no_grad():
            features = self.autoencoder.features(self._latents(rows))
            whole = torch.cat([features, self.autoencoder.picture(features)], 1)
        corners = 2 * self.rng.integers(0, (SMALL - CROP) // 2 + 1, (BATCH, 2))
        crops, targets = [], []
        for one, row, (y, x) in zip(whole, rows, corners, strict=True):
            crops.append(one[:, y : y + CROP, x : x + CROP])
            top, left, side = y * _SCALE, x * _SCALE, CROP * _SCALE
            targets.append(self.large[row, top : top + side, left : left + side])
        cut = torch.stack(crops)
        return cut[:, :-3], cut[:, -3:], as_tensor(np.stack(targets))


def crispness_error(drawn: Tensor, target: Tensor, window: int = 16) -> Tensor:
    """Mean difference of the root mean square slope in windows: how crisp edges are, wherever in the window they are.

    A blurred edge climbs as high as a sharp one but less steeply, so its squares are less. An edge that is a pixel off
    costs nothing, unlike with an error of the slopes themselves.
    """

    def steepness(slope: Tensor) -> Tensor:
        return functional.avg_pool2d(slope.square().mean(1, keepdim=True), window).add(1e-5).sqrt()

    pairs = zip(slopes(drawn), slopes(target), strict=True)
    return torch.stack([(steepness(a) - steepness(b)).abs().mean() for a, b in pairs]).sum()


def seam_error(drawn: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the steps between cells, which nothing else ties to each other."""
    across, down = ((a - b).abs() for a, b in zip(slopes(drawn), slopes(target), strict=True))
    return down[..., _SCALE - 1 :: _SCALE, :].mean() + across[..., _SCALE - 1 :: _SCALE].mean()


def step_error(drawn: Tensor, target: Tensor, window: int = 9) -> Tensor:
    """How far slopes are off where there is no edge far and wide: a gradient is no staircase.

    Squared, for most slopes of a gradient in 8 bits are nothing: by absolute error, a staircase would be best. But no
    worse than a stair for whatever is steeper (Geman and McClure 1985): an edge in the wrong place had better be sharp.
    """
    errors = []
    for mine, right in zip(slopes(drawn), slopes(target), strict=True):
        steepest = functional.max_pool2d(right.abs().amax(1, keepdim=True), window, 1, window // 2)
        squared = (mine - right).square()
        errors.append((squared / (1 + squared / _STAIR**2) * (steepest < _NO_EDGE)).mean())
    return torch.stack(errors).sum()


def report(autoencoder: SceneAutoencoder, upsampler: SceneUpsampler) -> dict[str, float]:
    """PSNR at full size on held-out scenes, beside that of enlarging the true small picture."""
    large = np.stack([large_picture(HELD_OUT_SEEDS + k) for k in range(32)])
    small, target = as_tensor(reduced(large)), as_tensor(large)
    with torch.inference_mode():
        features = autoencoder.features(autoencoder.encode(small))
        drawn = torch.cat([upsampler(f[None], autoencoder.picture(f[None])) for f in features]).clamp(-1, 1)
        enlarged = functional.interpolate(small, scale_factor=_SCALE, mode="bicubic").clamp(-1, 1)
    return {"psnr_512": round(psnr(drawn, target), 2), "psnr_512_bicubic": round(psnr(enlarged, target), 2)}


def train(team: Team, args: argparse.Namespace) -> None:
    """What each process of the team does."""
    autoencoder = SceneAutoencoder.from_pretrained(args.work / "autoencoder").to(memory_format=torch.channels_last)
    autoencoder.eval().requires_grad_(False)
    if args.imagined:
        upsampler = SceneUpsampler.from_pretrained(args.work / "upsampler_first").to(memory_format=torch.channels_last)
    else:
        upsampler = SceneUpsampler().to(memory_format=torch.channels_last)
    name = "upsampler" if args.imagined else "upsampler_first"
    pairs = Pairs(autoencoder, args.work, imagined=args.imagined)
    steps = args.steps or (IMAGINED_STEPS if args.imagined else STEPS)
    trainer = Trainer(
        {"upsampler": upsampler.train()}, team, Budget(steps, args.seconds),
        muon=args.rate, adam=args.rate, cooldown=0.6, average=0.99,
    )  # fmt: skip
    trainer.resume(args.work / f"{name}.pt")
    pairs.rng = trainer.rng()
    while not trainer.finished:
        with torch.autocast("cpu", torch.bfloat16):
            features, picture, target = pairs.draw()
            drawn = upsampler(features, picture).float()
        # The minimum of an absolute error is a median, a sharp edge where the edge most likely is. An error of slopes
        # would punish an edge that is a pixel off twice, and so prefer a blur.
        error = (drawn - target).abs().mean() + crispness_error(drawn, target)
        trainer.update(error + 0.5 * seam_error(drawn, target) + 200 * step_error(drawn, target))
        if team.leads and trainer.steps % 100 == 0:
            print(trainer.progress(), flush=True)
        if team.leads and trainer.steps % 200 == 0:
            trainer.save(args.work / f"{name}.pt")
    if team.leads:
        drawn_by = trainer.averages["upsampler"]
        assert isinstance(drawn_by, SceneUpsampler)
        drawn_by.save_pretrained(args.work / name)
        figures = {**trainer.figures(), **report(autoencoder, drawn_by)}
        (args.work / name / "training.json").write_text(json.dumps(figures))
        print(figures, flush=True)


def main() -> None:
    """Train on `large.npy` and `autoencoder/`; write `upsampler_first/`, with --imagined `upsampler/`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--imagined", action="store_true", help="go on with latents that the transformer drew")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, help="train for so long instead of so many steps")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3)
    run_team(train, parser.parse_args())


if __name__ == "__main__":
    main()
