"""Judge the generator: does it draw what the prompt says, with edges as sharp as those of the renderer?

A small classifier is trained on renders alone and then reads generated pictures. It forgives blur, so the figures
stand beside an edge-sharpness ratio, and both beside a contact sheet for the eye.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from countermark.generators.embedded.pipeline import DEFAULT_GUIDANCE, DEFAULT_STEPS, ScenePipeline

from .captions import full_caption
from .render import HELD_OUT_SEEDS, LARGE, SMALL
from .scenes import PLACES, Scene, render, scene_of
from .things import COLOURED, COLOURS, THINGS
from .train_autoencoder import HELD_OUT, as_tensor

BACKDROPS, DAYTIMES = tuple(PLACES), ("day", "sunset", "dawn", "night", "overcast")
OBJECTS, HUES = ("none", *THINGS), tuple(COLOURS)
QUESTIONS = ("scene", "time", "object", "colour")
SHEET = (
    "a red lighthouse by the sea at dusk",
    "a blue house in the mountains at dawn",
    "a yellow sailboat at sunset",
    "a hot air balloon over the city",
    "a green tent in the forest at night",
    "a cactus in the desert at noon",
    "pink tulips in a meadow in the morning",
    "a snowman with a purple hat in the snow",
    "an old windmill at golden hour",
    "a castle with orange roofs in the mountains",
    "a city skyline at night with the moon",
    "an oak tree under a grey sky",
)


class Judge(nn.Module):
    """A convolutional classifier with one head for each question."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        plan = ((3, 1, 2), (1, 1, 1), (1, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 4, 1))
        layers: list[nn.Module] = []
        for inputs, outputs, stride in plan:
            channels = inputs if not layers else inputs * width
            layers += [nn.Conv2d(channels, outputs * width, 3, stride, 1, bias=False),
                       nn.BatchNorm2d(outputs * width), nn.ReLU()]  # fmt: skip
        self.body = nn.Sequential(*layers)
        answers = (len(BACKDROPS), len(DAYTIMES), len(OBJECTS), len(HUES))
        self.heads = nn.ModuleList(nn.Linear(8 * width, n) for n in answers)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """B×3×64×64 in -1..1 to the scores of each question."""
        h = self.body(pictures)
        h = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)
        return [head(h) for head in self.heads]


def answers_of(scenes: list[Scene]) -> Tensor:
    """The right answers, N×4; -1 where a question does not apply."""
    return torch.tensor([
        [BACKDROPS.index(s.backdrop), DAYTIMES.index(s.time), OBJECTS.index(s.thing or "none"),
         HUES.index(s.colour) if s.thing in COLOURED else -1]
        for s in scenes
    ])  # fmt: skip


def train_judge(work: Path, seconds: float) -> Judge:
    """Train on renders (some blurred or noisy, so that softness alone does not mislead it), or load a trained one."""
    judge, kept = Judge().to(memory_format=torch.channels_last), work / "judge.pt"
    if kept.exists():
        judge.load_state_dict(torch.load(kept))
        return judge.eval()
    pictures, rng = np.load(work / "renders.npy", mmap_mode="r"), np.random.default_rng(0)
    answers = answers_of([scene_of(seed) for seed in range(len(pictures))])
    optimiser = torch.optim.AdamW(judge.parameters(), 3e-3, weight_decay=0.02)
    started = time.monotonic()
    while (share := (time.monotonic() - started) / seconds) < 1:
        optimiser.param_groups[0]["lr"] = 3e-3 * max(0.01, 1 - share)
        rows = np.sort(rng.integers(0, len(pictures) - HELD_OUT, 64))
        seen = as_tensor(pictures[rows])
        if rng.random() < 0.4:
            seen = F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
        seen = seen + torch.randn_like(seen) * float(rng.uniform(0, 0.1))
        truth = answers[torch.from_numpy(rows)]
        losses = [F.cross_entropy(out, truth[:, q], ignore_index=-1) for q, out in enumerate(judge(seen))]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
    torch.save(judge.state_dict(), kept)
    return judge.eval()


def accuracy(judge: Judge, pictures: Tensor, answers: Tensor) -> dict[str, float]:
    """Share of right answers to each question, and of pictures with all of them right."""
    with torch.inference_mode():
        right = torch.stack([out.argmax(1) == answers[:, q] for q, out in enumerate(judge(pictures))], 1)
    applies = answers >= 0
    figures = {name: round(float(right[applies[:, q], q].float().mean()), 3) for q, name in enumerate(QUESTIONS)}
    return {**figures, "all": round(float((right | ~applies).all(1).float().mean()), 3)}


def sharpness(pictures: NDArray[np.uint8]) -> float:
    """Contrast-weighted mean slope between neighbouring pixels: high when edges are one pixel wide."""
    values = []
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
        slopes = np.abs(np.concatenate([np.diff(grey, axis=0).ravel(), np.diff(grey, axis=1).ravel()]))
        values.append((slopes**2).sum() / max(slopes.sum(), 1.0))
    return float(np.mean(values))


def judged_scenes(count: int) -> list[Scene]:
    """Held-out scenes with a thing in them."""
    scenes, seed = [], HELD_OUT_SEEDS + 1_000_000
    while len(scenes) < count:
        scene = scene_of(seed)
        seed += 1
        if scene.thing is not None:
            scenes.append(scene)
    return scenes


def draw(pipe: ScenePipeline, prompt: str, seed: int, **settings: float) -> NDArray[np.uint8]:
    """One generated picture."""
    images = pipe(prompt, generator=torch.Generator().manual_seed(seed), output_type="np", **settings).images
    return np.ascontiguousarray((images[0] * 255).round().astype(np.uint8))


def contact_sheet(pipe: ScenePipeline, path: Path, columns: int = 4, tile: int = 256) -> None:
    """Write the pictures of fixed prompts, seed 7, as one image."""
    tiles = [cv2.resize(draw(pipe, prompt, 7), (tile, tile), interpolation=cv2.INTER_AREA) for prompt in SHEET]
    rows = [np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)


def main() -> None:
    """Print figures as JSON and write a contact sheet."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the packed pipeline")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--judge-seconds", type=float, default=120)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    judge = train_judge(args.work, args.judge_seconds)
    renders = np.load(args.work / "renders.npy", mmap_mode="r")
    known = range(len(renders) - HELD_OUT, len(renders))
    baseline = accuracy(judge, as_tensor(renders[known.start :]), answers_of([scene_of(k) for k in known]))
    pipe = ScenePipeline.from_pretrained(args.model)
    pipe.set_progress_bar_config(disable=True)
    scenes, choose = judged_scenes(args.count), random.Random(5)
    settings = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    started = time.process_time()
    pictures = np.stack([draw(pipe, full_caption(s, choose), k, **settings) for k, s in enumerate(scenes)])
    seconds = (time.process_time() - started) / len(scenes)
    small = np.stack([cv2.resize(p, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.uint8)
    reference = np.stack([render(s, LARGE) for s in scenes])
    figures = {
        "judge_on_renders": baseline,
        "judge_on_generated": accuracy(judge, as_tensor(small), answers_of(scenes)),
        "sharpness_ratio": round(sharpness(pictures) / sharpness(reference), 3),
        "cpu_seconds_per_image": round(seconds, 2),
        "steps": args.steps,
        "guidance": args.guidance,
        "pictures": len(scenes),
    }
    print(json.dumps(figures, indent=2))
    if args.sheet is not None:
        contact_sheet(pipe, args.sheet)


if __name__ == "__main__":
    main()
