"""Forms that several backdrops share: crest lines, conifers, bushes, and translucent layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

Orb = tuple[float, float] | None
Backdrop = Callable[[Canvas, np.random.Generator, Light, float, Orb], None]
Row = tuple[int, float, float, Colour, float]

STEPS = 97


@contextmanager
def translucent(canvas: Canvas, opacity: float) -> Iterator[None]:
    """Whatever is drawn inside the block is laid over the picture with this opacity."""
    before = canvas._pixels.copy()
    yield
    cv2.addWeighted(canvas._pixels, opacity, before, 1 - opacity, 0, canvas._pixels)


def swell(rng: np.random.Generator, base: float, height: float, waves: float = 1.5) -> NDArray[np.float64]:
    """A smooth rolling crest line."""
    x = np.linspace(0, 1, STEPS)
    phase, second = rng.uniform(0, 2 * np.pi, 2)
    roll = np.sin(2 * np.pi * waves * x + phase) + 0.45 * np.sin(4.2 * np.pi * waves * x + second)
    return np.asarray(base + height * roll / 1.45)


def curve(knots: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """A smooth crest line through (x, y) knots, level at each of them."""
    x = np.linspace(0, 1, STEPS)
    at, heights = np.array(knots, np.float64).T
    k = np.clip(np.searchsorted(at, x) - 1, 0, len(at) - 2)
    share = np.clip((x - at[k]) / (at[k + 1] - at[k]), 0, 1)
    ease = (1 - np.cos(np.pi * share)) / 2
    return np.asarray(heights[k] * (1 - ease) + heights[k + 1] * ease)


def crest_at(crest: NDArray[np.float64], x: float) -> float:
    """Height of a crest line at x."""
    return float(np.interp(x, np.linspace(0, 1, len(crest)), crest))


def lowered(orb: Orb, x: float) -> float:
    """How much of its height something at x may have so that it does not hide a sun that stands low."""
    if orb is None or orb[1] < 0.3:
        return 1.0
    return 1.0 - 0.5 * float(np.exp(-(((x - orb[0]) / 0.14) ** 2)))


def away(rng: np.random.Generator, orb: Orb) -> int:
    """The side where sun or moon are not; either, by chance, if there are none."""
    chance = side(rng)
    return chance if orb is None else (-1 if orb[0] > 0.5 else 1)


def side(rng: np.random.Generator) -> int:
    """Left (-1) or right (1), by chance."""
    return 1 if rng.random() < 0.5 else -1


def conifer(canvas: Canvas, at: tuple[float, float], height: float, tones: tuple[Colour, Colour, Colour]) -> None:
    """A conifer in three tiers, shaded on the right; the tones are light, shade and trunk."""
    (x, y), (light, shade, trunk) = at, tones
    canvas.rectangle(x - height * 0.045, y - height * 0.15, x + height * 0.045, y, trunk)
    for lift, share in ((0.1, 1.0), (0.36, 0.78), (0.6, 0.54)):
        half, foot = height * share / 4, y - height * lift
        tip = (x, foot - height * 0.42)
        canvas.polygon([(x - half, foot), (x + half, foot), tip], light)
        canvas.polygon([(x + half * 0.1, foot), (x + half, foot), tip], shade)


def conifers(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    row: Row,
    ground: NDArray[np.float64] | None = None,
    snowy: bool = False,
    orb: Orb = None,
) -> None:
    """A row of conifers (count, foot, height, colour, haze); with `ground` each stands on that crest line.

    `snowy` caps them; with `orb` they leave a low sun free.
    """
    count, foot, height, colour, haze = row
    tones = (
        light.on_land(colour, haze),
        light.on_land(mix(colour, (20, 40, 60), 0.22), haze),
        light.on_land((96, 68, 50), haze),
    )
    cap = light.on_land((246, 250, 255), haze)
    for k in range(count):
        x = (k + 0.5 + rng.uniform(-0.32, 0.32)) / count
        y = (foot if ground is None else crest_at(ground, x) + foot) + rng.uniform(-0.012, 0.012)
        tall = height * rng.uniform(0.82, 1.18) * lowered(orb, x)
        conifer(canvas, (x, y), tall, tones)
        if snowy:
            tip = y - tall * 1.02
            canvas.polygon([(x, tip), (x - tall * 0.09, tip + tall * 0.28), (x + tall * 0.09, tip + tall * 0.28)], cap)


def bush(canvas: Canvas, x: float, y: float, radius: float, tones: tuple[Colour, Colour]) -> None:
    """A round bush whose foot is at y, with a lit upper left."""
    canvas.disc(x - radius * 0.75, y - radius * 0.45, radius * 0.7, tones[1])
    canvas.disc(x + radius * 0.75, y - radius * 0.45, radius * 0.7, tones[1])
    canvas.disc(x, y - radius * 0.8, radius, tones[1])
    canvas.disc(x - radius * 0.25, y - radius * 1.0, radius * 0.68, tones[0])
