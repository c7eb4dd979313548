"""Bare land: mountains, desert, canyon and volcano."""

from __future__ import annotations

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .forms import Orb, away, conifers, lowered, swell


def mountains(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Snow-capped peaks with a lit and a shaded flank, green hills before them."""
    for x in (np.array([0.02, 0.36, 0.68, 1.0]) + rng.uniform(-0.06, 0.06, 4)).tolist():
        _peak(canvas, light, (x, horizon - rng.uniform(0.13, 0.2) * lowered(orb, x) ** 1.6, horizon + 0.1), 0.42)
    for x in (np.array([0.14, 0.86, 0.5]) + rng.uniform(-0.08, 0.08, 3)).tolist():
        _peak(canvas, light, (x, horizon - rng.uniform(0.22, 0.38) * lowered(orb, x) ** 1.6, horizon + 0.1), 0.16)
    greens: tuple[Colour, ...] = ((104, 158, 104), (84, 146, 86), (68, 128, 74))
    for k, green in enumerate(greens):
        crest = swell(rng, horizon + 0.06 + 0.11 * k, 0.025, 1.1)
        canvas.land(crest, light.on_land(green, 0.14 - 0.07 * k))
        if k == 0:
            conifers(canvas, rng, light, (9, 0.03, 0.11, (52, 104, 84), 0.08), crest)


def _peak(canvas: Canvas, light: Light, spot: tuple[float, float, float], haze: float) -> None:
    x, top, foot = spot
    lit, shade, cap = (light.on_land(c, haze) for c in ((136, 146, 170), (92, 102, 132), (252, 253, 255)))
    cap_shade = mix(cap, shade, 0.38)
    half = (foot - top) * 0.86
    canvas.polygon([(x - half, foot), (x, top), (x + half, foot)], lit)
    ridge = [(0.0, 0.0), (0.1, 0.3), (-0.02, 0.52), (0.14, 0.78), (0.08, 1.0)]
    drop = foot - top
    canvas.polygon([(x + dx * half, top + t * drop) for dx, t in ridge] + [(x + half, foot)], shade)
    left = [(0, 0), (-0.36, 0.36), (-0.24, 0.32), (-0.13, 0.44), (0.0, 0.3), (0.1, 0.3)]
    right = [(0, 0), (0.1, 0.3), (0.14, 0.4), (0.22, 0.31), (0.36, 0.36)]
    canvas.polygon([(x + dx * half, top + t * drop) for dx, t in left], cap)
    canvas.polygon([(x + dx * half, top + t * drop) for dx, t in right], cap_shade)


def desert(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Dunes with a sharp ridge, each with a shaded lee side."""
    tones: tuple[Colour, ...] = ((246, 218, 160), (240, 200, 132), (232, 180, 108))
    for k, tone in enumerate(tones):
        crest = swell(rng, horizon + 0.01 + 0.12 * k, 0.012, 0.8)
        haze = 0.16 - 0.08 * k
        canvas.land(crest, light.on_land(tone, haze))
        lee = light.on_land(mix(tone, (190, 116, 70), 0.42), haze)
        for x in ((0.2, 0.74), (0.5, 1.02), (0.08, 0.92))[k]:
            _dune(canvas, rng, (x, horizon + 0.05 + 0.125 * k), (light.on_land(tone, haze), lee))


def _dune(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], tones: tuple[Colour, Colour]) -> None:
    """One dune: a long windward slope and an S-shaped ridge that parts it from the lee."""
    x, foot = at[0] + float(rng.uniform(-0.07, 0.07)), at[1]
    height, half = float(rng.uniform(0.09, 0.13)), float(rng.uniform(0.3, 0.4))
    t = np.linspace(-1, 1, 49)
    crest = foot - height * np.where(t < 0.0, (1 + np.cos(np.pi * t)) / 2, (1 - t) ** 1.5)
    outline = np.stack([x + half * t, crest], -1)
    canvas.polygon(outline, tones[0])
    s = np.linspace(0, 1, 25)
    ridge = np.stack([x + half * 0.22 * np.sin(2 * np.pi * s * 0.9), foot - height * (1 - s)], -1)
    canvas.polygon(np.concatenate([outline[24:], ridge[::-1]]), tones[1])


def canyon(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Layered red mesas, a rock wall on either side, a red floor."""
    for x in (np.array([0.36, 0.66]) + rng.uniform(-0.05, 0.05, 2)).tolist():
        tall = rng.uniform(0.1, 0.22) * lowered(orb, x)
        _mesa(canvas, light, (x, horizon - tall, horizon + 0.06, rng.uniform(0.15, 0.2)), 0.3)
    canvas.land(swell(rng, horizon + 0.04, 0.008), light.on_land((226, 142, 92), 0.18))
    high = away(rng, orb)
    for edge, way in ((0.02, -1), (0.98, 1)):
        tall = (0.38 if way == high else 0.24) + rng.uniform(0, 0.05)
        top = horizon - tall * lowered(orb, edge - 0.16 * way)
        half = (0.34 if way == high else 0.27) + rng.uniform(0, 0.03)
        _mesa(canvas, light, (edge, top, horizon + 0.13, half), 0.06)
    canvas.land(swell(rng, horizon + 0.11, 0.012), light.on_land((218, 122, 76), 0.04))
    canvas.land(swell(rng, horizon + 0.24, 0.018, 1.0), light.on_land((198, 98, 62)))


def _mesa(canvas: Canvas, light: Light, spot: tuple[float, float, float, float], haze: float) -> None:
    """A table mountain (middle, top, foot, half width) in bands of rock, the right flank in shade."""
    x, top, foot, half = spot
    rocks: tuple[Colour, ...] = ((232, 150, 96), (196, 84, 58), (222, 122, 76), (178, 70, 54), (208, 104, 68))
    levels = (0.0, 0.14, 0.32, 0.46, 0.66, 1.0)
    widths = np.array([(0.6, 0.61), (0.66, 0.67), (0.63, 0.65), (0.71, 0.74), (0.74, 1.0)])
    for rock, low, high, (upper, lower) in zip(rocks, levels, levels[1:], widths * half, strict=False):
        y0, y1 = top + (foot - top) * low, top + (foot - top) * high
        canvas.polygon([(x - upper, y0), (x + upper, y0), (x + lower, y1), (x - lower, y1)], light.on_land(rock, haze))
        shade = light.on_land(mix(rock, (92, 36, 56), 0.42), haze)
        canvas.polygon([(x + upper * 0.42, y0), (x + upper, y0), (x + lower, y1), (x + lower * 0.4, y1)], shade)


def volcano(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """One dark cone with a glowing crater, streaks of lava and a plume of smoke over black ground."""
    x, top, foot = (
        0.5 + away(rng, orb) * float(rng.uniform(0.1, 0.2)),
        horizon - float(rng.uniform(0.32, 0.36)),
        horizon + 0.1,
    )
    _plume(canvas, rng, light, (x, top), 1 if x < 0.5 else -1)
    canvas.land(swell(rng, horizon + 0.0, 0.02, 1.2), light.on_land((104, 92, 104), 0.3))
    _cone(canvas, light, (x, top, foot))
    _lava(canvas, rng, light, (x, top, foot))
    canvas.land(swell(rng, horizon + 0.06, 0.014), light.on_land((70, 62, 74), 0.08))
    canvas.land(swell(rng, horizon + 0.16, 0.018), light.on_land((58, 52, 62), 0.02))
    canvas.land(swell(rng, horizon + 0.27, 0.02, 1.1), light.on_land((46, 42, 52)))


def _plume(canvas: Canvas, rng: np.random.Generator, light: Light, mouth: tuple[float, float], drift: int) -> None:
    puffs = []
    for k in range(6):
        r = 0.034 + 0.0135 * k
        puffs.append((mouth[0] + drift * 0.011 * k**1.75 + rng.uniform(-0.008, 0.008), mouth[1] - 0.02 - 0.052 * k, r))
    smoke = light.on_land((122, 112, 120), 0.12)
    bright = mix(smoke, light.middle, 0.35)
    for x, y, r in reversed(puffs):
        canvas.disc(x + r * 0.7, y + r * 0.3, r * 0.75, smoke)
        canvas.disc(x, y, r, smoke)
    for x, y, r in puffs:
        canvas.disc(x - r * 0.3, y - r * 0.2, r * 0.62, bright)
    for radius, opacity in ((0.15, 0.16), (0.1, 0.24)) if light.lamps else ((0.085, 0.16),):
        canvas.veil(mouth[0], mouth[1], radius, (255, 110, 50), opacity)


def _cone(canvas: Canvas, light: Light, spot: tuple[float, float, float]) -> None:
    x, top, foot = spot
    t = np.linspace(0, 1, 33)
    reach, y = 0.06 + 0.4 * t**1.5, top + (foot - top) * t
    rock, shade = light.on_land((98, 80, 92), 0.06), light.on_land((62, 50, 66), 0.06)
    left, right = np.stack([x - reach, y], -1), np.stack([x + reach, y], -1)
    canvas.polygon(np.concatenate([left, right[::-1]]), rock)
    inner = np.stack([x + 0.015 + 0.05 * np.sin(7 * t) * t, y], -1)
    canvas.polygon(np.concatenate([inner, right[::-1]]), shade)


def _lava(canvas: Canvas, rng: np.random.Generator, light: Light, spot: tuple[float, float, float]) -> None:
    """The crater and what runs out of it; it shines by itself, only fog dims it."""
    x, top, foot = spot
    dim = light.haze * 0.35
    red, gold = mix((232, 62, 36), light.low, dim), mix((255, 178, 64), light.low, dim)
    canvas.ellipse(x, top, 0.062, 0.022, red)
    t = np.linspace(0, 1, 25)
    phase = float(rng.uniform(0, np.pi))
    for lean, length, width in ((-0.3, 0.5, 0.012), (0.34, 0.62, 0.013), (0.02, 0.95, 0.019)):
        y = top + (foot - top) * length * t
        mid = x + lean * (0.06 + 0.3 * (length * t) ** 1.4) + 0.014 * np.sin(9 * t + phase) * t
        half = width * (1 - 0.35 * t)
        canvas.polygon(np.concatenate([np.stack([mid - half, y], -1), np.stack([mid + half, y], -1)[::-1]]), red)
        if width > 0.015:
            core = half * 0.42
            canvas.polygon(np.concatenate([np.stack([mid - core, y], -1), np.stack([mid + core, y], -1)[::-1]]), gold)
    canvas.ellipse(x, top, 0.045, 0.012, gold)
