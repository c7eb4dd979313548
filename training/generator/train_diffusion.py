"""Second training: the transformer (and the word encoder) by flow matching on the autoencoder's latents."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, WordEncoder
from countermark.generators.embedded.vocabulary import Vocabulary

from .captions import caption_of, vocabulary
from .optimise import Trainer
from .scenes import scene_of
from .train_autoencoder import HELD_OUT, as_tensor

CAPTIONS_PER_SCENE = 5
CAPTION_DROP = 0.1


def encode_all(model: SceneAutoencoder, work: Path) -> Tensor:
    """Latents of the whole training set in half precision, N×C×16×16."""
    pictures = np.load(work / "renders.npy", mmap_mode="r")[:-HELD_OUT]
    with torch.inference_mode():
        parts = [model.encode(as_tensor(pictures[k : k + 256])).half() for k in range(0, len(pictures), 256)]
    return torch.cat(parts).contiguous().clone()


def caption_numbers(count: int, words: Vocabulary, length: int) -> Tensor:
    """Word numbers of several captions for each scene, N×K×L."""
    choose = random.Random(0)
    rows = [
        [words.numbers(caption_of(scene_of(seed), choose), length) for _ in range(CAPTIONS_PER_SCENE)]
        for seed in range(count)
    ]
    return torch.tensor(rows, dtype=torch.int16)


def save(trainer: Trainer, work: Path) -> None:
    """Write the averaged models and a checkpoint to go on from."""
    for name in ("transformer", "text_encoder"):
        trainer.averages[name].save_pretrained(work / name)  # type: ignore[operator]
    torch.save(trainer.state(), work / "diffusion.partial")
    (work / "diffusion.partial").replace(work / "diffusion.pt")


def main() -> None:
    """Train on `renders.npy` and `autoencoder/`; write `transformer/` and `text_encoder/`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--muon", type=float, default=4e-3)
    parser.add_argument("--adam", type=float, default=2e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    autoencoder = SceneAutoencoder.from_pretrained(args.work / "autoencoder").eval()
    latents = encode_all(autoencoder, args.work)
    words = vocabulary()
    text_encoder = WordEncoder(words=tuple(words))
    transformer = SceneTransformer(channels=latents.shape[1]).to(memory_format=torch.channels_last)
    captions = caption_numbers(len(latents), Vocabulary(words), text_encoder.config.max_words)
    used = int(captions.ne(0).any(0).any(0).sum())
    print("latents", tuple(latents.shape), "words", len(words), "longest caption", used, flush=True)
    trainer = Trainer(
        {"transformer": transformer, "text_encoder": text_encoder},
        seconds=args.seconds, muon=args.muon, adam=args.adam, cooldown=0.4, average=0.998,
    )  # fmt: skip
    print("parameters", [sum(p.numel() for p in m.parameters()) for m in trainer.models.values()], flush=True)
    if (args.work / "diffusion.pt").exists():
        trainer.load(torch.load(args.work / "diffusion.pt"))
    while not trainer.finished:
        rows = torch.randint(0, len(latents), (args.batch,))
        numbers = captions[rows, torch.randint(0, CAPTIONS_PER_SCENE, (args.batch,)), :used].long()
        numbers[torch.rand(args.batch) < CAPTION_DROP] = 0
        clean = latents[rows].float()
        noise = torch.randn_like(clean)
        share = torch.sigmoid(torch.randn(args.batch) + 0.3)
        mixed = torch.lerp(clean, noise, share[:, None, None, None])
        velocity = transformer(mixed, share, *text_encoder(numbers))
        trainer.update(((velocity - (noise - clean)) ** 2).mean())
        if trainer.steps % 50 == 0:
            rate = trainer.steps * args.batch / trainer.elapsed
            print(f"{trainer.steps} {trainer.elapsed:.0f}s loss {trainer.running:.4f} {rate:.0f}/s", flush=True)
        if trainer.steps % 200 == 0:
            save(trainer, args.work)
    save(trainer, args.work)
    figures = {
        "steps": trainer.steps,
        "samples": trainer.steps * args.batch,
        "loss": round(trainer.running, 4),
        "seconds": round(trainer.elapsed),
    }
    (args.work / "transformer" / "training.json").write_text(json.dumps(figures))
    print(figures, flush=True)


if __name__ == "__main__":
    main()
