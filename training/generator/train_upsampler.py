"""Third training: from the frozen autoencoder's features to 512×512."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from countermark.generators.embedded.models import SceneAutoencoder, SceneUpsampler

from .optimise import Trainer
from .render import HELD_OUT_SEEDS, LARGE, SMALL
from .scenes import render, scene_of
from .train_autoencoder import as_tensor, psnr

LATENT_NOISE = 0.15
"""Strongest noise on the standardised latents: sampled ones are never quite right and must still give clean edges."""
_STEP = LARGE // SMALL
_MARGIN = 2


def large_pictures(seeds: list[int]) -> NDArray[np.uint8]:
    """Render scenes at full size."""
    return np.stack([render(scene_of(seed), LARGE) for seed in seeds])


def reduced(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Box-reduce full-size pictures to what the autoencoder sees."""
    return np.stack([cv2.resize(p, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.uint8)


def window_corners(count: int, side: int) -> list[tuple[int, int]]:
    """Draw top left corners of windows; many touch the picture's border, so that borders are learnt as well."""
    last = SMALL - side
    corners = torch.randint(-side // 4, last + side // 4 + 1, (count, 2)).clamp(0, last)
    return [(int(y), int(x)) for y, x in corners]


def windows_of(pictures: Tensor, corners: list[tuple[int, int]], side: int, scale: int = 1) -> Tensor:
    """Cut windows, the same number out of each picture; `scale` is pixels to a cell."""
    each = len(corners) // len(pictures)
    parts = [
        pictures[k // each, :, y * scale : (y + side) * scale, x * scale : (x + side) * scale]
        for k, (y, x) in enumerate(corners)
    ]
    return torch.stack(parts).contiguous(memory_format=torch.channels_last)


def fair_area(corners: list[tuple[int, int]], side: int) -> Tensor:
    """1 where a window can be judged, 0 on a rim beyond which the picture goes on (there the upsampler saw padding)."""
    area, rim = torch.ones(len(corners), 1, side * _STEP, side * _STEP), _MARGIN * _STEP
    for k, (y, x) in enumerate(corners):
        if y > 0:
            area[k, :, :rim] = 0
        if y < SMALL - side:
            area[k, :, -rim:] = 0
        if x > 0:
            area[k, :, :, :rim] = 0
        if x < SMALL - side:
            area[k, :, :, -rim:] = 0
    return area


def report(autoencoder: SceneAutoencoder, upsampler: SceneUpsampler) -> dict[str, float]:
    """PSNR at full size on held-out scenes, beside that of enlarging the true small picture."""
    large = large_pictures([HELD_OUT_SEEDS + k for k in range(32)])
    small, target = as_tensor(reduced(large)), as_tensor(large)
    with torch.inference_mode():
        features = autoencoder.features(autoencoder.encode(small))
        drawn = torch.cat([upsampler(f[None], autoencoder.picture(f[None])) for f in features]).clamp(-1, 1)
        enlarged = F.interpolate(small, scale_factor=_STEP, mode="bicubic").clamp(-1, 1)
    return {"psnr_512": round(psnr(drawn, target), 2), "psnr_512_bicubic": round(psnr(enlarged, target), 2)}


def save(trainer: Trainer, work: Path) -> None:
    """Write the averaged model and a checkpoint to go on from."""
    trainer.averages["upsampler"].save_pretrained(work / "upsampler")  # type: ignore[operator]
    torch.save(trainer.state(), work / "upsampler.partial")
    (work / "upsampler.partial").replace(work / "upsampler.pt")


def main() -> None:
    """Train on fresh renders and `autoencoder/`; write `upsampler/`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crops", type=int, default=3)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    autoencoder = SceneAutoencoder.from_pretrained(args.work / "autoencoder").to(memory_format=torch.channels_last)
    autoencoder.eval().requires_grad_(False)
    upsampler = SceneUpsampler().to(memory_format=torch.channels_last)
    trainer = Trainer(
        {"upsampler": upsampler}, seconds=args.seconds, muon=args.rate, adam=args.rate, cooldown=0.6, average=0.99
    )
    if (args.work / "upsampler.pt").exists():
        trainer.load(torch.load(args.work / "upsampler.pt"))
    while not trainer.finished:
        large = large_pictures(rng.integers(1_000_000, HELD_OUT_SEEDS, args.batch).tolist())
        small = as_tensor(reduced(large))
        with torch.no_grad():
            latents = autoencoder.encode(small)
            latents += torch.randn_like(latents) * torch.rand(args.batch, 1, 1, 1) * LATENT_NOISE
            features = autoencoder.features(latents)
            picture = autoencoder.picture(features)
        corners = window_corners(args.batch * args.crops, args.side)
        area = fair_area(corners, args.side)
        target = windows_of(as_tensor(large), corners, args.side, _STEP) * area
        # Windows are cut from the features of whole pictures: decoding a window would pad where the picture goes on.
        window, base = (windows_of(source, corners, args.side) for source in (features, picture))
        drawn = upsampler(window, base) * area
        # Absolute error alone: its minimum is a median, a sharp edge where the edge most likely is. An error of slopes
        # would punish an edge that is a pixel off twice, and so prefer a blur.
        trainer.update((drawn - target).abs().mean())
        if trainer.steps % 50 == 0:
            print(f"{trainer.steps} {trainer.elapsed:.0f}s loss {trainer.running:.4f}", flush=True)
        if trainer.steps % 200 == 0:
            save(trainer, args.work)
    save(trainer, args.work)
    drawn_by = trainer.averages["upsampler"]
    assert isinstance(drawn_by, SceneUpsampler)
    figures = {"steps": trainer.steps, "seconds": round(trainer.elapsed), **report(autoencoder, drawn_by)}
    (args.work / "upsampler" / "training.json").write_text(json.dumps(figures))
    print(figures, flush=True)


if __name__ == "__main__":
    main()
