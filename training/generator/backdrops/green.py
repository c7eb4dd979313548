"""Growing land: forest and meadow, and the meadow under snow."""

from __future__ import annotations

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .forms import Orb, Row, bush, conifer, conifers, crest_at, swell


def forest(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Three rows of conifers, two tall ones at the edges, and a clearing in front."""
    rows: tuple[Row, ...] = (
        (12, 0.07, 0.3, (104, 164, 134), 0.34),
        (9, 0.11, 0.32, (66, 132, 102), 0.16),
        (7, 0.16, 0.3, (42, 102, 78), 0.04),
    )
    grounds: tuple[Colour, ...] = ((104, 160, 110), (72, 132, 92), (84, 148, 82))
    for (count, drop, height, tree, haze), ground in zip(rows, grounds, strict=True):
        canvas.land(swell(rng, horizon + drop - 0.03, 0.012), light.on_land(ground, haze))
        conifers(canvas, rng, light, (count, horizon + drop + 0.01, height, tree, haze), orb=orb)
    crest = swell(rng, horizon + 0.155, 0.012)
    canvas.land(crest, light.on_land((96, 160, 86)))
    tones = (light.on_land((30, 84, 66)), light.on_land((22, 62, 56)), light.on_land((84, 58, 46)))
    for x in (rng.uniform(-0.01, 0.05), rng.uniform(0.95, 1.01)):
        conifer(canvas, (x, horizon + 0.22), float(rng.uniform(0.5, 0.6)), tones)
    canvas.land(swell(rng, horizon + 0.29, 0.012, 1.0), light.on_land((112, 176, 94)))


def meadow(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Rolling hills with round bushes, a few blossoms at the edges."""
    tones: tuple[Colour, ...] = ((178, 216, 128), (150, 204, 98), (124, 188, 80), (100, 168, 70))
    for k, tone in enumerate(tones):
        crest = swell(rng, horizon + 0.0 + 0.095 * k, 0.036 - 0.004 * k, 1.0)
        haze = 0.18 - 0.06 * k
        canvas.land(crest, light.on_land(tone, haze))
        if k < 3:
            leaf = (light.on_land((98, 166, 88), haze), light.on_land((70, 138, 80), haze))
            spots = ((0.2, 0.46, 0.8), (0.08, 0.66), (0.06, 0.93))[k]
            for spot in spots:
                x = spot + float(rng.uniform(-0.08, 0.08))
                bush(canvas, x, crest_at(crest, x) + 0.01, float(rng.uniform(0.026, 0.036)) * (1 + 0.15 * k), leaf)
    petals: tuple[Colour, ...] = ((255, 250, 240), (250, 214, 92))
    for k in range(8):
        x = float(rng.uniform(0.02, 0.24)) + (0.74 if k % 2 else 0.0)
        canvas.disc(x, horizon + float(rng.uniform(0.33, 0.39)), 0.0105, light.on_land(petals[k // 2 % 2]))


def snow(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Snow hills with blue shadows and a few dark conifers under snow."""
    tones: tuple[Colour, ...] = ((200, 218, 242), (224, 236, 250), (248, 251, 255))
    for k, tone in enumerate(tones):
        crest = swell(rng, horizon + 0.01 + 0.11 * k, 0.03, 0.9)
        canvas.land(crest, light.on_land(tone, 0.08 - 0.04 * k))
        if k < 2:
            shade = light.on_land(mix(tone, (150, 184, 228), 0.45), 0.06 - 0.03 * k)
            x = np.linspace(0, 1, len(crest))
            hollow = crest + 0.03 + 0.09 * np.sin(np.pi * (x * 1.2 + rng.uniform(0, 1))) ** 2
            canvas.land(hollow, shade)
            row: Row = (6 - k, 0.045 + 0.01 * k, 0.17 + 0.05 * k, (56, 112, 106), 0.16 - 0.1 * k)
            conifers(canvas, rng, light, row, crest, snowy=True)
