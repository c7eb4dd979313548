"""What a generated picture is measured by: a classifier's reading, the sharpness of its edges, and its variety."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from countermark.generators.embedded.models import SceneAutoencoder
from countermark.generators.embedded.pipeline import ScenePipeline

from .captions import full_caption
from .judge import QUESTIONS, accuracy, answers_of, load
from .render import HELD_OUT_SEEDS, LARGE, reduced
from .scenes import STYLES, Scene, render, scene_of
from .train_autoencoder import as_tensor, psnr

Pictures = NDArray[np.uint8]

SHEET = (
    "a red lighthouse by the sea at dusk",
    "a blue house in the mountains at dawn",
    "a painting of a yellow sailboat on a lake at sunset",
    "a purple hot air balloon over a canyon",
    "a small green tent in the forest at night",
    "three cactuses in the desert at noon",
    "pink tulips in a meadow in the morning, gouache",
    "a snowman with a red hat in the snow",
    "an orange windmill on a farm at golden hour",
    "a white castle by a smoking volcano at night",
    "two yellow buses in the city on a cloudy day",
    "a palm tree on the beach under a blue sky",
    "a white rocket over the desert at night with stars",
    "a watercolour of a red church in the mountains in fog",
    "a large orange cat on the left in the countryside at noon",
    "three white ducks on a pond in the mist",
    "a campfire in the woods after dark",
    "a pink umbrella on a sandy beach at sunset, flat design",
    "a green car in a canyon during the day",
    "a red kite high above rolling hills on a sunny day",
)  # fmt: skip


def sharpness(pictures: Pictures) -> float:
    """Contrast-weighted mean slope between neighbouring pixels: high when edges are one pixel wide."""
    values = []
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
        slopes = np.abs(np.concatenate([np.diff(grey, axis=0).ravel(), np.diff(grey, axis=1).ravel()]))
        values.append((slopes**2).sum() / max(slopes.sum(), 1.0))
    return float(np.mean(values))


def spread(pictures: Pictures) -> float:
    """Mean distance (root mean square, 0-255) between any two of some pictures, reduced to 64×64."""
    small = reduced(pictures).astype(np.float64)
    return float(np.mean([np.sqrt(((a - b) ** 2).mean()) for a, b in combinations(small, 2)]))


def judged_scenes(count: int, first: int = HELD_OUT_SEEDS + 1_000_000) -> list[Scene]:
    """Held-out scenes with a thing in them."""
    scenes: list[Scene] = []
    seed = first
    while len(scenes) < count:
        scene = scene_of(seed)
        seed += 1
        if scene.thing is not None:
            scenes.append(scene)
    return scenes


def draw(pipe: ScenePipeline, prompt: str, seeds: list[int], side: int = LARGE) -> Pictures:
    """Pictures of one prompt, each drawn alone, uint8 N×side×side×3."""
    pictures = []
    for seed in seeds:
        made = pipe(prompt, side, side, generator=torch.Generator().manual_seed(seed), output_type="np").images[0]
        pictures.append((made * 255).round().astype(np.uint8))
    return np.stack(pictures)


def readings(pipe: ScenePipeline, scenes: list[Scene]) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of right readings of generated pictures, and their sharpness over that of renders of the same scenes.

    The sharpness is that of all and that of each style: painted edges are soft, and one could make up for the other.
    """
    choose = random.Random(5)
    pictures = np.concatenate([draw(pipe, full_caption(scene, choose), [k]) for k, scene in enumerate(scenes)])
    figures = accuracy(load(), as_tensor(reduced(pictures)), answers_of(scenes))
    renders = np.stack([render(scene, LARGE) for scene in scenes])
    chosen = {"all": np.full(len(scenes), fill_value=True)}
    chosen |= {style: np.array([scene.style == style for scene in scenes]) for style in STYLES}
    return figures, {name: sharpness(pictures[rows]) / sharpness(renders[rows]) for name, rows in chosen.items()}


def readings_of_renders(count: int) -> dict[str, float]:
    """Shares of right readings of held-out renders: the judge's own limit."""
    scenes = [scene_of(HELD_OUT_SEEDS + 2_000_000 + k) for k in range(count)]
    return accuracy(load(), as_tensor(np.stack([render(scene, 64) for scene in scenes])), answers_of(scenes))


def variety(pipe: ScenePipeline, prompts: int, each: int) -> float:
    """Mean distance between samples of one prompt over that between renders of the same description.

    The renders share what the prompt names (scene, time, style, one thing in the middle, its colour) and differ in what
    is left to chance; their sky is drawn anew, as the prompt does not name it.
    """
    ratios = []
    for scene in judged_scenes(prompts, HELD_OUT_SEEDS + 3_000_000):
        named = replace(scene, count=1, size="middling", side="middle")
        seeds = list(range(HELD_OUT_SEEDS + named.seed, HELD_OUT_SEEDS + named.seed + each))
        skies = [replace(named, seed=seed, sky=_another_sky(named, seed)) for seed in seeds]
        renders = np.stack([render(one, LARGE) for one in skies])
        ratios.append(spread(draw(pipe, full_caption(named, random.Random(named.seed)), seeds)) / spread(renders))
    return float(np.mean(ratios))


def _another_sky(scene: Scene, seed: int) -> str | None:
    """The sky of the first scene from a seed on that has the same time."""
    while (other := scene_of(seed)).time != scene.time:
        seed += 1
    return other.sky


def reconstruction(autoencoder: SceneAutoencoder, count: int) -> float:
    """Mean PSNR in dB of held-out renders that went through the autoencoder, at its own 64×64."""
    seeds = range(HELD_OUT_SEEDS + 4_000_000, HELD_OUT_SEEDS + 4_000_000 + count)
    seen = as_tensor(np.stack([render(scene_of(seed), 64) for seed in seeds]))
    with torch.inference_mode():
        parts = [autoencoder.decode(autoencoder.encode(part)).clamp(-1, 1) for part in seen.split(100)]
    return psnr(seen, torch.cat(parts))


def contact_sheet(pipe: ScenePipeline, columns: int = 5, tile: int = 256) -> Image.Image:
    """Pictures of fixed prompts, seed 7, none of them chosen, as one image."""
    tiles = [cv2.resize(draw(pipe, p, [7])[0], (tile, tile), interpolation=cv2.INTER_AREA) for p in SHEET]
    rows = [np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)]
    return Image.fromarray(np.concatenate(rows))


__all__ = [
    "QUESTIONS", "SHEET", "contact_sheet", "draw", "judged_scenes", "readings", "readings_of_renders",
    "reconstruction", "sharpness", "spread", "variety",
]  # fmt: skip
