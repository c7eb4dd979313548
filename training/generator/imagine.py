"""What the upsampler must learn to forgive: latents that the transformer drew itself, beside the true pictures.

A latent of the training set is drowned in noise part of the way and brought back by the transformer. The layout stays
the true one, the details become what the transformer makes of them; trained on such pairs, the upsampler draws what was
meant rather than what is there.
"""

from __future__ import annotations

import argparse
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, WordEncoder
from countermark.generators.embedded.pipeline import AWAY, LEFT_OUT
from countermark.generators.embedded.vocabulary import Vocabulary

from .captions import caption_of
from .render import LARGE_SEEDS, reduced
from .scenes import scene_of
from .team import Team, run_team
from .train_autoencoder import as_tensor

TAKES = 2
STEPS = 8
GUIDANCE = 2.0
NOISE = (0.35, 0.75)
_BATCH = 50


class Imagination:
    """The trained transformer with its words."""

    def __init__(self, work: Path) -> None:
        self.transformer = SceneTransformer.from_pretrained(work / "transformer").eval()
        self.words = WordEncoder.from_pretrained(work / "text_encoder").eval()
        self.vocabulary = Vocabulary(self.words.config.words)

    @torch.inference_mode()
    def retake(self, latents: Tensor, captions: list[str], noise_share: float) -> Tensor:
        """Drown latents B×C×16×16 in noise and bring them back, guided by their captions."""
        length = self.words.config.max_words
        ids = torch.tensor([self.vocabulary.numbers(c, length) for c in [*captions, *[""] * len(captions)]])
        encoded = self.words(ids)
        x = torch.lerp(latents, torch.randn_like(latents), noise_share)
        shares = torch.linspace(noise_share, 0, STEPS + 1)
        prompted = [part.chunk(2)[0] for part in encoded]
        for here, there in pairwise(shares):
            with torch.autocast("cpu", torch.bfloat16):
                both = self.transformer(torch.cat([x, x]), here.expand(2 * len(x)), *encoded).float()
                worse = self.transformer(x, here.expand(len(x)), *prompted, LEFT_OUT).float()
            wanted, empty = both.chunk(2)
            x = x + (there - here) * (empty + GUIDANCE * (wanted - empty) + AWAY * (wanted - worse))
        return x


def work(team: Team, args: argparse.Namespace) -> None:
    """What each process of the team does: every so many batches of the large pictures."""
    large = np.load(args.work / "large.npy", mmap_mode="r")
    autoencoder = SceneAutoencoder.from_pretrained(args.work / "autoencoder").eval()
    imagination, choose, rng = Imagination(args.work), random.Random(team.rank), np.random.default_rng(team.rank)
    shape = (len(large), TAKES, *autoencoder.latent_mean.new_empty(autoencoder.config.channels, 16, 16).shape)
    path = args.work / "imagined.partial.npy"
    if team.leads:
        np.lib.format.open_memmap(path, "w+", np.float16, shape)
    team.wait()
    takes = np.load(path, mmap_mode="r+")
    for first in range(team.rank * _BATCH, len(large), _BATCH * team.size):
        rows = range(first, min(first + _BATCH, len(large)))
        with torch.inference_mode():
            latents = autoencoder.encode(as_tensor(reduced(large[rows.start : rows.stop])))
        for take in range(TAKES):
            captions = [caption_of(scene_of(LARGE_SEEDS + row), choose) for row in rows]
            retaken = imagination.retake(latents, captions, float(rng.uniform(*NOISE)))
            takes[rows.start : rows.stop, take] = retaken.half().numpy()
    takes.flush()
    team.wait()
    if team.leads:
        path.rename(args.work / "imagined.npy")


def main() -> None:
    """Write `imagined.npy`: latents in half precision, N×2×C×16×16, two takes of each of the large pictures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    run_team(work, parser.parse_args())


if __name__ == "__main__":
    main()
